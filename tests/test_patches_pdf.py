"""The printed page: true to the JSON within hundredths of a millimetre, the same bytes for the same input."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pypdfium2
import pytest

from calibration.files import read_document, sha256_bytes
from calibration.geometry import Box
from calibration.sheet import Sheet
from calibration.tags import detect_full, to_gray
from patches.artwork import Artwork, artwork, artwork_pdf
from patches.frames import FrameOrder, frame_geometry
from patches.layout import SheetOrder, lay_out
from patches.patch import PatchGeometry
from patches.pdf import sheet_pdf, texture_png, write_sheet

DPI = 300
MM = 25.4 / DPI


def order(arm: str = "noise", paper: str = "A4", target_mm: float = 120) -> SheetOrder:
    sign = artwork("stop")
    pixels = None if arm == "bare" else sha256_bytes(texture_png(texture()))
    geometry = PatchGeometry.around(target_mm)
    return SheetOrder(arm, "stop", sign.outline, sign.aspect, geometry, paper, 40, 0, pixels)


def texture(size: int = 80) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (size, size, 3), dtype=np.uint8)


def rasterize(pdf: bytes, dpi: float = DPI) -> np.ndarray:
    document = pypdfium2.PdfDocument(pdf)
    try:
        bitmap = document[0].render(scale=dpi / 72, rev_byteorder=True)
        return np.array(bitmap.to_numpy()[..., :3])
    finally:
        document.close()


def pixel_mm(pixels: np.ndarray, sheet: Sheet) -> np.ndarray:
    """Width and height of a pixel: the page is fitted to whole pixels, so not exactly 25.4 / DPI."""
    return np.array([sheet.width_mm, sheet.height_mm]) / pixels.shape[1::-1]


def within(pixels: np.ndarray, box: Box, pixel: float = MM) -> np.ndarray:
    """The pixels whose centers lie in ``box``, mm."""
    left, top = (round(value / pixel) for value in (box.x_mm, box.y_mm))
    right, bottom = (round(value / pixel) for value in (box.x_mm + box.width_mm, box.y_mm + box.height_mm))
    return pixels[top:bottom, left:right]


@pytest.fixture(scope="module")
def noise() -> tuple[Sheet, np.ndarray]:
    sheet = lay_out(order())
    return sheet, rasterize(sheet_pdf(sheet, texture()))


CASES = {
    "A4": order(),
    "A4 bare": order("bare"),
    "A5": order(paper="A5", target_mm=60),
    "Letter": order(paper="Letter"),
    "A3": order(paper="A3", target_mm=150),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_page_is_the_paper_and_tags_are_where_the_sheet_says(case: SheetOrder):
    sheet = lay_out(case)
    pdf = sheet_pdf(sheet, None if case.arm == "bare" else texture())
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == 1
    assert np.allclose(np.array(document[0].get_size()) * 25.4 / 72, [sheet.width_mm, sheet.height_mm], atol=1e-3)
    document.close()
    pixels = rasterize(pdf)
    seen = {tag.id: (tag.corners + 0.5) * pixel_mm(pixels, sheet) for tag in detect_full(to_gray(pixels))}
    assert set(seen) == sheet.tag_ids
    for tag_id, corners_mm in sheet.tag_corners_mm().items():
        assert np.linalg.norm(seen[tag_id] - corners_mm, axis=1).max() < 0.05


def test_texels_are_printed_where_they_belong(noise: tuple[Sheet, np.ndarray]):
    sheet, pixels = noise
    texel = sheet.frame.width_mm / 80
    rows, columns = np.nonzero(PatchGeometry().ring())
    x = (sheet.frame.x_mm + (columns + 0.5) * texel) / MM - 0.5
    y = (sheet.frame.y_mm + (rows + 0.5) * texel) / MM - 0.5
    assert np.array_equal(pixels[y.round().astype(int), x.round().astype(int)], texture()[rows, columns])


def test_texture_fills_the_frame_to_its_edges(noise: tuple[Sheet, np.ndarray]):
    sheet, pixels = noise
    colored = np.ptp(pixels.astype(int), axis=2) > 0
    top, bottom = (round(y / MM) for y in (sheet.frame.y_mm - 2, sheet.frame.y_mm + 162))
    y, x = np.nonzero(colored[top:bottom])
    found = np.array([[x.min(), y.min() + top], [x.max() + 1, y.max() + top + 1]]) * pixel_mm(pixels, sheet)
    assert np.abs(found - sheet.frame.corners_mm[[0, 2]]).max() < 0.09


@pytest.mark.parametrize("arm", ["noise", "bare"])
def test_window_is_left_blank_but_for_the_line_to_cut(arm: str):
    sheet = lay_out(order(arm))
    pixels = rasterize(sheet_pdf(sheet, texture() if arm == "noise" else None))
    assert within(pixels, sheet.window.grown(-1)).min() == 255
    assert within(pixels, sheet.window.grown(-0.1)).min() < 250


# Stickers of other shapes


def comb(size: int = 300) -> np.ndarray:
    """A mask: a ring that is open below, and a bar over the target."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    ring = (np.hypot(x, y) < 0.49) & (np.hypot(x, y) > 0.4) & ~((np.abs(x) < 0.1) & (y > 0))
    return np.where(ring | ((np.abs(x) < 0.05) & (np.abs(y) < 0.15)), 255, 0).astype(np.uint8)


