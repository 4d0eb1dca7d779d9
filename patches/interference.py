"""Does what is printed get in the way of the tags? The sheet is rasterized and searched for tags, as a camera would.

A *ghost* is a tag that the detector sees where none is: texels, or the target itself, that look like one. With the id
of a real tag it takes that one out of use, for nobody knows which of the two is true. A *spoiled* tag is not found, or
not where it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput
from calibration.sheet import Sheet, Tag
from calibration.tags import TagSighting, detect_full, to_gray
from patches.artwork import Artwork, render
from patches.layout import CLEARANCE_MM, TAGS_PER_SHEET, SheetOrder, lay_out
from patches.pdf import sheet_pdf
from patches.raster import DPI, rasterize

Pixels = NDArray[np.uint8]
PAGE_DPI = 100.0
PAGE_PIXELS = 2e6
"""Of larger paper the page is looked at more coarsely: so is it by a camera."""

TAG_PX = 30
"""But no coarser than this side of a tag: of smaller ones the detector misses some on the cleanest page."""

TEXEL_PX = 4
"""The frame is looked at from so near that a texel has this many pixels, and from twice and four times as far."""

FRAME_PX = 1200
PLAIN_TEXELS = 80
"""A frame with nothing printed in it is looked at as if it had so many."""

SMALLEST_PX = 40
CORNER_PX = 0.15
"""Corners of tags farther off are spoiled: on clean sheets they are within 0.07 px (docs/decisions/0012-sheets.md)."""

ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Interference:
    """Ids of the ghosts; ids of the tags that are spoiled; how far the worst corner of those found is off, px."""

    ghosts: frozenset[int] = frozenset()
    spoiled: frozenset[int] = frozenset()
    corner_px: float = 0.0


def tag_interference(sheet: Sheet, texture: Pixels | None, artwork: Artwork) -> Interference:
    """Rasterize the sheet with its ``texture``, and the target in its window, and compare the tags seen with the JSON.

    ``texture`` is ``(n, n, 3)`` uint8 RGB, or None.
    """
    pdf = sheet_pdf(sheet, texture)
    dpi = _page_dpi(sheet)
    seen = detect_full(to_gray(rasterize(pdf, dpi)))
    off = {tag.id: min((_off_px(tag, sighting, dpi) for sighting in seen), default=math.inf) for tag in sheet.tags}
    near = [sighting for sighting in seen if not _is_real(sheet, sighting, dpi)]
    near += _in_frame(pdf, sheet, texture, artwork)
    return Interference(
        ghosts=frozenset(sighting.id for sighting in near),
        spoiled=frozenset(tag for tag, error in off.items() if error > CORNER_PX),
        corner_px=max((error for error in off.values() if error < math.inf), default=0.0),
    )


def _page_dpi(sheet: Sheet) -> float:
    coarse = 25.4 * math.sqrt(PAGE_PIXELS / (sheet.width_mm * sheet.height_mm))
    return min(PAGE_DPI, max(coarse, 25.4 * TAG_PX / min(tag.square.width_mm for tag in sheet.tags)))


def settled(order: SheetOrder, look: Callable[[Sheet], Interference]) -> Sheet:
    """The layout on which nothing gets in the way of the tags, as ``look`` sees it.

    Tags that have a ghost give way to others, from ``first_tag_id`` on; spoiled ones go farther from the frame. Ids of
    ghosts stand in the sheet. :class:`BadInput` when nothing helps, and as :func:`lay_out`.
    """
    found = Interference()
    for _ in range(ATTEMPTS):
        sheet = lay_out(order)
        found = look(sheet)
        ghosts = tuple(sorted(found.ghosts | set(order.ghosts)))
        if not found.spoiled and not sheet.tag_ids & set(ghosts):
            return lay_out(replace(order, ghosts=ghosts))
        if found.spoiled and order.tags_apart:
            break
        first = free_ids(order.first_tag_id, frozenset(ghosts))
        order = replace(order, first_tag_id=first, ghosts=ghosts, tags_apart=bool(found.spoiled) or order.tags_apart)
    raise BadInput(
        f"what is printed for {order.arm!r} gets in the way of the tags: "
        f"spoiled {sorted(found.spoiled)}, seen where none is {sorted(found.ghosts)}",
        hint="take larger paper, so that the tags are larger and farther away, or another patch",
    )


def free_ids(first: int, avoided: frozenset[int]) -> int:
    """The first id from ``first`` on from which a sheet's ids are none of those avoided."""
    while hits := avoided & set(range(first, first + TAGS_PER_SHEET)):
        first = max(hits) + 1
    return first


def _is_real(sheet: Sheet, sighting: TagSighting, dpi: float) -> bool:
    return any(_off_px(tag, sighting, dpi) < tag.square.width_mm * dpi / 25.4 / 4 for tag in sheet.tags)


def _off_px(tag: Tag, sighting: TagSighting, dpi: float) -> float:
    """How far the worst corner is from where the tag has it; infinite for another tag."""
    if sighting.id != tag.id:
        return math.inf
    expected = tag.square.corners_mm * dpi / 25.4 - 0.5
    return float(np.linalg.norm(sighting.corners - expected, axis=1).max())


def _in_frame(pdf: bytes, sheet: Sheet, texture: Pixels | None, artwork: Artwork) -> list[TagSighting]:
    """What looks like a tag in the frame with the target in it, where no tag is."""
    texels = len(texture) if texture is not None else PLAIN_TEXELS
    side = min(TEXEL_PX * texels, FRAME_PX)
    dpi = min(max(side / sheet.frame.width_mm * 25.4, DPI[0]), DPI[1])
    around = sheet.frame.grown(CLEARANCE_MM - 1)
    picture = _with_target(rasterize(pdf, dpi, part=around), sheet, artwork, dpi)
    found = []
    while min(picture.shape[:2]) >= SMALLEST_PX and len(picture) > side / 8:
        found += detect_full(to_gray(picture))
        height, width = picture.shape[:2]
        picture = np.asarray(cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)
    return found


def _with_target(frame: Pixels, sheet: Sheet, artwork: Artwork, dpi: float) -> Pixels:
    """The target's picture in the middle of the frame's."""
    width = min(max(round(sheet.target.box.width_mm * dpi / 25.4), 1), frame.shape[1])
    rgba = render(artwork, width)[: len(frame)]
    top, left = (len(frame) - len(rgba)) // 2, (frame.shape[1] - width) // 2
    seen = frame.copy()
    behind = seen[top : top + len(rgba), left : left + width]
    share = rgba[..., 3:].astype(np.float32) / 255
    behind[:] = (rgba[..., :3] * share + behind * (1 - share)).round()
    return seen
