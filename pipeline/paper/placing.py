"""Where the sticker sits on its target, from photographs of both: the target's own picture, laid on what is seen of it.

Convention: shifts are mm on paper, x right, y down; turns are clockwise. Both are the sticker's against the target: a
sticker that was stuck too far to the right has a positive x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from calibration.errors import DpcamError
from calibration.geometry import Array, Box
from calibration.print_fit import NORMAL_95, Estimate, PrintFit
from calibration.sheet import Sheet
from calibration.tags import to_gray
from capture.cameras.sim_paper import rasterize
from capture.photograph import Photograph
from pipeline.paper.sighting import middle_mm

ROOM = 0.35
"""Looked at beyond the target's box, as a share of its longer side."""

FINER, DENSITY = 2.0, (1.0, 12.0)
"""Points of the comparison in one pixel of the photograph, and how many there may be in a mm."""

MIN_LIKENESS = 0.6
"""Correlation of gray levels below which what is seen is not the target."""

START_TURNS_DEG = (0.0, -9.0, 9.0)
CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-6)
ROUGH, FINE = 15, 5
"""Size of the Gaussian, in points, under which both pictures are compared."""

LEAST_SD_PX = 0.15
"""How well one photograph shows a shift, at best: edges of ink and of the window, light that is not even."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Placement:
    """The sticker against its target: shift and turn, each with its interval, and the likeness of what was compared."""

    x_mm: Estimate
    y_mm: Estimate
    deg: Estimate
    likeness: float

    @property
    def mm(self) -> Estimate:
        """Length of the shift."""
        x, y = self.x_mm, self.y_mm
        length = math.hypot(x.value, y.value)
        reach = max(x.high - x.low, y.high - y.low) / 2
        return Estimate(length, max(length - reach, 0.0), length + reach)


@dataclass(frozen=True, slots=True)
class Unplaced:
    """No placement, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Match:
    """In one photograph: the target's shift and turn on the sheet, and what one point of the comparison is in mm."""

    shift_mm: Array
    turn_deg: float
    likeness: float
    pixel_mm: float


def place_sticker(photographs: Sequence[Photograph], fit: PrintFit, sheet: Sheet, folder: Path) -> Placement | Unplaced:
    """Find the target of ``sheet`` in the photographs; its artwork, if any, lies in ``folder``."""
    if sheet.target.artwork is None:
        return Unplaced("dpcam has no picture of the target")
    matches = []
    for photograph, view in zip(photographs, _views(fit), strict=True):
        try:
            matches.append(_match(photograph, view, sheet, folder / sheet.target.artwork))
        except DpcamError as error:
            return Unplaced(error.message)
    seen = [match for match in matches if match is not None]
    if not seen:
        return Unplaced(f"what is seen through the window does not look like the target {sheet.target.label!r}")
    return _combined(seen, max(sheet.target.box.width_mm, sheet.target.box.height_mm))


@dataclass(frozen=True, slots=True)
class _View:
    """From paper mm to the pixels of one photograph."""

    fit: PrintFit
    number: int

    def to_image(self, paper_mm: Array) -> Array:
        """``(N, 2)`` paper mm → ``(N, 2)`` px."""
        return self.fit.camera.project(self.fit.poses[self.number].to_camera(paper_mm))


def _views(fit: PrintFit) -> list[_View]:
    return [_View(fit, number) for number in range(len(fit.poses))]


