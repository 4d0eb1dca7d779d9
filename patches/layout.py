"""Laying out a sheet: where sticker, tags, ruler and color strip are on the paper, in mm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from calibration.errors import BadConfig, BadInput
from calibration.files import in_file_name, sha256_bytes
from calibration.geometry import Box, centered_box
from calibration.sheet import (
    PAPER_LIMITS_MM,
    PAPERS_MM,
    SHEET_TAGS,
    Outline,
    Sheet,
    Swatch,
    Tag,
    Target,
    Tiles,
    paper_size_mm,
)
from patches.canvas import unprintable
from patches.patch import PatchGeometry
from patches.tile_grid import grids

MARGIN_MM = 6.0
"""What ordinary printers leave white."""

CLEARANCE_MM = 8.0
"""No tag comes nearer to the frame than this, so that the recognizer's crop holds none, with some jitter."""

TAG_MM = (18.0, 60.0)
"""Smallest and largest side of a tag's black square."""

QUIET = 10 / 8
"""A tag with its white border, in sides of its black square."""

SEAM_MM = 1.0
"""No tag with its white border comes nearer to where tiles are glued together."""

HAIR_MM = 1e-6
TAGS_PER_SHEET = 4
RULER_MM = (100.0, 50.0)
BAND_MM = 36.0
"""Room that color strip and words need below the frame."""

STRIP_SRGB = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255), (255, 0, 255), (255, 255, 0), (200, 120, 60),
    (0, 0, 0), (51, 51, 51), (102, 102, 102), (153, 153, 153), (204, 204, 204), (255, 255, 255), (60, 90, 160),
)  # fmt: skip
STRIP_COLUMNS = 7


@dataclass(frozen=True, slots=True)
class SheetOrder:
    """What a sheet is to hold. ``aspect``: height over width of the target; ``texture_sha256``: of what is printed.

    ``artwork``: digest of the target's picture, so that another picture of the same class makes another sheet.
    ``tiled``: what is larger than the paper may be printed on several. ``ghosts``: ids that the texture looks like.
    ``tags_apart``: the tags as far from the frame as the paper allows.
    """

    arm: str
    label: str
    outline: Outline
    aspect: float
    geometry: PatchGeometry
    paper: str
    first_tag_id: int
    seed: int
    texture_sha256: str | None
    patch: str | None = None
    artwork: str = ""
    tiled: bool = False
    date: str | None = None
    operator: str | None = None
    ghosts: tuple[int, ...] = ()
    tags_apart: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """The paper that a sheet is laid out on: one sheet of it, or tiles glued together."""

    width_mm: float
    height_mm: float
    tiles: Tiles | None = None

    @property
    def seams_mm(self) -> tuple[list[float], list[float]]:
        """Where the tiles meet, from left to right and from top to bottom."""
        return self.tiles.seams_mm if self.tiles else ([], [])


@dataclass(frozen=True, slots=True)
class Places:
    """What a frame leaves room for: length of the ruler, side of the tags and their top-left corners, clockwise."""

    ruler_mm: float
    side_mm: float
    corners_mm: tuple[tuple[float, float], ...]


def lay_out(order: SheetOrder) -> Sheet:
    """Place everything, the sticker in the middle, four tags around it.

    :class:`BadConfig` when the paper is unknown or too small, the target too high for its window, or the operator's
    name cannot be printed;
    :class:`BadInput` when the tag family has no ids left.
    """
    _refuse_misfit(order)
    for page in _pages(order):
        middle = np.array([page.width_mm / 2, page.height_mm / 2])
        frame = centered_box(middle, order.geometry.outer_mm, order.geometry.outer_mm)
        places = _places(page, frame, apart=order.tags_apart)
        if places:
            return _named(_sheet(order, page, frame, places))
    raise _too_small(order)


