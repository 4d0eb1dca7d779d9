"""AprilTags: their bits, and where they are in a picture.

Convention: corners are ``(4, 2)`` float64 pixels, pixel (0, 0) is the *center* of the top-left pixel; order
top-left, top-right, bottom-right, bottom-left as the tag is printed upright. The library counts from the pixel's
corner (+0.5 px) and names corners ``lb-rb-rt-lt``; both are converted here and proved with rendered tags.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.apriltag_library import Detection, Detector
from calibration.errors import BadInput
from calibration.geometry import Array
from calibration.sheet import TAG_COUNT, TAG_FAMILY

CELLS = 8
"""Cells along the side of the black square."""

MIN_SIDE = 8
"""The library crashes on pictures smaller than this; no tag fits in there anyway."""

SEARCH_DECIMATION = 2.0
WHOLE_PX = 500_000
"""A picture of up to so many pixels is searched at full resolution at once: there is little to be won."""

ROI_MARGIN = 0.35
"""The exact pass looks this share of a tag's size beyond the first pass's finds."""

TILE_PX = 4
"""The library thresholds tiles of so many pixels, counted from the first pixel that it is given.

A part of a picture that begins at a multiple of it is measured as it is within the whole picture, to 0.001 px.
"""

_detectors = threading.local()


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture: columns ``left`` to ``right``, rows ``top`` to ``bottom``, px; the last ones excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, points: Array, margin_px: float, shape: tuple[int, ...]) -> Window:
        """The part of an ``(H, W, ...)`` picture that holds ``(N, 2)`` points (px) and a margin; it may be empty."""
        low = np.floor(points.min(axis=0) - margin_px).astype(int)
        high = np.ceil(points.max(axis=0) + margin_px).astype(int) + 1
        left, top = (max(int(at), 0) // TILE_PX * TILE_PX for at in low)
        return cls(left, top, min(int(high[0]), shape[1]), min(int(high[1]), shape[0]))

    @property
    def empty(self) -> bool:
        """Whether it holds no tag for being too small."""
        return min(self.right - self.left, self.bottom - self.top) < MIN_SIDE

    def of(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The pixels in it."""
        return picture[self.top : self.bottom, self.left : self.right]

    def meets(self, other: Window) -> bool:
        """Whether the two share a pixel."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def joined(self, other: Window) -> Window:
        """The smallest that holds both."""
        low = min(self.left, other.left), min(self.top, other.top)
        return Window(*low, max(self.right, other.right), max(self.bottom, other.bottom))


@dataclass(frozen=True, slots=True)
class TagSighting:
    """One tag in a picture: id, ``(4, 2)`` corners (px), decision margin, corrected bits."""

    id: int
    corners: Array
    margin: float
    hamming: int

    @property
    def side_px(self) -> float:
        """Length of its shortest side."""
        return float(np.linalg.norm(self.corners - np.roll(self.corners, 1, axis=0), axis=1).min())


@lru_cache(maxsize=TAG_COUNT)
def tag_bits(tag_id: int) -> NDArray[np.bool_]:
    """``(10, 10)`` cells of a tag, True = white: the black square is cells 1 to 8, around it its white border."""
    if not 0 <= tag_id < TAG_COUNT:
        raise BadInput(f"tag id {tag_id} is outside of {TAG_FAMILY}, which has the ids 0 to {TAG_COUNT - 1}")
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    # OpenCV keeps this family turned by half a turn against the AprilRobotics originals.
    marker = np.rot90(cv2.aruco.generateImageMarker(dictionary, tag_id, CELLS), 2) > 127
    bits = np.pad(marker, 1, constant_values=True)
    bits.setflags(write=False)
    return bits


def detect(gray: NDArray[np.uint8], expected: Iterable[int] = ()) -> list[TagSighting]:
    """Find the tags in ``(H, W)`` uint8: found at half resolution, measured at full resolution, sorted by id.

    Ids in ``expected`` that the quick search does not see are searched for at full resolution in the whole picture, and
    so is everything in a small picture. Elsewhere a tag of fewer than about 20 px may go unseen if nobody expects it.
    A picture that is too small to hold a tag gives an empty list; a wrong shape or dtype raises :class:`BadInput`.
    """
    picture = _guarded(gray)
    if min(picture.shape) < MIN_SIDE:
        return []
    quick = _run(picture, SEARCH_DECIMATION) if picture.size > WHOLE_PX else []
    if not quick or not {tag.id for tag in quick} >= set(expected):
        return _run(picture, 1.0)
    return _run_in(_region(quick, picture.shape), picture)


def detect_in(pixels: NDArray[np.uint8], windows: Sequence[Window]) -> list[TagSighting]:
    """Find the tags in parts of ``(H, W, 3)`` uint8 RGB, at full resolution, sorted by id; corners are the picture's.

    ``windows`` must not share pixels, or a tag is seen twice. As :func:`detect_full` measures, where the white border
    of a tag lies in its window.
    """
    parts = (window for window in windows if not window.empty)
    found = [tag for window in parts for tag in _moved(_run(_guarded(to_gray(window.of(pixels))), 1.0), window)]
    return sorted(found, key=lambda tag: (tag.id, -tag.margin))


def detect_full(gray: NDArray[np.uint8], decimate: float = 1.0) -> list[TagSighting]:
    """Find the tags by one pass over the whole picture as the library does it, at full resolution unless decimated.

    Slow: it is the reference for :func:`detect` and :func:`detect_in`.
    """
    picture = _guarded(gray)
    return _run(picture, decimate) if min(picture.shape) >= MIN_SIDE else []


def to_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8 RGB → ``(H, W)`` uint8 luma."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _guarded(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if gray.dtype != np.uint8 or gray.ndim != 2:
        raise BadInput(f"tags are searched in a (H, W) uint8 picture, got {gray.shape} {gray.dtype}")
    return np.ascontiguousarray(gray)


def _run(picture: NDArray[np.uint8], decimate: float) -> list[TagSighting]:
    found = [_sighting(found) for found in _detector(decimate).detect(picture)]
    return sorted(found, key=lambda tag: (tag.id, -tag.margin))


def _detector(decimate: float) -> Detector:
    """One detector per thread and decimation, reused: the library's detectors are not thread-safe."""
    if not hasattr(_detectors, "by_decimation"):
        _detectors.by_decimation = {}
    cache: dict[float, Detector] = _detectors.by_decimation
    if decimate not in cache:
        cache[decimate] = Detector(TAG_FAMILY, decimate=decimate, corrected_bits=1)
    return cache[decimate]


def _sighting(found: Detection) -> TagSighting:
    return TagSighting(found.id, found.corners[::-1] - 0.5, found.margin, found.hamming)


def _region(tags: list[TagSighting], shape: tuple[int, ...]) -> Window:
    longest = max(float(np.ptp(tag.corners, axis=0).max()) for tag in tags)
    return Window.around(np.concatenate([tag.corners for tag in tags]), ROI_MARGIN * longest + 8, shape)


def _run_in(window: Window, picture: NDArray[np.uint8]) -> list[TagSighting]:
    return _moved(_run(np.ascontiguousarray(window.of(picture)), 1.0), window)


def _moved(tags: list[TagSighting], window: Window) -> list[TagSighting]:
    """Tags in the pixels of a window → in those of the picture."""
    first = np.array([window.left, window.top])
    return [TagSighting(tag.id, tag.corners + first, tag.margin, tag.hamming) for tag in tags]
