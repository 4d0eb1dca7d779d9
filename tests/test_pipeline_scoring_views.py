"""Views: each shows what it says, where the corners are that it names, against rendered sheets of known place."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rendered import GROUND, OBJECT, PAPER, RING, Seen, a_sheet, camera_model, saddles_mm, seen

from calibration.camera import CameraModel
from calibration.errors import BadUsage
from calibration.geometry import Array, View
from pipeline.scoring.rectify import rectified
from pipeline.scoring.score import Shown
from pipeline.scoring.views import (
    GRAY,
    JITTER_SHIFT,
    JITTER_ZOOM,
    VIEWS,
    ViewOrder,
    detected_box,
    natural_crop,
    nothing_shown,
    place,
    views,
)

EVERY = ViewOrder(tuple(VIEWS), jitter=3)
LENS = camera_model((-0.2, 0.05, 0.001, 0.0, 0.0))


@dataclass(frozen=True)
class Case:
    """A sheet seen by a camera; ``turned``: so that its marks come into the box around the sticker."""

    view: View
    frame: dict[str, object]
    arm: str = "patch"
    camera: CameraModel | None = None
    turned: bool = True

    @property
    def square(self) -> bool:
        return not self.frame


CASES = {
    "frontal": Case(View(500), {}, turned=False),
    "turned": Case(View(520, 25, 10, 40), {}),
    "lens": Case(View(480, -35, 0, 30), {}, camera=LENS),
    "bare": Case(View(520, 0, 0, 40), {}, arm="bare"),
    "octagon": Case(View(520, 20, 0, 35), {"shape": "outline"}),
    "strips": Case(View(520, -20, 5, 40), {"shape": "strips"}),
}


@dataclass(frozen=True)
class Scene:
    case: Case
    seen: Seen
    shown: dict[tuple[str, int], Shown]

    def crop(self, view: str) -> np.ndarray:
        return self.shown[view, 0].crop


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def scene(request: pytest.FixtureRequest) -> Scene:
    case = request.param
    picture = seen(a_sheet(case.arm, **case.frame), case.view, case.camera, shadow=0.3)
    where = place(picture.sheet, picture.frame_px, case.camera)
    return Scene(case, picture, {(s.view, s.repeat): s for s in views(picture.pixels, where, EVERY, "000007")})


def share_of(pixels: np.ndarray, *colors: tuple[int, int, int]) -> float:
    """Of pixels that look like one of these colors, whatever the light."""
    return float(np.any([hue(pixels, color) for color in colors], axis=0).mean())


def hue(pixels: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    wanted = np.array(color) / np.linalg.norm(color)
    length = np.linalg.norm(pixels.astype(float), axis=-1)
    return (pixels @ wanted > 0.99 * length) & (length > 60)


def inside(shape: tuple[int, ...], quad: Array, grow_px: float = 0.0) -> np.ndarray:
    """``(H, W)``: which pixels lie in a quad that is grown by so much."""
    middle = quad.mean(axis=0)
    away = quad - middle
    quad = middle + away * (1 + grow_px / np.linalg.norm(away, axis=1, keepdims=True))
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(quad * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return mask > 0


def test_every_view_is_shown_once_in_order(scene: Scene):
    assert tuple(scene.shown) == EVERY.shown
    assert [view for view, repeat in scene.shown if not repeat] == list(VIEWS)
    assert [repeat for view, repeat in scene.shown if view == "natural"] == [0, 1, 2, 3]
    assert all(each.crop.dtype == np.uint8 and each.crop.shape[2] == 3 for each in scene.shown.values())


def test_the_natural_crop_is_the_upright_box_around_the_frame(scene: Scene):
    crop = natural_crop(scene.seen.pixels, scene.seen.frame_px)
    assert (scene.crop("natural") == crop).all()
    assert scene.crop("frame").shape == scene.crop("untagged").shape == crop.shape


def test_corners_lie_where_they_are_said_to_lie(scene: Scene):
    """Cut from the picture, so that a corner's pixel in the crop is the corner's pixel in the picture."""
    window_px = scene.seen.to_image(scene.seen.sheet.inner.corners_mm)
    for (view, repeat), each in scene.shown.items():
        if view != "rectified":
            first = scene.seen.frame_px[0] - each.frame_px[0]
            np.testing.assert_allclose(first, np.round(first), atol=1e-2)
            np.testing.assert_allclose(each.frame_px + first, scene.seen.frame_px, atol=1e-2)
            np.testing.assert_allclose(each.window_px + first, window_px, atol=1e-2)
        if view == "natural" and not repeat:
            left, top = np.round(first).astype(int)
            height, width = each.crop.shape[:2]
            assert (each.crop == scene.seen.pixels[top : top + height, left : left + width]).all()


def test_the_rectified_sticker_fills_a_square(scene: Scene):
    each = scene.shown["rectified", 0]
    side = len(each.crop)
    assert each.crop.shape == (side, side, 3)
    np.testing.assert_allclose(each.frame_px, (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * side) - 0.5)
    assert share_of(each.crop, GROUND) == 0
    ring = ~inside(each.crop.shape, each.window_px, 3) & inside(each.crop.shape, each.frame_px, -3)
    window = inside(each.crop.shape, each.window_px, -3)
    if scene.case.square:
        assert share_of(each.crop[ring], OBJECT) == 0
        assert share_of(each.crop[window], OBJECT) == 1


def test_rectified_corners_are_within_half_a_pixel(scene: Scene):
    each = scene.shown["rectified", 0]
    sheet = scene.seen.sheet
    expected = (saddles_mm(sheet) - sheet.frame.corners_mm[0]) / sheet.frame.width_mm * len(each.crop) - 0.5
    gray = cv2.cvtColor(each.crop, cv2.COLOR_RGB2GRAY)
    how = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-3)
    found = cv2.cornerSubPix(gray, expected.astype(np.float32).reshape(-1, 1, 2).copy(), (3, 3), (-1, -1), how)
    assert np.linalg.norm(found.reshape(-1, 2) - expected, axis=1).max() < 0.5


def test_object_and_frame_share_out_what_there_is(scene: Scene):
    assert share_of(scene.crop("object"), RING, GROUND) == 0
    assert share_of(scene.crop("object"), OBJECT) > 0.4
    assert share_of(scene.crop("frame"), OBJECT) == 0
    assert share_of(scene.crop("frame"), RING) > 0.1
    gray = (scene.crop("frame") == GRAY).all(axis=2).mean()
    assert gray == pytest.approx(share_of(scene.crop("natural"), OBJECT), abs=0.02)


def test_no_mark_is_left_in_the_untagged_crop(scene: Scene):
    natural, untagged, frame_px = scene.crop("natural"), scene.crop("untagged"), scene.shown["untagged", 0].frame_px
    dark = (natural.max(axis=2) < 60).mean()
    assert (dark > 0.02) == scene.case.turned
    if not scene.case.turned:
        assert (natural == untagged).all()
        return
    sticker = inside(natural.shape, frame_px, -1)
    assert (natural[sticker] == untagged[sticker]).all()
    around = ~inside(natural.shape, frame_px, 4)
    assert untagged[around].max(axis=-1).min(initial=255) > 60
    changed = (natural != untagged).any(axis=2)
    assert not share_of(untagged[changed], GROUND)
    assert share_of(untagged[changed], PAPER) > 0.99


def test_what_is_filled_in_has_the_light_of_its_surroundings():
    picture = seen(a_sheet(), View(500, 0, 0, 40), shadow=0.5)
    crop = views(picture.pixels, place(picture.sheet, picture.frame_px), ViewOrder(("untagged",)), "")[0].crop
    paper = hue(crop, PAPER)
    first = np.round(picture.frame_px.min(axis=0)).astype(int)
    light = 1 - 0.5 * np.linspace(0, 1, picture.pixels.shape[1])[first[0] : first[0] + crop.shape[1]]
    expected = np.array(PAPER) * np.broadcast_to(light[None, :, None], (*crop.shape[:2], 1))
    assert np.percentile(np.abs(crop - expected)[paper], 95) < 12


def test_the_arms_show_the_same_object():
    """Of a bare sheet the window is all of the frame; the object view shows what it shows with a sticker."""
    octagon = a_sheet(shape="outline")
    bare = a_sheet("bare", shape="outline")
    assert bare.sticker is None
    crops = [
        views(picture.pixels, place(picture.sheet, picture.frame_px, None, octagon.sticker), ViewOrder(("object",)), "")
        for picture in (seen(sheet, View(500, 10, 0, 5)) for sheet in (octagon, bare))
    ]
    gray = [(crop[0].crop == GRAY).all(axis=2) for crop in crops]
    assert (gray[0] == gray[1]).all()
    assert gray[0].any()


def test_a_large_sticker_is_shrunk_without_aliasing():
    """What is too fine for the square becomes its mean over each pixel's area, as OpenCV shrinks pictures."""
    noise = np.random.default_rng(0).integers(0, 256, (3000, 3000, 1), dtype=np.uint8).repeat(3, axis=2)
    small = rectified(noise, lambda places: places * 3000.0 - 0.5)
    expected = cv2.resize(noise, (1024, 1024), interpolation=cv2.INTER_AREA)
    assert small.shape == expected.shape
    assert small.std() < 1.05 * expected.std()
    assert np.corrcoef(small[..., 0].ravel(), expected[..., 0].ravel())[0, 1] > 0.9


