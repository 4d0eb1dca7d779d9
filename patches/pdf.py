"""The sheet as a PDF: vector, exact in mm, the same bytes for the same input."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calibration.files import write_bytes, write_document
from calibration.geometry import Box
from calibration.region import Region
from calibration.sheet import Sheet, Tag
from calibration.tags import tag_bits
from patches.artwork import Artwork, artwork_pdf

Texture = NDArray[np.uint8]
FONT = "Vera"
EVEN_ODD = 0
TEXEL_PIXELS = 8
"""Each texel is stored as a block of pixels, so that a viewer that smooths pictures blurs an eighth of a texel."""


def sheet_pdf(sheet: Sheet, texture: Texture | None) -> bytes:
    """One page of exactly the sheet's size; ``texture`` ``(n, n, 3)`` uint8 RGB fills the frame but not its window.

    What belongs to neither the sticker nor its window stays plain paper.

    Viewers are told not to scale it (a preference only: the ruler tells what the printer did).
    """
    from reportlab.lib.units import mm
    from reportlab.pdfgen.canvas import Canvas

    _embed_font()
    stream = io.BytesIO()
    page = (sheet.width_mm * mm, sheet.height_mm * mm)
    # Without a first font of ours, each page would begin with one that is not embedded.
    canvas = Canvas(stream, pagesize=page, invariant=1, pageCompression=1, initialFontName=FONT)
    canvas.setTitle(f"dpcam sheet {sheet.id}")
    canvas.setViewerPreference("PrintScaling", "None")
    # From here on mm, origin top-left, y down, as on the sheet.
    canvas.transform(mm, 0, 0, -mm, 0, sheet.height_mm * mm)
    if texture is not None:
        _draw_texture(canvas, sheet, texture)
    for tag in sheet.tags:
        _draw_tag(canvas, tag)
    for swatch in sheet.strip:
        canvas.setFillColorRGB(*(channel / 255 for channel in swatch.srgb))
        _rectangle(canvas, swatch.box, stroke=0, fill=1)
    _draw_window(canvas, sheet)
    _draw_ruler(canvas, sheet.ruler)
    _draw_words(canvas, sheet)
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def write_sheet(folder: Path, sheet: Sheet, texture: Texture | None, artwork: Artwork) -> Path:
    """Write PDF, texture, the target's artwork and, last, the JSON; returns the JSON's path."""
    write_bytes(folder / sheet.pdf, sheet_pdf(sheet, texture))
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


def _rectangle(canvas: Any, box: Box, *, stroke: int, fill: int) -> None:
    canvas.rect(box.x_mm, box.y_mm, box.width_mm, box.height_mm, stroke=stroke, fill=fill)


def _draw_texture(canvas: Any, sheet: Sheet, texture: Texture) -> None:
    from reportlab.lib.utils import ImageReader

    blocks = texture.repeat(TEXEL_PIXELS, axis=0).repeat(TEXEL_PIXELS, axis=1)
    frame = sheet.frame
    canvas.saveState()
    if sheet.sticker:
        canvas.clipPath(_path(canvas, sheet.sticker.printed), stroke=0, fill=0, fillMode=EVEN_ODD)
    # Pictures stand on their feet in PDF coordinates: turn the axis back for this one.
    canvas.translate(frame.x_mm, frame.y_mm + frame.height_mm)
    canvas.scale(1, -1)
    canvas.drawImage(ImageReader(Image.fromarray(blocks)), 0, 0, frame.width_mm, frame.height_mm)
    canvas.restoreState()
    if not sheet.sticker:
        canvas.setFillColorRGB(1, 1, 1)
        _rectangle(canvas, sheet.window, stroke=0, fill=1)


def _path(canvas: Any, region: Region) -> Any:
    """The region as a path, to be filled even-odd."""
    path = canvas.beginPath()
    for first, *others in region.loops_mm:
        path.moveTo(*first)
        for point in others:
            path.lineTo(*point)
        path.close()
    return path


def _draw_tag(canvas: Any, tag: Tag) -> None:
    """One path, filled even-odd: separate rectangles would leave hairlines that break the quad."""
    cell = tag.square.width_mm / 8
    path = canvas.beginPath()
    path.rect(tag.square.x_mm, tag.square.y_mm, tag.square.width_mm, tag.square.height_mm)
    for row, column in np.argwhere(tag_bits(tag.id)[1:9, 1:9]):
        path.rect(tag.square.x_mm + column * cell, tag.square.y_mm + row * cell, cell, cell)
    canvas.setFillColorRGB(0, 0, 0)
    canvas.drawPath(path, stroke=0, fill=1, fillMode=EVEN_ODD)


def _draw_window(canvas: Any, sheet: Sheet) -> None:
    """The line to cut out lies just within the window, so that nothing of it stays."""
    canvas.setStrokeColorRGB(0.6, 0.6, 0.6)
    canvas.setLineWidth(0.15)
    canvas.setDash(2, 2)
    if sheet.sticker:
        _draw_edge(canvas, sheet.sticker.window)
    else:
        _rectangle(canvas, sheet.window.grown(-0.3), stroke=1, fill=0)
    canvas.setDash()


def _draw_edge(canvas: Any, window: Region) -> None:
    """Along the edge itself, only that half of the line which lies in the window."""
    canvas.saveState()
    canvas.clipPath(_path(canvas, window), stroke=0, fill=0, fillMode=EVEN_ODD)
    canvas.setLineWidth(0.5)
    canvas.drawPath(_path(canvas, window), stroke=1, fill=0)
    canvas.restoreState()


def _draw_ruler(canvas: Any, ruler: Box) -> None:
    canvas.setStrokeColorRGB(0, 0, 0)
    canvas.setLineWidth(0.1)
    bottom = ruler.y_mm + ruler.height_mm
    canvas.line(ruler.x_mm, bottom, ruler.x_mm + ruler.width_mm, bottom)
    for tick in range(round(ruler.width_mm) + 1):
        length = 4.0 if tick % 10 == 0 else 3.0 if tick % 5 == 0 else 2.0
        canvas.line(ruler.x_mm + tick, bottom, ruler.x_mm + tick, bottom - length)
    for tick in range(0, round(ruler.width_mm) + 1, 10):
        _text(canvas, str(tick), ruler.x_mm + tick, bottom - 4.5, size_mm=2.2)


def _draw_words(canvas: Any, sheet: Sheet) -> None:
    last = max((swatch.box.y_mm + swatch.box.height_mm for swatch in sheet.strip), default=sheet.height_mm - 20)
    middle = sheet.width_mm / 2
    tags = f"tags {sheet.tags[0].id} to {sheet.tags[-1].id}"
    words = (
        f"dpcam {sheet.id}",
        f"arm {sheet.arm}, target {sheet.target.label}, {tags}",
        f"{sheet.paper}: print at 100 %, cut out the window",
    )
    for i, line in enumerate(words):
        _text(canvas, line, middle, last + 5 + 4 * i, size_mm=2.6, longest_mm=sheet.ruler.width_mm)


def _text(canvas: Any, text: str, x_mm: float, y_mm: float, *, size_mm: float, longest_mm: float = math.inf) -> None:
    """Centered text in an embedded font, smaller if it would get too long for the room between the tags."""
    size_mm *= min(1.0, longest_mm / canvas.stringWidth(text, FONT, size_mm))
    canvas.saveState()
    canvas.translate(x_mm, y_mm)
    # The axis is turned back, or the words would stand on their heads.
    canvas.scale(1, -1)
    canvas.setFillColorRGB(0, 0, 0)
    canvas.setFont(FONT, size_mm)
    canvas.drawCentredString(0, 0, text)
    canvas.restoreState()


def _embed_font() -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(FONT, "Vera.ttf"))