def _pages(order: SheetOrder) -> Iterator[Page]:
    width, height = paper_size_mm(order.paper)
    yield Page(width, height)
    for tiles in grids(order.paper) if order.tiled else ():
        # Its PDF in one piece is one page, too.
        if max(tiles.size_mm) <= PAPER_LIMITS_MM[1]:
            yield Page(*tiles.size_mm, tiles)


def _sheet(order: SheetOrder, page: Page, frame: Box, places: Places) -> Sheet:
    """The sheet without its name."""
    middle, geometry, width = frame.center_mm, order.geometry, page.width_mm
    sticker = geometry.sticker.moved(middle) if geometry.sticker else None
    inner = sticker.window.box if sticker else centered_box(middle, geometry.inner_mm, geometry.inner_mm)
    ruler_mm, side = places.ruler_mm, places.side_mm
    band_top = frame.y_mm + frame.height_mm + CLEARANCE_MM
    return Sheet(
        id="draft",
        arm=order.arm,
        paper=order.paper,
        width_mm=width,
        height_mm=page.height_mm,
        target=Target(
            label=order.label,
            outline=order.outline,
            box=centered_box(middle, geometry.target_mm, geometry.target_mm * order.aspect),
            artwork=target_file(order.label, geometry.target_mm, order.artwork),
        ),
        frame=frame,
        inner=inner,
        window=frame if order.arm == "bare" else inner,
        sticker=None if order.arm == "bare" else sticker,
        tags=[
            Tag(id=order.first_tag_id + i, square=Box(x_mm=x, y_mm=y, width_mm=side, height_mm=side))
            for i, (x, y) in enumerate(places.corners_mm)
        ],
        texture_sha256=order.texture_sha256,
        patch=order.patch,
        ruler=Box(x_mm=(width - ruler_mm) / 2, y_mm=frame.y_mm - CLEARANCE_MM - 10, width_mm=ruler_mm, height_mm=6),
        strip=_strip(width, ruler_mm, band_top),
        pdf="draft.pdf",
        seed=order.seed,
        tiles=page.tiles,
        date=order.date,
        operator=order.operator,
        ghosts=list(order.ghosts),
    )


def _named(draft: Sheet) -> Sheet:
    """The sheet with its serial number, which is a hash of all else, and the files named after it."""
    name = f"{in_file_name(draft.arm)}-{sha256_bytes(draft.model_dump_json().encode())[:8]}"
    texture = f"{name}-texture.png" if draft.texture_sha256 else None
    tiles = draft.tiles.model_copy(update={"pdf": f"{name}-tiles.pdf"}) if draft.tiles else None
    return draft.model_copy(update={"id": name, "pdf": f"{name}.pdf", "texture": texture, "tiles": tiles})


def target_file(label: str, width_mm: float, artwork: str) -> str:
    """File name of the target's own artwork at true size; ``artwork`` is its digest."""
    return "-".join(filter(None, ("target", in_file_name(label), f"{width_mm:g}mm", artwork[:8]))) + ".pdf"


def _refuse_misfit(order: SheetOrder) -> None:
    last = order.first_tag_id + TAGS_PER_SHEET - 1
    if order.first_tag_id < 0 or last >= SHEET_TAGS:
        raise BadInput(
            f"the tag ids {order.first_tag_id} to {last} are asked for, sheets have 0 to {SHEET_TAGS - 1}",
            hint="begin another folder of sheets",
        )
    lost = unprintable(order.operator or "")
    if lost:
        raise BadConfig(
            f"the operator {order.operator!r} has letters that cannot be printed: {lost!r}",
            hint="write the name in Latin, Greek or Cyrillic letters, or leave it out: there is a line to fill in",
        )
    width, window = order.geometry.target_mm, order.geometry.inner_mm
    if not 0 < width * order.aspect <= window:
        raise BadConfig(
            f"a target of {width:g} x {width * order.aspect:g} mm does not fit into a window of {window:g} mm",
            hint="train a patch around this target: dpcam train",
        )


