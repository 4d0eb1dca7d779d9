"""The sheet as a document."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import corner_tags, sheet_with, tag_at
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import BadConfig
from calibration.files import parse_document, read_document, write_document
from calibration.geometry import Box
from calibration.sheet import ARMS, PAPERS_MM, TAG_COUNT, Sheet, Tag

floats = st.floats(-1000, 1000, allow_nan=False)
boxes = st.builds(Box, x_mm=floats, y_mm=floats, width_mm=floats, height_mm=floats)
tags = st.lists(
    st.builds(Tag, id=st.integers(0, TAG_COUNT - 1), square=boxes), min_size=1, max_size=6, unique_by=lambda tag: tag.id
)


@given(tags, boxes, st.sampled_from(ARMS), st.integers(0, 2**32))
def test_document_round_trip(tags, frame, arm, seed):
    sheet = sheet_with(tags, arm=arm, frame=frame, seed=seed)
    assert parse_document(sheet.model_dump(mode="json"), Sheet, where="sheet.json") == sheet
    assert sheet.tag_ids == {tag.id for tag in tags}


def test_through_a_file(tmp_path):
    sheet = sheet_with(
        corner_tags(),
        texture="texture.png",
        strip=[{"srgb": (1, 2, 3), "box": Box(x_mm=0, y_mm=0, width_mm=1, height_mm=1)}],
    )
    write_document(tmp_path / "sheet.json", sheet)
    assert read_document(tmp_path / "sheet.json", Sheet) == sheet


def test_corners_are_clockwise_from_the_top_left():
    sheet = sheet_with([tag_at(3, 10, 20, 5)])
    np.testing.assert_allclose(sheet.tag_corners_mm()[3], [[10, 20], [15, 20], [15, 25], [10, 25]])
    np.testing.assert_allclose(sheet.outline_mm()[2], [sheet.width_mm, sheet.height_mm])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tags": [tag_at(3, 0, 0), tag_at(3, 50, 0)]}, "unique.*3, 3"),
        ({"tags": []}, "tags"),
        ({"tags": [{"id": TAG_COUNT, "square": Box(x_mm=0, y_mm=0, width_mm=1, height_mm=1)}]}, "587"),
        ({"width_mm": 0}, "width_mm"),
        ({"format": "dpcam.plan"}, "format"),
        ({"version": 2}, "version"),
        ({"tag_family": "tag25h9"}, "tag_family"),
        ({"serial": "x"}, "serial"),
    ],
)
def test_impossible_sheets_are_refused(change, words):
    whole = sheet_with(corner_tags()).model_dump() | change
    with pytest.raises(BadConfig, match=words):
        parse_document(whole, Sheet, where="sheet.json")


def test_papers_are_portrait():
    assert all(width < height for width, height in PAPERS_MM.values())
