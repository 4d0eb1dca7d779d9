"""Areas on paper: their size, where they are, and how much of each pixel they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import BadConfig
from calibration.files import parse_document
from calibration.geometry import Box
from calibration.region import Region, Sticker, region_of

SQUARE = np.array([[0.0, 0.0], [10, 0], [10, 10], [0, 10]])
HOLE = np.array([[2.0, 2.0], [2, 6], [8, 6], [8, 2]])
PAGE = Box(x_mm=-20, y_mm=-20, width_mm=40, height_mm=40)


def star(corners: int, inner: float, turn: float) -> np.ndarray:
    """A polygon that is not convex, around the origin."""
    angles = turn + np.arange(2 * corners) * math.pi / corners
    radii = np.where(np.arange(2 * corners) % 2, inner, 12.0)
    return radii[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])


def test_holes_do_not_count():
    region = region_of([SQUARE, HOLE])
    assert region.area_mm2 == pytest.approx(100 - 24)
    assert region.box == Box(x_mm=0, y_mm=0, width_mm=10, height_mm=10)


def test_moved_and_scaled():
    region = region_of([SQUARE, HOLE]).moved(np.array([3.0, -1.0]))
    assert region.box.corners_mm[0].tolist() == [3, -1]
    assert region.scaled(2).area_mm2 == pytest.approx(4 * 76)
    both = Sticker(printed=region_of([SQUARE]), window=region_of([SQUARE * 2])).moved(np.ones(2)).scaled(0.5)
    assert (both.printed.box.x_mm, both.window.box.width_mm) == (0.5, 10)


def test_coverage_of_a_square_is_exact_along_rows_and_nearly_so_along_columns():
    region = region_of([np.array([[0.0, 0.0], [1.5, 0], [1.5, 2.25], [0, 2.25]])])
    found = region.coverage(Box(x_mm=-1, y_mm=0, width_mm=4, height_mm=4), 4, 4)
    across, down = [0, 1, 0.5, 0], [1, 1, 0.25, 0]
    np.testing.assert_allclose(found, np.outer(down, across), atol=1e-6)


@given(st.integers(3, 9), st.floats(3, 11), st.floats(0, 6), st.integers(20, 90))
def test_coverage_adds_up_to_the_area(corners: int, inner: float, turn: float, size: int):
    region = region_of([star(corners, inner, turn)])
    covered = region.coverage(PAGE, size, size)
    assert covered.min() >= 0
    assert covered.max() <= 1 + 1e-6
    assert covered.sum() * (40 / size) ** 2 == pytest.approx(region.area_mm2, rel=0.01)


def test_what_lies_beyond_the_raster_is_cut_off():
    region = region_of([SQUARE * 10 - 50])
    assert region.coverage(Box(x_mm=0, y_mm=0, width_mm=4, height_mm=4), 5, 3).min() == 1
    assert region.coverage(Box(x_mm=60, y_mm=0, width_mm=4, height_mm=4), 5, 3).max() == 0


@given(st.integers(3, 9), st.floats(3, 11), st.floats(0, 6))
def test_round_trip(corners: int, inner: float, turn: float):
    region = region_of([star(corners, inner, turn)])
    assert Region.model_validate_json(region.model_dump_json()) == region
    assert region.moved(np.zeros(2)) == region


@pytest.mark.parametrize(
    ("loops", "words"),
    [
        ([], "loops_mm"),
        ([[[0, 0], [1, 0]]], "loops_mm.0"),
        ([[[0, 0], [1, 0], [0, "x"]]], "loops_mm.0"),
        ([[[0, 0], [1, 0], [0, float("nan")]]], "finite"),
        ([[[0, 0], [1, 1], [2, 2]]], "no area"),
        ([SQUARE[::-1].tolist()], "clockwise"),
    ],
)
def test_impossible_regions_are_refused(loops: list, words: str):
    with pytest.raises(BadConfig, match=words):
        parse_document({"loops_mm": loops}, Region, where="region.json")