def _too_small(order: SheetOrder) -> BadConfig:
    width, height = paper_size_mm(order.paper)
    tiles = f"is too small, in tiles, too (to {PAPER_LIMITS_MM[1]:g} mm together),"
    what = tiles if order.tiled else "is too small"
    return BadConfig(
        f"{order.paper} ({width:g} x {height:g} mm) {what} for a frame of "
        f"{order.geometry.outer_mm:g} mm with four tags of at least {TAG_MM[0]:g} mm",
        hint=f"take larger paper (of {', '.join(PAPERS_MM)}, or WxH in mm), tiles, or a smaller target",
    )


def _places(page: Page, frame: Box, *, apart: bool) -> Places | None:
    """A long ruler if the tags stay large enough, else a short one; smaller tags where seams leave no other room."""
    band = frame.y_mm - MARGIN_MM - CLEARANCE_MM
    if frame.x_mm < MARGIN_MM or band < BAND_MM:
        return None
    for ruler in RULER_MM:
        largest = min(min(band, (page.width_mm - 2 * MARGIN_MM - ruler - 4) / 2) / QUIET, TAG_MM[1])
        for side in dict.fromkeys((largest, *np.arange(largest // 5 * 5, TAG_MM[0], -5.0).tolist(), TAG_MM[0])):
            corners = _corners(page, frame, ruler, side, apart=apart) if largest >= side >= TAG_MM[0] else None
            if corners:
                return Places(ruler, side, corners)
    return None


def _corners(
    page: Page, frame: Box, ruler: float, side: float, *, apart: bool
) -> tuple[tuple[float, float], ...] | None:
    """Above and below the frame, on its left and right edges, leaving room for the ruler between them.

    None where a seam between tiles would have to run through a tag.
    """
    quiet = side * (QUIET - 1) / 2
    edge = MARGIN_MM + quiet
    beside_ruler = (page.width_mm - ruler) / 2 - 2 - quiet - side
    left = edge if apart else max(edge, min(frame.x_mm - side / 2, beside_ruler))
    top = frame.y_mm - CLEARANCE_MM - quiet - side
    bottom = frame.y_mm + frame.height_mm + CLEARANCE_MM + quiet
    width, height = page.width_mm - side, page.height_mm - side
    across, down = page.seams_mm
    x = (
        _off_seams(left, side, across, (edge, beside_ruler)),
        _off_seams(width - left, side, across, (width - beside_ruler, width - edge)),
    )
    y = (
        _off_seams(edge if apart else top, side, down, (edge, top)),
        _off_seams(height - edge if apart else bottom, side, down, (bottom, height - edge)),
    )
    places = [place for place in (*x, *y) if place is not None]
    if len(places) < 4:
        return None
    left, right, top, bottom = places
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _off_seams(start: float, side: float, seams: list[float], room: tuple[float, float]) -> float | None:
    """Where a tag begins that is to begin at ``start``: as near to it as the seams allow, None if nowhere in there."""
    quiet = side * (QUIET - 1) / 2 + SEAM_MM
    beside = [place for seam in seams for place in (seam - quiet - side, seam + quiet)]
    free = [
        place
        for place in (start, *(place for place in beside if room[0] <= place <= room[1]))
        if not any(place - quiet < seam - HAIR_MM and seam + HAIR_MM < place + side + quiet for seam in seams)
    ]
    return min(free, key=lambda place: abs(place - start), default=None)


def _strip(width: float, length: float, top: float) -> list[Swatch]:
    """Two rows of swatches between the lower tags."""
    side = length / STRIP_COLUMNS
    left = (width - length) / 2
    return [
        Swatch(
            srgb=color,
            box=Box(
                x_mm=left + i % STRIP_COLUMNS * side,
                y_mm=top + i // STRIP_COLUMNS * side * 0.7,
                width_mm=side,
                height_mm=side * 0.7,
            ),
        )
        for i, color in enumerate(STRIP_SRGB)
    ]
