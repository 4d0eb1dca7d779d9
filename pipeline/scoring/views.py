"""Views: the ways in which a recognizer is shown what a picture holds, all cut from one decoded picture.

* ``natural``: the upright box around the sticker, as a detector would cut it; its jitters are that box a little off.
* ``rectified``: the sticker's plane seen straight on, as a square.
* ``object``: the upright box around the window, gray where the window is not.
* ``frame``: the natural crop with the window filled with gray. Pixels that show a bit of both are gray in either.
* ``untagged``: the natural crop with tags, ruler, strip and words filled in (:mod:`pipeline.scoring.unmarked`).

Convention: pixel (0, 0) is the center of the top-left pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.errors import BadUsage
from calibration.files import sha256_bytes
from calibration.geometry import Array, Box, apply_homography
from calibration.region import Sticker
from calibration.sheet import Sheet
from pipeline.scoring.masks import covered
from pipeline.scoring.rectify import LARGEST_PX, rectified
from pipeline.scoring.score import Crop, Shown, Status
from pipeline.scoring.unmarked import mark_boxes, without_marks

Pixels = NDArray[np.uint8]

MIN_VISIBLE = 0.9
"""A crop of which less than this share lies in the picture shows another object than the one that was asked for."""

GRAY = 128
"""What stands where a view shows nothing."""

JITTER_SHIFT = 0.05
JITTER_ZOOM = (0.95, 1.1)
"""How a detector's box errs: its center by up to so much of the side, its width and its height each by a factor.