def _match(photograph: Photograph, view: _View, sheet: Sheet, artwork: Path) -> _Match | None:
    """The target in one photograph, None where nothing like it is seen."""
    box = sheet.target.box
    center = view.fit.paper_from_sheet @ (box.center_mm - middle_mm(sheet))
    pixel_mm = _pixel_mm(view, center)
    density = float(np.clip(FINER / pixel_mm, *DENSITY))
    side = round((1 + 2 * ROOM) * max(box.width_mm, box.height_mm) * density) | 1
    ticks = (np.arange(side) - side // 2) / density
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2) + center
    sights = view.to_image(points).reshape(side, side, 2).astype(np.float32)
    seen = cv2.remap(to_gray(photograph.pixels), sights, np.empty(0, np.float32), cv2.INTER_LINEAR).astype(np.float32)
    known, cover = _known_picture(artwork, box, density, side)
    warp, likeness = _aligned(np.asarray(seen, np.float32), known, cover)
    if likeness < MIN_LIKENESS:
        return None
    middle = np.full(2, side // 2)
    shift = np.linalg.solve(warp[:, :2], middle - warp[:, 2]) - middle
    turn = -math.degrees(math.atan2(warp[1, 0], warp[0, 0]))
    return _Match(shift / density, turn, likeness, pixel_mm)


def _pixel_mm(view: _View, center: Array) -> float:
    """About how many mm of the paper one pixel shows."""
    around = view.to_image(center + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    return float(2 / np.linalg.norm(around[1:] - around[0], axis=1).sum())


def _known_picture(artwork: Path, box: Box, density: float, side: int) -> tuple[Floats, NDArray[np.uint8]]:
    """The target as it should be seen: gray levels, and 255 where it covers what is behind it."""
    on_white, on_black = (rasterize(artwork, box, density, ground=ground) for ground in (255, 0))
    height, width = on_white.shape[:2]
    # A texel (i, j) of the artwork lies at its center; the middle of the box comes to the middle of the canvas.
    step = np.array([box.width_mm * density / width, box.height_mm * density / height])
    corner = side // 2 - np.array([box.width_mm, box.height_mm]) * density / 2
    place = np.column_stack([np.diag(step), corner + step / 2])
    gray = cv2.warpAffine(to_gray(on_white), place, (side, side), borderValue=255)
    solid = (cv2.subtract(on_white, on_black).max(axis=2) < 8).astype(np.uint8) * 255
    cover = cv2.warpAffine(solid, place, (side, side))
    return np.asarray(gray, dtype=np.float32), np.asarray((cover > 250) * 255, dtype=np.uint8)


def _aligned(seen: Floats, known: Floats, cover: NDArray[np.uint8]) -> tuple[Array, float]:
    """``(2, 3)`` from points of ``seen`` to points of ``known``, and their correlation (ECC, Evangelidis 2008)."""
    starts = [_improved(seen, known, cover, _turned(turn, len(seen)), ROUGH) for turn in START_TURNS_DEG]
    best = max(starts, key=lambda found: found[1])
    return _improved(seen, known, cover, best[0], FINE) if best[1] > 0 else best


def _improved(seen: Floats, known: Floats, cover: NDArray[np.uint8], start: Array, size: int) -> tuple[Array, float]:
    try:
        likeness, warp = cv2.findTransformECC(
            seen, known, start.astype(np.float32), cv2.MOTION_EUCLIDEAN, CRITERIA, cover, size
        )
    except cv2.error:
        # It says so when the two have nothing in common, or drift apart.
        return start, 0.0
    return np.asarray(warp, dtype=np.float64), float(likeness)


def _turned(deg: float, side: int) -> Array:
    middle = (float(side // 2), float(side // 2))
    return np.asarray(cv2.getRotationMatrix2D(middle, deg, 1.0), dtype=np.float64)


def _combined(seen: Sequence[_Match], size_mm: float) -> Placement:
    """The mean over the photographs; the sticker's place against the target is the opposite of what was found."""
    least_mm = LEAST_SD_PX * float(np.mean([match.pixel_mm for match in seen]))
    shifts = -np.array([match.shift_mm for match in seen])
    turns = -np.array([match.turn_deg for match in seen])
    # A turn moves the rim by as much as a shift that can just be seen.
    least_deg = math.degrees(2 * least_mm / size_mm)
    likeness = float(np.mean([match.likeness for match in seen]))
    return Placement(_mean(shifts[:, 0], least_mm), _mean(shifts[:, 1], least_mm), _mean(turns, least_deg), likeness)


def _mean(values: Array, least_sd: float) -> Estimate:
    """With an interval of 95 %: by Student from the photographs' own spread, or by ``least_sd`` where that is more."""
    count, value = len(values), float(np.mean(values))
    spread = float(stdtrit(count - 1, 0.975)) * float(np.std(values, ddof=1)) if count > 1 else 0.0
    reach = max(spread, NORMAL_95 * least_sd) / math.sqrt(count)
    return Estimate(value, value - reach, value + reach)
