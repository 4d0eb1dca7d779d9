"""The sheet as a PDF: vector, exact in mm, the same bytes for the same input."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calibration.files import write_bytes, write_document
from calibration.geometry import Box
from calibration.sheet import Sheet, Tag
from calibration.tags import CELLS, tag_bits
from patches.artwork import Artwork, artwork_pdf
from patches.canvas import EVEN_ODD, boxes_path, new_canvas, new_page, rectangle, region_path
from patches.marks import draw_fold_marks, draw_ruler, draw_serial, draw_window, draw_words

Texture = NDArray[np.uint8]
TEXEL_PIXELS = 8
"""Each texel is stored as a block of pixels, so that a viewer that smooths pictures blurs an eighth of a texel."""


def sheet_pdf(sheet: Sheet, texture: Texture | None) -> bytes:
    """One page of exactly the sheet's size; ``texture`` ``(n, n, 3)`` uint8 RGB fills the frame but not its window.

    What belongs to neither the sticker nor its window stays plain paper.
    """
    stream = io.BytesIO()
    canvas = new_canvas(stream, f"dpcam sheet {sheet.id}")
    new_page(canvas, sheet.width_mm, sheet.height_mm)
    draw_sheet(canvas, sheet, texture)
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def draw_sheet(canvas: Any, sheet: Sheet, texture: Texture | None) -> None:
    """All that is on the sheet, on a canvas whose coordinates are the sheet's."""
    if texture is not None:
        _draw_texture(canvas, sheet, texture)
    for tag in sheet.tags:
        draw_tag(canvas, tag)
    for swatch in sheet.strip:
        canvas.setFillColorRGB(*(channel / 255 for channel in swatch.srgb))
        rectangle(canvas, swatch.box, stroke=0, fill=1)
    draw_window(canvas, sheet)
    draw_ruler(canvas, sheet.ruler)
    draw_words(canvas, sheet)
    draw_serial(canvas, sheet)
    draw_fold_marks(canvas, sheet)


def write_sheet(folder: Path, sheet: Sheet, texture: Texture | None, artwork: Artwork) -> Path:
    """Write PDF, tiles, texture, the target's artwork and, last, the JSON; returns the JSON's path."""
    from patches.tiles import tiles_pdf

    write_bytes(folder / sheet.pdf, sheet_pdf(sheet, texture))
    if sheet.tiles:
        write_bytes(folder / sheet.tiles.pdf, tiles_pdf(sheet, texture))
    if texture is not None and sheet.texture:
        write_bytes(folder / sheet.texture, texture_png(texture))
    if sheet.target.artwork:
        write_bytes(folder / sheet.target.artwork, artwork_pdf(artwork, sheet.target.box.width_mm))
    path = folder / f"{sheet.id}.json"
    write_document(path, sheet)
    return path


def texture_png(texture: Texture) -> bytes:
    """``(n, n, 3)`` uint8 RGB → PNG bytes."""
    stream = io.BytesIO()
    Image.fromarray(texture).save(stream, format="PNG")
    return stream.getvalue()


def _draw_texture(canvas: Any, sheet: Sheet, texture: Texture) -> None:
    from reportlab.lib.utils import ImageReader

    blocks = np.pad(texture.repeat(TEXEL_PIXELS, axis=0).repeat(TEXEL_PIXELS, axis=1), ((1, 1), (1, 1), (0, 0)), "edge")
    # A block more on each side than the frame has: the path it is clipped along is exact, where a picture ends is not.
    place = sheet.frame.grown(sheet.frame.width_mm / (len(blocks) - 2))
    canvas.saveState()
    printed = region_path(canvas, sheet.sticker.printed) if sheet.sticker else boxes_path(canvas, _ring(sheet))
    canvas.clipPath(printed, stroke=0, fill=0, fillMode=EVEN_ODD)
    # Pictures stand on their feet in PDF coordinates: turn the axis back for this one.
    canvas.translate(place.x_mm, place.y_mm + place.height_mm)
    canvas.scale(1, -1)
    canvas.drawImage(ImageReader(Image.fromarray(blocks)), 0, 0, place.width_mm, place.height_mm)
    canvas.restoreState()


def _ring(sheet: Sheet) -> list[Box]:
    """A square frame: its box without its window."""
    return [sheet.frame, sheet.window]


def draw_tag(canvas: Any, tag: Tag) -> None:
    """One path, filled as a whole: separate rectangles would leave hairlines that break the quad."""
    cell = tag.square.width_mm / CELLS
    left, top = tag.square.x_mm, tag.square.y_mm
    black = [
        Box(x_mm=left + column * cell, y_mm=top + row * cell, width_mm=cell, height_mm=cell)
        for row, column in np.argwhere(~tag_bits(tag.id)[1:-1, 1:-1]).tolist()
    ]
    canvas.setFillColorRGB(0, 0, 0)
    canvas.drawPath(boxes_path(canvas, black), stroke=0, fill=1)
