"""The calibration board as a page: vector, exact mm, the same bytes for the same board.

Convention: the board is in the middle of the page; the page is turned to landscape when the board fits only that way.
"""

from __future__ import annotations

import io
from typing import Any

from calibration.board import Board
from calibration.errors import BadConfig, BadInput
from calibration.files import sha256_bytes
from calibration.geometry import Box
from calibration.sheet import paper_size_mm
from patches.canvas import boxes_path, new_canvas, new_page, text_from

MARGIN_MM = 10.0
"""Left white on each side: printers do not reach the edge, and the ruler and the caption need a place."""

RULER_MM = 100.0
"""Where the page is wide enough."""


def board_pdf(board: Board, paper: str) -> bytes:
    """One page of ``paper`` with the board, a ruler and a caption; :class:`BadInput` when it does not fit."""
    width_mm, height_mm = page_size_mm(board, paper)
    origin_mm = board_origin_mm(board, paper)
    stream = io.BytesIO()
    canvas = new_canvas(stream, _caption(board))
    new_page(canvas, width_mm, height_mm)
    _draw_black(canvas, board, origin_mm)
    ruler_mm = min(RULER_MM, (width_mm - 2 * MARGIN_MM) // 10 * 10)
    _draw_ruler(canvas, ruler_mm, height_mm - min(origin_mm[1], 15.0) + 4.0)
    words = f"{_caption(board)}; ruler {ruler_mm:g} mm, print at 100 %"
    text_from(canvas, words, MARGIN_MM, 6.0, size_mm=2.4, longest_mm=width_mm - 2 * MARGIN_MM)
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def page_size_mm(board: Board, paper: str) -> tuple[float, float]:
    """Width and height of the page, portrait if the board fits so; :class:`BadInput` if it does not fit at all."""
    try:
        short, long = sorted(paper_size_mm(paper))
    except BadConfig as error:
        raise BadInput(error.message, where="--paper") from error
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


def _draw_black(canvas: Any, board: Board, origin_mm: tuple[float, float]) -> None:
    """All black as one path: adjacent rectangles on their own leave hairlines in the rendering."""
    left, top = origin_mm
    boxes = (
        Box(x_mm=left + box.x_mm, y_mm=top + box.y_mm, width_mm=box.width_mm, height_mm=box.height_mm)
        for box in board.black_boxes()
    )
    canvas.setFillColorRGB(0, 0, 0)
    canvas.drawPath(boxes_path(canvas, boxes), stroke=0, fill=1)


def _draw_ruler(canvas: Any, length_mm: float, base_mm: float) -> None:
    """A ruler in the white space below the board, to see at a glance whether the print is true."""
    canvas.setLineWidth(0.2)
    canvas.line(MARGIN_MM, base_mm, MARGIN_MM + length_mm, base_mm)
    for tick in range(0, int(length_mm) + 1, 10):
        canvas.line(MARGIN_MM + tick, base_mm, MARGIN_MM + tick, base_mm + (2 if tick % 50 else 3))


def _caption(board: Board) -> str:
    """With a serial number: the same one for the same board."""
    last_tag = board.first_tag + board.markers - 1
    markers = {
        "charuco": f", markers {board.marker_mm:g} mm, {board.dictionary}",
        "apriltag": f", tags {board.marker_mm:g} mm, tag36h11 {board.first_tag} to {last_tag}",
        "chessboard": "",
    }
    serial = sha256_bytes(board.model_dump_json().encode())[:8]
    squares = f"{board.squares_x}x{board.squares_y} squares of {board.square_mm:g} mm"
    return f"dpcam board-{serial}, {board.pattern}, {squares}{markers[board.pattern]}"
