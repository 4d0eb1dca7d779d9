"""Printed pages under a loupe: where edges, lines and crosses are, in mm. Independent of how they were drawn.

Convention: pixel (0, 0) of a page covers 0 to 1 pixel on both axes, so a place in mm is ``pixels * mm_per_pixel``.
"""

from __future__ import annotations

import io
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from calibration.geometry import Array, Box
from calibration.sheet import Sheet
from calibration.tags import detect_full, to_gray

Pixels = np.ndarray


@dataclass(frozen=True, slots=True)
class Scan:
    """A rasterized page, and what it shows: sheet mm + ``shift_mm`` are mm of the page."""

    pixels: Pixels
    dpi: float
    shift_mm: tuple[float, float]
    window: Box

    @property
    def mm(self) -> float:
        """Side of a pixel."""
        return 25.4 / self.dpi

    def shows(self, box: Box) -> bool:
        """Whether the page shows all of it."""
        low, high = box.corners_mm[[0, 2]]
        return bool((low >= self.window.corners_mm[0]).all() and (high <= self.window.corners_mm[2]).all())

    def profile(self, start: Array, end: Array) -> tuple[Array, Array]:
        """Along an upright line of the sheet: middles of its pixels (mm of the sheet), gray levels 0 to 255."""
        axis = int(abs(end[1] - start[1]) > abs(end[0] - start[0]))
        places = np.array([start, end]) + self.shift_mm
        first, last = (int(value) for value in np.floor(np.sort(places[:, axis]) / self.mm))
        other = int(places[0, 1 - axis] / self.mm)
        line = self.pixels[other, first : last + 1] if axis == 0 else self.pixels[first : last + 1, other]
        middles = (np.arange(first, last + 1) + 0.5) * self.mm - self.shift_mm[axis]
        return middles, line.astype(float).mean(axis=1)


