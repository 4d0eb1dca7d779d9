"""Laying out a sheet: where sticker, tags, ruler and color strip are on the paper, in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.errors import BadConfig, BadInput
from calibration.files import in_file_name, sha256_bytes
from calibration.geometry import Array, Box, centered_box
from calibration.sheet import PAPERS_MM, TAG_COUNT, Outline, Sheet, Swatch, Tag, Target
from patches.patch import PatchGeometry

MARGIN_MM = 6.0
"""What ordinary printers leave white."""

CLEARANCE_MM = 8.0
"""No tag comes nearer to the frame than this, so that the recognizer's crop holds none, with some jitter."""

TAG_MM = (18.0, 60.0)
"""Smallest and largest side of a tag's black square."""

QUIET = 10 / 8
"""A tag with its white border, in sides of its black square."""

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


def lay_out(order: SheetOrder) -> Sheet:
    """Place everything, the sticker in the middle, four tags around it.

    :class:`BadConfig` when the paper is unknown or too small, or the target too high for its window;
    :class:`BadInput` when the tag family has no ids left.
    """
    width, height = _paper(order.paper)
    _refuse_misfit(order)
    middle = np.array([width / 2, height / 2])
    geometry = order.geometry
    frame = centered_box(middle, geometry.outer_mm, geometry.outer_mm)
    sticker = geometry.sticker.moved(middle) if geometry.sticker else None
    inner = sticker.window.box if sticker else centered_box(middle, geometry.inner_mm, geometry.inner_mm)
    target = centered_box(middle, geometry.target_mm, geometry.target_mm * order.aspect)
    ruler_mm, side = _sizes(order, width, frame)
    tags = _tags(frame, (width, ruler_mm), side, order.first_tag_id)
    band_top = frame.y_mm + frame.height_mm + CLEARANCE_MM
    draft = Sheet(
        id="draft",
        arm=order.arm,
        paper=order.paper,
        width_mm=width,
        height_mm=height,
        target=Target(
            label=order.label,
            outline=order.outline,
            box=target,
            artwork=target_file(order.label, order.geometry.target_mm, order.artwork),
        ),
        frame=frame,
        inner=inner,
        window=frame if order.arm == "bare" else inner,
        sticker=None if order.arm == "bare" else sticker,
        tags=tags,
        texture_sha256=order.texture_sha256,
        patch=order.patch,
        ruler=Box(x_mm=(width - ruler_mm) / 2, y_mm=frame.y_mm - CLEARANCE_MM - 10, width_mm=ruler_mm, height_mm=6),
        strip=_strip(width, ruler_mm, band_top),
        pdf="draft.pdf",
        seed=order.seed,
    )
    name = f"{in_file_name(order.arm)}-{sha256_bytes(draft.model_dump_json().encode())[:8]}"
    texture = f"{name}-texture.png" if order.texture_sha256 else None
    return draft.model_copy(update={"id": name, "pdf": f"{name}.pdf", "texture": texture})


def target_file(label: str, width_mm: float, artwork: str) -> str:
    """File name of the target's own artwork at true size; ``artwork`` is its digest."""
    return "-".join(filter(None, ("target", in_file_name(label), f"{width_mm:g}mm", artwork[:8]))) + ".pdf"


def _refuse_misfit(order: SheetOrder) -> None:
    last = order.first_tag_id + TAGS_PER_SHEET - 1
    if order.first_tag_id < 0 or last >= TAG_COUNT:
        raise BadInput(
            f"the tag ids {order.first_tag_id} to {last} are asked for, the family has 0 to {TAG_COUNT - 1}",
            hint="begin another folder of sheets",
        )
    width, window = order.geometry.target_mm, order.geometry.inner_mm
    if not 0 < width * order.aspect <= window:
        raise BadConfig(
            f"a target of {width:g} x {width * order.aspect:g} mm does not fit into a window of {window:g} mm",
            hint="train a patch around this target: dpcam train",
        )


def _paper(paper: str) -> tuple[float, float]:
    if paper not in PAPERS_MM:
        raise BadConfig(f"unknown paper {paper!r}; known are {', '.join(PAPERS_MM)}")
    return PAPERS_MM[paper]


def _sizes(order: SheetOrder, width: float, frame: Box) -> tuple[float, float]:
    """Length of the ruler and side of the tags: a long ruler if the tags stay large enough, else a short one."""
    band = frame.y_mm - MARGIN_MM - CLEARANCE_MM
    for ruler in RULER_MM:
        side = min(band, (width - 2 * MARGIN_MM - ruler - 4) / 2) / QUIET
        if side >= TAG_MM[0] and frame.x_mm >= MARGIN_MM and band >= BAND_MM:
            return ruler, min(side, TAG_MM[1])
    raise BadConfig(
        f"{order.paper} ({width:g} x {PAPERS_MM[order.paper][1]:g} mm) is too small for a frame of "
        f"{order.geometry.outer_mm:g} mm with four tags of at least {TAG_MM[0]:g} mm",
        hint=f"take larger paper (of {', '.join(PAPERS_MM)}) or a smaller target",
    )


def _tags(frame: Box, across: tuple[float, float], side: float, first: int) -> list[Tag]:
    """Above and below the frame, on its left and right edges, leaving room for the ruler between them.

    ``across``: width of the paper, length of the ruler.
    """
    width, ruler = across
    quiet = side * (QUIET - 1) / 2
    beside_ruler = (width - ruler) / 2 - 2 - quiet - side
    left = max(MARGIN_MM + quiet, min(frame.x_mm - side / 2, beside_ruler))
    right = width - left - side
    top = frame.y_mm - CLEARANCE_MM - quiet - side
    bottom = frame.y_mm + frame.height_mm + CLEARANCE_MM + quiet
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return [
        Tag(id=first + i, square=Box(x_mm=x, y_mm=y, width_mm=side, height_mm=side)) for i, (x, y) in enumerate(corners)
    ]


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


def printed_extent(sheet: Sheet) -> Array:
    """``(2, 2)`` least and greatest x and y of all that is printed, mm."""
    boxes = [sheet.frame, sheet.ruler, *(tag.square for tag in sheet.tags), *(swatch.box for swatch in sheet.strip)]
    corners = np.concatenate([box.corners_mm for box in boxes])
    return np.stack([corners.min(axis=0), corners.max(axis=0)])
