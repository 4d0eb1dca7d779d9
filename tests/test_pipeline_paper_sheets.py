"""The sheets of a lab: one for each arm, ids never twice, made once, all covering the same area."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calibration.errors import BadConfig, BadInput, MissingFile
from calibration.files import read_document, sha256_file
from calibration.sheet import ARMS, Sheet
from calibration.tags import tag_bits
from patches.artwork import artwork
from patches.frames import FrameOrder, frame_geometry
from patches.patch import read_patch, write_patch
from pipeline.lab import Lab, create_lab, open_lab, read_sheets
from pipeline.paper.sheets import make_arm_sheet, make_lab_sheets, make_patch_sheet, target_artwork, write_target

PATCH = "general-caution"


def opened(folder: Path, **flags: object) -> Lab:
    return open_lab(folder, environ={}, user_file=None, flags={key.replace("__", "."): v for key, v in flags.items()})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_lab(tmp_path / "lab", seed=1)
    return tmp_path / "lab"


@pytest.fixture
def lab(folder: Path) -> Lab:
    return opened(folder)


def test_every_arm_has_its_sheet_and_no_tag_comes_twice(lab: Lab):
    sheets = make_lab_sheets(lab, write=True)
    assert set(sheets) == {*ARMS, PATCH}
    assert {arm: sheet.arm for arm, sheet in sheets.items()} == {arm: arm for arm in sheets}
    tags = [tag.id for sheet in sheets.values() for tag in sheet.tags]
    assert len(tags) == len(set(tags)) == 4 * len(sheets)
    assert read_sheets(lab.sheets) == sorted(sheets.values(), key=lambda sheet: sheet.id)


def test_all_arms_cover_the_same_area_at_the_same_place(lab: Lab):
    sheets = list(make_lab_sheets(lab, write=False).values())
    assert len({(sheet.frame, sheet.inner, sheet.target) for sheet in sheets}) == 1
    assert len({tuple(tag.square for tag in sheet.tags) for sheet in sheets}) == 1
    assert {sheet.arm for sheet in sheets if sheet.window == sheet.frame} == {"bare"}
    assert {sheet.arm for sheet in sheets if sheet.texture_sha256 is None} == {"bare"}
    printed = [sheet.texture_sha256 for sheet in sheets if sheet.texture_sha256]
    assert len(printed) == len(set(printed)), "no two arms print the same"


def test_the_same_again_is_the_same_sheet(lab: Lab):
    first = make_lab_sheets(lab, write=True)
    kept = {path.name: path.read_bytes() for path in lab.sheets.iterdir()}
    assert make_lab_sheets(lab, write=True) == first
    assert {path.name: path.read_bytes() for path in lab.sheets.iterdir()} == kept


def test_two_labs_make_the_same_files(folder: Path, tmp_path: Path):
    create_lab(tmp_path / "other", seed=1)
    for each in (folder, tmp_path / "other"):
        make_lab_sheets(opened(each), write=True)
    there, here = (
        {path.name: path.read_bytes() for path in (each / "sheets").iterdir()} for each in (tmp_path / "other", folder)
    )
    assert there == here


def test_without_writing_nothing_is_written(lab: Lab):
    before = sorted(lab.folder.rglob("*"))
    make_lab_sheets(lab, write=False)
    assert make_arm_sheet(lab, "blank", lab.folder / "elsewhere", write=False).pdf.name.startswith("blank-")
    assert sorted(lab.folder.rglob("*")) == before


@pytest.mark.parametrize(
    "change", [{"lab__seed": 2}, {"sheet__paper": "A3"}, {"target__width_mm": 25.0}, {"target__label": "stop"}]
)
def test_another_content_is_another_sheet_beside_the_old_one(folder: Path, change: dict[str, object]):
    lab = opened(folder)
    old = make_arm_sheet(lab, "noise", None, write=True)
    new = make_arm_sheet(opened(folder, **change), "noise", None, write=True)
    assert new.sheet.id != old.sheet.id
    assert not new.sheet.tag_ids & old.sheet.tag_ids
    assert old.pdf.is_file()
    assert new.pdf.is_file()


def test_what_is_written_is_what_is_declared(lab: Lab):
    made = make_arm_sheet(lab, "flat", None, write=True)
    assert read_document(made.json, Sheet) == made.sheet
    assert made.pdf.read_bytes().startswith(b"%PDF")
    assert sha256_file(lab.sheets / made.sheet.texture) == made.sheet.texture_sha256
    assert (lab.sheets / made.sheet.target.artwork).is_file()


def test_a_sheet_made_elsewhere_is_the_lab_s_own_or_has_other_tags(lab: Lab, tmp_path: Path):
    ours = make_lab_sheets(lab, write=True)
    same = make_arm_sheet(lab, "blank", tmp_path / "paper", write=True)
    assert same.sheet == ours["blank"]
    assert same.pdf.read_bytes() == (lab.sheets / same.sheet.pdf).read_bytes()
    larger = make_arm_sheet(opened(lab.folder, sheet__paper="A3"), "blank", tmp_path / "paper", write=True)
    assert not larger.sheet.tag_ids & {tag for sheet in ours.values() for tag in sheet.tag_ids}


def test_no_tags_are_left_when_all_of_them_are_used_up(lab: Lab):
    first = make_arm_sheet(lab, "bare", None, write=False).sheet
    for number in range(125):
        tags = [tag.model_copy(update={"id": 4 * number + i}) for i, tag in enumerate(first.tags)]
        old = first.model_copy(update={"id": f"old-{number}", "tags": tags})
        (lab.sheets / f"{old.id}.json").write_text(old.model_dump_json())
    with pytest.raises(BadInput, match="sheets have 0 to 499"):
        make_arm_sheet(lab, "noise", None, write=False)


def test_no_sheet_has_a_tag_that_another_looks_like(lab: Lab):
    path = lab.patches / f"{PATCH}.json"
    document, texture = read_patch(path)
    geometry = document.geometry.model_copy(update={"inner_mm": document.geometry.outer_mm / 2, "target_mm": 20.0})
    for number, left in ((1, 2), (6, 20)):
        bits = tag_bits(number)
        texture[2:12, left : left + 10] = np.where(bits, 255, 0)[..., None]
    write_patch(lab.patches, texture, document.model_copy(update={"geometry": geometry}))
    sheet = make_arm_sheet(lab, PATCH, None, write=True).sheet
    assert sheet.ghosts == [1, 6]
    assert sheet.tag_ids == {2, 3, 4, 5}
    assert make_arm_sheet(lab, PATCH, None, write=True).sheet == sheet
    (lab.sheets / f"{sheet.id}.json").write_text(sheet.model_copy(update={"ghosts": [1, 7]}).model_dump_json())
    assert make_arm_sheet(lab, "blank", None, write=True).sheet.tag_ids == {8, 9, 10, 11}


# Patches


def test_a_patch_is_printed_with_its_target_and_its_name(lab: Lab):
    stop = make_patch_sheet(lab, "stop", None, write=True).sheet
    assert (stop.arm, stop.patch, stop.target.label, stop.target.outline) == ("stop", "stop", "stop", "octagon")
    wrong = make_arm_sheet(lab, "wrong-class", None, write=True).sheet
    assert (wrong.arm, wrong.patch, wrong.target.label) == ("wrong-class", "stop", PATCH)
    assert wrong.texture_sha256 == stop.texture_sha256


def test_the_patch_grows_with_the_target(folder: Path):
    small, large = (
        make_arm_sheet(opened(folder, target__width_mm=w), PATCH, None, write=False).sheet for w in (20.0, 40.0)
    )
    assert np.isclose(large.frame.width_mm, 2 * small.frame.width_mm)
    assert np.isclose(large.inner.width_mm, 2 * small.inner.width_mm)
    assert large.texture_sha256 == small.texture_sha256


def test_wrong_class_is_left_out_where_there_is_no_other_patch(folder: Path):
    lab = opened(folder, train__wrong_class="yield")
    assert set(make_lab_sheets(lab, write=False)) == {*ARMS, PATCH} - {"wrong-class"}
    with pytest.raises(BadInput, match="patch of another class"):
        make_arm_sheet(lab, "wrong-class", None, write=False)


def test_the_target_s_own_patch_is_no_wrong_class(folder: Path):
    with pytest.raises(BadInput, match="the target's own class"):
        make_lab_sheets(opened(folder, train__wrong_class=PATCH), write=False)


def test_the_lab_s_patch_goes_before_the_one_that_ships(lab: Lab):
    shipped = make_arm_sheet(lab, PATCH, None, write=False).sheet
    for suffix in (".json", ".png"):
        text = (lab.patches / f"stop{suffix}").read_bytes()
        (lab.patches / f"{PATCH}{suffix}").write_bytes(text.replace(b'"stop.png"', f'"{PATCH}.png"'.encode()))
    assert make_arm_sheet(lab, PATCH, None, write=False).sheet.texture_sha256 != shipped.texture_sha256
    shutil.rmtree(lab.patches)
    assert make_arm_sheet(lab, PATCH, None, write=False).sheet == shipped


def test_an_unknown_arm_names_the_known_ones(lab: Lab):
    with pytest.raises(MissingFile, match="no arm or patch 'glitter'; controls are bare, blank") as caught:
        make_arm_sheet(lab, "glitter", None, write=False)
    assert caught.value.hint == "dpcam train glitter"


# The shape of the frame


@pytest.mark.parametrize("shape", ["outline", "strips", "mask"])
def test_all_arms_cover_the_shape_that_the_lab_asks_for(folder: Path, shape: str):
    mask = np.full((80, 80), 255, np.uint8)
    mask[12:68, 12:68] = 0
    mask[40, 70:] = 0
    Image.fromarray(np.dstack([mask, mask])).save(folder / "mask.png")
    shutil.rmtree(folder / "patches")
    flags = {"patch__shape": shape, "target__label": "yield", "verdict__arm": "mine"}
    lab = opened(folder, **flags, patch__mask="mask.png" if shape == "mask" else None)
    sheets = [make_arm_sheet(lab, arm, None, write=True).sheet for arm in ARMS]
    assert {sheet.arm for sheet in sheets if sheet.sticker is None} == {"bare"}
    assert len({sheet.sticker for sheet in sheets if sheet.sticker}) == 1
    assert len({(sheet.frame, sheet.inner, sheet.target) for sheet in sheets}) == 1
    printed = [sheet.texture_sha256 for sheet in sheets if sheet.texture_sha256]
    assert len(printed) == len(set(printed))
    assert [make_arm_sheet(lab, arm, None, write=True).sheet for arm in ARMS] == sheets


def test_a_patch_keeps_its_own_shape_and_grows_with_the_target(folder: Path):
    square = make_arm_sheet(opened(folder, patch__shape="outline"), "blank", None, write=False).sheet
    assert square.sticker is None, "the lab's patch is there, and it is a square one"
    give_shape(folder, "outline")
    small, large = (
        make_arm_sheet(opened(folder, target__width_mm=w), PATCH, None, write=False).sheet for w in (20.0, 40.0)
    )
    assert large.sticker.printed.area_mm2 == pytest.approx(4 * small.sticker.printed.area_mm2, rel=1e-3)


def test_a_wrong_class_of_another_shape_is_spread_over_this_one(folder: Path):
    square = make_arm_sheet(opened(folder), "wrong-class", folder / "square", write=True)
    give_shape(folder, "outline")
    made = make_arm_sheet(opened(folder), "wrong-class", folder / "ring", write=True)
    assert made.sheet.sticker is not None
    theirs, ours = (np.array(Image.open(each.pdf.with_name(each.sheet.texture))) for each in (square, made))
    ring = read_patch(folder / "patches" / "stop.json")[0].geometry.ring()
    assert np.array_equal(ours[ring], theirs[ring])
    assert not np.array_equal(ours, theirs)


def give_shape(folder: Path, shape: str) -> None:
    """Make the lab's patch one of another shape."""
    path = folder / "patches" / f"{PATCH}.json"
    document, texture = read_patch(path)
    geometry = frame_geometry(artwork(PATCH), document.geometry.target_mm, FrameOrder(shape))
    write_patch(path.parent, texture, document.model_copy(update={"geometry": geometry}))


