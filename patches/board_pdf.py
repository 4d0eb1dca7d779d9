"""The calibration board as a page: vector, exact mm, the same bytes for the same board.

Convention: the board is in the middle of the page; the page is turned to landscape when the board fits only that way.
"""

from __future__ import annotations

import io
from pathlib import Path

import reportlab
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from calibration.board import Board
from calibration.errors import BadInput
from calibration.sheet import PAPERS_MM

POINTS_PER_MM = 72 / 25.4
MARGIN_MM = 10.0
"""Left white on each side: printers do not reach the edge, and the ruler and the caption need a place."""

RULER_MM = 100.0
FONT = "Vera"


def board_pdf(board: Board, paper: str) -> bytes:
    """One page of ``paper`` with the board, a ruler and a caption; :class:`BadInput` when it does not fit."""
    width_mm, height_mm = page_size_mm(board, paper)
    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=(width_mm * POINTS_PER_MM, height_mm * POINTS_PER_MM), invariant=1)
    canvas.setTitle(_caption(board))
    canvas.setCreator("dpcam")
    canvas.setViewerPreference("PrintScaling", "None")
    canvas.scale(POINTS_PER_MM, POINTS_PER_MM)
    _draw_black(canvas, board, board_origin_mm(board, paper), height_mm)
    _draw_ruler(canvas, board_origin_mm(board, paper)[1])
    _draw_caption(canvas, board, height_mm)
    canvas.save()
    return stream.getvalue()


def page_size_mm(board: Board, paper: str) -> tuple[float, float]:
    """Width and height of the page, portrait if the board fits so; :class:`BadInput` if it does not fit at all."""
    if paper not in PAPERS_MM:
        raise BadInput(f"unknown paper {paper!r}, known are {', '.join(PAPERS_MM)}", where="--paper")
    short, long = PAPERS_MM[paper]
    for width, height in ((short, long), (long, short)):
        if board.width_mm <= width - 2 * MARGIN_MM and board.height_mm <= height - 2 * MARGIN_MM:
            return width, height
    raise BadInput(
        f"a board of {board.width_mm:g} x {board.height_mm:g} mm does not fit on {paper} ({short:g} x {long:g} mm) "
        f"with a margin of {MARGIN_MM:g} mm",
        hint="take smaller or fewer squares, or larger paper",
        where="--paper",
    )


def board_origin_mm(board: Board, paper: str) -> tuple[float, float]:
    """Top-left corner of the board on the page, in mm from the page's top-left corner."""
    width_mm, height_mm = page_size_mm(board, paper)
    return (width_mm - board.width_mm) / 2, (height_mm - board.height_mm) / 2


def _draw_black(canvas: Canvas, board: Board, origin_mm: tuple[float, float], height_mm: float) -> None:
    """All black as one path: adjacent rectangles on their own leave hairlines in the rendering."""
    left, top = origin_mm
    path = canvas.beginPath()
    for box in board.black_boxes():
        path.rect(left + box.x_mm, height_mm - top - box.y_mm - box.height_mm, box.width_mm, box.height_mm)
    canvas.setFillGray(0)
    canvas.drawPath(path, stroke=0, fill=1)


def _draw_ruler(canvas: Canvas, space_mm: float) -> None:
    """A ruler of 100 mm in the white space below the board, to see at a glance whether the print is true."""
    base = min(space_mm, 15.0) - 4.0
    canvas.setLineWidth(0.2)
    canvas.line(MARGIN_MM, base, MARGIN_MM + RULER_MM, base)
    for tick in range(0, int(RULER_MM) + 1, 10):
        canvas.line(MARGIN_MM + tick, base - (2 if tick % 50 else 3), MARGIN_MM + tick, base)


def _draw_caption(canvas: Canvas, board: Board, height_mm: float) -> None:
    canvas.setFont(_font(), 2.4)
    canvas.drawString(MARGIN_MM, height_mm - 6.0, f"{_caption(board)}; ruler 100 mm, print at 100 %")


def _font() -> str:
    """A font that reportlab brings along and that is embedded; the standard fonts of PDF are not."""
    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(FONT, str(Path(reportlab.__file__).parent / "fonts" / "Vera.ttf")))
    return FONT


def _caption(board: Board) -> str:
    last_tag = board.first_tag + board.markers - 1
    markers = {
        "charuco": f", markers {board.marker_mm:g} mm, {board.dictionary}",
        "apriltag": f", tags {board.marker_mm:g} mm, tag36h11 {board.first_tag} to {last_tag}",
        "chessboard": "",
    }
    squares = f"{board.squares_x}x{board.squares_y} squares of {board.square_mm:g} mm"
    return f"dpcam board, {board.pattern}, {squares}{markers[board.pattern]}"
