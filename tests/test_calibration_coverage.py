"""What is missing, in words."""

from __future__ import annotations

import numpy as np
import pytest
from board_views import CAMERA, CENTER_MM, many_views, sighting

from calibration.coverage import coverage_of, tilts_deg
from calibration.geometry import View, pose_from_view, rotation_from_view


def seen(view: View, ray=(0.0, 0.0, 1.0)):
    return sighting(pose_from_view(view, CENTER_MM, np.array(ray)), np.random.default_rng(0), 0.0)


def test_a_good_set_lacks_nothing():
    assert coverage_of(list(many_views(30, 1).values()), CAMERA.width, CAMERA.height).missing == ()


def test_no_views_lack_everything():
    missing = coverage_of([], 1280, 720).missing
    assert len(missing) == 9 + 4 + 1 + 1
    assert "the board in the top left of the picture" in missing
    assert missing[-1] == "15 more views"


@pytest.mark.parametrize(
    ("view", "side"),
    [
        (View(500, 35), "right"),
        (View(500, -35), "left"),
        (View(500, 0, 35), "bottom"),
        (View(500, 0, -35), "top"),
        (View(500, 35, 0, 180), "left"),
        (View(500, 35, 0, 90), "bottom"),
    ],
    ids=str,
)
@pytest.mark.parametrize("fitted", [True, False])
def test_sides_are_those_in_the_picture(view, side, fitted):
    normals = rotation_from_view(view)[:, 2][None] if fitted else None
    coverage = coverage_of([seen(view)], CAMERA.width, CAMERA.height, normals)
    level = [what for what in coverage.missing if "farther" in what]
    assert len(level) == 3
    assert not [what for what in level if f"its {side} side" in what]


def test_rough_tilts_are_good_enough():
    coverage = coverage_of([seen(View(500, 30, -20))], CAMERA.width, CAMERA.height)
    np.testing.assert_allclose(
        coverage.tilts_deg[0], tilts_deg(rotation_from_view(View(500, 30, -20))[:, 2][None])[0], atol=8
    )


def test_a_board_in_one_corner_covers_that_corner():
    coverage = coverage_of([seen(View(1500), (-0.45, -0.25, 1.0))], CAMERA.width, CAMERA.height)
    assert "the board in the top left of the picture" not in coverage.missing
    assert "the board in the bottom right of the picture" in coverage.missing
    assert [what for what in coverage.missing if what.startswith("the board nearer")]
    assert coverage.share < 0.05
