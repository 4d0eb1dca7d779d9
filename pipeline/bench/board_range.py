"""From how far a printed board is found: the other side of a board with many corners."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from calibration.board import Board
from calibration.geometry import View, pose_from_view
from capture.cameras.sim_options import SimOptions
from capture.cameras.sim_shop import Placed, PrintShop, printed_by
from patches.board_pdf import board_pdf, page_size_mm

PAPER = "A4"
CAMERA = SimOptions(name="range", width=1280, height=720, fov_deg=60.0)
DISTANCES_MM = (1000.0, 1300.0, 1600.0)
YAW_DEG = 25.0


def corners_by_distance(boards: Mapping[str, Board]) -> dict[str, tuple[int, ...]]:
    """How many corners of each board on A4 the simulated camera sees at ``DISTANCES_MM``, turned by 25 degrees."""
    shop = PrintShop(CAMERA)
    with tempfile.TemporaryDirectory() as folder:
        return {name: _corners(shop, board, Path(folder) / "board.pdf") for name, board in boards.items()}


def _corners(shop: PrintShop, board: Board, pdf: Path) -> tuple[int, ...]:
    pdf.write_bytes(board_pdf(board, PAPER))
    size_mm = page_size_mm(board, PAPER)
    page, printed = shop.page(pdf, *size_mm), printed_by(1, 1, 0, np.array(size_mm) / 2)
    views = [View(distance_mm, YAW_DEG, 0, 0) for distance_mm in DISTANCES_MM]
    pictures = [
        shop.photograph([Placed(page, printed, pose_from_view(view, np.zeros(2)))], number)
        for number, view in enumerate(views)
    ]
    return tuple(len(board.find(picture).ids) for picture in pictures)
