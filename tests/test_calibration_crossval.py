"""Calibrations compared: a turn of the camera is no disagreement, another lens is."""

from __future__ import annotations

import numpy as np
import pytest
from board_views import CAMERA, many_views

from calibration.crossval import crossvalidate, disagreement_px
from calibration.errors import BadInput

PIXELS = np.stack(np.meshgrid(np.linspace(100, 1180, 7), np.linspace(80, 640, 5)), axis=-1).reshape(-1, 2)
PLAIN = CAMERA.model_copy(update={"distortion": (0.0,) * 5})


def test_a_camera_agrees_with_itself():
    assert disagreement_px(CAMERA, CAMERA, PIXELS).max() < 1e-3


def test_another_principal_point_is_mostly_a_turn():
    moved = PLAIN.model_copy(update={"cx": PLAIN.cx + 5.0})
    assert disagreement_px(PLAIN, moved, PIXELS).max() < 2.0


def test_another_focal_length_shows_away_from_the_middle():
    longer = PLAIN.model_copy(update={"fx": PLAIN.fx * 1.01, "fy": PLAIN.fy * 1.01})
    apart = disagreement_px(PLAIN, longer, PIXELS)
    assert apart.max() == pytest.approx(6.0, abs=1.5)
    assert apart[17] < 0.5


def test_two_sets_of_one_camera():
    found = crossvalidate(list(many_views(20, 1).values()), list(many_views(20, 2).values()), "brown4")
    assert found.rms_px < 0.6
    assert found.rms_px <= found.worst_px
    assert found.held_out_px == pytest.approx(0.2 * np.sqrt(2), rel=0.1)


def test_two_cameras():
    other = CAMERA.model_copy(update={"distortion": (-0.1, 0.02, 0.0, 0.0, 0.0)})
    found = crossvalidate(list(many_views(20, 1).values()), list(many_views(20, 2, camera=other).values()), "brown4")
    assert found.rms_px > 2


def test_sets_of_different_sizes_are_refused():
    small = CAMERA.model_copy(update={"width": 640, "height": 360, "fx": 550, "fy": 552, "cx": 326, "cy": 175})
    with pytest.raises(BadInput, match="1280x720 and 640x360"):
        crossvalidate(list(many_views(8, 1).values()), list(many_views(8, 2, camera=small).values()), "k1")
