"""How good camera calibrations are: synthetic views with known truth, and photographs of a chessboard; side by side.

The truth has five distortion coefficients; 30 views, taken as a careful operator takes them, with Gaussian noise of
0.2 px on every coordinate of a corner. Held-out reprojection is on 30 other views, whose poses alone are solved for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.board import Board, BoardSighting
from calibration.calibrate import usable_views
from calibration.camera import CameraModel
from calibration.confidence import Confidence
from calibration.coverage import seen_pixels
from calibration.crossval import disagreement_px
from calibration.files import write_text
from calibration.geometry import Array, Pose, View, pose_from_view
from calibration.lens import held_out_px
from pipeline.bench.board_range import corners_by_distance
from pipeline.bench.camera_peers import Fitted, Tool, by_dpcam, by_opencv, middle_pixels, start_mrcal
from pipeline.bench.camera_tables import Real, Trial, as_markdown, bench_result
from pipeline.calibrating.camera import views_in_pictures
from pipeline.result import Result

NOISE_PX = 0.2
VIEWS = 30
DISTANCE_MM = 1200.0
TRUTH = CameraModel(
    camera="truth",
    width=1280,
    height=720,
    fx=1100,
    fy=1104,
    cx=652,
    cy=349,
    distortion=(-0.21, 0.09, 0.0012, -0.0009, -0.02),
)
BOARDS = {
    "10x7 squares of 25 mm": Board(),
    "7x5 squares of 36 mm": Board(squares_x=7, squares_y=5, square_mm=36, marker_mm=27),
    "9x6 squares of 28 mm": Board(squares_x=9, squares_y=6, square_mm=28, marker_mm=21),
    "12x8 squares of 21 mm": Board(squares_x=12, squares_y=8, square_mm=21, marker_mm=16, dictionary="DICT_5X5_250"),
}
"""The default first; all of them fit A4."""

CHESSBOARD = Board(pattern="chessboard", squares_x=10, squares_y=7, square_mm=25)
"""That of the photographs left01 to left14, right01 to right14 which come with OpenCV."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Views of a board, and the board's true poses in them."""

    board: Board
    views: tuple[BoardSighting, ...]
    poses: tuple[Pose, ...]


def make_scene(board: Board, seed: int, *, noise_px: float = NOISE_PX) -> Scene:
    """Thirty views: tilted by 20 to 45 degrees to all sides in turn, near and far, all over the picture."""
    random = np.random.default_rng(seed)
    poses = tuple(_pose(board, number, random) for number in range(VIEWS))
    return Scene(board, tuple(seen(board, pose, random, noise_px) for pose in poses), poses)


def _pose(board: Board, number: int, random: np.random.Generator) -> Pose:
    tilt, side = random.uniform(20, 45), 2 * math.pi * (0.382 * number + random.uniform(-0.1, 0.1))
    nearest_mm = board.width_mm * TRUTH.fx / TRUTH.width
    distance_mm = nearest_mm * random.uniform(1.2, 2.2)
    ray = np.array([random.uniform(-0.42, 0.42), random.uniform(-0.22, 0.22), 1.0])
    view = View(distance_mm, tilt * math.cos(side), tilt * math.sin(side), random.uniform(-15, 15))
    return pose_from_view(view, np.array([board.width_mm, board.height_mm]) / 2, ray)


def seen(
    board: Board, pose: Pose, random: np.random.Generator, noise_px: float, camera: CameraModel = TRUTH
) -> BoardSighting:
    """The corners of the board that fall into the picture, with Gaussian noise."""
    corners = board.corners_mm()
    pixels = camera.project(pose.to_camera(corners)) + random.normal(0, noise_px, corners.shape)
    inside = ((pixels > 5) & (pixels < [camera.width - 6, camera.height - 6])).all(axis=1)
    ids = tuple(map(int, np.flatnonzero(inside)))
    return BoardSighting(ids, pixels[inside], corners[inside], camera.width, camera.height)


def judge(scene: Scene, fresh: Sequence[BoardSighting], fitted: Fitted) -> Trial:
    """Hold a calibration against the truth and against views that it was not fitted to."""
    errors = np.array([fitted.model.fx - TRUTH.fx, fitted.model.fy - TRUTH.fy])
    done = fitted.calibration
    return Trial(
        focal_error=float(np.abs(errors / [TRUTH.fx, TRUTH.fy]).max()),
        focal_z=None if fitted.focal_sd_px is None else float(np.sqrt(np.mean(errors**2)) / fitted.focal_sd_px),
        held_out=held_out_px(fitted.model, fresh) / noise_floor_px(fresh),
        projection_z=None if done is None else _projection_z(scene, done.confidence),
        sd_px=fitted.sd_px,
        lens=fitted.model.lens or "brown5",
        ms=fitted.ms,
    )


