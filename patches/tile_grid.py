"""The grids of tiles that a sheet larger than its paper may be printed on."""

from __future__ import annotations

from collections.abc import Iterator

from calibration.errors import BadConfig
from calibration.sheet import Tiles, paper_size_mm

MARGIN_MM = 12.0
"""Around a tile's window: what printers leave white, and room for the registration marks within."""

OVERLAP_MM = 10.0
"""What one tile covers of another: room for glue."""

LEAST_PAPER_MM = 100.0
"""Shortest side of paper for tiles: on smaller ones neither the words nor the assembly diagram can be read."""

MOST_TILES = 100
MOST_ROWS = 26
"""Rows are named by a letter."""


def grids(paper: str) -> Iterator[Tiles]:
    """All grids of a paper of more than one tile: fewer tiles first, of as many the more square ones.

    :class:`BadConfig` when the paper is unknown or too small to be a tile.
    """
    width, height = paper_size_mm(paper)
    if min(width, height) < LEAST_PAPER_MM:
        raise BadConfig(f"paper for tiles is at least {LEAST_PAPER_MM:g} mm wide and high, got {paper!r}")
    counts = [
        (columns, count // columns)
        for count in range(2, MOST_TILES + 1)
        for columns in range(1, count + 1)
        if count % columns == 0 and count // columns <= MOST_ROWS
    ]
    found = [_grid((width, height), columns, rows) for columns, rows in counts]
    yield from sorted(found, key=lambda tiles: (tiles.columns * tiles.rows, abs(tiles.size_mm[0] - tiles.size_mm[1])))


def _grid(paper_mm: tuple[float, float], columns: int, rows: int) -> Tiles:
    return Tiles(
        paper_width_mm=paper_mm[0],
        paper_height_mm=paper_mm[1],
        margin_mm=MARGIN_MM,
        overlap_mm=OVERLAP_MM,
        columns=columns,
        rows=rows,
        pdf="draft.pdf",
    )
