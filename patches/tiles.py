"""A sheet larger than its paper as tiles: a page for each, with marks to cut and glue by, and the assembly diagram.

A tile is cut along the left and upper edge of its window where another tile is beside it, and glued on the strips that
those show of it; there the marks may cover what is printed, for they are covered themselves.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput
from calibration.geometry import Box
from calibration.sheet import Sheet, Tiles
from patches.canvas import new_canvas, new_page, rectangle, text, text_from
from patches.pdf import draw_sheet

Texture = NDArray[np.uint8]
MARK_OFF_MM = 3.5
"""The centers of the registration marks are this far outside of the window."""

MARK_ARM_MM = 2.4
MARK_RADIUS_MM = 1.4
BLEED_MM = 4.0
"""So much of the strip for glue still shows the sheet, so that a tile that lies not quite right leaves no gap."""


def tiles_pdf(sheet: Sheet, texture: Texture | None) -> bytes:
    """A page of the paper's size for each tile, row by row, and one with the assembly diagram.

    :class:`BadInput` when the sheet has no tiles.
    """
    tiles = sheet.tiles
    if tiles is None:
        raise BadInput(f"the sheet {sheet.id} has no tiles: it fits on {sheet.paper}")
    stream = io.BytesIO()
    canvas = new_canvas(stream, f"dpcam sheet {sheet.id}, tiles")
    for row, column in places(tiles):
        new_page(canvas, tiles.paper_width_mm, tiles.paper_height_mm)
        _draw_tile(canvas, sheet, texture, tiles, (row, column))
        canvas.showPage()
    new_page(canvas, tiles.paper_width_mm, tiles.paper_height_mm)
    _draw_diagram(canvas, sheet, tiles)
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def places(tiles: Tiles) -> Iterator[tuple[int, int]]:
    """Row and column of each tile in the order of the pages."""
    return ((row, column) for row in range(tiles.rows) for column in range(tiles.columns))


def registration_marks(tiles: Tiles, row: int, column: int) -> list[tuple[float, float]]:
    """Where the tile has crosses, mm on its page: where seams leave its window; neighbours have the same ones."""
    box, margin = tiles.window(row, column), tiles.margin_mm
    across, down = tiles.seams_mm
    xs = [seam - box.x_mm + margin for seam in across if box.x_mm <= seam < box.x_mm + box.width_mm]
    ys = [seam - box.y_mm + margin for seam in down if box.y_mm <= seam < box.y_mm + box.height_mm]
    rows = (margin - MARK_OFF_MM, margin + box.height_mm + MARK_OFF_MM)
    columns = (margin - MARK_OFF_MM, margin + box.width_mm + MARK_OFF_MM)
    return [(x, y) for x in xs for y in rows] + [(x, y) for y in ys for x in columns]


def _draw_tile(canvas: Any, sheet: Sheet, texture: Texture | None, tiles: Tiles, place: tuple[int, int]) -> None:
    row, column = place
    shown = tiles.window(row, column)
    window = shown.model_copy(update={"x_mm": tiles.margin_mm, "y_mm": tiles.margin_mm})
    canvas.saveState()
    path = canvas.beginPath()
    path.rect(window.x_mm, window.y_mm, window.width_mm, window.height_mm)
    canvas.clipPath(path, stroke=0, fill=0)
    canvas.translate(window.x_mm - shown.x_mm, window.y_mm - shown.y_mm)
    draw_sheet(canvas, sheet, texture)
    canvas.restoreState()
    _draw_glue_strips(canvas, tiles, window, place)
    canvas.setStrokeColorRGB(0, 0, 0)
    canvas.setLineWidth(0.1)
    for x, y in registration_marks(tiles, row, column):
        canvas.circle(x, y, MARK_RADIUS_MM, stroke=1, fill=0)
        canvas.line(x - MARK_ARM_MM, y, x + MARK_ARM_MM, y)
        canvas.line(x, y - MARK_ARM_MM, x, y + MARK_ARM_MM)
    _draw_crop_marks(canvas, tiles, window, place)
    _draw_place(canvas, sheet, tiles, window, place)


def _draw_glue_strips(canvas: Any, tiles: Tiles, window: Box, place: tuple[int, int]) -> None:
    """What the next tiles cover: a line for their edge, just on the covered side, and their names."""
    row, column = place
    right, bottom = window.x_mm + window.width_mm, window.y_mm + window.height_mm
    x, y = right - tiles.overlap_mm, bottom - tiles.overlap_mm
    room = tiles.overlap_mm - BLEED_MM
    if row + 1 < tiles.rows:
        strip = Box(x_mm=window.x_mm, y_mm=y + BLEED_MM, width_mm=window.width_mm, height_mm=room)
        _draw_strip(canvas, strip, (window.x_mm, y + 0.2, right, y + 0.2))
        text(canvas, f"glue {tiles.name(row + 1, column)} on here", strip.center_mm[0], bottom - room / 3, size_mm=2.6)
    if column + 1 < tiles.columns:
        strip = Box(x_mm=x + BLEED_MM, y_mm=window.y_mm, width_mm=room, height_mm=window.height_mm)
        _draw_strip(canvas, strip, (x + 0.2, window.y_mm, x + 0.2, bottom))
        canvas.saveState()
        canvas.translate(right - room / 3, strip.center_mm[1])
        canvas.rotate(-90)
        text(canvas, f"glue {tiles.name(row, column + 1)} on here", 0, 0, size_mm=2.6)
        canvas.restoreState()


def _draw_strip(canvas: Any, strip: Box, edge: tuple[float, float, float, float]) -> None:
    canvas.setFillColorRGB(1, 1, 1)
    rectangle(canvas, strip.grown(0.3), stroke=0, fill=1)
    canvas.setStrokeColorRGB(0.5, 0.5, 0.5)
    canvas.setLineWidth(0.1)
    canvas.line(*edge)


def _draw_crop_marks(canvas: Any, tiles: Tiles, window: Box, place: tuple[int, int]) -> None:
    """Lines beyond the corners of the window, for each edge that is to be cut: not for those that others cover."""
    row, column = place
    left, top = window.x_mm, window.y_mm
    right, bottom = left + window.width_mm, top + window.height_mm
    xs = [left, right] if column + 1 == tiles.columns else [left]
    ys = [top, bottom] if row + 1 == tiles.rows else [top]
    for x in xs:
        canvas.line(x, top - 6, x, top - 1)
        canvas.line(x, bottom + 1, x, bottom + 6)
    for y in ys:
        canvas.line(left - 6, y, left - 1, y)
        canvas.line(right + 1, y, right + 6, y)


def _draw_place(canvas: Any, sheet: Sheet, tiles: Tiles, window: Box, place: tuple[int, int]) -> None:
    """Which tile it is, in words above and as a little grid below."""
    row, column = place
    middle, bottom = window.center_mm[0], window.y_mm + window.height_mm
    words = (
        f"dpcam {sheet.id}, tile {tiles.name(row, column)}: row {row + 1} of {tiles.rows}, "
        f"column {column + 1} of {tiles.columns}; {sheet.paper}: print at 100 %"
    )
    text(canvas, words, middle, window.y_mm - 2.5, size_mm=2.4, longest_mm=window.width_mm - 40)
    cell = min(4.0 / tiles.rows, (window.width_mm - 40) / tiles.columns, 1.5)
    left, top = middle - cell * tiles.columns / 2, bottom + 1.5
    canvas.setFillColorRGB(0, 0, 0)
    for i, j in places(tiles):
        box = Box(x_mm=left + j * cell, y_mm=top + i * cell, width_mm=cell, height_mm=cell)
        rectangle(canvas, box, stroke=1, fill=int((i, j) == place))


def _draw_diagram(canvas: Any, sheet: Sheet, tiles: Tiles) -> None:
    """All tiles as they are put together, with what is on them, and how to do it."""
    margin, width = tiles.margin_mm, tiles.window_mm[0]
    words = _instructions(sheet, tiles)
    text_from(canvas, f"dpcam {sheet.id}: assembly", margin, margin + 4, size_mm=4, longest_mm=width)
    for i, line in enumerate(words):
        text_from(canvas, line, margin, margin + 10 + 4.5 * i, size_mm=2.8, longest_mm=width)
    top = margin + 12 + 4.5 * len(words)
    room = width, tiles.paper_height_mm - margin - top
    scale = min(room[0] / sheet.width_mm, room[1] / sheet.height_mm)
    canvas.saveState()
    canvas.translate(margin + (width - scale * sheet.width_mm) / 2, top)
    canvas.scale(scale, scale)
    _draw_overview(canvas, sheet, tiles, 1 / scale)
    canvas.restoreState()


def _instructions(sheet: Sheet, tiles: Tiles) -> list[str]:
    """What to do, in the order of doing it."""
    across, down = tiles.seams_mm
    steps = [
        f"{seams[0]:g} mm from {way}" for seams, way in ((across, "left to right"), (down, "top to bottom")) if seams
    ]
    return [
        f"1. Print {tiles.columns * tiles.rows} pages of {sheet.paper} at 100 %; "
        f"crosses are {' and '.join(steps)} apart.",
        "2. Cut each tile along its left and upper crop marks; leave the right and lower edges of those that go below.",
        "3. From A1 on, row by row: lay each tile on the gray lines of the ones before, crosses on crosses, and glue.",
        f"4. Assembled it is {sheet.width_mm:g} x {sheet.height_mm:g} mm; cut out the window.",
    ]


def _draw_overview(canvas: Any, sheet: Sheet, tiles: Tiles, unit: float) -> None:
    """In mm of the sheet; ``unit`` is a millimetre of the diagram."""
    canvas.setLineWidth(0.1 * unit)
    canvas.setStrokeColorRGB(0.6, 0.6, 0.6)
    canvas.setFillColorRGB(0.8, 0.8, 0.8)
    for tag in sheet.tags:
        rectangle(canvas, tag.square, stroke=0, fill=1)
    for box in (sheet.frame, sheet.window, sheet.ruler, *(swatch.box for swatch in sheet.strip)):
        rectangle(canvas, box, stroke=1, fill=0)
    canvas.setStrokeColorRGB(0, 0, 0)
    canvas.setLineWidth(0.25 * unit)
    across, down = tiles.seams_mm
    for x in (0.0, *across, sheet.width_mm):
        canvas.line(x, 0, x, sheet.height_mm)
    for y in (0.0, *down, sheet.height_mm):
        canvas.line(0, y, sheet.width_mm, y)
    for row, column in places(tiles):
        box = tiles.window(row, column)
        text(canvas, tiles.name(row, column), *box.center_mm, size_mm=min(6 * unit, box.height_mm / 3))
