"""What the camera sees, for the eye: pictures with the localization drawn in, made only while somebody looks.

Two threads of their own: one searches the newest picture for the sheet, however long that takes, the other draws and
encodes. Where the search is slow there is nothing to draw, so that pictures keep coming. The capture only hands over
references.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput
from calibration.files import Document
from calibration.geometry import Array, View
from capture.frame import Frame
from capture.localize import Localization

WIDTH_PX = 960
QUALITY = 80
FRESH_NS = 700_000_000
"""A localization is drawn into pictures that are at most so much newer than the one it was found in."""

LOOKING_NS = 3_000_000_000
"""Somebody who asked for a picture so recently still looks."""

WAIT_S = LONGEST_REST_S = 0.25
GREEN, AMBER, DARK = (46, 204, 113), (255, 179, 0), (20, 20, 20)

Locate = Callable[[NDArray[np.uint8]], Localization]


class Sight(Document):
    """What was found in picture ``number``: sheet, tags, and where it stands when the camera is calibrated."""

    number: int
    found: bool
    reason: str
    arm: str = ""
    tags: int = 0
    distance_mm: float | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG; ``number`` counts what the preview has made, ``t_wall_ns`` says when the camera gave it."""

    number: int
    jpeg: bytes
    t_wall_ns: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture of the camera, and its number."""

    number: int
    frame: Frame


@dataclass(frozen=True, slots=True)
class _Found:
    seen: _Seen
    localization: Localization


class Preview:
    """The newest picture of a capture, drawn into; thread-safe."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._seen: _Seen | None = None
        self._found: _Found | None = None
        self._sight: Sight | None = None
        self._picture: Picture | None = None
        self._looked_ns = -LOOKING_NS
        self._locate: Locate | None = None
        self._closed = False

    def show(self, frame: Frame, localization: Localization | None = None) -> None:
        """A picture of the camera, with what was found in it if that is known; returns at once."""
        with self._news:
            self._seen = _Seen(self._seen.number + 1 if self._seen else 1, frame)
            if localization is not None:
                self._take(_Found(self._seen, localization))
            self._news.notify_all()

    def locate_with(self, locate: Locate) -> None:
        """How the sheet is found in a picture; called in a thread of the preview alone."""
        self._locate = locate

    def wanted(self) -> bool:
        """Whether somebody looks."""
        return time.monotonic_ns() < self._looked_ns + LOOKING_NS

    @property
    def sight(self) -> Sight | None:
        """What was found last."""
        return self._sight

    def newer(self, than: int, patience_s: float) -> Picture | None:
        """The newest picture if its number is above ``than``; else the next one, or None when none comes in time."""
        end = time.monotonic() + patience_s
        with self._news:
            self._looked_ns = time.monotonic_ns()
            self._news.notify_all()
            while not self._closed and (self._picture is None or self._picture.number <= than):
                left_s = end - time.monotonic()
                if left_s <= 0:
                    return None
                self._news.wait(min(left_s, WAIT_S))
            return self._picture if self._picture and self._picture.number > than else None

    @contextmanager
    def running(self) -> Iterator[Preview]:
        """Within: pictures are searched and drawn."""
        threads = [
            threading.Thread(target=each, name=f"preview {each.__name__}", daemon=True)
            for each in (self._search, self._draw)
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            with self._news:
                self._closed = True
                self._news.notify_all()
            for thread in threads:
                thread.join()

    # In threads of its own

    def _search(self) -> None:
        done = 0
        while seen := self._next(partial(self._to_search, done)):
            done = seen.number
            begin_ns = time.monotonic_ns()
            localization = self._localized(seen)
            with self._news:
                self._take(_Found(seen, localization))
                self._news.notify_all()
            # A search of the whole picture is heavy; half of the time belongs to the capture.
            time.sleep(min((time.monotonic_ns() - begin_ns) / 1e9, LONGEST_REST_S))

    def _to_search(self, done: int, seen: _Seen) -> bool:
        return seen.number > max(done, self._last_found()) and self._locate is not None

    def _take(self, found: _Found) -> None:
        """Unless more is known by now."""
        if found.seen.number > self._last_found():
            self._found = found
            self._sight = _sight(found.seen.number, found.localization)

    def _last_found(self) -> int:
        return self._found.seen.number if self._found else 0

    def _localized(self, seen: _Seen) -> Localization:
        if self._locate is None:
            return Localization(False, "not searched yet", None, ())
        try:
            return self._locate(seen.frame.pixels)
        except BadInput as error:
            return Localization(False, error.message, None, ())

    def _draw(self) -> None:
        drawn = (0, 0)
        while seen := self._next(partial(self._to_draw, drawn)):
            drawn = self._state(seen)
            found = self._found
            fresh = found is not None and seen.frame.t_mono_ns - found.seen.frame.t_mono_ns <= FRESH_NS
            jpeg = draw(seen.frame.pixels, found.localization if found and fresh else None)
            with self._news:
                number = self._picture.number + 1 if self._picture else 1
                self._picture = Picture(number, jpeg, seen.frame.t_wall_ns)
                self._news.notify_all()

    def _to_draw(self, drawn: tuple[int, int], seen: _Seen) -> bool:
        return self._state(seen) != drawn

    def _state(self, seen: _Seen) -> tuple[int, int]:
        """A picture is drawn when it is new, and again when the sheet has been found in it."""
        found = self._last_found()
        return seen.number, found if found == seen.number else 0

    def _next(self, due: Callable[[_Seen], bool]) -> _Seen | None:
        """The newest picture as soon as somebody looks and it is due; None at the end."""
        with self._news:
            while not self._closed:
                if self._seen and self.wanted() and due(self._seen):
                    return self._seen
                self._news.wait()
        return None


def draw(pixels: NDArray[np.uint8], localization: Localization | None) -> bytes:
    """``(H, W, 3)`` uint8 RGB → a JPEG at most :data:`WIDTH_PX` wide, with sticker, target and tags outlined."""
    height, width = pixels.shape[:2]
    scale = min(1.0, WIDTH_PX / width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = np.array(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if localization is not None:
        _outline(small, localization, scale)
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise BadInput(f"a picture of {width}x{height} cannot be shown")
    return jpeg.tobytes()


def _outline(picture: NDArray[np.uint8], found: Localization, scale: float) -> None:
    for tag in found.tags:
        _polygon(picture, tag.corners, scale, GREEN if tag.id in found.used else AMBER)
    if found.sheet is not None and found.homography is not None:
        color = GREEN if found.found else AMBER
        for corners_mm in (found.sheet.frame.corners_mm, found.sheet.inner.corners_mm):
            _polygon(picture, found.to_image(_dense(corners_mm)), scale, color)


def _dense(corners: Array) -> Array:
    """Sides in steps: a lens bends them."""
    sides = [np.linspace(a, b, 8, endpoint=False) for a, b in pairwise([*corners, corners[0]])]
    return np.concatenate(sides)


def _polygon(picture: NDArray[np.uint8], points: Array, scale: float, color: tuple[int, int, int]) -> None:
    """Points are pixels of the full picture, (0, 0) the center of its first; fractions are drawn as such."""
    if not np.isfinite(points).all() or np.abs(points).max() > 1e5:
        return
    fixed = np.round(((points + 0.5) * scale - 0.5) * 16).astype(np.int32)
    for thick, shade in ((5, DARK), (2, color)):
        cv2.polylines(picture, [fixed], True, shade, thick, cv2.LINE_AA, 4)


def _sight(number: int, found: Localization) -> Sight:
    view: View | None = found.view
    return Sight(
        number=number,
        found=found.found,
        reason=found.reason,
        arm=found.sheet.arm if found.sheet else "",
        tags=len(found.used),
        distance_mm=view.distance_mm if view else None,
        yaw_deg=view.yaw_deg if view else None,
        pitch_deg=view.pitch_deg if view else None,
        roll_deg=view.roll_deg if view else None,
    )
