"""What a printer did to a sheet, from photographs of it: scale, skew, bow. One least squares over all photographs.

A photograph tells no length: a sheet of 98 % at 1 m looks like one of 100 % at 1.02 m. So the scale is known only by
something of known length, a :class:`Yardstick`: a board beside the sheet, on the same flat ground, or the sheet's own
ruler read off with a real one. Without it there is no scale, only the ratio of both, the skew and the bow.

Convention: paper and sheet coordinates as in :mod:`calibration.print_model`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.geometry import Array, Pose
from calibration.print_model import (
    NAMES,
    POSE_UNITS,
    UNITS,
    Shared,
    Sighting,
    bend_shapes,
    board_on_paper,
    board_start,
    fitted_camera,
    on_paper,
    paper_from_sheet,
    pose_of,
    vector_of,
)

NORMAL_95 = 1.96
ROUNDS = 4
"""Fits, each with the spread and the weights that the one before found."""

HUBER = 2.5
"""Corners farther off than this many spreads count less (Huber 1964)."""

NOISE_PX = (0.02, 0.1)
"""Smallest spread of a corner that is believed, and the spread to begin with."""

GROUND_SD_MM, GROUND_SD_DEG = 0.5, 0.3
"""How far a board may stand off the plane of the sheet, and lean against it, on ground that is called flat."""

BOARD_SKEW_SD_DEG = 0.1
"""A printer skews boards, too, and nobody measures that."""

BOW_SD_MM, GROWTH_SD_MM = 3.0, 0.2
"""Of the paper over its tags; of black over its edge, by ink, glare and the sensor."""

STEP = 1e-3
NOTHING: Array = np.empty((0, 2))


@dataclass(frozen=True, slots=True)
class CameraDoubt:
    """How well the camera model is known: standard deviations; those of focal length and aspect are shares."""

    focal: float
    aspect: float
    center_px: float
    k1: float
    k2: float
    tangential: float


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What has a known length. ``board``: relative standard deviations of the board's width and height.

    ``ruler``: the length of the printed ruler over what it should be, and the standard deviation of that.
    """

    board: tuple[float, float] | None = None
    ruler: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PrintFit:
    """What the printer did. Scales are None without a yardstick; ``ratio`` is x over y.

    ``paper_from_sheet`` ``(2, 2)`` (of mean scale 1 without a yardstick); ``poses``: of each photograph, paper
    coordinates; ``tag_px``, ``board_px``, ``per_photo_px``: RMS distance of the tags' corners, of the board's (None: no
    board) and of all corners of each photograph; ``camera``: as fitted; ``off_mm``: how far the board stands off the
    sheet's plane.
    """

    scale_x: Estimate | None
    scale_y: Estimate | None
    ratio: Estimate
    skew_deg: Estimate
    flatness_mm: Estimate
    paper_from_sheet: Array
    poses: tuple[Pose, ...]
    camera: CameraModel
    tag_px: float
    board_px: float | None
    per_photo_px: tuple[float, ...]
    off_mm: Estimate | None


def fit_print(sightings: Sequence[Sighting], camera: CameraModel, doubt: CameraDoubt, yardstick: Yardstick) -> PrintFit:
    """Fit scale, skew and bow, the camera within its doubt, and every pose at once.

    :class:`BadInput` when nothing fits, or the board does not lie in the sheet's plane.
    """
    if yardstick.board is None:
        sightings = [replace(each, board_mm=NOTHING, board_px=NOTHING) for each in sightings]
    problem = _Problem(sightings, camera, doubt, yardstick)
    answer, covariance = problem.solve()
    return _described(problem, answer, covariance)


