"""Fitting a lens to views of a board (Zhang 2000; OpenCV's fit), and how many coefficients the views support.

A lens is chosen by cross-validation over whole views: fitted to four fifths of them, judged on the rest, whose poses
alone are solved for. Of those that predict as well as the best, the one with the fewest coefficients is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.board import BoardSighting
from calibration.camera import Brown, CameraModel, Rational
from calibration.coverage import seen_pixels
from calibration.errors import BadInput
from calibration.geometry import Array

Lens = Literal["none", "k1", "k1k2", "brown4", "brown5", "rational8"]
"""Distortion by its coefficients; ``brown4`` is k1, k2, p1, p2, ``brown5`` has k3, ``rational8`` k4, k5, k6 as well."""

LENSES: tuple[Lens, ...] = get_args(Lens)
FREE: dict[Lens, int] = {"none": 0, "k1": 1, "k1k2": 2, "brown4": 4, "brown5": 5, "rational8": 8}
"""How many coefficients each has, in OpenCV's order k1, k2, p1, p2, k3, k4, k5, k6."""

FLAGS: dict[Lens, int] = {
    "none": cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3 | cv2.CALIB_ZERO_TANGENT_DIST,
    "k1": cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3 | cv2.CALIB_ZERO_TANGENT_DIST,
    "k1k2": cv2.CALIB_FIX_K3 | cv2.CALIB_ZERO_TANGENT_DIST,
    "brown4": cv2.CALIB_FIX_K3,
    "brown5": 0,
    "rational8": cv2.CALIB_RATIONAL_MODEL,
}
FOLDS = 5
CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)

SETTLED = 1e-4
"""A fit that the same number of further steps moves by more of the focal length is not at its end."""

UNFOLDED_PX = 0.1
"""A lens that does not lead back to a pixel within this folds the picture over, and no ray belongs to that pixel."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A lens fitted to views: ``(3, 3)`` matrix, coefficients, and the board's pose in each view.

    ``turns``, ``shifts_mm``: ``(V, 3)`` rotation vectors and translations. ``residuals``: for each view ``(N, 2)`` px,
    predicted less seen.
    """

    lens: Lens
    matrix: Array
    distortion: Array
    turns: Array
    shifts_mm: Array
    residuals: tuple[Array, ...]
    width: int
    height: int

    @property
    def rms_px(self) -> float:
        """Root of the mean squared distance over all corners."""
        return _rms(np.concatenate(self.residuals))

    @property
    def per_view_px(self) -> tuple[float, ...]:
        """The same of each view."""
        return tuple(map(_rms, self.residuals))

    @property
    def normals(self) -> Array:
        """``(V, 3)`` where the board's back faces, in camera axes."""
        return np.array([cv2.Rodrigues(turn)[0][:, 2] for turn in self.turns])

    @property
    def tilt_deg(self) -> float:
        """Largest angle between two of the boards."""
        return math.degrees(math.acos(float(np.clip((self.normals @ self.normals.T).min(), -1, 1))))

    def model(self, camera: str) -> CameraModel:
        """The camera model of it."""
        return CameraModel(
            camera=camera,
            width=self.width,
            height=self.height,
            fx=float(self.matrix[0, 0]),
            fy=float(self.matrix[1, 1]),
            cx=float(self.matrix[0, 2]),
            cy=float(self.matrix[1, 2]),
            distortion=coefficients(self.distortion),
            rms_px=self.rms_px,
            views=len(self.turns),
            lens=self.lens,
        )


@dataclass(frozen=True, slots=True)
class LensTrial:
    """How a lens fared: reprojection RMS on views held out of its fits; None when it cannot be used at all."""

    lens: Lens
    held_out_px: float | None


def fit_lens(views: Sequence[BoardSighting], lens: Lens) -> Fit:
    """Fit ``lens`` to ``views``; :class:`BadInput` when nothing fits."""
    size = (views[0].width, views[0].height)
    start = np.zeros(max(5, FREE[lens]))
    try:
        _, matrix, distortion, turns, shifts = _solved(views, np.eye(3), start, FLAGS[lens])
    except cv2.error as error:
        raise BadInput(f"no camera fits these {len(views)} views: {error.err}") from error
    # OpenCV fills what a lens does not have with zeros, up to 14.
    found = np.asarray(distortion, dtype=np.float64).reshape(-1)[: len(start)]
    values = (np.asarray(matrix, dtype=np.float64), found)
    poses = (np.array(turns, dtype=np.float64).reshape(-1, 3), np.array(shifts, dtype=np.float64).reshape(-1, 3))
    residuals = tuple(_residuals(view, *values, *pose) for view, *pose in zip(views, *poses, strict=True))
    if not np.isfinite(np.concatenate(residuals)).all() or values[0].diagonal().min() <= 0:
        raise BadInput(f"no camera fits these {len(views)} views: the fit does not converge")
    return Fit(lens, *values, *poses, residuals, *size)


