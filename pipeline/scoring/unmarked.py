"""A sheet without its marks: tags, ruler, color strip, serial and words filled in as if the paper were plain there.

They are filled in from the plain paper around them, not with a white of their own: it lies under the same light, and a
patch of another white would itself be something to see (docs/decisions/0027-views.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.geometry import Array, Box
from calibration.sheet import Sheet
from patches.marks import fold_marks, qr_box
from pipeline.scoring.masks import blended, covered
from pipeline.scoring.score import Crop

Pixels = NDArray[np.uint8]

AROUND_MM = 1.0
"""As much more is filled on each side of a mark, as ink bleeds."""

BLUR_PX = 1.5
"""And as much more in the picture, as optics blur."""

WORDS_MM = 15.0
"""What the three lines of words below the strip take."""

DIGITS_MM = 3.0
"""How far the ruler's digits reach beyond its ends."""

REACH_PX = 3
COARSE_PX = 128
"""What is filled in is smooth: of larger crops it is computed at this size."""


def mark_boxes(sheet: Sheet) -> list[Box]:
    """All that is printed on a sheet but the sticker, in mm."""
    ruler, code = sheet.ruler.grown(DIGITS_MM), qr_box(sheet)
    fold = [_around([np.array([[x0, y0], [x1, y1]])]) for x0, y0, x1, y1 in fold_marks(sheet)]
    boxes = [tag.square for tag in sheet.tags] + fold + [_strip_and_words(sheet)]
    return [box.grown(AROUND_MM) for box in [*boxes, _around([ruler.corners_mm, code.corners_mm])]]


def without_marks(crop: Pixels, marks_px: Sequence[Array], sticker_px: Array, paper_px: Array) -> Crop:
    """``(H, W, 3)`` with what lies within one of ``marks_px`` ``(N, 2)`` filled in (Bertalmio et al., CVPR 2001).

    It is filled from what is plain in ``paper_px``, never from ``sticker_px``, of which nothing changes. Without a mark
    in it, the crop is given back as it is; ``missed`` where no plain paper is left.
    """
    height, width = crop.shape[:2]
    within = [mark for mark in marks_px if _touches(mark, height, width)]
    if not within:
        return crop
    disk = _disk(BLUR_PX)
    mask = cv2.dilate(np.max([covered([mark], height, width) for mark in within], axis=0), disk)
    sticker, paper = (covered([loop], height, width) for loop in (sticker_px, paper_px))
    plain = (mask == 0) & (cv2.dilate(sticker, disk) == 0) & (cv2.erode(paper, disk) == 1)
    filled = _filled(crop, plain)
    if filled is None:
        return "missed", "no plain paper is seen to fill the marks in from"
    return blended(crop, filled, mask * (1 - sticker))


def _touches(loop: Array, height: int, width: int) -> bool:
    """Whether the box around a loop comes as near to the crop as its blur reaches."""
    low, high = loop.min(axis=0) - BLUR_PX - 1, loop.max(axis=0) + BLUR_PX + 1
    return bool((high >= 0).all() and (low <= [width - 1, height - 1]).all())


def _filled(crop: Pixels, plain: NDArray[np.bool_]) -> Pixels | None:
    """The crop with all filled in that is not plain; None where nothing is."""
    height, width = plain.shape
    scale = min(1.0, COARSE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    hole = (cv2.resize(plain.astype(np.float32), size, interpolation=cv2.INTER_AREA) < 0.999).astype(np.uint8)
    if hole.all():
        return None
    # Not the method of Telea, which on plain gray is off by up to 8 levels, and on a gradient by 26: this one by none.
    filled = cv2.inpaint(small, hole, REACH_PX, cv2.INPAINT_NS)
    return np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _disk(radius_px: float) -> NDArray[np.uint8]:
    reach = int(np.ceil(radius_px))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(np.hypot(x, y) <= radius_px, dtype=np.uint8)


def _strip_and_words(sheet: Sheet) -> Box:
    """The color strip with what is written below it, as wide as the ruler."""
    swatches = [swatch.box.corners_mm for swatch in sheet.strip]
    last = max((float(corners[:, 1].max()) for corners in swatches), default=sheet.height_mm - 20)
    middle, half = sheet.width_mm / 2, sheet.ruler.width_mm / 2
    return _around([*swatches, np.array([[middle - half, last], [middle + half, last + WORDS_MM]])])


def _around(points_mm: Sequence[Array]) -> Box:
    low, high = np.concatenate(points_mm).min(axis=0), np.concatenate(points_mm).max(axis=0)
    return Box(x_mm=low[0], y_mm=low[1], width_mm=high[0] - low[0], height_mm=high[1] - low[1])
