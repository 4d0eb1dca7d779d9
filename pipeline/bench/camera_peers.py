"""Tools that calibrate a camera from the same corners: dpcam, OpenCV's plain fit, mrcal in its own environment."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calibration.board import Board, BoardSighting
from calibration.calibrate import Calibration, calibrate_camera
from calibration.camera import CameraModel
from calibration.errors import MissingFile, NotReady
from calibration.geometry import Array
from calibration.lens import coefficients

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "mrcal_fit.py"


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a tool made of the views, in how much processor time.

    ``focal_sd_px`` and ``sd_px`` (of projections where patches appear, at worst) as the tool states them; None where it
    states none. ``calibration``: dpcam's own result with all that it knows.
    """

    model: CameraModel
    ms: float
    focal_sd_px: float | None = None
    sd_px: float | None = None
    calibration: Calibration | None = None


Tool = Callable[[Sequence[BoardSighting]], Fitted]


def by_dpcam(views: Sequence[BoardSighting], distance_mm: float) -> Fitted:
    """All of ``dpcam calibrate camera`` but the pictures."""
    began = time.process_time()
    found = calibrate_camera({str(i): view for i, view in enumerate(views)}, camera="", distances_mm=[distance_mm])
    ms = 1000 * (time.process_time() - began)
    return Fitted(found.model, ms, found.focal_sd_px, found.uncertainty_px, found)


def by_opencv(views: Sequence[BoardSighting]) -> Fitted:
    """``cv2.calibrateCameraExtended`` as it is called everywhere: five coefficients."""
    began = time.process_time()
    size = (views[0].width, views[0].height)
    board = [view.points_mm.astype(np.float32) for view in views]
    image = [view.corners_px.astype(np.float32) for view in views]
    _, matrix, distortion, _, _, sd, *_ = cv2.calibrateCameraExtended(board, image, size, np.eye(3), np.zeros(5))
    ms = 1000 * (time.process_time() - began)
    (fx, _, cx), (_, fy, cy), _ = np.asarray(matrix, dtype=np.float64)
    values = np.array([fx, fy, cx, cy, *np.asarray(distortion, dtype=np.float64).ravel()[:5]])
    return Fitted(_model(values, views[0]), ms, float(np.asarray(sd, dtype=np.float64).ravel()[:2].max()))


@contextmanager
def start_mrcal(python: Path) -> Iterator[Callable[[Sequence[BoardSighting], Board, float], Fitted]]:
    """mrcal in the environment of that interpreter; takes views, their board, and a distance in mm."""
    if not SCRIPT.is_file() or not python.is_file():
        missing = SCRIPT if python.is_file() else python
        raise MissingFile(f"there is no {missing}", hint="the script comes with dpcam's source", where=str(missing))
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            [python, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True
        ) as process,
    ):

        def fit(views: Sequence[BoardSighting], board: Board, distance_mm: float) -> Fitted:
            line = _asked(process, json.dumps(_question(views, board, distance_mm)))
            if not line:
                complaints.seek(0)
                last = (complaints.read().strip() or "it said nothing").splitlines()[-1]
                raise NotReady(f"mrcal did not run: {last}", hint="pip install mrcal", where=str(python))
            told = json.loads(line)
            return Fitted(_model(np.array(told["values"]), views[0]), told["ms"], sd_px=told["sd_px"])

        try:
            yield fit
        finally:
            process.kill()


def middle_pixels(width: int, height: int) -> Array:
    """``(N, 2)`` pixels over the middle half of the picture, where patches appear."""
    x, y = np.meshgrid(np.linspace(0.25, 0.75, 5) * (width - 1), np.linspace(0.25, 0.75, 5) * (height - 1))
    return np.column_stack([x.ravel(), y.ravel()])


def _asked(process: subprocess.Popen[str], question: str) -> str:
    """The line that answers; empty when the process has died."""
    if process.stdin is None or process.stdout is None:
        return ""
    try:
        process.stdin.write(question + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return ""


def _question(views: Sequence[BoardSighting], board: Board, distance_mm: float) -> dict[str, Any]:
    return {
        "spacing": board.square_mm,
        "across": board.squares_x - 1,
        "down": board.squares_y - 1,
        "size": [views[0].width, views[0].height],
        "views": [[list(view.ids), view.corners_px.tolist()] for view in views],
        "pixels": middle_pixels(views[0].width, views[0].height).tolist(),
        "distance": distance_mm,
    }


def _model(values: Array, view: BoardSighting) -> CameraModel:
    fx, fy, cx, cy = map(float, values[:4])
    return CameraModel(
        camera="", width=view.width, height=view.height, fx=fx, fy=fy, cx=cx, cy=cy, distortion=coefficients(values[4:])
    )
