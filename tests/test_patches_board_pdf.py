"""The printed board: exact mm, found again in its own rendering, the same bytes each time."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pypdfium2
import pytest

from calibration.board import Board
from calibration.errors import BadInput
from patches.board_pdf import board_origin_mm, board_pdf, page_size_mm

BOARDS = {
    "A4 landscape": (Board(), "A4", (297.0, 210.0)),
    "Letter landscape": (Board(), "Letter", (279.4, 215.9)),
    "A4 portrait": (Board(squares_x=5, squares_y=7), "A4", (210.0, 297.0)),
    "A3": (
        Board(squares_x=9, squares_y=12, square_mm=30, marker_mm=22, dictionary="DICT_5X5_250"),
        "A3",
        (297.0, 420.0),
    ),
    "tags": (Board(pattern="apriltag"), "A4", (297.0, 210.0)),
    "chessboard": (Board(pattern="chessboard", squares_x=10, squares_y=7, square_mm=25), "A4", (297.0, 210.0)),
    "A5": (Board(squares_x=4, squares_y=5, square_mm=31.7, marker_mm=20.3), "A5", (148.0, 210.0)),
}


def rendered(pdf: bytes, dpi: int) -> np.ndarray:
    with pypdfium2.PdfDocument(pdf) as document:
        assert len(document) == 1
        return np.asarray(document[0].render(scale=dpi / 72).to_pil().convert("RGB"))


def test_the_ruler_stays_on_narrow_paper():
    pdf = board_pdf(Board(square_mm=4, marker_mm=3), "60x80")
    with pypdfium2.PdfDocument(pdf) as document:
        assert "ruler 40 mm" in document[0].get_textpage().get_text_bounded()
    column = rendered(pdf, 300)[-round(15 / 25.4 * 300) :, round(51 / 25.4 * 300) :]
    assert (column == 255).all()


@pytest.mark.parametrize("case", BOARDS)
@pytest.mark.parametrize("dpi", [150, 300])
def test_every_corner_is_printed_where_the_board_says(case, dpi):
    board, paper, size = BOARDS[case]
    assert page_size_mm(board, paper) == size
    page = rendered(board_pdf(board, paper), dpi)
    assert page.shape[:2] == pytest.approx([size[1] / 25.4 * dpi, size[0] / 25.4 * dpi], abs=1)
    found = board.find(page)
    assert len(found.ids) == board.corners
    # The renderer stretches the page to whole pixels; pixel 0 has its center half a pixel from the paper's edge.
    seen_mm = (found.corners_px + 0.5) * np.array(size) / [page.shape[1], page.shape[0]]
    errors = seen_mm - (found.corners_mm + board_origin_mm(board, paper))
    assert np.abs(errors).max() < 0.05


def test_the_page_box_is_the_paper():
    with pypdfium2.PdfDocument(board_pdf(Board(), "A4")) as document:
        width, height = document[0].get_size()
    assert (width / 72 * 25.4, height / 72 * 25.4) == pytest.approx((297, 210), abs=0.01)


def test_the_same_board_gives_the_same_bytes_in_any_process():
    program = "import sys; from calibration.board import Board; from patches.board_pdf import board_pdf; "
    program += "sys.stdout.buffer.write(board_pdf(Board(), 'A4'))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert board_pdf(Board(), "A4") == other
    assert board_pdf(Board(), "A4") != board_pdf(Board(square_mm=24), "A4")


def test_its_font_is_embedded():
    import pypdfium2.raw as pdfium

    with pypdfium2.PdfDocument(io.BytesIO(board_pdf(Board(), "A4"))) as document:
        texts = [item for item in document[0].get_objects() if item.type == pdfium.FPDF_PAGEOBJ_TEXT]
        assert texts
        assert all(pdfium.FPDFFont_GetIsEmbedded(pdfium.FPDFTextObj_GetFont(text)) == 1 for text in texts)


@pytest.mark.parametrize(
    ("board", "paper", "words"),
    [
        (Board(), "A5", "250 x 175 mm does not fit on A5"),
        (Board(squares_x=12, squares_y=8), "A4", "does not fit on A4"),
        (Board(), "A44", "unknown paper 'A44', known are A5, A4"),
    ],
)
def test_what_does_not_fit_is_refused(board, paper, words):
    with pytest.raises(BadInput, match=words):
        board_pdf(board, paper)
