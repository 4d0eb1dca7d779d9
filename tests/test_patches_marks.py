"""What people and scanners read on a sheet: the QR code, the serial, the marks to fold at; and pictures of pages."""

from __future__ import annotations

import io
import re
import unicodedata
from dataclasses import replace

import cv2
import numpy as np
import pypdfium2
import pytest
from PIL import Image
from test_patches_pdf import CASES, order, texture

from calibration.errors import BadConfig, BadInput
from calibration.files import parse_document
from calibration.geometry import Box
from calibration.sheet import Sheet
from calibration.tags import detect_full, to_gray
from patches.layout import QUIET, SheetOrder, lay_out
from patches.marks import EDGE_MM, fold_marks, qr_box, qr_modules, serial
from patches.patch import PatchGeometry
from patches.pdf import sheet_pdf
from patches.raster import png, rasterize

DATED = replace(order(), date="2026-01-31", operator="Ada Müller & Söhne")
TILED = replace(order(target_mm=400), tiled=True)
ALL = CASES | {"dated": DATED, "tiles": TILED, "landscape": order(paper="420x297")}


def words_on(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return document[0].get_textpage().get_text_bounded()


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_the_qr_code_is_read_from_the_page_and_says_the_serial(case: SheetOrder):
    sheet = lay_out(case)
    box = qr_box(sheet)
    picture = rasterize(sheet_pdf(sheet, None), 200, part=box)
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == serial(sheet)
    assert serial(sheet).startswith(f"dpcam:{sheet.id}")


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_marks_are_clear_of_everything(case: SheetOrder):
    sheet = lay_out(case)
    zones = [tag.square.grown(tag.square.width_mm * (QUIET - 1) / 2) for tag in sheet.tags]
    taken = [*zones, sheet.frame, sheet.ruler, *(swatch.box for swatch in sheet.strip)]
    box = qr_box(sheet)
    folds = [
        Box(x_mm=min(x0, x1), y_mm=min(y0, y1), width_mm=abs(x1 - x0), height_mm=abs(y1 - y0)).grown(0.1)
        for x0, y0, x1, y1 in fold_marks(sheet)
    ]
    assert box.width_mm >= 20
    assert not any(one.overlaps(other) for one in (box, *folds) for other in taken)
    assert not any(box.overlaps(fold) for fold in folds)
    for each in (box, *folds):
        assert (each.corners_mm[0] >= EDGE_MM - 0.11).all()
        assert (each.corners_mm[2] <= [sheet.width_mm - EDGE_MM + 0.11, sheet.height_mm - EDGE_MM + 0.11]).all()
    assert {(sheet.width_mm / 2, EDGE_MM), (sheet.width_mm / 2, sheet.height_mm - EDGE_MM - 2)} <= {
        mark[:2] for mark in fold_marks(sheet)
    }


def test_no_fold_mark_touches_a_frame_that_fills_the_paper():
    sheet = lay_out(order(paper="A4", target_mm=145))
    assert sheet.frame.x_mm < 9
    assert len(fold_marks(sheet)) == 2
    assert len(fold_marks(lay_out(order()))) == 4


def test_the_serial_says_patch_sheet_date_and_operator():
    sheet = lay_out(DATED)
    assert serial(sheet) == (
        f"dpcam:{sheet.id}?patch={sheet.texture_sha256[:8]}&date=2026-01-31&operator=Ada+M%C3%BCller+%26+S%C3%B6hne"
    )
    text = words_on(sheet_pdf(sheet, texture()))
    for words in (sheet.id, f"patch {sheet.texture_sha256[:8]}", "date 2026-01-31", "operator Ada Müller & Söhne"):
        assert words in text


def test_date_and_operator_are_inputs_and_make_another_sheet():
    plain = lay_out(order())
    assert "date" not in plain.model_dump()
    assert "date ____" in words_on(sheet_pdf(plain, None))
    assert len({lay_out(each).id for each in (order(), DATED, replace(DATED, operator=None))}) == 3
    assert parse_document(lay_out(DATED).model_dump(mode="json"), Sheet, where="sheet.json") == lay_out(DATED)


@pytest.mark.parametrize("change", [{"date": "31.1.2026"}, {"operator": ""}, {"operator": "x" * 61}])
def test_impossible_fields_are_refused(change: dict[str, str]):
    with pytest.raises(BadConfig, match=next(iter(change))):
        parse_document(lay_out(DATED).model_dump() | change, Sheet, where="sheet.json")


@pytest.mark.parametrize("length", [1, 40, 120, 200])
def test_codes_of_any_length(length: int):
    words = ("dpcam:ä" * length)[:length]
    picture = np.where(np.pad(qr_modules(words), 4), 0, 255).astype(np.uint8).repeat(6, 0).repeat(6, 1)
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == words


def test_a_long_operator_stays_in_its_place():
    sheet = lay_out(replace(order(paper="A5", target_mm=60), operator="W" * 60))
    with pypdfium2.PdfDocument(sheet_pdf(sheet, None)) as document:
        page = document[0].get_textpage()
        right = max(page.get_rect(i)[2] for i in range(page.count_rects()))
    assert right * 25.4 / 72 < sheet.width_mm - EDGE_MM


@pytest.mark.parametrize("name", ["Иван Петров", "Ελένη", "Erdős Pál", "Zoe\u0308", "Nguyễn"])
def test_an_operator_of_many_languages_is_printed_in_letters(name: str):
    sheet = lay_out(replace(order(), operator=name))
    pdf = sheet_pdf(sheet, None)
    assert f"operator {unicodedata.normalize('NFC', name)}" in words_on(pdf)
    assert pdf == sheet_pdf(sheet, None)
    assert set(re.findall(rb"/BaseFont /(\w+\+)?", pdf)) == set(re.findall(rb"/BaseFont /(\w+\+)", pdf))
    picture = rasterize(pdf, 300, part=qr_box(sheet))
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == serial(sheet)


@pytest.mark.parametrize("name", ["山田太郎", "عبد", "דוד", "Ada\nLovelace", "Ada\x07"])
def test_an_operator_that_cannot_be_printed_is_refused(name: str):
    with pytest.raises(BadConfig, match="letters that cannot be printed") as refused:
        lay_out(replace(order(), operator=name))
    assert "\n" not in refused.value.message


# Pages as pictures


@pytest.mark.parametrize("dpi", [72, 96.5, 300])
@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_a_picture_has_exactly_so_many_pixels_to_the_inch(paper: str, dpi: float):
    sheet = lay_out(order(paper=paper))
    pixels = rasterize(sheet_pdf(sheet, texture()), dpi)
    expected = np.array([sheet.height_mm, sheet.width_mm]) * dpi / 25.4
    assert (np.array(pixels.shape[:2]) - expected < 1).all()
    assert (np.array(pixels.shape[:2]) - expected > -0.01).all()
    seen = {tag.id: (tag.corners + 0.5) * 25.4 / dpi for tag in detect_full(to_gray(pixels))}
    for tag, corners in sheet.tag_corners_mm().items():
        assert np.linalg.norm(seen[tag] - corners, axis=1).max() < 0.05
    picture = Image.open(io.BytesIO(png(pixels, dpi)))
    assert picture.info["dpi"] == pytest.approx((dpi, dpi), abs=0.02)
    assert np.array_equal(np.array(picture), pixels)


def test_a_part_of_a_page():
    sheet = lay_out(order())
    pdf = sheet_pdf(sheet, texture())
    part = Box(x_mm=25.4, y_mm=50.8, width_mm=101.6, height_mm=76.2)
    assert np.abs(rasterize(pdf, 100, part=part).astype(int) - rasterize(pdf, 100)[200:500, 100:500]).mean() < 1


@pytest.mark.parametrize(("dpi", "words"), [(-300, "got -300"), (0, "got 0"), (1e4, "10000"), (2400, "million")])
def test_too_many_pixels_or_none_are_refused(dpi: float, words: str):
    with pytest.raises(BadInput, match=words):
        rasterize(sheet_pdf(lay_out(order()), None), dpi)


def test_crop_of_the_recognizer_holds_no_tag():
    """The frame, as it is cropped, and some more, for a crop that is not quite right."""
    for target_mm, paper in ((30, "A4"), (60, "A5"), (140, "A4"), (200, "A3")):
        geometry = PatchGeometry.around(target_mm)
        sheet = lay_out(replace(order(paper=paper), geometry=geometry))
        pdf = sheet_pdf(sheet, None)
        for margin in (0, 6):
            assert not detect_full(to_gray(rasterize(pdf, 150, part=sheet.frame.grown(margin))))
        assert len(sheet.tags) >= 4
        assert len(sheet.tag_ids) == len(sheet.tags)
        sides = np.sign([tag.square.center_mm - sheet.frame.center_mm for tag in sheet.tags])
        assert {tuple(side) for side in sides} == {(-1, -1), (1, -1), (1, 1), (-1, 1)}