SHAPES = {
    "octagon": ("stop", FrameOrder("outline")),
    "triangle": ("yield", FrameOrder("outline")),
    "circle": ("keep-left", FrameOrder("outline", thickness_mm=9, gap_mm=5)),
    "strips": ("yield", FrameOrder("strips")),
    "mask": ("stop", FrameOrder("mask", mask=comb())),
}


@pytest.mark.parametrize(("label", "shape"), SHAPES.values(), ids=SHAPES)
def test_only_the_sticker_is_printed_and_all_else_in_its_box_is_paper(label: str, shape: FrameOrder):
    sign = artwork(label)
    geometry = frame_geometry(sign, 120, shape)
    dark = texture(geometry.texels) // 2
    sheet = lay_out(SheetOrder("noise", label, sign.outline, sign.aspect, geometry, "A4", 40, 0, "0" * 64))
    assert sheet.sticker is not None
    pixels = rasterize(sheet_pdf(sheet, dark), DPI / 2)
    seen = within(pixels, sheet.frame, 2 * MM)
    size = seen.shape[1], seen.shape[0]
    printed, window = (part.coverage(sheet.frame, *size) for part in (sheet.sticker.printed, sheet.sticker.window))
    darkness = (seen.max(axis=2) < 140).mean() * sheet.frame.width_mm**2
    assert darkness == pytest.approx(sheet.sticker.printed.area_mm2, rel=0.01)
    assert seen[far_inside(printed)].max() < 130
    assert seen[far_inside(1 - printed - window)].min() == 255
    # But for the line to cut, which lies in the window.
    assert seen[far_inside(window, 4)].min() == 255
    assert seen[(window > 0.999) & ~far_inside(window, 3)].min() < 200
    found = {tag.id for tag in detect_full(to_gray(pixels))}
    assert found == sheet.tag_ids


def far_inside(share: np.ndarray, pixels: int = 2) -> np.ndarray:
    """Where all within so many pixels is wholly in the area."""
    return cv2.erode((share > 0.999).astype(np.uint8), np.ones((2 * pixels + 1,) * 2, np.uint8)) > 0


def test_texels_of_any_shape_are_printed_where_they_belong():
    geometry = frame_geometry(artwork("stop"), 120, FrameOrder("outline"))
    sheet = lay_out(replace(order(), geometry=geometry))
    pixels = rasterize(sheet_pdf(sheet, texture(geometry.texels)))
    texel = sheet.frame.width_mm / geometry.texels
    rows, columns = np.nonzero(cv2.erode(geometry.ring().astype(np.uint8), np.ones((3, 3), np.uint8)))
    x = (sheet.frame.x_mm + (columns + 0.5) * texel) / MM - 0.5
    y = (sheet.frame.y_mm + (rows + 0.5) * texel) / MM - 0.5
    found = pixels[y.round().astype(int), x.round().astype(int)]
    assert np.array_equal(found, texture(geometry.texels)[rows, columns])