def test_strips_of_rows_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    where = [(lambda p: np.column_stack([p[:, 0] * 280 + p[:, 1] * 9, p[:, 1] * 270])), (lambda p: p * [40, 12] + 3)]
    whole = [rectified(noise, each) for each in where]
    monkeypatch.setattr("pipeline.scoring.rectify.SAMPLES", 1)
    assert all((rectified(noise, each) == one).all() for each, one in zip(where, whole, strict=True))


# What cannot be shown


def test_a_sticker_that_leaves_the_picture_is_missed():
    picture = seen(a_sheet(), View(500))
    gone = place(picture.sheet, picture.frame_px + np.array([400, 0]))
    shown = views(picture.pixels, gone, EVERY, "a")
    assert {(each.view, each.repeat): each.crop[0] for each in shown} == dict.fromkeys(EVERY.shown, "missed")
    assert {each.crop[1] for each in shown} == {"the sticker is outside of the picture"}


def test_of_a_sticker_at_the_border_some_views_are_missed():
    """The object still lies in the picture, and a detector's box may be a little farther in."""
    picture = seen(a_sheet(), View(500))
    over = 639.5 - picture.frame_px.max(axis=0)[0] + 0.11 * np.ptp(picture.frame_px[:, 0])
    shown = views(picture.pixels, place(picture.sheet, picture.frame_px + np.array([over, 0])), EVERY, "a")
    status = {(each.view, each.repeat): each.crop[0] for each in shown if isinstance(each.crop, tuple)}
    assert status["natural", 0] == status["rectified", 0] == status["untagged", 0] == "missed"
    assert ("object", 0) not in status


