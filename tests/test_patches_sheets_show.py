"""Sheets of all kinds, drawn by poppler: everything is where the sheet's JSON says, within 0.05 mm."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from browser import chromium
from printed import Scan, cross_error, frame_errors, poppler, swatch_errors, tag_errors, tick_errors

from calibration.files import sha256_bytes
from calibration.geometry import Box
from calibration.sheet import SHEET_TAGS, Sheet, Tiles, paper_size_mm
from calibration.solve import fit_plane
from calibration.tags import detect_full, to_gray
from patches.artwork import artwork
from patches.frames import FrameOrder, frame_geometry
from patches.layout import SheetOrder, lay_out
from patches.patch import PatchGeometry
from patches.pdf import sheet_pdf, texture_png
from patches.tiles import places, registration_marks, tiles_pdf

LIMIT_MM = 0.05
LARGEST_MM = {"A4": 125, "Letter": 120, "A3": 210}
needs_poppler = pytest.mark.skipif(not shutil.which("pdftoppm"), reason="needs Debian's poppler-utils")


needs_chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="needs Debian's chromium")


def random_order(number: int) -> tuple[SheetOrder, np.ndarray]:
    """Papers in turn, every fourth sheet in tiles, every fifth an octagonal ring; sizes, tags and texture drawn."""
    random = np.random.default_rng(number)
    paper = list(LARGEST_MM)[number % 3]
    tiled = number % 4 == 3
    target_mm = random.uniform(1.5, 3) * LARGEST_MM[paper] if tiled else random.uniform(40, LARGEST_MM[paper])
    sign = artwork("stop")
    width_mm = round(float(target_mm), 2)
    octagon = number % 5 == 2
    geometry = frame_geometry(sign, width_mm, FrameOrder("outline")) if octagon else PatchGeometry.around(width_mm)
    texture = random.integers(0, 128, (geometry.texels, geometry.texels, 3), dtype=np.uint8)
    first, digest = int(random.integers(0, SHEET_TAGS - 4)), sha256_bytes(texture_png(texture))
    order = SheetOrder("noise", "stop", sign.outline, sign.aspect, geometry, paper, first, number, digest)
    return replace(order, tiled=tiled, date="2026-01-31", operator="Ada"), texture


def scans(sheet: Sheet, texture: np.ndarray, folder: Path, dpi: float) -> list[Scan]:
    """What comes out of the printer: one page, or all tiles."""
    path = folder / "sheet.pdf"
    whole = Box(x_mm=0, y_mm=0, width_mm=sheet.width_mm, height_mm=sheet.height_mm)
    if sheet.tiles is None:
        path.write_bytes(sheet_pdf(sheet, texture))
        return [Scan(poppler(path, dpi), dpi, (0.0, 0.0), whole)]
    path.write_bytes(tiles_pdf(sheet, texture))
    found = []
    for page, (row, column) in enumerate(places(sheet.tiles)):
        window = sheet.tiles.window(row, column)
        shift = sheet.tiles.margin_mm - window.x_mm, sheet.tiles.margin_mm - window.y_mm
        scan = Scan(poppler(path, dpi, page), dpi, shift, kept(sheet.tiles, row, column))
        marks = registration_marks(sheet.tiles, row, column)
        assert max(cross_error(scan, *mark) for mark in marks) < LIMIT_MM
        found.append(scan)
    return found


def kept(tiles: Tiles, row: int, column: int) -> Box:
    """What is seen of a tile in the end: its window without the strips that others are glued on."""
    window = tiles.window(row, column)
    width = window.width_mm - (tiles.overlap_mm if column + 1 < tiles.columns else 0)
    height = window.height_mm - (tiles.overlap_mm if row + 1 < tiles.rows else 0)
    return Box(x_mm=window.x_mm, y_mm=window.y_mm, width_mm=width, height_mm=height)


def judge(number: int, dpi: float, folder: Path) -> dict[str, float]:
    """The largest errors of a random sheet, mm."""
    order, texture = random_order(number)
    sheet = lay_out(order)
    assert (sheet.tiles is not None) == order.tiled
    tags: dict[int, float] = {}
    edges, ticks = [], []
    for scan in scans(sheet, texture, folder, dpi):
        tags |= tag_errors(scan, sheet)
        edges += frame_errors(scan, sheet)
        ticks += tick_errors(scan, sheet)
        assert max(swatch_errors(scan, sheet), default=0) <= 1
    assert set(tags) == sheet.tag_ids, "each tag is on one tile as a whole"
    assert len(edges) >= (4 if sheet.sticker else 16)
    assert len(ticks) >= round(sheet.ruler.width_mm) - 1
    return {"tag corners": max(tags.values()), "patch corners": max(edges), "ruler ticks": max(ticks)}


def boxes_are_right(pdf: bytes, sizes_mm: list[tuple[float, float]]) -> None:
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == len(sizes_mm)
    for page, size in zip(document, sizes_mm, strict=True):
        for box in (page.get_mediabox(), page.get_cropbox(), page.get_trimbox()):
            assert np.allclose(np.array(box) * 25.4 / 72, [0, 0, *size], atol=1e-3)
        assert page.get_rotation() == 0
    document.close()


def both_are_right_and_stable(number: int) -> None:
    order, texture = random_order(number)
    sheet, again = lay_out(order), lay_out(order)
    assert sheet.model_dump_json() == again.model_dump_json()
    pdf = sheet_pdf(sheet, texture)
    assert pdf == sheet_pdf(again, texture)
    boxes_are_right(pdf, [(sheet.width_mm, sheet.height_mm)])
    if sheet.tiles:
        pages = tiles_pdf(sheet, texture)
        assert pages == tiles_pdf(again, texture)
        boxes_are_right(pages, [paper_size_mm(sheet.paper)] * (sheet.tiles.columns * sheet.tiles.rows + 1))


@pytest.mark.parametrize("number", [0, 1, 3])
def test_page_boxes_are_the_paper_and_two_builds_are_the_same(number: int):
    both_are_right_and_stable(number)


@needs_poppler
@pytest.mark.parametrize("number", [0, 7])
def test_all_is_where_the_sheet_says(number: int, tmp_path: Path):
    assert max(judge(number, 300, tmp_path).values()) < LIMIT_MM


@needs_poppler
@pytest.mark.slow
@pytest.mark.parametrize("dpi", [300, 600])
def test_all_is_where_twenty_sheets_say(dpi: int, tmp_path: Path):
    worst = [judge(number, dpi, tmp_path) for number in range(20)]
    largest = {what: max(errors[what] for errors in worst) for what in worst[0]}
    print(dpi, largest)
    assert max(largest.values()) < LIMIT_MM
    for number in range(20):
        both_are_right_and_stable(number)


@needs_chromium
def test_sheets_open_in_chromium(tmp_path: Path):
    with chromium(tmp_path / "profile", 1000, 1400) as browser:
        for number in (0, 1, 2):
            order, texture = random_order(number)
            sheet = lay_out(order)
            path = tmp_path / f"{number}.pdf"
            path.write_bytes(sheet_pdf(sheet, texture))
            pictures = browser.pictures(f"{path.as_uri()}#toolbar=0&navpanes=0&view=Fit")
            seen = next(seen for picture in pictures if len(seen := detect_full(to_gray(picture))) == 4)
            fit = fit_plane({tag.id: tag.corners for tag in seen}, sheet.tag_corners_mm())
            assert fit is not None
            assert fit.residual_px < 0.5
            across, down = np.linalg.norm(fit.homography[:2, :2], axis=0)
            assert across == pytest.approx(down, rel=0.003), "the page is not stretched"


@needs_chromium
def test_tiles_open_in_chromium(tmp_path: Path):
    order, texture = random_order(3)
    sheet = lay_out(order)
    path = tmp_path / "tiles.pdf"
    path.write_bytes(tiles_pdf(sheet, texture))
    with chromium(tmp_path / "profile", 1000, 1400) as browser:
        pictures = browser.pictures(f"{path.as_uri()}#toolbar=0&navpanes=0&view=Fit")
        seen = next(seen for picture in pictures if (seen := detect_full(to_gray(picture))))
    assert {tag.id for tag in seen} <= sheet.tag_ids