class _Problem:
    """The least squares: unknowns with what is known of each beforehand (0: fixed, inf: nothing), and residuals."""

    def __init__(
        self, sightings: Sequence[Sighting], camera: CameraModel, doubt: CameraDoubt, yardstick: Yardstick
    ) -> None:
        self.sightings, self.camera, self.yardstick = sightings, camera, yardstick
        corners = np.unique(np.concatenate([each.sheet_mm for each in sightings]), axis=0)
        self.half_mm = np.abs(corners).max(axis=0)
        self.level = bend_shapes(corners / self.half_mm).mean(axis=0)
        shared = {**_known(doubt, yardstick), **({} if yardstick.board is None else _board_known(yardstick.board))}
        self.sd = np.array([shared.get(name, 0.0) for name in NAMES] + ([np.inf] * 6 + [GROWTH_SD_MM]) * len(sightings))
        self.unit = np.array([*UNITS.values(), *POSE_UNITS * len(sightings)])
        self.free = self.sd > 0
        self.start = np.concatenate([self._start_shared(), *(vector_of(each.pose) for each in sightings)])
        counts = [(len(each.sheet_px), len(each.board_px)) for each in sightings]
        self.is_board = np.concatenate([np.repeat([False, True], count) for count in counts])
        self.ends = np.cumsum([sum(count) for count in counts])

    def _start_shared(self) -> Array:
        values = dict.fromkeys(NAMES, 0.0)
        if self.yardstick.board is not None:
            values |= board_start(self.sightings[0], self.camera)
        return np.array([values[name] for name in NAMES])

    def solve(self) -> tuple[Array, Array]:
        """All unknowns, and the covariance of the free ones."""
        spread = np.full(len(self.is_board), NOISE_PX[1])
        weight = np.ones(len(spread))
        found = np.zeros(int(self.free.sum()))
        for _ in range(ROUNDS):
            scale = np.sqrt(weight) / spread
            fit = least_squares(self._residuals, found, jac=self._jacobian, method="lm", args=(scale,), max_nfev=60)
            found = fit.x
            misses = self.misses(self.unknowns(found))
            spread = self._spread(misses, weight)
            weight = _huber(np.linalg.norm(misses, axis=1) / math.sqrt(2) / spread)
        slope = self._jacobian(found, np.sqrt(weight) / spread)
        if not np.isfinite(slope).all() or np.linalg.matrix_rank(slope) < slope.shape[1]:
            raise BadInput(
                "these photographs do not fix the sheet's plane", hint="take them from the left, the right and above"
            )
        unit = self.unit[self.free]
        return self.unknowns(found), np.linalg.inv(slope.T @ slope) * unit[:, None] * unit

    def unknowns(self, found: Array) -> Array:
        """All unknowns, the fixed ones at their start; ``found`` counts in units from the start."""
        whole = self.start.copy()
        whole[self.free] += found * self.unit[self.free]
        return whole

    @staticmethod
    def shared(unknowns: Array) -> Shared:
        """What all photographs share, by name."""
        return dict(zip(NAMES, map(float, unknowns), strict=False))

    def misses(self, unknowns: Array) -> Array:
        """``(M, 2)`` px: where each corner is predicted, less where it is seen."""
        shared = self.shared(unknowns)
        camera = fitted_camera(self.camera, shared)
        poses = unknowns[len(NAMES) :].reshape(-1, 7)
        return np.concatenate(
            [self._photo(each, shared, camera, pose) for each, pose in zip(self.sightings, poses, strict=True)]
        )

    def _photo(self, seen: Sighting, shared: Shared, camera: CameraModel, vector: Array) -> Array:
        grown = seen.sheet_mm + vector[6] * seen.outward
        points = np.vstack([on_paper(grown, self.half_mm, self.level, shared), board_on_paper(seen.board_mm, shared)])
        pose = pose_of(vector)
        predicted = camera.project(points @ pose.rotation.T + pose.translation_mm)
        return np.asarray(predicted - np.vstack([seen.sheet_px, seen.board_px]), dtype=np.float64)

    def _residuals(self, found: Array, scale: Array) -> Array:
        unknowns = self.unknowns(found)
        seen = (self.misses(unknowns) * scale[:, None]).ravel()
        doubted = self.free & np.isfinite(self.sd)
        before = (unknowns - self.start)[doubted] / self.sd[doubted]
        return np.concatenate([seen, before, self._ruler(unknowns)])

    def _ruler(self, unknowns: Array) -> Array:
        if self.yardstick.ruler is None:
            return np.empty(0)
        ratio, sd = self.yardstick.ruler
        shared = self.shared(unknowns)
        return np.array([(paper_from_sheet(shared)[0, 0] - ratio) / sd])

    def _jacobian(self, found: Array, scale: Array) -> Array:
        """Differences: all unknowns are in units of like effect, in a step of which nothing bends."""
        here = self._residuals(found, scale)
        return np.stack(
            [(self._residuals(found + step, scale) - here) / STEP for step in np.eye(len(found)) * STEP], axis=1
        )

    def _spread(self, misses: Array, weight: Array) -> Array:
        """Standard deviation per axis of each corner's place, one for tags and one for the board."""
        spread = np.empty(len(misses))
        unknown = int((self.free & ~np.isfinite(self.sd)).sum())
        left = 1 - unknown / (2 * len(misses))
        for kind in (False, True):
            these = self.is_board == kind
            if these.any():
                mean = (weight[these] * (misses[these] ** 2).sum(axis=1)).sum() / (2 * weight[these].sum())
                spread[these] = max(math.sqrt(mean / max(left, 0.1)), NOISE_PX[0])
        return spread