def test_a_picture_too_wide_for_opencv_fails_in_that_view_alone():
    picture = seen(a_sheet(), View(500))
    wide = np.zeros((480, 33_000, 3), np.uint8)
    wide[:, :640] = picture.pixels
    shown = {each.view: each.crop for each in views(wide, place(picture.sheet, picture.frame_px), EVERY, "")}
    assert shown.pop("rectified")[0] == "failed"
    assert not [view for view, crop in shown.items() if isinstance(crop, tuple)]


def test_without_anything_to_see_every_view_says_so():
    shown = nothing_shown(EVERY, "missed", "no tag")
    assert [(each.view, each.repeat) for each in shown] == list(EVERY.shown)
    assert {each.crop for each in shown} == {("missed", "no tag")}


@pytest.mark.parametrize(
    ("order", "word"),
    [
        ({"names": ("natural", "sideways")}, "sideways"),
        ({"names": ()}, "accepted are natural, rectified"),
        ({"names": ("object", "object")}, "twice"),
        ({"jitter": -1}, "-1"),
        ({"names": ("object",), "jitter": 2}, "of the view natural"),
    ],
)
def test_orders_that_cannot_be_met(order: dict, word: str):
    with pytest.raises(BadUsage, match=word):
        ViewOrder(**order)


# Jitter

NAMES = st.text(max_size=20)
BOX = np.array([[100.0, 50], [180, 52], [178, 140], [99, 139]])