def test_no_smoothing_of_texels():
    pdf = sheet_pdf(lay_out(order()), texture())
    assert b"/Interpolate true" not in pdf


def test_ruler_has_a_tick_at_every_millimetre(noise: tuple[Sheet, np.ndarray]):
    sheet, pixels = noise
    bottom = sheet.ruler.y_mm + sheet.ruler.height_mm
    line = to_gray(pixels)[round((bottom - 1) / MM)]
    dark = 255 - line[round((sheet.ruler.x_mm - 0.5) / MM) : round((sheet.ruler.x_mm + 100.5) / MM)].astype(float)
    middles = [float(np.average(run, weights=dark[run])) for run in np.split(np.flatnonzero(dark > 20), gaps(dark))]
    assert len(middles) == 101
    assert np.diff(middles) * MM == pytest.approx(1, abs=0.1)
    assert (middles[-1] - middles[0]) * MM == pytest.approx(100, abs=0.05)


def gaps(dark: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(np.flatnonzero(dark > 20)) > 1) + 1


def test_swatches_have_their_colors(noise: tuple[Sheet, np.ndarray]):
    sheet, pixels = noise
    for swatch in sheet.strip:
        found = within(pixels, swatch.box.grown(-1)).reshape(-1, 3)
        assert np.abs(found.astype(int) - swatch.srgb).max() <= 1


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_words_stay_clear_of_everything(case: SheetOrder):
    """Without the words, nothing that a camera measures looks different."""
    sheet = lay_out(replace(case, arm="wrong-class" if case.arm != "bare" else "bare"))
    pdf = sheet_pdf(sheet, None)
    bottom = max(swatch.box.y_mm + swatch.box.height_mm for swatch in sheet.strip)
    document = pypdfium2.PdfDocument(pdf)
    words = document[0].get_textpage()
    boxes = [words.get_rect(i) for i in range(words.count_rects())]
    boxes_mm = np.array(boxes) * 25.4 / 72
    low_words = boxes_mm[sheet.height_mm - boxes_mm[:, 3] > bottom]
    text = words.get_text_bounded()
    document.close()
    assert sheet.id in text
    assert f"{sheet.paper}: print at 100 %" in text
    tags = [tag.square.grown(tag.square.width_mm / 8) for tag in sheet.tags[2:]]
    left, right = min(t.x_mm + t.width_mm for t in tags), max(t.x_mm for t in tags)
    assert len(low_words) >= 3
    assert low_words[:, 0].min() > left
    assert low_words[:, 2].max() < right
    assert low_words[:, 1].min() > 6


def test_same_bytes_for_the_same_sheet_and_fonts_inside():
    sheet = lay_out(order())
    pdf = sheet_pdf(sheet, texture())
    assert pdf == sheet_pdf(sheet, texture())
    assert b"/PrintScaling /None" in pdf
    assert b"/FontFile2" in pdf
    # None of the fonts that every viewer is trusted to have: each would draw its own.
    assert set(re.findall(rb"/BaseFont /(\w+\+)?", pdf)) == set(re.findall(rb"/BaseFont /(\w+\+)", pdf))


def test_folder_holds_all_that_belongs_to_a_sheet(tmp_path: Path):
    sheet = lay_out(order())
    path = write_sheet(tmp_path, sheet, texture(), artwork("stop"))
    found = read_document(path, Sheet)
    assert found == sheet
    assert found.pdf
    assert found.texture
    assert found.target.artwork
    assert {file.name for file in tmp_path.iterdir()} == {path.name, found.pdf, found.texture, found.target.artwork}
    assert sha256_bytes((tmp_path / found.texture).read_bytes()) == found.texture_sha256
    assert (tmp_path / found.target.artwork).read_bytes() == artwork_pdf(artwork("stop"), 120)
    assert (tmp_path / found.pdf).read_bytes() == sheet_pdf(sheet, texture())


def test_bare_sheet_has_no_texture(tmp_path: Path):
    sheet = lay_out(order("bare"))
    write_sheet(tmp_path, sheet, None, Artwork("stop", "octagon", 1.0, svg=artwork("stop").svg))
    assert not list(tmp_path.glob("*texture*"))