IMPOSSIBLE = {
    "mask that is not there": ({"shape": "mask", "mask": "gone.png"}, MissingFile, "gone.png"),
    "mask for a ring": ({"shape": "outline", "mask": "empty.png"}, BadInput, "no other shape takes one"),
    "no mask": ({"shape": "mask"}, BadInput, "needs a mask"),
    "empty mask": ({"shape": "mask", "mask": "empty.png"}, BadInput, "the mask is empty"),
    "oblong mask": ({"shape": "mask", "mask": "oblong.png"}, BadInput, "must be one, got 20 x 10 px"),
    "texels too large": ({"shape": "outline", "thickness_mm": 0.2}, BadInput, "texels"),
}


@pytest.mark.parametrize(("patch", "error", "words"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_frame_is_named(folder: Path, patch: dict[str, object], error: type[Exception], words: str):
    shutil.rmtree(folder / "patches")
    Image.new("RGBA", (20, 20)).save(folder / "empty.png")
    Image.new("RGBA", (20, 10), (0, 0, 0, 255)).save(folder / "oblong.png")
    lab = opened(folder, verdict__arm="mine", **{f"patch__{key}": value for key, value in patch.items()})
    with pytest.raises(error, match=words):
        make_arm_sheet(lab, "blank", None, write=False)


# The target


def test_the_lab_s_own_artwork_is_the_target(folder: Path):
    Image.fromarray(np.full((60, 40, 3), 90, np.uint8)).save(folder / "mine.png")
    lab = opened(folder, target__artwork="mine.png")
    assert target_artwork(lab).aspect == 1.5
    assert target_artwork(lab, "stop").aspect != 1.5
    assert write_target(lab, folder / "out").read_bytes().startswith(b"%PDF")
    with pytest.raises(MissingFile, match=r"gone\.png"):
        target_artwork(opened(folder, target__artwork="gone.png"))


def test_a_target_too_large_for_the_paper_is_refused(folder: Path):
    with pytest.raises(BadConfig, match="A4"):
        make_lab_sheets(opened(folder, target__width_mm=200.0), write=False)


def test_another_picture_of_the_same_class_makes_another_sheet(folder: Path):
    before = make_lab_sheets(opened(folder), write=True)["bare"]
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="red"/></svg>'
    )
    (folder / "mine.svg").write_text(drawing)
    after = make_lab_sheets(opened(folder, target__artwork="mine.svg"), write=True)["bare"]
    assert after.id != before.id
    assert not after.tag_ids & before.tag_ids
    assert make_lab_sheets(opened(folder), write=False)["bare"] == before
