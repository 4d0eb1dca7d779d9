"""Areas on paper, bounded by polygons in mm: what is printed of a sticker, what is cut out of it.

Convention: x right, y down; a loop is closed without repeating its first point. A point belongs to a region when an
odd number of loops runs around it; so a loop within a loop is a hole, and runs the other way around.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AllowInfNan, Field, model_validator

from calibration.files import Document
from calibration.geometry import Array, Box

Coordinate = Annotated[float, AllowInfNan(False)]
Loop = Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(min_length=3)]

DIGITS = 4
"""Coordinates are kept to a tenth of a micrometre."""

LINES = 8
"""Scan lines in a row of pixels; along the lines, coverage is exact."""


class Region(Document):
    """An area in a plane."""

    loops_mm: tuple[Loop, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _not_empty(self) -> Region:
        if not self.area_mm2 > 0:
            raise ValueError("the loops of a region enclose no area (outer ones run clockwise, holes the other way)")
        return self

    @property
    def area_mm2(self) -> float:
        """Its area: the shoelace formula over all loops, holes counting against it."""
        return sum(_signed_area(np.array(loop)) for loop in self.loops_mm)

    @property
    def box(self) -> Box:
        """Its bounding box."""
        points = np.concatenate([np.array(loop) for loop in self.loops_mm])
        low, high = points.min(axis=0), points.max(axis=0)
        return Box(x_mm=low[0], y_mm=low[1], width_mm=high[0] - low[0], height_mm=high[1] - low[1])

    def moved(self, by_mm: Array) -> Region:
        """The region shifted by ``(2,)``."""
        return self._mapped(lambda points: points + by_mm)

    def scaled(self, factor: float) -> Region:
        """The region scaled about the origin."""
        return self._mapped(lambda points: points * factor)

    def _mapped(self, change: Callable[[Array], Array]) -> Region:
        return region_of([change(np.array(loop)) for loop in self.loops_mm])

    def coverage(self, box: Box, width_px: int, height_px: int) -> NDArray[np.float32]:
        """``(height_px, width_px)``: the share of each pixel of a raster over ``box`` that lies in the region."""
        pixels = np.array([width_px / box.width_mm, height_px / box.height_mm])
        loops = [(np.array(loop) - box.corners_mm[0]) * pixels for loop in self.loops_mm]
        starts = np.concatenate(loops)
        ends = np.concatenate([np.roll(loop, -1, axis=0) for loop in loops])
        lines = [_crossings(starts, ends, y) for y in (np.arange(height_px * LINES) + 0.5) / LINES]
        shares = np.stack([_share_of_pixels(crossings, width_px) for crossings in lines])
        return np.asarray(shares.reshape(height_px, LINES, width_px).mean(axis=1), dtype=np.float32)


def region_of(loops: list[Array]) -> Region:
    """The region within loops ``(N, 2)``."""
    return Region(loops_mm=tuple(tuple(map(tuple, np.round(loop, DIGITS).tolist())) for loop in loops))


def _signed_area(loop: Array) -> float:
    x, y = loop.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _crossings(starts: Array, ends: Array, y: float) -> Array:
    """Where the edges cross a horizontal line, from left to right."""
    crossing = (starts[:, 1] <= y) != (ends[:, 1] <= y)
    (x0, y0), (x1, y1) = starts[crossing].T, ends[crossing].T
    return np.sort(x0 + (y - y0) / (y1 - y0) * (x1 - x0))


def _share_of_pixels(crossings: Array, width_px: int) -> Array:
    """``(width_px,)`` share of each pixel's width between a first and a second, a third and a fourth crossing, ..."""
    right_of = np.clip(np.arange(width_px) + 1 - crossings[:, None], 0, 1)
    return np.asarray(right_of[::2].sum(axis=0) - right_of[1::2].sum(axis=0), dtype=np.float64)


class Sticker(Document):
    """Where a sticker is printed, and the window in it that is cut out; what lies in neither is plain paper."""

    printed: Region
    window: Region

    def moved(self, by_mm: Array) -> Sticker:
        """The sticker shifted by ``(2,)``."""
        return Sticker(printed=self.printed.moved(by_mm), window=self.window.moved(by_mm))

    def scaled(self, factor: float) -> Sticker:
        """The sticker scaled about the origin."""
        return Sticker(printed=self.printed.scaled(factor), window=self.window.scaled(factor))
