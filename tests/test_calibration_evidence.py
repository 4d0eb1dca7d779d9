"""What a calibration was made from is kept, and checked when it is read."""

from __future__ import annotations

import numpy as np
import pytest
from board_views import BOARD, CAMERA, many_views

from calibration.camera import LATER_KEYS, CameraModel
from calibration.errors import BadConfig
from calibration.evidence import evidence_of
from calibration.files import parse_document

KEPT = evidence_of(BOARD, many_views(3, 1))


def test_views_come_back():
    views = many_views(3, 1)
    again = KEPT.sightings(1280, 720)
    assert list(again) == list(views)
    for name, view in views.items():
        assert again[name].ids == view.ids
        np.testing.assert_allclose(again[name].corners_px, view.corners_px, atol=1e-4)
        np.testing.assert_array_equal(again[name].corners_mm, view.corners_mm)


def test_folders_of_pictures_stay_where_they_are():
    first, second, third = many_views(3, 1).values()
    kept = evidence_of(BOARD, {"/home/me/a/1.png": first, "b/1.png": second, "/home/me/2.png": third})
    assert [view.name for view in kept.views] == ["/home/me/a/1.png", "b/1.png", "2.png"]


def test_a_camera_file_carries_it():
    model = CAMERA.model_copy(update={"evidence": KEPT, "settings": {"focus": 30.0}, "lens": "brown5"})
    assert parse_document(model.model_dump(mode="json"), CameraModel, where="camera.json") == model


def test_a_camera_without_is_written_as_it_always_was():
    written = CAMERA.model_dump(mode="json")
    assert not set(LATER_KEYS) & set(written)
    assert written["rms_px"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda view: view["ids"].append(3), "has 55 ids and 54 corners"),
        (lambda view: view["ids"].__setitem__(0, 54), "the corners 0 to 53, not 54"),
        (lambda view: view["corners_px"].__setitem__(0, [1.0]), "corners_px"),
    ],
)
def test_evidence_that_cannot_be_is_refused(change, words):
    written = KEPT.model_dump(mode="json")
    whole = next(view for view in written["views"] if len(view["ids"]) == 54)
    change(whole)
    with pytest.raises(BadConfig, match=words):
        parse_document(written, type(KEPT), where="camera.json")
