"""The fit of a print: what the printer did comes back from corners alone, and is not claimed where nothing tells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calibration.board import Board
from calibration.camera import CameraModel
from calibration.geometry import Array, Pose, View, pose_from_view
from calibration.print_fit import CameraDoubt, Estimate, PrintFit, Yardstick, fit_print
from calibration.print_model import Sighting

CAMERA = CameraModel(
    camera="known", width=2000, height=1500, fx=2400, fy=2400, cx=1003, cy=745, distortion=(-0.08, 0.01, 0, 0, 0)
)
SURE = CameraDoubt(focal=1e-3, aspect=1e-4, center_px=1.0, k1=0.0, k2=0.0, tangential=0.0)
UNSURE = CameraDoubt(focal=0.4, aspect=5e-4, center_px=20.0, k1=0.1, k2=0.05, tangential=1e-3)
EXACT = Yardstick(board=(4e-4, 5e-4))
BOARD = Board()
SQUARE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=float)
TAGS_MM = np.concatenate([np.array(middle) + 18 * SQUARE for middle in ((-75, -52), (75, -52), (75, 52), (-75, 52))])
OUTWARD = np.tile(SQUARE, (4, 1))
VIEWS = (View(1100, -28, 8), View(1500, 25, -10), View(1300, 4, 30, 5))


def taken(
    views: tuple[View, ...] = VIEWS,
    *,
    scales: tuple[float, float] = (1.0, 1.0),
    skew_deg: float = 0.0,
    bow_mm: float = 0.0,
    growth_mm: float = 0.0,
    off_mm: float = 0.0,
    seed: int = 0,
) -> list[Sighting]:
    """What the camera sees of a printed sheet and of a board beside it, with noise of 0.05 px."""
    rng = np.random.default_rng(seed)
    lean = math.radians(skew_deg)
    linear = np.array([[scales[0], scales[1] * math.sin(lean)], [0, scales[1] * math.cos(lean)]])
    flat = (TAGS_MM + growth_mm * OUTWARD) @ linear.T
    sheet = np.column_stack([flat, bow_mm * (TAGS_MM[:, 0] / 93) ** 2])
    corners = BOARD.corners_mm()
    board = np.column_stack([corners + np.array([125, -80]), np.full(len(corners), off_mm)])
    return [_seen(pose_from_view(view, np.array([110.0, 0.0])), sheet, board, corners, rng) for view in views]


def _seen(pose: Pose, sheet: Array, board: Array, corners: Array, rng: np.random.Generator) -> Sighting:
    def seen(points: Array) -> Array:
        return CAMERA.project(points @ pose.rotation.T + pose.translation_mm) + rng.normal(0, 0.05, (len(points), 2))

    turn = Rotation.from_rotvec(rng.normal(0, 0.01, 3)).as_matrix()
    about = Pose(pose.rotation @ turn, pose.translation_mm + rng.normal(0, 5, 3))
    return Sighting(TAGS_MM, OUTWARD, seen(sheet), corners, seen(board), about)


def fitted(sightings: list[Sighting], doubt: CameraDoubt = SURE, yardstick: Yardstick = EXACT) -> PrintFit:
    return fit_print(sightings, CAMERA, doubt, yardstick)


def holds(estimate: Estimate | None, truth: float, within: float) -> bool:
    """Within the stated interval (three standard deviations, for there is no luck in a test), and that is narrow."""
    assert estimate is not None
    reach = (estimate.high - estimate.low) / 2
    return abs(estimate.value - truth) < 1.5 * reach and reach < within


@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.985, 0.985), (0.96, 0.96), (1.0, 0.99), (1.02, 0.97)])
@pytest.mark.parametrize("doubt", [SURE, UNSURE], ids=["calibrated", "uncalibrated"])
def test_the_scale_comes_back_by_a_board_of_known_size(scales: tuple[float, float], doubt: CameraDoubt):
    found = fitted(taken(scales=scales), doubt)
    assert holds(found.scale_x, scales[0], 0.0015)
    assert holds(found.scale_y, scales[1], 0.0015)
    assert holds(found.ratio, scales[0] / scales[1], 0.0015)
    assert holds(found.skew_deg, 0.0, 0.1)


def test_a_skew_comes_back_with_its_sign():
    assert holds(fitted(taken(skew_deg=0.5)).skew_deg, 0.5, 0.05)


@pytest.mark.parametrize("bow_mm", [0.0, 2.0])
def test_a_bow_is_told_from_a_scale(bow_mm: float):
    found = fitted(taken(bow_mm=bow_mm))
    assert found.flatness_mm.value == pytest.approx(bow_mm, abs=0.3)
    assert holds(found.scale_x, 1.0, 0.002)


def test_black_that_has_grown_is_no_scale():
    found = fitted(taken(growth_mm=0.15))
    assert holds(found.scale_x, 1.0, 0.0015)
    assert holds(found.scale_y, 1.0, 0.0015)


def test_a_board_off_the_plane_is_noticed():
    found = fitted(taken(off_mm=8.0))
    assert found.off_mm is not None
    assert found.off_mm.value == pytest.approx(8.0, abs=0.5)


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
def test_without_a_yardstick_there_is_no_scale(scale: float):
    """The same corners, whatever the scale: only nearer or farther."""
    found = fitted(taken(scales=(scale, 0.99 * scale)), yardstick=Yardstick())
    assert found.scale_x is None
    assert found.scale_y is None
    assert holds(found.ratio, 1 / 0.99, 0.002)


def test_a_ruler_on_the_sheet_gives_the_scale_of_both_axes():
    found = fitted(taken(scales=(0.97, 0.98)), yardstick=Yardstick(ruler=(0.97, 0.001)))
    assert holds(found.scale_x, 0.97, 0.0025)
    assert holds(found.scale_y, 0.98, 0.003)


def test_the_interval_grows_with_what_is_not_known():
    def width(found: PrintFit) -> float:
        assert found.scale_y is not None
        return found.scale_y.high - found.scale_y.low

    sightings = taken()
    best, one = width(fitted(sightings)), width(fitted(sightings[:1]))
    doubted = width(fitted(sightings, yardstick=Yardstick(board=(2e-3, 2e-3))))
    assert best < one
    assert best < doubted
    # Three views tell the ratio of both axes, so the two lengths of the board are one length measured twice.
    assert doubted == pytest.approx(2 * 1.96 * 2e-3 / math.sqrt(2), rel=0.1)


def test_one_wrong_corner_does_not_carry_the_fit_away():
    sightings = taken()
    sightings[1].sheet_px[5] += [4.0, -3.0]
    assert fitted(sightings).scale_x.value == pytest.approx(1.0, abs=0.001)