The ranges are those that patches are trained with (:class:`patches.spec.TransformSpec`).
"""

DENSE = 8
"""An edge is followed in so many pieces: lenses bend it."""


@dataclass(frozen=True, slots=True)
class ViewOrder:
    """Which views are asked for, and how many jitters of the natural one, numbered from 1; ``seed`` draws them.

    :class:`BadUsage` for a view that there is not, or that is named twice.
    """

    names: tuple[str, ...] = ("natural",)
    jitter: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be shown."""
        unknown = [name for name in self.names if name not in VIEWS]
        if unknown or not self.names:
            raise BadUsage(f"unknown view {', '.join(unknown)!r}; accepted are {', '.join(VIEWS)}", where="--views")
        if len(set(self.names)) < len(self.names):
            raise BadUsage(f"a view is named twice in {', '.join(self.names)}", where="--views")
        if self.jitter < 0 or (self.jitter and "natural" not in self.names):
            raise BadUsage(
                f"jitters are a number from 0 on, of the view natural; got {self.jitter} of {', '.join(self.names)}",
                where="--jitter",
            )

    @property
    def shown(self) -> tuple[tuple[str, int], ...]:
        """View and repeat of all that :func:`views` gives for a picture, in its order."""
        jitters = tuple(("natural", repeat) for repeat in range(1, self.jitter + 1))
        return tuple(each for name in self.names for each in ((name, 0), *(jitters if name == "natural" else ())))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sheet lies in a picture. ``homography``: ``H_image_sheet`` in pixels of the ideal pinhole camera.

    ``sticker`` says what the window is if that is no square; the sheet of the arm ``bare`` itself does not know.
    """

    sheet: Sheet
    sticker: Sticker | None
    homography: Array
    camera: CameraModel | None

    def to_image(self, points_mm: Array) -> Array:
        """``(N, 2)`` sheet mm → ``(N, 2)`` pixels of the picture as captured."""
        ideal = apply_homography(self.homography, points_mm)
        return self.camera.distort(ideal) if self.camera else ideal

    @property
    def window_mm(self) -> list[Array]:
        """The loops ``(N, 2)`` around what shows the target; of a bare sheet, too, so that all arms show the same."""
        loops = self.sticker.window.loops_mm if self.sticker else [self.sheet.inner.corners_mm]
        return [np.array(loop) for loop in loops]


def place(
    sheet: Sheet, frame_corners_px: Array, camera: CameraModel | None = None, sticker: Sticker | None = None
) -> Place:
    """The place of a sheet from the corners ``(4, 2)`` of its frame in the picture as captured."""
    ideal = camera.undistort(frame_corners_px) if camera else frame_corners_px
    # Four points make the homography exactly; around the frame's center, as OpenCV computes with single precision.
    shift = np.array([[1, 0, *ideal.mean(axis=0)[:1]], [0, 1, *ideal.mean(axis=0)[1:]], [0, 0, 1]])
    source, goal = sheet.frame.corners_mm, ideal - ideal.mean(axis=0)
    matrix = cv2.getPerspectiveTransform(source.astype(np.float32), goal.astype(np.float32))
    return Place(sheet, sticker or sheet.sticker, np.asarray(shift @ matrix, dtype=np.float64), camera)


def views(pixels: Pixels, where: Place, order: ViewOrder, name: str) -> list[Shown]:
    """All that is asked for, from ``(H, W, 3)`` uint8 RGB; what leaves the picture is ``missed``.

    ``name`` is the sample's: with the order's seed it draws the jitters. Corners beyond a crop have coordinates
    beyond it.
    """
    frame_px, window_px = (where.to_image(box.corners_mm) for box in (where.sheet.frame, where.sheet.inner))
    scene = _Scene(pixels, where, frame_px, window_px)
    return [
        _jittered(scene, order.seed, name, repeat) if repeat else VIEWS[view](scene) for view, repeat in order.shown
    ]


def nothing_shown(order: ViewOrder, status: Status, reason: str) -> list[Shown]:
    """What is said in the place of all views when there is nothing to see."""
    return [Shown(view, repeat, (status, reason)) for view, repeat in order.shown]


def natural_crop(pixels: Pixels, corners_px: Array) -> Crop:
    """The upright box around corners ``(N, 2)``, cut from ``(H, W, 3)``; a little beyond the border is filled with it.

    ``missed`` when less than ``MIN_VISIBLE`` of the box lies in the picture.
    """
    low, high = _pixel_box(corners_px)
    size = np.array([pixels.shape[1], pixels.shape[0]])
    inside = np.clip(np.minimum(high, size) - np.maximum(low, 0), 0, None)
    if inside.prod() < MIN_VISIBLE * (high - low).prod():
        return "missed", "the sticker is outside of the picture"
    return _cut(pixels, low, high)


def detected_box(corners_px: Array, seed: int, name: str, repeat: int) -> Array:
    """``(4, 2)`` corners of the upright box around ``corners_px`` as a detector might give it that time."""
    drawn = np.random.default_rng(int(sha256_bytes(f"{seed}\n{repeat}\n{name}".encode())[:32], 16))
    low, high = corners_px.min(axis=0), corners_px.max(axis=0)
    center = (low + high) / 2 + (high - low) * drawn.uniform(-JITTER_SHIFT, JITTER_SHIFT, 2)
    half = (high - low) / 2 * drawn.uniform(*JITTER_ZOOM, 2)
    return np.asarray(center + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Scene:
    """A picture, the sheet's place in it, and the corners that views are cut along."""

    pixels: Pixels
    where: Place
    frame_px: Array
    window_px: Array


Change = Callable[[Pixels, Array], Crop]
"""What becomes of a crop, given where its first pixel lies in the picture."""


def _upright(scene: _Scene, view: str, corners_px: Array, *, repeat: int = 0, change: Change | None = None) -> Shown:
    """The upright box around the corners, and what a view makes of it."""
    crop = natural_crop(scene.pixels, corners_px)
    if isinstance(crop, tuple):
        return Shown(view, repeat, crop)
    first, _ = _pixel_box(corners_px)
    seen = change(crop, first.astype(np.float64)) if change else crop
    return Shown(view, repeat, seen, scene.frame_px - first, scene.window_px - first)


def _natural(scene: _Scene) -> Shown:
    return _upright(scene, "natural", scene.frame_px)


def _jittered(scene: _Scene, seed: int, name: str, repeat: int) -> Shown:
    return _upright(scene, "natural", detected_box(scene.frame_px, seed, name, repeat), repeat=repeat)


