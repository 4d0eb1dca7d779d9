"""What is on a sheet for those who print, cut, fold and file it: ruler, lines to cut, marks to fold at, serial."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from calibration.geometry import Box
from calibration.region import Region
from calibration.sheet import Sheet
from patches.canvas import EVEN_ODD, boxes_path, rectangle, region_path, text, text_from

EDGE_MM = 6.0
"""What ordinary printers leave white."""

FOLD_MM = 2.0
QR_MM = 22.0
"""Side of the QR code with its white border."""

QR_BORDER = 4
"""Its width in modules, as ISO/IEC 18004 asks for."""


def draw_window(canvas: Any, sheet: Sheet) -> None:
    """The line to cut out lies just within the window, so that nothing of it stays."""
    canvas.setStrokeColorRGB(0.6, 0.6, 0.6)
    canvas.setLineWidth(0.15)
    canvas.setDash(2, 2)
    if sheet.sticker:
        _draw_edge(canvas, sheet.sticker.window)
    else:
        rectangle(canvas, sheet.window.grown(-0.3), stroke=1, fill=0)
    canvas.setDash()


def _draw_edge(canvas: Any, window: Region) -> None:
    """Along the edge itself, only that half of the line which lies in the window."""
    canvas.saveState()
    canvas.clipPath(region_path(canvas, window), stroke=0, fill=0, fillMode=EVEN_ODD)
    canvas.setLineWidth(0.5)
    canvas.drawPath(region_path(canvas, window), stroke=1, fill=0)
    canvas.restoreState()


def draw_ruler(canvas: Any, ruler: Box) -> None:
    """A tick for each millimetre, the middle of its line where the millimetre is."""
    canvas.setStrokeColorRGB(0, 0, 0)
    canvas.setLineWidth(0.1)
    bottom = ruler.y_mm + ruler.height_mm
    canvas.line(ruler.x_mm, bottom, ruler.x_mm + ruler.width_mm, bottom)
    for tick in range(round(ruler.width_mm) + 1):
        length = 4.0 if tick % 10 == 0 else 3.0 if tick % 5 == 0 else 2.0
        canvas.line(ruler.x_mm + tick, bottom, ruler.x_mm + tick, bottom - length)
    for tick in range(0, round(ruler.width_mm) + 1, 10):
        text(canvas, str(tick), ruler.x_mm + tick, bottom - 4.5, size_mm=2.2)


def fold_marks(sheet: Sheet) -> list[tuple[float, float, float, float]]:
    """Short lines ``x, y, x, y`` at the middle of each edge: to fold the sheet at, or to center it on something.

    Where the frame reaches so far there is none.
    """
    x, y = sheet.width_mm / 2, sheet.height_mm / 2
    near, right, bottom = EDGE_MM, sheet.width_mm - EDGE_MM, sheet.height_mm - EDGE_MM
    marks = [(x, near, x, near + FOLD_MM), (x, bottom - FOLD_MM, x, bottom)]
    if sheet.frame.x_mm > EDGE_MM + FOLD_MM + 1:
        marks += [(near, y, near + FOLD_MM, y), (right - FOLD_MM, y, right, y)]
    return marks


def draw_fold_marks(canvas: Any, sheet: Sheet) -> None:
    """Draw :func:`fold_marks`."""
    canvas.setStrokeColorRGB(0, 0, 0)
    canvas.setLineWidth(0.15)
    for mark in fold_marks(sheet):
        canvas.line(*mark)


def draw_words(canvas: Any, sheet: Sheet) -> None:
    """Three lines below the color strip: which sheet it is, and how to print it."""
    last = max((swatch.box.y_mm + swatch.box.height_mm for swatch in sheet.strip), default=sheet.height_mm - 20)
    tags = f"tags {sheet.tags[0].id} to {sheet.tags[-1].id}"
    words = (
        f"dpcam {sheet.id}",
        f"arm {sheet.arm}, target {sheet.target.label}, {tags}",
        f"{sheet.paper}: print at 100 %, cut out the window",
    )
    for i, line in enumerate(words):
        text(canvas, line, sheet.width_mm / 2, last + 5 + 4 * i, size_mm=2.6, longest_mm=sheet.ruler.width_mm)


def serial(sheet: Sheet) -> str:
    """What the QR code says: ``dpcam:ID?patch=HASH&date=...&operator=...``, without what is not known."""
    known = {"patch": (sheet.texture_sha256 or "")[:8], "date": sheet.date or "", "operator": sheet.operator or ""}
    words = urlencode({key: value for key, value in known.items() if value})
    return f"dpcam:{sheet.id}?{words}" if words else f"dpcam:{sheet.id}"


def qr_box(sheet: Sheet) -> Box:
    """The QR code with its white border: above the ruler's left end, where no seam runs through it if possible."""
    ruler = sheet.ruler
    side = min(QR_MM, ruler.y_mm - 1.5 - EDGE_MM)
    x, y = ruler.x_mm, ruler.y_mm - 1.5 - side
    across, down = sheet.tiles.seams_mm if sheet.tiles else ([], [])
    x = next((seam for seam in across if x < seam < x + side), x)
    y = next((seam - side for seam in down if y < seam < y + side and seam - side >= EDGE_MM), y)
    return Box(x_mm=x, y_mm=y, width_mm=side, height_mm=side)


def draw_serial(canvas: Any, sheet: Sheet) -> None:
    """QR code and, beside it, the same to read; a line to fill in where date or operator were not given."""
    box = qr_box(sheet)
    modules = qr_modules(serial(sheet))
    cell = box.width_mm / (len(modules) + 2 * QR_BORDER)
    dark = [
        Box(
            x_mm=box.x_mm + (column + QR_BORDER) * cell,
            y_mm=box.y_mm + (row + QR_BORDER) * cell,
            width_mm=cell,
            height_mm=cell,
        )
        for row, column in np.argwhere(modules).tolist()
    ]
    canvas.setFillColorRGB(0, 0, 0)
    canvas.drawPath(boxes_path(canvas, dark), stroke=0, fill=1)
    words = (
        sheet.id,
        f"patch {sheet.texture_sha256[:8]}" if sheet.texture_sha256 else "no patch",
        f"date {sheet.date or '_' * 12}",
        f"operator {sheet.operator or '_' * 12}",
    )
    left = box.x_mm + box.width_mm + 1
    room = max(sheet.ruler.x_mm + sheet.ruler.width_mm - left, 10.0)
    for i, line in enumerate(words):
        text_from(canvas, line, left, box.y_mm + 5 + 4 * i, size_mm=2.6, longest_mm=room)


def qr_modules(words: str) -> NDArray[np.bool_]:
    """``(n, n)`` modules of a QR code with error correction M, True = dark, without border."""
    from reportlab.graphics.barcode.qrencoder import QRCode, QRErrorCorrectLevel

    code = QRCode(None, QRErrorCorrectLevel.M)
    code.addData(words)
    code.make()
    places = range(code.moduleCount)
    return np.array([[bool(code.isDark(row, column)) for column in places] for row in places])