def settled(fit: Fit, views: Sequence[BoardSighting]) -> bool:
    """Whether going on from ``fit`` leaves the focal length where it is.

    Where coefficients make up for each other, the solver creeps along a valley and stops somewhere in it: the views do
    not support that lens, however well it predicts others of them.
    """
    try:
        _, matrix, *_ = _solved(views, fit.matrix, fit.distortion, FLAGS[fit.lens] | cv2.CALIB_USE_INTRINSIC_GUESS)
    except cv2.error:  # such as a center that went out of the picture
        return False
    focal, further = fit.matrix.diagonal()[:2], np.asarray(matrix).diagonal()[:2]
    return bool((np.abs(further / focal - 1) < SETTLED).all())


def _solved(views: Sequence[BoardSighting], matrix: Array, distortion: Array, flags: int) -> tuple[Any, ...]:
    """OpenCV's fit: RMS, matrix, coefficients, rotations and translations. What it starts from stays as it is."""
    board = [view.points_mm.astype(np.float32) for view in views]
    image = [view.corners_px.astype(np.float32) for view in views]
    size = (views[0].width, views[0].height)
    return cv2.calibrateCamera(board, image, size, matrix.copy(), distortion.copy(), flags=flags, criteria=CRITERIA)


def choose_lens(views: Sequence[BoardSighting]) -> tuple[Lens, tuple[LensTrial, ...]]:
    """The simplest lens that predicts held-out views as well as the best does, within the error of that comparison."""
    squares = {lens: _held_out(views, lens) for lens in LENSES}
    usable = {lens: found for lens, found in squares.items() if found is not None}
    if not usable:
        raise BadInput(f"no camera fits these {len(views)} views: no lens predicts views that it was not fitted to")
    # Where none of them settles, the views are at fault, and it is for others to say why.
    usable = {lens: found for lens, found in usable.items() if settled(fit_lens(views, lens), views)} or usable
    best = min(usable.values(), key=lambda found: float(found.mean()))
    chosen = next(lens for lens, found in usable.items() if _as_good(found, best))
    return chosen, tuple(LensTrial(lens, _root(usable.get(lens))) for lens in LENSES)


def held_out_px(model: CameraModel, views: Sequence[BoardSighting]) -> float:
    """Reprojection RMS of a model on views that it was not fitted to: only their poses are solved for."""
    distances = [np.linalg.norm(_reprojected(view, model.matrix, np.array(model.distortion)), axis=1) for view in views]
    return float(np.sqrt(np.mean(np.concatenate(distances) ** 2)))


def coefficients(values: Array) -> Brown | Rational:
    """Five or eight coefficients as a camera model has them."""
    k1, k2, p1, p2, k3, *more = map(float, values)
    if not more:
        return k1, k2, p1, p2, k3
    k4, k5, k6 = more
    return k1, k2, p1, p2, k3, k4, k5, k6


def have_rays(model: CameraModel, pixels: Array) -> NDArray[np.bool_]:
    """``(N,)`` whether each of ``(N, 2)`` pixels has a ray of its own: beyond where a lens folds over, none has."""
    back = model.distort(model.undistort(pixels))
    return np.asarray(np.abs(back - pixels).max(axis=1) < UNFOLDED_PX)


def _held_out(views: Sequence[BoardSighting], lens: Lens) -> Array | None:
    """``(V,)`` mean squared distance in each view, by fits that did not see it; None when the lens is not usable."""
    squares = np.empty(len(views))
    try:
        if not have_rays(fit_lens(views, lens).model(""), seen_pixels(views)).all():
            return None
        for first in range(FOLDS):
            fit = fit_lens([view for i, view in enumerate(views) if i % FOLDS != first], lens)
            for i in range(first, len(views), FOLDS):
                errors = _reprojected(views[i], fit.matrix, fit.distortion)
                squares[i] = np.mean(np.sum(errors**2, axis=1))
    except BadInput:
        return None
    return squares


def _as_good(squares: Array, best: Array) -> bool:
    """Whether the excess over the best is within its own standard error, view by view."""
    excess = squares - best
    return float(excess.mean()) <= float(excess.std(ddof=1)) / math.sqrt(len(excess))


def _reprojected(view: BoardSighting, matrix: Array, distortion: Array) -> Array:
    """Residuals of a view whose pose is solved for."""
    done, turn, shift = cv2.solvePnP(view.points_mm, view.corners_px, matrix, distortion)
    if not done:
        raise BadInput("a view of the board has no pose under this lens")
    return _residuals(view, matrix, distortion, np.asarray(turn, np.float64), np.asarray(shift, np.float64))


def _residuals(view: BoardSighting, matrix: Array, distortion: Array, turn: Array, shift_mm: Array) -> Array:
    pixels, _ = cv2.projectPoints(view.points_mm, turn, shift_mm, matrix, distortion)
    return np.asarray(pixels, dtype=np.float64).reshape(-1, 2) - view.corners_px


def _rms(residuals: Array) -> float:
    return float(np.sqrt(np.mean(np.sum(residuals**2, axis=1))))


def _root(squares: Array | None) -> float | None:
    return None if squares is None else float(np.sqrt(squares.mean()))
