"""AprilTags: their bits, and where they are in a picture. The one home of the AprilTag library.

Convention: corners are ``(4, 2)`` float64 pixels, pixel (0, 0) is the *center* of the top-left pixel; order
top-left, top-right, bottom-right, bottom-left as the tag is printed upright. The library counts from the pixel's
corner (+0.5 px) and names corners ``lb-rb-rt-lt``; both are converted here and proved with rendered tags.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput
from calibration.geometry import Array
from calibration.sheet import TAG_COUNT, TAG_FAMILY

CELLS = 8
"""Cells along the side of the black square."""

MIN_SIDE = 8
"""The library crashes on pictures smaller than this; no tag fits in there anyway."""

SEARCH_DECIMATION = 2.0
ROI_MARGIN = 0.35
"""The exact pass looks this share of a tag's size beyond the first pass's finds."""

_detectors = threading.local()


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

    Ids in ``expected`` that the quick search does not see are searched for at full resolution in the whole picture.
    A picture that is too small to hold a tag gives an empty list; a wrong shape or dtype raises :class:`BadInput`.
    """
    picture = _guarded(gray)
    if min(picture.shape) < MIN_SIDE:
        return []
    quick = _run(picture, SEARCH_DECIMATION)
    if not quick or not {tag.id for tag in quick} >= set(expected):
        return _run(picture, 1.0)
    left, top, right, bottom = _region(quick, picture.shape)
    found = _run(np.ascontiguousarray(picture[top:bottom, left:right]), 1.0)
    return [_shifted(tag, left, top) for tag in found]


def detect_full(gray: NDArray[np.uint8]) -> list[TagSighting]:
    """Find the tags by one pass over the whole picture at full resolution: slow, the reference for :func:`detect`."""
    picture = _guarded(gray)
    return _run(picture, 1.0) if min(picture.shape) >= MIN_SIDE else []


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


def _detector(decimate: float) -> Any:
    """One detector per thread and decimation, reused: the library's detectors are not thread-safe."""
    if not hasattr(_detectors, "by_decimation"):
        _detectors.by_decimation = {}
    cache: dict[float, Any] = _detectors.by_decimation
    if decimate not in cache:
        from apriltag import apriltag

        cache[decimate] = apriltag(TAG_FAMILY, decimate=decimate, maxhamming=1)
    return cache[decimate]


def _sighting(found: dict[str, Any]) -> TagSighting:
    corners = np.asarray(found["lb-rb-rt-lt"], dtype=np.float64)[::-1] - 0.5
    return TagSighting(int(found["id"]), corners, float(found["margin"]), int(found["hamming"]))


def _region(tags: list[TagSighting], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    corners = np.concatenate([tag.corners for tag in tags])
    longest = max(float(np.ptp(tag.corners, axis=0).max()) for tag in tags)
    margin = ROI_MARGIN * longest + 8
    low = np.floor(corners.min(axis=0) - margin).astype(int)
    high = np.ceil(corners.max(axis=0) + margin).astype(int) + 1
    return max(low[0], 0), max(low[1], 0), min(high[0], shape[1]), min(high[1], shape[0])


def _shifted(tag: TagSighting, left: int, top: int) -> TagSighting:
    return TagSighting(tag.id, tag.corners + np.array([left, top]), tag.margin, tag.hamming)