def _object(scene: _Scene) -> Shown:
    def change(crop: Pixels, first: Array) -> Pixels:
        return np.where(_window(scene, crop, first)[..., None] == 1, crop, np.uint8(GRAY))

    return _upright(scene, "object", scene.window_px, change=change)


def _frame(scene: _Scene) -> Shown:
    def change(crop: Pixels, first: Array) -> Pixels:
        return np.where(_window(scene, crop, first)[..., None] == 0, crop, np.uint8(GRAY))

    return _upright(scene, "frame", scene.frame_px, change=change)


def _untagged(scene: _Scene) -> Shown:
    where = scene.where
    marks = [where.to_image(_dense(box.corners_mm)) for box in mark_boxes(where.sheet)]
    sticker, paper = (where.to_image(_dense(loop)) for loop in (where.sheet.frame.corners_mm, where.sheet.outline_mm()))

    def change(crop: Pixels, first: Array) -> Crop:
        return without_marks(crop, [mark - first for mark in marks], sticker - first, paper - first)

    return _upright(scene, "untagged", scene.frame_px, change=change)


def _rectified(scene: _Scene) -> Shown:
    frame = scene.where.sheet.frame

    def change(_: Pixels, __: Array) -> Crop:
        longest = max(scene.pixels.shape[:2])
        if longest > LARGEST_PX:
            return "failed", f"the picture has {longest} px a side; pictures of {LARGEST_PX} px can be rectified"
        return rectified(scene.pixels, lambda places: scene.where.to_image(_on(frame, places)))

    upright = _upright(scene, "rectified", scene.frame_px, change=change)
    if isinstance(upright.crop, tuple):
        return Shown("rectified", 0, upright.crop)
    side = len(upright.crop)
    boxes = (frame, scene.where.sheet.inner)
    frame_px, window_px = ((box.corners_mm - frame.corners_mm[0]) / _size(frame) * side - 0.5 for box in boxes)
    return replace(upright, frame_px=frame_px, window_px=window_px)


VIEWS: dict[str, Callable[[_Scene], Shown]] = {
    "natural": _natural,
    "rectified": _rectified,
    "object": _object,
    "frame": _frame,
    "untagged": _untagged,
}
"""By name; the names stand in answers and on the command line."""


def _window(scene: _Scene, crop: Pixels, first: Array) -> NDArray[np.float32]:
    """``(H, W)`` share of each pixel of the crop that lies in the window."""
    loops = [scene.where.to_image(_dense(loop)) - first for loop in scene.where.window_mm]
    return covered(loops, *crop.shape[:2])


def _on(box: Box, places: Array) -> Array:
    """``(N, 2)`` shares of a box, from its top-left corner → mm."""
    return np.asarray(box.corners_mm[0] + places * _size(box), dtype=np.float64)


def _size(box: Box) -> Array:
    return np.array([box.width_mm, box.height_mm])


def _dense(loop: Array) -> Array:
    """The loop with points along its edges, too."""
    steps = np.linspace(0, 1, DENSE, endpoint=False)[:, None]
    return np.concatenate([a + (b - a) * steps for a, b in zip(loop, np.roll(loop, -1, axis=0), strict=True)])


def _pixel_box(corners_px: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First pixel of the upright box around the corners, and the one behind its last, as ``(x, y)``."""
    low = np.floor(corners_px.min(axis=0) + 0.5).astype(np.int64)
    return low, np.maximum(np.ceil(corners_px.max(axis=0) + 0.5).astype(np.int64), low + 1)


def _cut(pixels: Pixels, low: NDArray[np.int64], high: NDArray[np.int64]) -> Pixels:
    columns = np.clip(np.arange(low[0], high[0]), 0, pixels.shape[1] - 1)
    rows = np.clip(np.arange(low[1], high[1]), 0, pixels.shape[0] - 1)
    return np.ascontiguousarray(pixels[rows[:, None], columns[None, :]])
