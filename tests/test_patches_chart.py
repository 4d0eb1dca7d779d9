"""The color chart as a sheet: what is on it, where, and that it is drawn so."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from calibration.color_fit import MIN_COLORS
from calibration.errors import BadConfig, BadInput
from calibration.sheet import TAG_COUNT, Sheet
from calibration.tags import detect_full, to_gray
from patches.chart import BETWEEN, GRAYS, LEVELS, WHITE, ChartOrder, chart_colors, chart_pdf, lay_out_chart
from patches.raster import rasterize

DPI = 100


@pytest.mark.parametrize("paper", ["A4", "Letter", "A3", "300x400"])
def test_a_chart_fits_its_paper(paper: str):
    chart = lay_out_chart(ChartOrder(paper))
    boxes = [field.box for field in chart.strip] + [tag.square.grown(3) for tag in chart.tags]
    corners = np.concatenate([box.corners_mm for box in boxes])
    assert corners.min() >= 5.9
    assert (corners <= np.array([chart.width_mm, chart.height_mm]) - 5.9).all()
    assert not any(tag.square.grown(3).overlaps(field.box) for tag in chart.tags for field in chart.strip)
    assert Sheet.model_validate_json(chart.model_dump_json()) == chart


def test_its_colors_cover_the_cube_and_blank_paper_the_page():
    colors = Counter(chart_colors(0))
    steps = {(r, g, b) for r in LEVELS for g in LEVELS for b in LEVELS}
    assert steps <= set(colors)
    assert {(gray, gray, gray) for gray in GRAYS} <= set(colors)
    assert len(set(colors) - steps) == len(GRAYS) + BETWEEN
    assert len(colors) > MIN_COLORS
    assert colors.pop(WHITE) == 30
    assert set(colors.values()) == {1}


def test_the_seed_moves_colors_and_names_the_chart():
    one, same, other = (lay_out_chart(ChartOrder(seed=seed)) for seed in (0, 0, 1))
    assert one == same
    assert one.id != other.id
    assert [field.box for field in one.strip] == [field.box for field in other.strip]
    assert chart_pdf(one) == chart_pdf(same)


@pytest.mark.parametrize(
    ("order", "error", "said"),
    [
        (ChartOrder("100x150"), BadConfig, "too small"),
        (ChartOrder("B7"), BadConfig, "unknown paper"),
        (ChartOrder(first_tag_id=TAG_COUNT - 3), BadInput, "the family has 0 to 586"),
        (ChartOrder(first_tag_id=-1), BadInput, "the family has 0 to 586"),
    ],
)
def test_charts_that_cannot_be(order: ChartOrder, error: type[BadInput], said: str):
    with pytest.raises(error, match=said):
        lay_out_chart(order)


def test_what_is_drawn_is_what_the_sheet_says():
    chart = lay_out_chart(ChartOrder(date="2026-11-22", operator="Ada"))
    page = rasterize(chart_pdf(chart), DPI)
    size_px = np.array([page.shape[1], page.shape[0]])
    mm = np.array([chart.width_mm, chart.height_mm]) / size_px
    np.testing.assert_allclose(mm, 25.4 / DPI, rtol=1e-3)
    # The last row and column may be partly beyond the page; pixels are exactly so many to the inch.
    mm = np.full(2, 25.4 / DPI)
    for field in chart.strip:
        x, y = (field.box.center_mm / mm).astype(int)
        np.testing.assert_allclose(page[y, x], field.srgb, atol=1)
    found = {tag.id: (tag.corners + 0.5) * mm for tag in detect_full(to_gray(page))}
    known = chart.tag_corners_mm()
    assert set(found) == set(known)
    assert max(np.abs(found[tag] - known[tag]).max() for tag in known) < 0.1