def _known(doubt: CameraDoubt, yardstick: Yardstick) -> dict[str, float]:
    """Standard deviations beforehand of what every fit seeks; without a yardstick the mean scale stays 1."""
    free = ("ratio", "skew") if yardstick == Yardstick() else ("mean", "ratio", "skew")
    return {
        **dict.fromkeys(free, np.inf),
        **dict.fromkeys(("bow_x", "bow_xy", "bow_y"), BOW_SD_MM),
        **{"focal": doubt.focal, "aspect": doubt.aspect, "k1": doubt.k1, "k2": doubt.k2},
        **dict.fromkeys(("p1", "p2"), doubt.tangential),
        **dict.fromkeys(("center_x", "center_y"), doubt.center_px),
    }


def _board_known(size_sd: tuple[float, float]) -> dict[str, float]:
    return {
        **dict.fromkeys(("turn", "right", "down"), np.inf),
        **dict.fromkeys(("lean_x", "lean_y"), math.radians(GROUND_SD_DEG)),
        **{"off": GROUND_SD_MM, "wide": size_sd[0], "high": size_sd[1], "shear": math.radians(BOARD_SKEW_SD_DEG)},
    }


def _huber(off: Array) -> Array:
    """Weights for distances ``off``, in spreads."""
    return np.minimum(1.0, HUBER / np.maximum(off, 1e-12))


def _described(problem: _Problem, unknowns: Array, covariance: Array) -> PrintFit:
    known = _Known(problem.free, unknowns, covariance)
    shared = problem.shared(unknowns)
    misses = problem.misses(unknowns)
    scaled = problem.yardstick != Yardstick()
    tag_px, board_px = (_rms(misses[problem.is_board == kind]) for kind in (False, True))
    return PrintFit(
        scale_x=_exponential(known.of({"mean": 1, "ratio": 0.5})) if scaled else None,
        scale_y=_exponential(known.of({"mean": 1, "ratio": -0.5})) if scaled else None,
        ratio=_exponential(known.of({"ratio": 1})),
        skew_deg=_times(known.of({"skew": 1}), math.degrees(1)),
        flatness_mm=_flatness(known),
        paper_from_sheet=paper_from_sheet(shared),
        poses=tuple(pose_of(vector) for vector in unknowns[len(NAMES) :].reshape(-1, 7)),
        camera=fitted_camera(problem.camera, shared),
        tag_px=tag_px,
        board_px=board_px if problem.is_board.any() else None,
        per_photo_px=tuple(_rms(part) for part in np.split(misses, problem.ends[:-1])),
        off_mm=known.of({"off": 1}) if problem.is_board.any() else None,
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """Unknowns and the covariance of the free ones."""

    free: NDArray[np.bool_]
    unknowns: Array
    covariance: Array

    def of(self, factors: Mapping[str, float]) -> Estimate:
        """A weighted sum of unknowns."""
        weights = np.zeros(len(self.unknowns))
        for name, factor in factors.items():
            weights[NAMES.index(name)] = factor
        return self.sum(weights)

    def sum(self, weights: Array) -> Estimate:
        """The sum of all unknowns by these weights."""
        value = float(weights @ self.unknowns)
        free = weights[self.free]
        reach = NORMAL_95 * math.sqrt(float(free @ self.covariance @ free))
        return Estimate(value, value - reach, value + reach)


def _flatness(known: _Known) -> Estimate:
    """From the lowest to the highest point of the paper between its tags."""
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21)), axis=-1).reshape(-1, 2)
    first = NAMES.index("bow_x")
    shapes = bend_shapes(grid)
    heights = shapes @ known.unknowns[first : first + 3]
    weights = np.zeros(len(known.unknowns))
    weights[first : first + 3] = shapes[heights.argmax()] - shapes[heights.argmin()]
    found = known.sum(weights)
    return Estimate(found.value, max(found.low, 0.0), found.high)


def _exponential(log: Estimate) -> Estimate:
    return Estimate(math.exp(log.value), math.exp(log.low), math.exp(log.high))


def _times(of: Estimate, factor: float) -> Estimate:
    return Estimate(of.value * factor, of.low * factor, of.high * factor)


def _rms(misses: Array) -> float:
    """Root of the mean squared distance, px."""
    return float(np.sqrt((misses**2).sum(axis=1).mean())) if len(misses) else 0.0
