"""A page to draw on in mm: its canvas, and what is drawn on pages of all kinds.

Convention: after :func:`new_page` coordinates are mm, origin top-left, y down, as on a sheet.
"""

from __future__ import annotations

import importlib.util
import io
import math
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from calibration.geometry import Box
from calibration.region import Region

FONT = "Vera"
WIDER_FONT = "DejaVuSans"
"""The same letters, and those of more languages."""

ONE_BY_ONE = frozenset({"L", "EN", "ES", "ET", "CS", "ON", "WS", "S"})
"""Directions (Unicode, UAX 9) of letters that are written as they come, from left to right."""

EVEN_ODD = 0
POINTS_PER_MM = 72 / 25.4


def new_canvas(stream: io.BytesIO, title: str) -> Any:
    """A canvas that writes the same bytes for the same drawing, fonts embedded.

    Viewers are told not to scale it (a preference only: the ruler tells what the printer did).
    """
    from reportlab.pdfgen.canvas import Canvas

    _embed_font()
    # Without a first font of ours, each page would begin with one that is not embedded.
    canvas = Canvas(stream, invariant=1, pageCompression=1, initialFontName=FONT)
    canvas.setTitle(title)
    canvas.setCreator("dpcam")
    canvas.setViewerPreference("PrintScaling", "None")
    return canvas


def new_page(canvas: Any, width_mm: float, height_mm: float) -> None:
    """Begin a page of exactly that size; ``canvas.showPage()`` ends it."""
    canvas.setPageSize((width_mm * POINTS_PER_MM, height_mm * POINTS_PER_MM))
    canvas.transform(POINTS_PER_MM, 0, 0, -POINTS_PER_MM, 0, height_mm * POINTS_PER_MM)


def rectangle(canvas: Any, box: Box, *, stroke: int, fill: int) -> None:
    """A box, its edge or its area."""
    canvas.rect(box.x_mm, box.y_mm, box.width_mm, box.height_mm, stroke=stroke, fill=fill)


def boxes_path(canvas: Any, boxes: Iterable[Box]) -> Any:
    """Boxes as one path: drawn one by one, adjacent ones would leave hairlines between them."""
    path = canvas.beginPath()
    for box in boxes:
        path.rect(box.x_mm, box.y_mm, box.width_mm, box.height_mm)
    return path


def region_path(canvas: Any, region: Region) -> Any:
    """The region as a path, to be filled even-odd."""
    path = canvas.beginPath()
    for first, *others in region.loops_mm:
        path.moveTo(*first)
        for point in others:
            path.lineTo(*point)
        path.close()
    return path


def text(canvas: Any, words: str, x_mm: float, y_mm: float, *, size_mm: float, longest_mm: float = math.inf) -> None:
    """Centered text in an embedded font, smaller if it would get longer than there is room."""
    size_mm = _fitting(canvas, words, size_mm, longest_mm)
    _text(canvas, words, x_mm - canvas.stringWidth(_composed(words), _font(words), size_mm) / 2, y_mm, size_mm)


def text_from(
    canvas: Any, words: str, x_mm: float, y_mm: float, *, size_mm: float, longest_mm: float = math.inf
) -> None:
    """Text that begins at ``x_mm``, smaller if it would get longer than there is room."""
    _text(canvas, words, x_mm, y_mm, _fitting(canvas, words, size_mm, longest_mm))


def _fitting(canvas: Any, words: str, size_mm: float, longest_mm: float) -> float:
    length = canvas.stringWidth(_composed(words), _font(words), size_mm)
    return size_mm * min(1.0, longest_mm / length) if length else size_mm


def _text(canvas: Any, words: str, x_mm: float, y_mm: float, size_mm: float) -> None:
    canvas.saveState()
    canvas.translate(x_mm, y_mm)
    # The axis is turned back, or the words would stand on their heads.
    canvas.scale(1, -1)
    canvas.setFillColorRGB(0, 0, 0)
    canvas.setFont(_font(words), size_mm)
    canvas.drawString(0, 0, _composed(words))
    canvas.restoreState()


def unprintable(words: str) -> str:
    """The letters of ``words`` that no font here has, or that are not written one by one from left to right."""
    lost = (letter for letter in _composed(words) if not _has(WIDER_FONT, letter) or not _plain(letter))
    return "".join(dict.fromkeys(lost))


def _plain(letter: str) -> bool:
    return letter.isprintable() and unicodedata.bidirectional(letter) in ONE_BY_ONE


def _composed(words: str) -> str:
    """Letters with their accents as one, for so do fonts have them; file names of macOS do not."""
    return unicodedata.normalize("NFC", words)


def _font(words: str) -> str:
    """The font to write with: the usual one, unless it lacks a letter."""
    return FONT if all(_has(FONT, letter) for letter in _composed(words)) else WIDER_FONT


def _has(font: str, letter: str) -> bool:
    from reportlab.pdfbase import pdfmetrics

    _embed_font(font)
    return ord(letter) in pdfmetrics.getFont(font).face.charToGlyph


def _embed_font(font: str = FONT) -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    if font not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(font, "Vera.ttf" if font == FONT else str(_wider_font_file())))


def _wider_font_file() -> Path:
    """Matplotlib brings it along; to know where it lies, all of matplotlib need not be loaded."""
    package = importlib.util.find_spec("matplotlib")
    folder = Path(package.origin).parent if package and package.origin else Path()
    return folder / "mpl-data" / "fonts" / "ttf" / f"{WIDER_FONT}.ttf"
