"""Camera calibration: known intrinsics come back, and sets that cannot support a calibration are refused."""

from __future__ import annotations

import numpy as np
import pytest
from board_views import BOARD, CAMERA, CENTER_MM, many_views, sighting

from calibration.board import BoardSighting
from calibration.calibrate import MIN_VIEWS, calibrate_camera
from calibration.errors import BadInput
from calibration.evidence import evidence_of
from calibration.geometry import View, pose_from_view


@pytest.mark.parametrize("seed", range(3))
def test_intrinsics_come_back(seed):
    found = calibrate_camera(many_views(30, seed), camera="known")
    assert found.model.fx == pytest.approx(CAMERA.fx, rel=0.005)
    assert found.model.fy == pytest.approx(CAMERA.fy, rel=0.005)
    assert (found.model.cx, found.model.cy) == pytest.approx((CAMERA.cx, CAMERA.cy), abs=6)
    assert found.rms_px == pytest.approx(0.2 * np.sqrt(2), rel=0.1), "RMS of the distance, both axes"
    assert abs(found.model.fx - CAMERA.fx) < 5 * found.focal_sd_px


def test_what_it_says_about_the_pictures():
    views = many_views(12, seed=3)
    views["again.png"] = views["00.png"]
    views["nothing.png"] = BoardSighting((), np.empty((0, 2)), np.empty((0, 2)), CAMERA.width, CAMERA.height)
    few = views["01.png"]
    views["few.png"] = BoardSighting(few.ids[:5], few.corners_px[:5], few.corners_mm[:5], few.width, few.height)
    row = BOARD.corners_mm()[:, 1] == BOARD.square_mm
    strip = BOARD.corners_mm()[row]
    views["row.png"] = BoardSighting(
        (*range(row.sum()), 90, 91), np.vstack([strip, strip[:2]]), np.vstack([strip, strip[:2]]), 1280, 720
    )
    found = calibrate_camera(views, camera="known")
    reasons = {skipped.name: skipped.reason for skipped in found.skipped}
    assert set(reasons) == {"again.png", "nothing.png", "few.png", "row.png"}
    assert "00.png" in reasons["again.png"]
    assert "one row" in reasons["row.png"]
    assert len(found.used) == len(found.per_view_px) == found.model.views == 12
    assert found.model.source == "calibrated"
    assert max(found.per_view_px) < 0.6


def test_a_view_whose_corners_are_off_is_not_used():
    views = many_views(20, seed=4)
    bad = views["07.png"]
    shifted = bad.corners_px + np.random.default_rng(0).normal(0, 3, bad.corners_px.shape)
    views["07.png"] = BoardSighting(bad.ids, shifted, bad.corners_mm, bad.width, bad.height)
    found = calibrate_camera(views, camera="known")
    (skipped,) = found.skipped
    assert skipped.name == "07.png"
    assert "are not where the board has them" in skipped.reason
    assert found.model.fx == pytest.approx(CAMERA.fx, rel=0.005)


def test_single_corners_far_off_are_left_out():
    views = many_views(20, seed=5)
    for name in ("03.png", "11.png"):
        moved = views[name].corners_px.copy()
        moved[4] += [9, -7]
        views[name] = BoardSighting(views[name].ids, moved, views[name].corners_mm, 1280, 720)
    found = calibrate_camera(views, camera="known")
    assert found.corners_off == 2
    assert len(found.used) == 20
    assert found.rms_px < 0.35


def test_what_it_knows_of_projections():
    found = calibrate_camera(many_views(20, seed=6), camera="known", distances_mm=[400, 2000])
    near, far = found.places
    assert (near.distance_mm, far.distance_mm) == (400, 2000)
    for place in found.places:
        assert 0 < place.center_px <= place.middle_px <= place.anywhere_px
    assert found.uncertainty_px == max(near.middle_px, far.middle_px) == found.model.uncertainty_px
    assert 0 < found.crossval.rms_px < 2
    assert found.crossval.rms_px == found.model.crossval_px


def test_a_second_set_takes_the_place_of_halves():
    views = many_views(20, seed=7)
    halves = calibrate_camera(views, camera="known").crossval
    found = calibrate_camera(views, camera="known", check=many_views(20, seed=8)).crossval
    assert found != halves
    assert found.held_out_px == pytest.approx(0.2 * np.sqrt(2), rel=0.1)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda: _parallel(0), "the second set, to compare with: the boards are turned against each other by"),
        (lambda: many_views(5, seed=8), "the second set, to compare with: 5 usable views"),
    ],
    ids=["all frontal", "too few"],
)
def test_a_second_set_that_is_no_calibration_says_nothing_of_another(second, message):
    with pytest.raises(BadInput, match=message):
        calibrate_camera(many_views(20, seed=7), camera="known", check=second())


def test_kept_corners_give_the_same_calibration():
    views = many_views(12, seed=9)
    kept = evidence_of(BOARD, views)
    again = calibrate_camera(kept.sightings(1280, 720), camera="known")
    first = calibrate_camera(views, camera="known")
    assert again.model.fx == pytest.approx(first.model.fx, rel=1e-5)
    assert again.used == first.used


def _parallel(tilt_deg: float):
    random = np.random.default_rng(1)
    rays = [np.array([x, y, 1]) for x in (-0.35, 0.0, 0.35) for y in (-0.2, 0.0, 0.2)]
    poses = [pose_from_view(View(500, tilt_deg), CENTER_MM, ray) for ray in rays]
    return {str(i): sighting(pose, random) for i, pose in enumerate(poses)}


def _resized(views):
    view = views["03.png"]
    return views | {"03.png": BoardSighting(view.ids, view.corners_px / 2, view.corners_mm, 640, 360)}


def _scrambled():
    """As if the board file had its corners column by column."""
    order = np.arange(BOARD.corners).reshape(6, 9).T.ravel()
    views = many_views(12, 1)
    return {
        name: BoardSighting(view.ids, view.corners_px, BOARD.corners_mm()[order[list(view.ids)]], 1280, 720)
        for name, view in views.items()
    }


DEGENERATE = {
    "no pictures": (lambda: {}, "none of the 0"),
    "another board": (
        lambda: {str(i): BoardSighting((), np.empty((0, 2)), np.empty((0, 2)), 1280, 720) for i in range(12)},
        "none of the 12 pictures",
    ),
    "too few": (lambda: many_views(MIN_VIEWS - 1, 1), "7 usable views of the board, at least 8"),
    "the same again and again": (
        lambda: {str(i): many_views(1, 1)["00.png"] for i in range(20)},
        "1 usable views.*shows the board where 0 does",
    ),
    "sizes differ": (lambda: _resized(many_views(12, 1)), "11 of 1280x720, 1 of 640x360"),
    "one place only": (lambda: many_views(12, 1, spread=0.0, tilt_deg=1), "span .* of the picture|turned against"),
    "all frontal": (lambda: _parallel(0), "turned against each other"),
    "all parallel, tilted": (lambda: _parallel(35), "turned against each other"),
    "a board that is laid out otherwise": (_scrambled, "no camera fits|not where the board has them"),
    "too noisy": (lambda: many_views(9, 1, noise_px=25), "focal length is known to|turned|no camera fits|not where"),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_sets_are_refused(case):
    make, words = DEGENERATE[case]
    with pytest.raises(BadInput, match=words) as refusal:
        calibrate_camera(make(), camera="known")
    assert refusal.value.exit_code == 3
    assert "\n" not in refusal.value.message
    assert refusal.value.hint
