"""Tiles: one sheet, many pages; each page shows its part of it, and all of them together the whole."""

from __future__ import annotations

import re
from dataclasses import replace

import cv2
import numpy as np
import pypdfium2
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calibration.errors import BadConfig
from calibration.files import parse_document
from calibration.geometry import Box
from calibration.sheet import Sheet, paper_size_mm
from calibration.tags import detect_full, to_gray
from patches.artwork import artwork
from patches.layout import QUIET, SEAM_MM, TAG_MM, SheetOrder, lay_out
from patches.patch import PatchGeometry
from patches.pdf import sheet_pdf
from patches.raster import rasterize
from patches.tile_grid import MOST_TILES, grids
from patches.tiles import places, registration_marks, tiles_pdf

SIGN = artwork("stop")
ORDER = SheetOrder(
    arm="noise",
    label="stop",
    outline=SIGN.outline,
    aspect=SIGN.aspect,
    geometry=PatchGeometry.around(300),
    paper="A4",
    first_tag_id=8,
    seed=1,
    texture_sha256="0" * 64,
    tiled=True,
)
DPI = 76.2
"""Three pixels to the millimetre."""


def texture() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (80, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def sheet() -> Sheet:
    return lay_out(ORDER)


@pytest.fixture(scope="module")
def pages(sheet: Sheet) -> bytes:
    return tiles_pdf(sheet, texture())


@given(
    paper=st.sampled_from(["A5", "A4", "Letter", "A3", "120x300"]),
    target_mm=st.floats(20, 900),
    aspect=st.floats(0.3, 1.03),
    apart=st.booleans(),
)
def test_no_seam_runs_through_a_tag(paper: str, target_mm: float, aspect: float, apart: bool):
    geometry = PatchGeometry.around(target_mm)
    try:
        sheet = lay_out(replace(ORDER, paper=paper, aspect=aspect, geometry=geometry, tags_apart=apart))
    except BadConfig:
        assume(False)
    assume(sheet.tiles is not None)
    assert (sheet.width_mm, sheet.height_mm) == sheet.tiles.size_mm
    zones = [tag.square.grown(tag.square.width_mm * (QUIET - 1) / 2) for tag in sheet.tags]
    across, down = sheet.tiles.seams_mm
    seams = [Box(x_mm=x, y_mm=0, width_mm=1e-6, height_mm=sheet.height_mm).grown(SEAM_MM - 1e-3) for x in across]
    seams += [Box(x_mm=0, y_mm=y, width_mm=sheet.width_mm, height_mm=1e-6).grown(SEAM_MM - 1e-3) for y in down]
    for zone in zones:
        assert not any(zone.overlaps(other) for other in (*seams, sheet.frame, *(swatch.box for swatch in sheet.strip)))
        assert not zone.overlaps(sheet.ruler)
        assert zone.x_mm >= 5.99
        assert zone.x_mm + zone.width_mm <= sheet.width_mm - 5.99
    assert sheet.tags[0].square.width_mm >= TAG_MM[0]
    assert Sheet.model_validate_json(sheet.model_dump_json()) == sheet


def test_what_fits_on_the_paper_is_one_page():
    plain, tiled = (lay_out(replace(ORDER, geometry=PatchGeometry(), tiled=tiled)) for tiled in (False, True))
    assert plain == tiled
    assert tiled.tiles is None
    assert "tiles" not in tiled.model_dump_json()
    assert tiled.printed_pdf == tiled.pdf


def test_as_few_tiles_as_there_can_be():
    sizes = [tiles.columns * tiles.rows for tiles in grids("A4")]
    assert sizes == sorted(sizes)
    assert sizes[0] == 2
    assert sizes[-1] == MOST_TILES
    assert lay_out(replace(ORDER, paper="A3")).tiles.columns * lay_out(replace(ORDER, paper="A3")).tiles.rows == 4


def test_a_page_for_each_tile_and_one_for_the_assembly(sheet: Sheet, pages: bytes):
    document = pypdfium2.PdfDocument(pages)
    count = sheet.tiles.columns * sheet.tiles.rows
    assert len(document) == count + 1
    words = [document[i].get_textpage().get_text_bounded() for i in range(count + 1)]
    document.close()
    names = [sheet.tiles.name(*place) for place in places(sheet.tiles)]
    assert names == ["A1", "A2", "A3", "B1", "B2", "B3"]
    for name, text in zip(names, words, strict=False):
        assert f"{sheet.id}, tile {name}: row {'AB'.index(name[0]) + 1} of 2, column {name[1]} of 3" in text
    assert all(name in words[-1] for name in names)
    assert f"{sheet.width_mm:g} x {sheet.height_mm:g} mm" in words[-1]
    assert "glue A2 on here" in words[0]
    assert "glue B1 on here" in words[0]
    assert "glue" not in words[5]


def test_tiles_glued_together_are_the_sheet(sheet: Sheet, pages: bytes):
    """Each is cut along its left and upper edge and laid on those before."""
    tiles = sheet.tiles
    glued = np.zeros((round(sheet.height_mm * 3), round(sheet.width_mm * 3), 3), np.uint8)
    for page, place in enumerate(places(tiles)):
        window, margin = tiles.window(*place), round(tiles.margin_mm * 3)
        height, width = round(window.height_mm * 3), round(window.width_mm * 3)
        y, x = round(window.y_mm * 3), round(window.x_mm * 3)
        pixels = rasterize(pages, DPI, page)
        assert pixels.shape[:2] == (297 * 3, 210 * 3)
        glued[y : y + height, x : x + width] = pixels[margin : margin + height, margin : margin + width]
    whole = rasterize(sheet_pdf(sheet, texture()), DPI)
    assert whole.shape == glued.shape
    different = np.abs(cv2.blur(glued, (3, 3)).astype(int) - cv2.blur(whole, (3, 3))).max(axis=2) > 60
    assert different.mean() < 2e-3
    seen = {tag.id: (tag.corners + 0.5) / 3 for tag in detect_full(to_gray(glued))}
    assert set(seen) == sheet.tag_ids
    for tag, corners in sheet.tag_corners_mm().items():
        assert np.linalg.norm(seen[tag] - corners, axis=1).max() < 0.05


def test_neighbours_have_the_same_crosses_where_they_meet(sheet: Sheet):
    tiles = sheet.tiles

    def on_sheet(row: int, column: int) -> set[tuple[float, float]]:
        window = tiles.window(row, column)
        marks = np.array(registration_marks(tiles, row, column)) - tiles.margin_mm + window.corners_mm[0]
        return {tuple(mark) for mark in marks.round(6).tolist()}

    for row, column in places(tiles):
        window = tiles.window(row, column)
        for x, y in on_sheet(row, column):
            assert not (window.x_mm < x < window.x_mm + window.width_mm and window.y_mm < y < window.y_mm + 273)
        if column + 1 < tiles.columns:
            assert len(on_sheet(row, column) & on_sheet(row, column + 1)) == 2
        if row + 1 < tiles.rows:
            assert len(on_sheet(row, column) & on_sheet(row + 1, column)) == 2


def test_the_same_bytes_for_the_same_sheet_and_fonts_inside(sheet: Sheet, pages: bytes):
    assert pages == tiles_pdf(lay_out(ORDER), texture())
    assert set(re.findall(rb"/BaseFont /(\w+\+)?", pages)) == set(re.findall(rb"/BaseFont /(\w+\+)", pages))


def test_a_sheet_says_how_large_its_tiles_make_it(sheet: Sheet):
    with pytest.raises(BadConfig, match="the tiles make"):
        parse_document(sheet.model_dump() | {"width_mm": 500}, Sheet, where="sheet.json")


REFUSED = {
    "larger than all tiles": ({"geometry": PatchGeometry.around(5000)}, "in tiles, too"),
    "more than a page of a PDF": ({"paper": "1500x1500", "geometry": PatchGeometry.around(3900)}, "5000 mm together"),
    "paper too small to glue": ({"paper": "99x300", "geometry": PatchGeometry.around(100)}, "at least 100 mm"),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_what_no_tiles_can_hold_is_refused(change: dict[str, object], words: str):
    with pytest.raises(BadConfig, match=words):
        lay_out(replace(ORDER, **change))


def test_the_smallest_tiles_can_still_be_read():
    small = lay_out(replace(ORDER, paper="100x100", geometry=PatchGeometry.around(30)))
    with pypdfium2.PdfDocument(tiles_pdf(small, None)) as document:
        words = [page.get_textpage().get_text_bounded() for page in document]
    assert f"dpcam {small.id}, tile A1: row 1" in words[0]
    assert "cut out the window" in words[-1]
    assert f"{small.tiles.name(small.tiles.rows - 1, small.tiles.columns - 1)}" in words[-1]


@pytest.mark.parametrize(("name", "size"), [("A4", (210, 297)), ("300x500", (300, 500)), ("99.5x50mm", (99.5, 50))])
def test_paper_is_a_name_or_a_size(name: str, size: tuple[float, float]):
    assert paper_size_mm(name) == size


@pytest.mark.parametrize("name", ["B5", "", "-210x297", "210x-297", "0x0", "1e3x200", "10x10", "9000x200", "nanxnan"])
def test_paper_of_no_size_is_refused(name: str):
    with pytest.raises(BadConfig, match=r"known are A5, A4.*300x500, each from 50 to 5000"):
        paper_size_mm(name)