def noise_floor_px(views: Sequence[BoardSighting]) -> float:
    """Reprojection RMS that the true camera has: noise in both directions, less what six numbers a pose take up."""
    numbers = np.array([2 * len(view.ids) for view in views])
    return float(NOISE_PX * np.sqrt(2 * np.sum(numbers - 6) / np.sum(numbers)))


def _projection_z(scene: Scene, sure: Confidence) -> float:
    """Points that the boards hold where they truly were, against where the fit has the boards put them."""
    points = DISTANCE_MM * TRUTH.rays(middle_pixels(TRUTH.width, TRUTH.height))
    fit = sure.fit
    held = [(points - pose.translation_mm) @ pose.rotation for pose in scene.poses]
    put = [_moved(at, turn, shift) for at, turn, shift in zip(held, fit.turns, fit.shifts_mm, strict=True)]
    errors = fit.model("").project(np.mean(put, axis=0)) - TRUTH.project(points)
    covariance = sure.projection_covariance_px(points)
    squares = np.einsum("ni,nij,nj->n", errors, np.linalg.inv(covariance), errors)
    return math.sqrt(float(squares.mean()) / 2)


def _moved(points: Array, turn: Array, shift: Array) -> Array:
    import cv2

    return np.asarray(points @ cv2.Rodrigues(turn)[0].T + shift, dtype=np.float64)


def look_at(views: Sequence[BoardSighting], tool: Tool) -> Real:
    """A tool on photographs; dpcam compares halves itself, with the lens that all of them support."""
    whole = tool(views)
    rms_px = held_out_px(whole.model, views)
    if whole.calibration is not None:
        crossval = whole.calibration.crossval
        return Real(whole.model.fx, rms_px, crossval.held_out_px, crossval.rms_px)
    halves = (views[::2], views[1::2])
    one, other = (tool(half).model for half in halves)
    held_out = [held_out_px(one, halves[1]), held_out_px(other, halves[0])]
    apart = disagreement_px(one, other, seen_pixels(views))
    return Real(whole.model.fx, rms_px, float(np.sqrt(np.mean(np.square(held_out)))), float(np.sqrt(np.mean(apart**2))))


def bench_camera(
    *,
    trials: int,
    boards: Sequence[str],
    mrcal: Path | None,
    photographs: Path | None,
    out: Path | None,
    seed: int,
    progress: Callable[[float, str], None],
) -> Result:
    """Calibrate so many scenes of each board by every tool, and photographs in a folder, and compare."""
    with ExitStack() as stack:
        tools = _tools(stack, mrcal)
        synthetic: dict[tuple[str, str], list[Trial]] = {}
        for at, (name, number) in enumerate((name, number) for name in boards for number in range(trials)):
            scene, fresh = (
                make_scene(BOARDS[name], _seed(seed, number)),
                make_scene(BOARDS[name], _seed(seed, -1 - number)),
            )
            for tool, fit in tools.items():
                synthetic.setdefault((name, tool), []).append(judge(scene, fresh.views, fit(scene.views, scene.board)))
            progress(at / (len(boards) * trials), name)
        real = _photographed(photographs, tools) if photographs else {}
    ranges = corners_by_distance({name: BOARDS[name] for name in boards})
    result = bench_result(synthetic, real, ranges, trials=trials, seed=seed)
    if out:
        write_text(out, as_markdown(result.tables))
    return result


BoardTool = Callable[[Sequence[BoardSighting], Board], Fitted]


def _tools(stack: ExitStack, mrcal: Path | None) -> dict[str, BoardTool]:
    tools: dict[str, BoardTool] = {
        "dpcam": lambda views, board: by_dpcam(views, DISTANCE_MM),
        "OpenCV": lambda views, board: by_opencv(views),
    }
    if mrcal:
        peer = stack.enter_context(start_mrcal(mrcal))
        tools["mrcal"] = lambda views, board: peer(views, board, DISTANCE_MM)
    return tools


def _seed(seed: int, number: int) -> int:
    """Scenes that are fitted and scenes that are held out have seeds of their own."""
    return int(np.random.SeedSequence([seed, number + 10_000]).generate_state(1)[0])


def _photographed(folder: Path, tools: Mapping[str, BoardTool]) -> dict[tuple[str, str], Real]:
    found: dict[tuple[str, str], Real] = {}
    for side in ("left", "right"):
        paths = sorted(folder.glob(f"{side}[0-9][0-9].jpg"))
        if paths:
            read = views_in_pictures(paths, CHESSBOARD, side)
            views = list(usable_views(read.sightings)[0].values())
            for tool, fit in tools.items():
                found[f"{side}, {len(views)} photographs", tool] = look_at(views, _on_chessboard(fit))
    return found


def _on_chessboard(fit: BoardTool) -> Tool:
    return lambda views: fit(views, CHESSBOARD)