@given(NAMES, st.integers(0, 2**40), st.integers(1, 50))
def test_a_detector_errs_within_its_ranges(name: str, seed: int, repeat: int):
    low, high = BOX.min(axis=0), BOX.max(axis=0)
    box = detected_box(BOX, seed, name, repeat)
    assert (box == detected_box(BOX, seed, name, repeat)).all()
    size = box[2] - box[0]
    assert (size >= JITTER_ZOOM[0] * (high - low) - 1e-9).all()
    assert (size <= JITTER_ZOOM[1] * (high - low) + 1e-9).all()
    assert (np.abs(box.mean(axis=0) - (low + high) / 2) <= JITTER_SHIFT * (high - low) + 1e-9).all()
    assert (box[1] == [box[2][0], box[0][1]]).all()
    assert (box[3] == [box[0][0], box[2][1]]).all()


def test_each_seed_name_and_repeat_has_a_jitter_of_its_own():
    draws = [detected_box(BOX, seed, name, r) for seed in (0, 1) for name in ("a", "a\n1", "b") for r in range(1, 30)]
    assert len({box.tobytes() for box in draws}) == len(draws)
    errors = np.array([(box.mean(axis=0) - (BOX.min(axis=0) + BOX.max(axis=0)) / 2) for box in draws])
    shares = errors / np.ptp(BOX, axis=0)
    assert np.abs(shares.mean(axis=0)).max() < 0.01
    assert np.abs(shares).max() > 0.8 * JITTER_SHIFT


def test_jitters_do_not_depend_on_what_else_is_shown():
    picture = seen(a_sheet(), View(500, 20))
    where = place(picture.sheet, picture.frame_px)
    few = views(picture.pixels, where, ViewOrder(("natural",), jitter=2, seed=5), "x")
    more = views(picture.pixels, where, ViewOrder(("object", "natural"), jitter=4, seed=5), "x")
    for a, b in zip(few, more[1:4], strict=True):
        assert (a.view, a.repeat) == (b.view, b.repeat)
        assert a.crop.shape == b.crop.shape
        assert (a.crop == b.crop).all()
    other = views(picture.pixels, where, ViewOrder(jitter=2, seed=6), "x")
    assert any(
        a.crop.shape != b.crop.shape or (a.crop != b.crop).any() for a, b in zip(few[1:], other[1:], strict=True)
    )
    assert (few[0].crop == other[0].crop).all(), "the seed is for jitters alone"


# The natural crop


def numbered(height: int = 40, width: int = 60) -> np.ndarray:
    """``(height, width, 3)``: row, column, 7."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.dstack([rows, columns, np.full_like(rows, 7)])


def corners(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        (corners(9.5, 4.5, 19.5, 14.5), (5, 14), (10, 19)),
        (corners(10, 5, 19, 14), (5, 14), (10, 19)),
        (corners(10.2, 5.2, 19.4, 14.3), (5, 14), (10, 19)),
        (corners(-0.5, -0.5, 59.5, 39.5), (0, 39), (0, 59)),
        (corners(10, 5, 10, 5), (5, 5), (10, 10)),
        (np.array([[20, 5], [30, 15], [20, 25], [10, 15]]), (5, 25), (10, 30)),
    ],
)
def test_the_crop_is_the_upright_box_of_whole_pixels(box: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]):
    """Pixel (0, 0) has its center there: a box from 9.5 to 19.5 holds the pixels 10 to 19."""
    crop = natural_crop(numbered(), box)
    assert (crop[0, 0, 0], crop[-1, -1, 0]) == rows
    assert (crop[0, 0, 1], crop[-1, -1, 1]) == columns
    assert crop.shape == (rows[1] - rows[0] + 1, columns[1] - columns[0] + 1, 3)
    assert crop.flags.c_contiguous


def test_a_little_beyond_the_border_is_filled_with_the_border():
    crop = natural_crop(numbered(), corners(-1.5, 4.5, 18.5, 24.5))
    assert crop.shape == (20, 20, 3)
    assert (crop[:, 0] == crop[:, 1]).all()
    assert crop[0, :3, 1].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "box", [corners(-5, 5, 15, 25), corners(50, 5, 70, 25), corners(100, 100, 120, 120), corners(-30, -30, -10, -10)]
)
def test_a_sticker_that_is_mostly_elsewhere_is_missed(box: np.ndarray):
    assert natural_crop(numbered(), box) == ("missed", "the sticker is outside of the picture")
