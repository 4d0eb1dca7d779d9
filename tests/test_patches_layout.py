"""Where things are on the paper: nothing overlaps, nothing is lost in the margin, ids never repeat."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calibration.errors import BadConfig, BadInput
from calibration.geometry import Array, Box
from calibration.sheet import PAPERS_MM, SHEET_TAGS, Sheet
from patches.artwork import artwork
from patches.frames import FrameOrder, frame_geometry
from patches.layout import CLEARANCE_MM, MARGIN_MM, QUIET, TAG_MM, SheetOrder, lay_out
from patches.patch import PatchGeometry

ORDER = SheetOrder(
    arm="noise",
    label="stop",
    outline="octagon",
    aspect=1.0,
    geometry=PatchGeometry(),
    paper="A4",
    first_tag_id=8,
    seed=1,
    texture_sha256="0" * 64,
)
HAIR_MM = 1e-6


def quiet_zones(sheet: Sheet) -> list[Box]:
    return [tag.square.grown(tag.square.width_mm * (QUIET - 1) / 2) for tag in sheet.tags]


@given(
    paper=st.sampled_from(sorted(PAPERS_MM)),
    target_mm=st.floats(5, 400),
    aspect=st.floats(0.3, 1.03),
    arm=st.sampled_from(["bare", "noise"]),
)
def test_nothing_overlaps_and_all_is_printable(paper: str, target_mm: float, aspect: float, arm: str):
    order = replace(ORDER, arm=arm, paper=paper, aspect=aspect, geometry=PatchGeometry.around(target_mm))
    try:
        sheet = lay_out(order)
    except BadConfig:
        assume(False)
    crop = sheet.frame.grown(CLEARANCE_MM)
    pieces = [crop, sheet.ruler, *quiet_zones(sheet), *(swatch.box for swatch in sheet.strip)]
    for one, other in combinations([piece.grown(-HAIR_MM) for piece in pieces], 2):
        assert not one.overlaps(other)
    printable = np.array([[MARGIN_MM], [MARGIN_MM]]), np.array([[sheet.width_mm], [sheet.height_mm]]) - MARGIN_MM
    low, high = _printed_extent(sheet)
    assert (low >= printable[0].ravel() - HAIR_MM).all()
    assert (high <= printable[1].ravel() + HAIR_MM).all()
    assert TAG_MM[0] <= sheet.tags[0].square.width_mm <= TAG_MM[1]


def test_sticker_is_centered_and_true():
    sheet = lay_out(ORDER)
    middle = [105, 148.5]
    for box, side in ((sheet.frame, 160), (sheet.inner, 124), (sheet.target.box, 120)):
        assert box.center_mm == pytest.approx(middle)
        assert (box.width_mm, box.height_mm) == (side, side)
    assert sheet.ruler.width_mm == 100
    assert sheet.tags[0].square.width_mm == pytest.approx(38, abs=1)
    colors = [swatch.srgb for swatch in sheet.strip]
    assert len([color for color in colors if len(set(color)) == 1]) == 6
    assert len(set(colors)) >= 14


def test_tags_stand_around_the_frame_in_reading_order():
    sheet = lay_out(ORDER)
    assert [tag.id for tag in sheet.tags] == [8, 9, 10, 11]
    away = np.array([tag.square.center_mm - sheet.frame.center_mm for tag in sheet.tags])
    assert np.sign(away).tolist() == [[-1, -1], [1, -1], [1, 1], [-1, 1]]


def test_window_is_what_is_cut_out():
    assert lay_out(ORDER).window == lay_out(ORDER).inner
    bare = lay_out(replace(ORDER, arm="bare", texture_sha256=None))
    assert bare.window == bare.frame
    assert bare.texture is None


@pytest.mark.parametrize("shape", ["outline", "strips"])
@pytest.mark.parametrize("label", ["stop", "yield"])
def test_a_sticker_of_another_shape_lies_in_the_frame_around_the_target(shape: str, label: str):
    geometry = frame_geometry(artwork(label), 100, FrameOrder(shape))
    order = replace(ORDER, label=label, aspect=artwork(label).aspect, geometry=geometry)
    sheet = lay_out(order)
    assert sheet.sticker is not None
    assert sheet.sticker.window.box == sheet.inner == sheet.window
    assert sheet.sticker.printed.area_mm2 == pytest.approx(geometry.share * 160**2 * (100 / 120) ** 2, rel=1e-4)
    for inner, outer in ((sheet.target.box, sheet.window), (sheet.sticker.printed.box, sheet.frame)):
        assert (inner.corners_mm[0] >= outer.corners_mm[0] - 0.05).all()
        assert (inner.corners_mm[2] <= outer.corners_mm[2] + 0.05).all()
    assert not any(tag.square.overlaps(sheet.frame) for tag in sheet.tags)
    assert Sheet.model_validate_json(sheet.model_dump_json()) == sheet
    assert lay_out(order) == sheet


def test_bare_is_an_open_box_whatever_the_shape():
    geometry = frame_geometry(artwork("stop"), 100, FrameOrder("outline"))
    bare = lay_out(replace(ORDER, arm="bare", texture_sha256=None, geometry=geometry))
    noise = lay_out(replace(ORDER, geometry=geometry))
    assert bare.sticker is None
    assert bare.window == bare.frame == noise.frame
    assert bare.inner == noise.inner


def test_a_square_frame_is_written_as_ever():
    """Serial numbers hash what is written; this one was given before there were other shapes."""
    sheet = lay_out(ORDER)
    assert "sticker" not in sheet.model_dump_json()
    assert sheet.id == "noise-14eccc1d"


def test_target_keeps_its_shape():
    box = lay_out(replace(ORDER, aspect=0.5)).target.box
    assert (box.width_mm, box.height_mm) == (120, 60)


def test_small_paper_gets_smaller_tags_and_a_shorter_ruler():
    sheet = lay_out(replace(ORDER, paper="A5", geometry=PatchGeometry.around(60)))
    assert sheet.ruler.width_mm == 50
    assert sheet.tags[0].square.width_mm < 38


CHANGES = {
    "arm": "flat",
    "label": "yield",
    "paper": "A3",
    "first_tag_id": 12,
    "seed": 2,
    "texture_sha256": "1" * 64,
    "patch": "stop",
    "geometry": PatchGeometry.around(100),
    "shape": frame_geometry(artwork("stop"), 120, FrameOrder("outline")),
}


@pytest.mark.parametrize("key", CHANGES)
def test_id_says_what_the_sheet_is(key: str):
    assert lay_out(ORDER).id == lay_out(ORDER).id
    changed = {"geometry" if key == "shape" else key: CHANGES[key]}
    assert lay_out(ORDER).id != lay_out(replace(ORDER, **changed)).id


@pytest.mark.parametrize("label", ["stop sign, octagonal", "../../etc", "a/b", "Überholverbot"])
def test_files_stay_in_their_folder(label: str):
    sheet = lay_out(replace(ORDER, label=label, arm=label))
    assert sheet.target.label == sheet.arm == label
    for name in (sheet.id, sheet.pdf, sheet.texture, sheet.target.artwork):
        assert name is not None
        assert not set(name) & set("/\\: ,")
        assert not name.startswith(".")


REFUSED = {
    "unknown paper": ({"paper": "B5"}, BadConfig, r"'B5'.*A4"),
    "small paper": ({"paper": "A5"}, BadConfig, r"A5 \(148 x 210 mm\).*160 mm"),
    "high target": ({"aspect": 1.2}, BadConfig, "120 x 144 mm"),
    "flat target": ({"aspect": 0.0}, BadConfig, "120 x 0 mm"),
    "no ids left": ({"first_tag_id": SHEET_TAGS - 3}, BadInput, "497 to 500.*0 to 499"),
    "ids below zero": ({"first_tag_id": -1}, BadInput, "-1 to 2"),
}


@pytest.mark.parametrize(("change", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_laid_out_is_named(change: dict[str, object], error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        lay_out(replace(ORDER, **change))


def test_the_last_ids_are_given():
    assert lay_out(replace(ORDER, first_tag_id=SHEET_TAGS - 4)).tags[-1].id == SHEET_TAGS - 1


def _printed_extent(sheet: Sheet) -> Array:
    """``(2, 2)`` least and greatest x and y of all that is printed, mm."""
    boxes = [sheet.frame, sheet.ruler, *(tag.square for tag in sheet.tags), *(swatch.box for swatch in sheet.strip)]
    corners = np.concatenate([box.corners_mm for box in boxes])
    return np.stack([corners.min(axis=0), corners.max(axis=0)])
