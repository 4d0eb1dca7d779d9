"""What is printed must not look like a tag, nor spoil one: it is found, and gives way or is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_patches_layout import ORDER

from calibration.errors import BadInput
from calibration.geometry import Box
from calibration.sheet import TAG_COUNT, Sheet
from calibration.tags import tag_bits
from patches.artwork import Artwork, artwork, load_artwork
from patches.interference import CORNER_PX, Interference, free_ids, settled, tag_interference
from patches.layout import lay_out
from patches.patch import PatchGeometry, read_patch
from pipeline.lab import shipped_patches

SIGN = artwork("stop")
WIDE = PatchGeometry(target_mm=60, inner_mm=64, outer_mm=160, texel_mm=2)


def noise(seed: int = 3, size: int = 80) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def with_tag(number: int, texels: int = 1, at: tuple[int, int] = (4, 4)) -> np.ndarray:
    """Noise with a tag in it, so many texels to a cell."""
    texture = noise()
    bits = np.where(tag_bits(number), 255, 0).astype(np.uint8).repeat(texels, 0).repeat(texels, 1)
    texture[at[0] : at[0] + len(bits), at[1] : at[1] + len(bits)] = bits[..., None]
    return texture


def test_what_is_clean_is_left_alone():
    for path in sorted(shipped_patches().glob("*.json")):
        document, texture = read_patch(path)
        order = replace(ORDER, geometry=document.geometry)
        found = tag_interference(lay_out(order), texture, SIGN)
        assert (found.ghosts, found.spoiled) == (frozenset(), frozenset())
        assert 0 < found.corner_px < CORNER_PX / 2
        assert settled(order, lambda sheet, texture=texture: tag_interference(sheet, texture, SIGN)) == lay_out(order)


def test_the_largest_paper_is_looked_at_from_near_enough():
    sheet = lay_out(replace(ORDER, paper="5000x5000"))
    assert not tag_interference(sheet, noise(), SIGN).spoiled


@pytest.mark.parametrize("paper", ["A4", "A3"])
@pytest.mark.parametrize("texels", [1, 2])
@pytest.mark.parametrize("number", [9, 300])
def test_texels_that_look_like_a_tag_are_seen(number: int, texels: int, paper: str):
    sheet = lay_out(replace(ORDER, geometry=WIDE, paper=paper))
    found = tag_interference(sheet, with_tag(number, texels), SIGN)
    assert found.ghosts == {number}
    assert not found.spoiled


def test_a_ghost_is_seen_however_small_its_texels():
    geometry = WIDE.scaled(0.2)
    assert tag_interference(lay_out(replace(ORDER, geometry=geometry)), with_tag(77), SIGN).ghosts == {77}


def test_a_target_that_shows_a_tag_is_seen(tmp_path: Path):
    bits = np.kron(tag_bits(5), np.ones((2, 2)))
    cells = "".join(f'<rect x="{x}" y="{y}" width="1.02" height="1.02"/>' for y, x in np.argwhere(bits == 0))
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">{cells}</svg>'
    (tmp_path / "own.svg").write_text(drawing)
    own: Artwork = load_artwork(tmp_path / "own.svg", "box")
    assert tag_interference(lay_out(ORDER), noise(), own).ghosts == {5}


def moved(sheet: Sheet, into_mm: float) -> Sheet:
    """The first tag moved down, until it reaches so far into the frame."""
    square = sheet.tags[0].square
    down = sheet.frame.y_mm - square.y_mm - square.height_mm + into_mm
    placed = Box(x_mm=square.x_mm, y_mm=square.y_mm + down, width_mm=square.width_mm, height_mm=square.height_mm)
    tag = sheet.tags[0].model_copy(update={"square": placed})
    return sheet.model_copy(update={"tags": [tag, *sheet.tags[1:]]})


def test_a_tag_that_reaches_into_the_frame_is_spoiled():
    sheet = lay_out(ORDER)
    assert tag_interference(moved(sheet, -6), noise(), SIGN).spoiled == frozenset()
    assert tag_interference(moved(sheet, 1), np.zeros((80, 80, 3), np.uint8), SIGN).spoiled == {8}


# What is done about it


@pytest.mark.parametrize(("ghost", "first"), [(9, 10), (8, 9), (11, 12), (12, 8), (7, 8)])
def test_tags_give_way_to_ghosts(ghost: int, first: int):
    texture = with_tag(ghost, 2)
    sheet = settled(replace(ORDER, geometry=WIDE), lambda sheet: tag_interference(sheet, texture, SIGN))
    assert [tag.id for tag in sheet.tags] == list(range(first, first + 4))
    assert sheet.ghosts == [ghost]
    assert sheet == settled(replace(ORDER, geometry=WIDE), lambda sheet: tag_interference(sheet, texture, SIGN))
    assert Sheet.model_validate_json(sheet.model_dump_json()) == sheet


def test_two_ghosts_in_a_row():
    texture = with_tag(9, 2)
    texture[-24:-4, 4:24] = with_tag(12, 2)[4:24, 4:24]
    sheet = settled(replace(ORDER, geometry=WIDE), lambda sheet: tag_interference(sheet, texture, SIGN))
    assert sheet.ghosts == [9, 12]
    assert sheet.tags[0].id == 13


def test_spoiled_tags_go_away_from_the_frame():
    def look(sheet: Sheet) -> Interference:
        off = sheet.frame.y_mm - sheet.tags[0].square.y_mm - sheet.tags[0].square.height_mm
        return Interference(spoiled=frozenset({8})) if off < 20 else Interference()

    order = replace(ORDER, paper="A3", geometry=PatchGeometry.around(80))
    near, far = lay_out(order), settled(order, look)
    assert far != near
    for one, other in zip(near.tags, far.tags, strict=True):
        middle = near.frame.center_mm
        assert (np.abs(other.square.center_mm - middle) > np.abs(one.square.center_mm - middle)).all()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Interference(spoiled=frozenset({8, 9})), r"'noise' gets in the way of the tags: spoiled \[8, 9\]"),
        (Interference(ghosts=frozenset(range(8, TAG_COUNT))), "sheets have 0 to 499"),
    ],
)
def test_what_no_layout_helps_is_refused(found: Interference, words: str):
    with pytest.raises(BadInput, match=words):
        settled(ORDER, lambda sheet: found)


@pytest.mark.parametrize(
    ("first", "avoided", "free"), [(0, set(), 0), (4, {3, 8}, 4), (4, {7}, 8), (0, {1, 4, 9}, 5), (0, {0, 1, 2, 3}, 4)]
)
def test_ids_between_those_avoided(first: int, avoided: set[int], free: int):
    assert free_ids(first, frozenset(avoided)) == free