def poppler(pdf: Path, dpi: float, page: int = 0) -> Pixels:
    """A page as Debian's poppler draws it, ``(H, W, 3)`` uint8 RGB."""
    number = str(page + 1)
    command = ["pdftoppm", "-r", f"{dpi:g}", "-f", number, "-l", number, str(pdf)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return np.array(Image.open(io.BytesIO(done.stdout)).convert("RGB"))


def tag_errors(scan: Scan, sheet: Sheet) -> dict[int, float]:
    """Largest distance of a corner, mm, for each tag that the page shows; a tag that is not found raises."""
    seen = {tag.id: tag.corners for tag in detect_full(to_gray(scan.pixels))}
    shown = [tag for tag in sheet.tags if scan.shows(tag.square.grown(tag.square.width_mm / 8))]
    assert set(seen) == {tag.id for tag in shown}
    found = {i: (corners + 0.5) * scan.mm - scan.shift_mm for i, corners in seen.items()}
    return {tag.id: float(np.linalg.norm(found[tag.id] - tag.square.corners_mm, axis=1).max()) for tag in shown}


def frame_errors(scan: Scan, sheet: Sheet) -> list[float]:
    """How far the edges of a dark frame and of its window are from where they should be, mm.

    Near each corner of a square frame; of a sticker of another shape, in the middle of each side of its box.
    """
    errors = []
    for box, sign in ((sheet.frame, 1), (sheet.window, -1)):
        for corner, next_corner in zip(box.corners_mm, np.roll(box.corners_mm, -1, axis=0), strict=True):
            inward = np.sign(box.center_mm - corner)
            for axis in (0, 1):
                # The edge across this axis begins at the corner, or ends there.
                along = np.eye(2)[1 - axis] * inward
                begin = (corner + next_corner) / 2 if sheet.sticker else corner + 2 * along
                if sheet.sticker and abs(begin[axis] - corner[axis]) > 0:
                    continue
                places = [begin + off * along for off in np.arange(0, 4.5, 0.5)]
                if all(scan.shows(_around(place)) for place in places):
                    place, edge = _edge(scan, places, np.eye(2)[axis] * inward * sign, axis)
                    errors.append(abs(edge - _expected(sheet, sign, place, axis)))
    return errors


def _expected(sheet: Sheet, sign: int, place: Array, axis: int) -> float:
    """Where the sheet has the edge that a line through ``place`` crosses: on its boxes, or on its polygons."""
    if sheet.sticker is None:
        return float(place[axis])
    region = sheet.sticker.printed if sign > 0 else sheet.sticker.window
    starts = np.concatenate([np.array(loop) for loop in region.loops_mm])
    ends = np.concatenate([np.roll(np.array(loop), -1, axis=0) for loop in region.loops_mm])
    (u0, v0), (u1, v1) = (points[:, [axis, 1 - axis]].T for points in (starts, ends))
    at = place[1 - axis]
    crossing = (v0 <= at) != (v1 <= at)
    found = (u0 + (at - v0) / np.where(v1 == v0, 1, v1 - v0) * (u1 - u0))[crossing]
    return float(found[np.abs(found - place[axis]).argmin()])


def swatch_errors(scan: Scan, sheet: Sheet) -> list[int]:
    """How many levels each field of the color strip is off, at most, in its middle."""
    errors = []
    for swatch in sheet.strip:
        middle = swatch.box.grown(-swatch.box.height_mm / 4)
        if scan.shows(middle):
            low, high = np.rint((middle.corners_mm[[0, 2]] + scan.shift_mm) / scan.mm).astype(int)
            found = scan.pixels[low[1] : high[1], low[0] : high[0]].astype(int)
            errors.append(int(np.abs(found - swatch.srgb).max()))
    return errors


def _around(place: Array) -> Box:
    return Box(x_mm=place[0] - 1, y_mm=place[1] - 1, width_mm=2, height_mm=2)


def _edge(scan: Scan, places: list[Array], inward: Array, axis: int) -> tuple[Array, float]:
    """Where paper becomes ink, at the first place where the dashed line to cut has a gap."""
    found = ((place, _darkness(scan, place, inward, axis)) for place in places)
    return next((place, edge) for place, edge in found if edge is not None)


def _darkness(scan: Scan, place: Array, inward: Array, axis: int) -> float | None:
    """From the share of a short line that is dark; None where there is ink on the paper's side, or light ink."""
    middles, levels = scan.profile(place - 0.9 * inward, place + 0.4 * inward)
    if inward[axis] < 0:
        middles, levels = middles[::-1], levels[::-1]
    off_mm = (place[axis] - middles) * inward[axis]
    if levels[off_mm > 1.6 * scan.mm].min() < 250 or levels[-1] > 150:
        return None
    dark = ((255 - levels) / (255 - levels[-1])).sum() * scan.mm
    return float(middles[-1] + inward[axis] * (scan.mm / 2 - dark))


def tick_errors(scan: Scan, sheet: Sheet) -> list[float]:
    """How far each tick of the ruler is from its millimetre, mm."""
    ruler = sheet.ruler
    height = ruler.y_mm + ruler.height_mm - 1
    errors = []
    for tick in range(round(ruler.width_mm) + 1):
        x = ruler.x_mm + tick
        if scan.shows(Box(x_mm=x - 1, y_mm=height - 1, width_mm=2, height_mm=2)):
            middles, levels = scan.profile(np.array([x - 0.4, height]), np.array([x + 0.4, height]))
            assert levels.min() < 200, f"no tick at {tick} mm"
            errors.append(abs(float(np.average(middles, weights=255 - levels)) - x))
    return errors


def cross_error(scan: Scan, x_mm: float, y_mm: float) -> float:
    """How far a cross is from where it should be, mm of the page: measured on its arms, out of its circle."""
    page = Scan(scan.pixels, scan.dpi, (0.0, 0.0), scan.window)
    center = np.array([x_mm, y_mm])
    found = []
    for axis in (0, 1):
        across, along = np.eye(2)[axis], np.eye(2)[1 - axis]
        middles, levels = page.profile(center + 0.7 * along - 0.6 * across, center + 0.7 * along + 0.6 * across)
        assert levels.min() < 200, "no cross"
        found.append(float(np.average(middles, weights=255 - levels)))
    return float(np.abs(np.array(found) - center).max())
