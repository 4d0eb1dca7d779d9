"""What is filled in: all that is printed on a sheet but the sticker, whatever the sheet, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.geometry import Box
from calibration.region import region_of
from calibration.sheet import Sheet
from patches.artwork import artwork
from patches.frames import FrameOrder, frame_geometry
from patches.layout import SheetOrder, lay_out
from patches.pdf import sheet_pdf
from patches.raster import rasterize
from pipeline.scoring.masks import covered
from pipeline.scoring.unmarked import mark_boxes, without_marks

DPI = 50.8
"""Two pixels a millimetre."""


def laid_out(**more: object) -> Sheet:
    sign = artwork("stop")
    size = more.pop("size_mm", 120.0)
    geometry = frame_geometry(sign, size, FrameOrder(shape=more.pop("shape", "square")))
    plain = {"paper": "A4", "first_tag_id": 0, "seed": 1, "texture_sha256": None}
    return lay_out(SheetOrder("patch", "stop", sign.outline, sign.aspect, geometry, **{**plain, **more}))


SHEETS = {
    "A4": laid_out(),
    "small target": laid_out(size_mm=50.0),
    "A3": laid_out(paper="A3", size_mm=160.0),
    "with names": laid_out(date="2026-11-23", operator="Somebody With A Long Name", texture_sha256="a" * 64),
    "tags apart": laid_out(size_mm=80.0, tags_apart=True),
    "tiled": laid_out(size_mm=250.0, tiled=True),
    "outline": laid_out(shape="outline"),
}


def raster_of(box: Box, shape: tuple[int, ...]) -> np.ndarray:
    y, x = (np.mgrid[: shape[0], : shape[1]] + 0.5) * 25.4 / DPI
    low, high = box.corners_mm[0], box.corners_mm[2]
    return (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS)
def test_all_that_is_printed_beside_the_sticker_is_a_mark(sheet: Sheet):
    printed = (rasterize(sheet_pdf(sheet, None), DPI) < 250).any(axis=2)
    marks = np.any([raster_of(box, printed.shape) for box in mark_boxes(sheet)], axis=0)
    sticker = raster_of(sheet.frame, printed.shape)
    assert printed[~sticker].sum() > 1000
    assert not (printed & ~marks & ~sticker).any()
    assert not (marks & sticker).any()
    assert marks.mean() < 0.4


GRAY = np.full((60, 80, 3), 180, np.uint8)


ALL = np.array([[-99, -99], [299, -99], [299, 299], [-99, 299]])


def quad(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def test_a_mark_is_filled_from_the_paper_and_the_sticker_stays():
    crop = GRAY.copy()
    crop[5:15, 10:30] = 0
    crop[20:50, 8:60] = (200, 20, 20)
    filled = without_marks(crop, [quad(8, 3, 32, 17)], quad(7.5, 19.5, 59.5, 49.5), ALL)
    assert np.abs(filled[:19].astype(int) - 180).max() <= 1
    assert (filled[19:] == crop[19:]).all()
    assert crop[10, 20, 0] == 0, "the crop itself stays as it was"


def test_neither_sticker_nor_ground_bleed_into_a_mark_that_touches_them():
    crop = GRAY.copy()
    crop[:10] = (0, 0, 90)
    crop[30:50] = (0, 200, 0)
    crop[10:30, 20:70] = 0
    filled = without_marks(crop, [quad(18, 8, 71, 31)], quad(-0.5, 29.5, 79.5, 49.5), quad(-50, 9.5, 150, 150))
    assert (filled[30:50] == crop[30:50]).all()
    assert np.abs(filled[10:29].astype(int) - 180).max() <= 1


@pytest.mark.parametrize("marks", [[], [quad(200, 5, 220, 15)], [quad(-90, -90, -20, -20)]])
def test_without_a_mark_the_crop_is_the_same(marks: list[np.ndarray]):
    assert without_marks(GRAY, marks, quad(10, 10, 20, 20), ALL) is GRAY


def test_without_plain_paper_there_is_nothing_to_fill_from():
    status, reason = without_marks(GRAY, [quad(-50, -50, 150, 150)], quad(300, 300, 400, 400), ALL)
    assert (status, "plain paper" in reason) == ("missed", True)


POINTS = st.lists(st.tuples(st.floats(-20, 60), st.floats(-20, 60)), min_size=3, max_size=3)


@given(POINTS)
def test_coverage_is_that_of_the_exact_region(points: list[tuple[float, float]]):
    """A triangle, in pixels: by OpenCV, drawn finer, and by the region's own exact rule."""
    loop = np.array(points)
    (x0, y0), (x1, y1), (x2, y2) = loop
    if abs((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)) < 40:
        return
    share = covered([loop], 32, 40)
    turned = loop if (x1 - x0) * (y2 - y0) > (x2 - x0) * (y1 - y0) else loop[::-1]
    exact = region_of([turned]).coverage(Box(x_mm=-0.5, y_mm=-0.5, width_mm=40, height_mm=32), 40, 32)
    assert np.abs(share - exact).max() < 0.35
    assert np.abs(share - exact).mean() < 0.02


def test_a_loop_in_a_loop_is_a_hole():
    share = covered([quad(-0.5, -0.5, 39.5, 31.5), quad(9.5, 9.5, 19.5, 19.5)], 32, 40)
    assert share[12:18, 12:18].max() == 0
    assert share[2, 2] == share[25, 30] == 1
