"""Camera calibration: known intrinsics come back, and sets that cannot support a calibration are refused."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.board import Board, BoardSighting
from calibration.calibrate import MIN_VIEWS, calibrate_camera
from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.geometry import Pose, View, pose_from_view

BOARD = Board()
CAMERA = CameraModel(
    camera="known",
    width=1280,
    height=720,
    fx=1100,
    fy=1104,
    cx=652,
    cy=349,
    distortion=(-0.21, 0.09, 0.0012, -0.0009, -0.02),
)
CENTER_MM = np.array([BOARD.width_mm / 2, BOARD.height_mm / 2])


def sighting(pose: Pose, random: np.random.Generator, noise_px: float = 0.2, camera: CameraModel = CAMERA):
    """The corners of the board that fall into the picture, with Gaussian noise."""
    corners_mm = BOARD.corners_mm()
    seen = camera.project(pose.to_camera(corners_mm)) + random.normal(0, noise_px, corners_mm.shape)
    inside = ((seen > 5) & (seen < [camera.width - 6, camera.height - 6])).all(axis=1)
    ids = tuple(map(int, np.flatnonzero(inside)))
    return BoardSighting(ids, seen[inside], corners_mm[inside], camera.width, camera.height)


def many_views(
    count: int, seed: int, *, tilt_deg: float = 40, spread: float = 1.0, noise_px: float = 0.2, camera=CAMERA
):
    """Views as a careful operator takes them, ``tilt_deg`` and ``spread`` say how careful."""
    random = np.random.default_rng(seed)
    views = {}
    while len(views) < count:
        yaw, pitch = random.uniform(-tilt_deg, tilt_deg, 2)
        ray = np.array([*(random.uniform(-spread, spread, 2) * [0.42, 0.22]), 1.0])
        pose = pose_from_view(View(random.uniform(330, 650), yaw, pitch, random.uniform(-15, 15)), CENTER_MM, ray)
        views[f"{len(views):02d}.png"] = sighting(pose, random, noise_px, camera)
    return views


@pytest.mark.parametrize("seed", range(5))
def test_intrinsics_come_back(seed):
    found = calibrate_camera(many_views(30, seed), camera="known")
    assert found.model.fx == pytest.approx(CAMERA.fx, rel=0.005)
    assert found.model.fy == pytest.approx(CAMERA.fy, rel=0.005)
    assert (found.model.cx, found.model.cy) == pytest.approx((CAMERA.cx, CAMERA.cy), abs=6)
    assert found.rms_px == pytest.approx(0.2 * np.sqrt(2), rel=0.1), "RMS of the distance, both axes"
    assert abs(found.model.fx - CAMERA.fx) < 5 * found.focal_sd_px


def test_the_fit_predicts_where_it_was_not_fitted():
    found = calibrate_camera(many_views(30, seed=11), camera="known").model
    x, y = np.meshgrid(np.linspace(100, 1180, 7), np.linspace(80, 640, 5))
    pixels = np.column_stack([x.ravel(), y.ravel()])
    ideal = CAMERA.undistort(pixels)
    rays = np.column_stack([(ideal - [CAMERA.cx, CAMERA.cy]) / [CAMERA.fx, CAMERA.fy], np.ones(len(ideal))])
    # Another principal point is the same camera turned a little: compared after the best small turn.
    turn = np.linalg.lstsq(*_turn_system(found, rays, pixels), rcond=None)[0]
    turned = rays + np.cross(turn, rays)
    error = np.linalg.norm(found.project(turned) - pixels, axis=1)
    assert np.sqrt(np.mean(error**2)) < 0.25


def _turn_system(model: CameraModel, rays: np.ndarray, pixels: np.ndarray):
    """Linear system for the small rotation that best maps projected rays on pixels."""
    start, step = model.project(rays), 1e-5
    columns = [(model.project(rays + np.cross(step * axis, rays)) - start).ravel() / step for axis in np.eye(3)]
    return np.column_stack(columns), (pixels - start).ravel()


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


def test_a_bad_view_shows_in_its_residual():
    views = many_views(20, seed=4)
    bad = views["07.png"]
    shifted = bad.corners_px + np.random.default_rng(0).normal(0, 3, bad.corners_px.shape)
    views["07.png"] = BoardSighting(bad.ids, shifted, bad.corners_mm, bad.width, bad.height)
    found = calibrate_camera(views, camera="known")
    assert found.used[int(np.argmax(found.per_view_px))] == "07.png"


def test_third_radial_term_only_when_the_data_show_it():
    plain = CAMERA.model_copy(update={"distortion": (-0.1, 0.0, 0.0, 0.0, 0.0)})
    strong = CAMERA.model_copy(update={"distortion": (-0.3, 0.15, 0.0, 0.0, -0.3)})
    third = [
        calibrate_camera(many_views(12, 5, camera=camera), camera="k3").model.distortion[4]
        for camera in (plain, strong)
    ]
    assert third[0] == 0.0
    assert third[1] < -0.1


def _parallel(tilt_deg: float):
    random = np.random.default_rng(1)
    rays = [np.array([x, y, 1]) for x in (-0.35, 0.0, 0.35) for y in (-0.2, 0.0, 0.2)]
    poses = [pose_from_view(View(500, tilt_deg), CENTER_MM, ray) for ray in rays]
    return {str(i): sighting(pose, random) for i, pose in enumerate(poses)}


def _resized(views):
    view = views["03.png"]
    return views | {"03.png": BoardSighting(view.ids, view.corners_px / 2, view.corners_mm, 640, 360)}


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
    "too noisy": (lambda: many_views(9, 1, noise_px=25), "focal length is known to|turned|no camera fits"),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_sets_are_refused(case):
    make, words = DEGENERATE[case]
    with pytest.raises(BadInput, match=words) as refusal:
        calibrate_camera(make(), camera="known")
    assert refusal.value.exit_code == 3
    assert "\n" not in refusal.value.message
    assert refusal.value.hint
