"""Homography and pose from tags: exact on exact data, and deaf to tags that do not belong."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import corner_tags, sheet_with
from hypothesis import given
from hypothesis import strategies as st

from calibration.camera import CameraModel
from calibration.geometry import View, apply_homography, pose_from_view, view_from_pose
from calibration.solve import OUTLIER_PX, fit_plane, fit_pose

SHEET = sheet_with(corner_tags())
KNOWN = SHEET.tag_corners_mm()
CENTER_MM = SHEET.target.box.center_mm
CAMERA = CameraModel(camera="c", width=1280, height=720, fx=1000, fy=1000, cx=640, cy=360)

views = st.builds(View, st.floats(300, 3000), st.floats(-70, 70), st.floats(-70, 70), st.floats(-170, 170)).filter(
    lambda view: abs(view.yaw_deg) + abs(view.pitch_deg) < 100
)


def seen_from(view: View, noise_px: float = 0.0, seed: int = 0) -> dict[int, np.ndarray]:
    """Ideal pixels of all tags, with Gaussian noise."""
    homography = pose_from_view(view, CENTER_MM).homography(CAMERA.matrix)
    random = np.random.default_rng(seed)
    return {i: apply_homography(homography, at) + random.normal(0, noise_px, (4, 2)) for i, at in KNOWN.items()}


@given(views)
def test_exact_corners_give_the_exact_plane_and_pose(view):
    seen = seen_from(view)
    fit = fit_plane(seen, KNOWN)
    assert fit is not None
    assert fit.used == (0, 1, 2, 3)
    assert fit.residual_px < 1e-3
    pose = fit_pose(fit, seen, KNOWN, CAMERA)
    assert pose is not None
    found = view_from_pose(pose, CENTER_MM)
    assert found.distance_mm == pytest.approx(view.distance_mm, rel=1e-3)
    rotation = pose_from_view(view, CENTER_MM).rotation
    assert np.degrees(np.arccos(np.clip((np.trace(pose.rotation.T @ rotation) - 1) / 2, -1, 1))) < 0.2


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_averaged(seed):
    view = View(900, 25, 10, 5)
    fit = fit_plane(seen_from(view, 0.3, seed), KNOWN)
    truth = pose_from_view(view, CENTER_MM).homography(CAMERA.matrix)
    frame = SHEET.frame.corners_mm
    assert np.abs(apply_homography(fit.homography, frame) - apply_homography(truth, frame)).max() < 0.7
    assert 0.1 < fit.residual_px < 0.8


INTRUDERS = {
    "a ghost somewhere else": lambda corners: corners + np.array([180, -40]),
    "a sticker that has slipped": lambda corners: corners + np.array([8, 3]),
    "a tag turned by a quarter": lambda corners: np.roll(corners, 1, axis=0),
    "one corner under a finger": lambda corners: corners + np.array([[0, 0], [0, 0], [9, 9], [0, 0]]),
    "folded paper": lambda corners: corners.mean(axis=0) + (corners - corners.mean(axis=0)) * [0.7, 1],
}


@pytest.mark.parametrize("case", INTRUDERS)
@pytest.mark.parametrize("number", [0, 2])
def test_a_tag_off_the_plane_is_dropped(case, number):
    view = View(700, -30, 15, 10)
    seen = seen_from(view, 0.1)
    seen[number] = INTRUDERS[case](seen[number])
    fit = fit_plane(seen, KNOWN)
    assert set(fit.used) == {0, 1, 2, 3} - {number}
    truth = pose_from_view(view, CENTER_MM).homography(CAMERA.matrix)
    frame = SHEET.frame.corners_mm
    assert np.abs(apply_homography(fit.homography, frame) - apply_homography(truth, frame)).max() < 1.0


def test_tags_of_no_sheet_are_not_asked():
    seen = seen_from(View(700))
    fit = fit_plane(seen | {500: seen[0] + 300}, KNOWN)
    assert fit.used == (0, 1, 2, 3)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_tags_do(count):
    seen = dict(list(seen_from(View(700, 20)).items())[:count])
    fit = fit_plane(seen, KNOWN)
    assert len(fit.used) == count
    assert fit.residual_px < 1e-3


@pytest.mark.parametrize("turn_deg", [0, 45, 90])
@pytest.mark.parametrize("lift_mm", [1, 3])
def test_a_sheet_that_is_slightly_curved_is_found(lift_mm, turn_deg):
    """Bent to a parabola whose ends lift by so much: what all tags say is nearer to the truth than what one says."""
    pose, turn = pose_from_view(View(700, 25, -10, 5), CENTER_MM), np.radians(turn_deg)
    across = np.array([np.cos(turn), np.sin(turn)])

    def curved(points_mm):
        height = -lift_mm * ((points_mm - CENTER_MM) @ across / 80) ** 2
        return CAMERA.project(np.column_stack([points_mm, height]) @ pose.rotation.T + pose.translation_mm)

    seen, truth = {i: curved(at) for i, at in KNOWN.items()}, curved(SHEET.frame.corners_mm)
    fit = fit_plane(seen, KNOWN)
    assert len(fit.used) >= 3
    single = [fit_plane({i: seen[i]}, {i: KNOWN[i]}).homography for i in KNOWN]
    ours, *alone = (off(homography, truth) for homography in (fit.homography, *single))
    assert ours < 1.0 * lift_mm
    assert ours < np.median(alone)


def off(homography, truth) -> float:
    """Mean distance of the frame's corners from the truth, px."""
    return float(np.linalg.norm(apply_homography(homography, SHEET.frame.corners_mm) - truth, axis=1).mean())


NOTHING = {
    "no tags": {},
    "foreign tags only": {77: KNOWN[0] * 3},
    "two tags that exclude each other": {0: KNOWN[0] * 3, 1: KNOWN[0][::-1] * -5 + 900},
    "a tag seen as a point": {0: np.full((4, 2), 30.0)},
    "a tag seen as a line": {0: np.column_stack([np.arange(4.0), np.zeros(4)])},
}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_consistent_is_no_plane_or_one_that_says_so(case):
    fit = fit_plane(NOTHING[case], KNOWN)
    assert fit is None or len(fit.used) < 2 or fit.residual_px > OUTLIER_PX
