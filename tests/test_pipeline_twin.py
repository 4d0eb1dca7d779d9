"""Rendering, colors and sums of twins, against numbers that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sessions import sheet

from calibration.camera import CameraModel
from calibration.geometry import Box
from calibration.region import Region
from calibration.sheet import Tag
from pipeline.twin.color import PrintColor, TagLevels, print_color, tag_levels, white_over
from pipeline.twin.figure import twin_png
from pipeline.twin.gap import ladders
from pipeline.twin.ladder import RUNGS, Change, Measures, TwinAnswer, Twins
from pipeline.twin.place import Place, shift_between, together
from pipeline.twin.render import (
    Layer,
    Print,
    Sight,
    blurred,
    draw,
    exchanged,
    into,
    laid_over,
    lit,
    out_of,
    pasted,
    tag_print,
)

BOX = Box(x_mm=10, y_mm=20, width_mm=40, height_mm=40)
HOLE = Box(x_mm=20, y_mm=30, width_mm=20, height_mm=20)
TILTED = np.array([[2.0, 0.1, 30.0], [-0.05, 1.9, 20.0], [1e-4, 2e-4, 1.0]])
SHAPE = (240, 320, 3)
LENS = CameraModel(camera="x", width=320, height=240, fx=300, fy=300, cx=160, cy=120, distortion=(-0.1, 0.01, 0, 0, 0))
GRAY = np.full((4, 4, 3), 0.5)


# Rendering


@pytest.mark.parametrize("camera", [None, LENS])
def test_a_print_covers_the_area_within_its_outline(camera: CameraModel | None):
    sight = Sight(TILTED, camera)
    layer = draw(Print(GRAY, BOX), sight, SHAPE, "code")
    corners = sight.to_image(BOX.corners_mm)
    share = np.linspace(0, 1, 50, endpoint=False)[None, :, None]
    outline = BOX.corners_mm[:, None] * (1 - share) + np.roll(BOX.corners_mm, -1, axis=0)[:, None] * share
    x, y = sight.to_image(outline.reshape(-1, 2)).T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert layer.cover.sum() == pytest.approx(area, rel=2e-3)
    assert sight.to_sheet(corners) == pytest.approx(BOX.corners_mm, abs=1e-4)


def test_a_pixel_is_the_mean_over_its_area_and_not_a_point():
    stripes = np.zeros((2, 40, 3))
    stripes[:, ::2] = 1
    sight = Sight(np.diag([0.2, 0.2, 1.0]), None)
    layer = draw(Print(stripes, BOX), sight, SHAPE, "code")
    inside = layer.cover > 0.999
    assert layer.color[inside] == pytest.approx(0.5, abs=0.06), "five stripes in each pixel"


def test_a_texel_lies_where_pixel_centers_say():
    texture = np.zeros((40, 40, 3))
    texture[7, 5] = 1
    layer = draw(Print(texture, BOX), Sight(np.eye(3), None), SHAPE, "code")
    # Its middle is at 15.5, 27.5 mm, which are pixels here: between two of them.
    total = layer.color[..., 0].sum()
    x = (layer.color[..., 0].sum(axis=0) @ (np.arange(layer.cover.shape[1]) + layer.left)) / total
    y = (layer.color[..., 0].sum(axis=1) @ (np.arange(layer.cover.shape[0]) + layer.top)) / total
    assert (x, y) == pytest.approx((15.5, 27.5), abs=1e-6)


def test_a_hole_and_a_region_say_what_is_printed():
    frame = draw(Print(GRAY, BOX, hole=HOLE), Sight(np.eye(3), None), SHAPE, "code")
    ring = Region(loops_mm=(tuple(map(tuple, BOX.corners_mm)), tuple(map(tuple, HOLE.corners_mm[::-1]))))
    region = draw(Print(GRAY, BOX, region=ring), Sight(np.eye(3), None), SHAPE, "code")
    assert frame.cover.sum() == pytest.approx(40 * 40 - 20 * 20, rel=1e-3)
    assert region.cover == pytest.approx(frame.cover, abs=0.02)


def test_blur_moves_color_and_loses_none():
    sharp = draw(Print(GRAY, BOX, hole=HOLE), Sight(np.eye(3), None), SHAPE, "light", margin_px=10)
    soft = blurred(sharp, 1.5)
    assert soft.color.sum() == pytest.approx(sharp.color.sum(), rel=1e-3)
    assert soft.cover.max() < sharp.cover.max() + 1e-9
    assert blurred(sharp, 0.0) is sharp


@pytest.mark.parametrize("space", ["light", "code"])
def test_a_patch_exchanged_for_paper_is_the_patch_photographed(space):
    """A blurred picture of paper, its paper exchanged for a patch, is the blurred picture of the patch."""
    sight, paper, patch = Sight(TILTED, None), np.ones((1, 1, 3)), np.random.default_rng(1).random((8, 8, 3))
    black = np.zeros(SHAPE, np.uint8)

    def photographed(texture: np.ndarray) -> np.ndarray:
        layer = blurred(draw(Print(texture, BOX, hole=HOLE), sight, SHAPE, space, margin_px=8), 1.2)
        return pasted(black, layer, laid_over(black, layer))

    layers = [blurred(draw(Print(t, BOX, hole=HOLE), sight, SHAPE, space, margin_px=8), 1.2) for t in (paper, patch)]
    instead, layer = layers
    twin = pasted(photographed(paper), layer, exchanged(photographed(paper), instead, layer))
    off = np.abs(twin.astype(int) - photographed(patch))[layer.rows, layer.columns]
    # Along the rim, half a level of white paper is several levels of a dark patch's light.
    assert np.quantile(off, 0.99) <= 4
    assert off.mean() < 0.5


def test_light_is_a_factor_on_code_values():
    layer = draw(Print(GRAY, BOX), Sight(np.eye(3), None), SHAPE, "light")
    white = np.full((*layer.cover.shape, 3), 0.6)
    part = laid_over(np.zeros(SHAPE, np.uint8), lit(layer, white))
    assert part[layer.cover > 0.999] == pytest.approx(0.3)


def test_what_is_outside_of_the_picture_is_no_layer():
    assert draw(Print(GRAY, BOX), Sight(np.array([[1, 0, 900.0], [0, 1, 0], [0, 0, 1]]), None), SHAPE, "code") is None


# Place


def test_a_sticker_is_found_where_it_is_under_another_light():
    texture, sight, rng = np.random.default_rng(5).random((20, 20, 3)), Sight(TILTED, None), np.random.default_rng(6)
    where, step = np.array([0.3, -0.2]), 0.5

    def at(offset: np.ndarray) -> Layer:
        x, y = offset
        moved = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
        return blurred(draw(Print(texture, BOX, hole=HOLE, moved=moved), sight, SHAPE, "code", margin_px=6), 1.0)

    gray = np.full(SHAPE, 120, np.uint8)
    seen = at(where)
    part = 0.1 + 0.7 * laid_over(gray, seen) + rng.normal(0, 0.01, (*seen.cover.shape, 3))
    picture = pasted(gray, seen, part)
    offset = np.zeros(2)
    for _ in range(4):
        layers = (at(offset + beside) for beside in ([0.0, 0.0], [step, 0.0], [0.0, step]))
        found = shift_between(picture, *layers, step)
        offset = offset + found.shift_mm
    assert offset == pytest.approx(where, abs=0.03)
    assert found.error_mm < 0.03


def test_flat_color_does_not_tell_where_it_is():
    layer = draw(Print(GRAY, BOX), Sight(np.eye(3), None), SHAPE, "code")
    assert shift_between(np.zeros(SHAPE, np.uint8), layer, layer, layer, 0.5) is None


def test_pictures_that_disagree_are_less_sure_together():
    close, apart = ([Place(np.array([x, 0.0]), 0.1) for x in xs] for xs in ((1.0, 1.01, 0.99), (0.0, 1.0, 2.0)))
    assert together(close).shift_mm == pytest.approx([1.0, 0.0])
    assert together(close).error_mm == pytest.approx(0.1 / np.sqrt(3))
    assert together(apart).error_mm > 0.3
    assert together(close).sure
    assert together([]) is None


# Color


def levels(white: tuple[float, float, float], at: tuple[float, float], black: float = 0.1) -> TagLevels:
    return TagLevels(np.full(3, black), np.array(white), np.array(at), 0.0)


def test_the_white_between_tags_is_a_plane_and_paper_bends_it():
    tags = [levels((0.5 + x / 1000,) * 3, (x, y)) for x in (0.0, 100.0) for y in (0.0, 100.0)]
    assert white_over(tags).at(np.array([[50.0, 50.0]]))[0] == pytest.approx([0.55] * 3)
    places = np.random.default_rng(0).uniform(0, 100, (200, 2))
    seen = np.repeat((0.5 + places[:, :1] / 1000 - ((places[:, :1] - 50) / 200) ** 2), 3, axis=1)
    bent = white_over(tags, (places, seen)).at(np.array([[50.0, 50.0]]))[0]
    assert bent == pytest.approx([0.55] * 3, abs=0.005)
    assert white_over([]) is None


@pytest.mark.parametrize("space", ["light", "code"])
def test_tags_say_black_and_white_and_what_the_lens_averages(space):
    tag = Tag(id=7, square=Box(x_mm=20, y_mm=30, width_mm=40, height_mm=40))
    page = sheet("bare", 7).model_copy(update={"tags": [tag]})
    sight = Sight(np.array([[0.7, 0.05, 40.3], [-0.03, 0.72, 50.8], [0, 0, 1.0]]), None)
    seen = np.array([[0.15], [0.80]])

    def photographed() -> np.ndarray:
        sharp = draw(tag_print(tag), sight, SHAPE, space, margin_px=8)
        share = blurred(replace(sharp, color=sharp.color + 1 - sharp.cover[..., None]), 0.8).color
        black, white = into(space, seen)
        return pasted(np.full(SHAPE, 204, np.uint8), sharp, out_of(space, black + (white - black) * share))

    picture = photographed()
    found = {each: tag_levels(picture, page, sight, 0.8, each)[0] for each in ("light", "code")}
    assert min(found, key=lambda each: found[each].misfit) == space
    assert found[space].black == pytest.approx([0.15] * 3, abs=0.01)
    assert found[space].white == pytest.approx([0.80] * 3, abs=0.01)


def test_the_color_of_a_print_is_found_from_its_strip():
    rng = np.random.default_rng(3)
    asked = [(0, 0, 0), (255, 255, 255), *(tuple(map(int, row)) for row in rng.integers(0, 256, (12, 3)))]

    def seen(color: np.ndarray) -> np.ndarray:
        return 0.08 + 0.7 * color + 0.22 * color**2

    strip = {each: seen(np.array(each) / 255) for each in asked}
    found = print_color([strip], [])
    grid = rng.random((5, 5, 3))
    assert found.of(grid) == pytest.approx(seen(grid), abs=0.01)
    assert found.colors == 14


def test_a_strip_too_small_to_see_leaves_black_and_white():
    found = print_color([{(0, 0, 0): np.zeros(3)}], [levels((0.8,) * 3, (0, 0), black=0.2)])
    assert found.colors == 0
    assert found.of(np.array([[[0.0] * 3, [1.0] * 3]]))[0] == pytest.approx(np.array([[0.25] * 3, [1.0] * 3]))
    assert isinstance(found, PrintColor)


# Sums


def answers(real: dict[str, list[float]], twin: float = 0.8, model: str = "net", held_out: bool = False):
    """One base a cell, all rungs at ``twin``; a real shot for each number."""
    for cell, values in real.items():
        for rung in (None, *RUNGS[:-1]):
            yield TwinAnswer(
                f"{cell}-base", f"{cell}-base", "bare", cell, model, held_out, rung, twin, "stop", twin > 0.5
            )
        for i, value in enumerate(values):
            yield TwinAnswer(
                f"{cell}-{i}", f"{cell}-{i}", "stop", cell, model, held_out, "real", value, "stop", value > 0.5
            )


def test_cells_count_alike_however_many_shots_they_have():
    (pooled, single) = ladders([*answers({"a": [0.6, 0.6, 0.6], "b": [0.4]})], seed=0)
    assert (pooled.recognizer, single.recognizer) == (None, "net")
    assert pooled.gap.probability.points == pytest.approx(-30)
    assert pooled.gap.probability.low <= -30 <= pooled.gap.probability.high
    assert pooled.gap.accuracy.points == pytest.approx(-50)
    assert [each.points for each in (pooled.steps[0].probability, pooled.factors[1].probability)] == [0, 0]


def test_one_condition_has_no_interval():
    (pooled, _) = ladders([*answers({"a": [0.6]})], seed=0)
    assert pooled.gap.probability == Change(pytest.approx(-20))
    assert pooled.spread is None


def test_spread_comes_from_repeats():
    rng = np.random.default_rng(0)
    cells = {f"c{i}": list(rng.normal(0.6, 0.05, 2)) for i in range(300)}
    (pooled, _) = ladders([*answers(cells)], seed=0)
    # Two real shots and one twin in each cell, each taken to move by 5 points.
    assert pooled.spread.cell_probability == pytest.approx(5 * np.sqrt(1 / 2 + 1), rel=0.1)
    assert pooled.spread.mean_probability == pytest.approx(5 * np.sqrt(1.5 / 300), rel=0.1)
    assert pooled.spread.cells == 300


def test_frames_of_a_burst_are_no_repeats():
    burst = [replace(each, cluster=each.sample.partition("-")[0] + each.arm) for each in answers({"a": [0.6, 0.9]})]
    assert ladders(burst, seed=0)[0].spread is None


def test_surrogates_and_held_out_are_apart():
    both = [*answers({"a": [0.6]}), *answers({"a": [0.2]}, model="other", held_out=True)]
    found = ladders(both, seed=0)
    assert [(each.held_out, each.recognizer) for each in found] == [
        (True, None),
        (True, "other"),
        (False, None),
        (False, "net"),
    ]
    assert found[0].gap.probability.points == pytest.approx(-60)


@pytest.mark.parametrize("cells", [{"a": [0.6]}, {"a": [0.6, 0.7], "b": [0.1]}])
def test_the_figure_is_drawn_with_whatever_is_known(cells):
    said = [*answers(cells)]
    nothing = Measures(**dict.fromkeys(Measures.__slots__, None) | {"colors": 0})
    found = Twins("stop", ("bare",), "light", (), nothing, ladders(said, seed=0), tuple(said), ())
    assert twin_png(found).startswith(b"\x89PNG")
