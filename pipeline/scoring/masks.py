"""Which part of each pixel lies within loops: what of a crop is kept, what is filled."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.geometry import Array

Share = NDArray[np.float32]

FINE_PX = 512
MAX_FINER = 8
"""Small crops are drawn so many times larger, that their edges are exact to a fraction of a pixel."""

FRACTION_BITS = 4
FARTHEST_PX = 1e6
"""OpenCV draws with whole numbers of 32 bits; loops that reach farther are cut off there, far outside of any crop."""


def covered(loops_px: Sequence[Array], height: int, width: int) -> Share:
    """``(height, width)`` share of each pixel within an odd number of loops ``(N, 2)``: a loop in a loop is a hole."""
    finer = int(np.clip(FINE_PX // max(height, width), 1, MAX_FINER))
    mask = np.zeros((height * finer, width * finer), np.uint8)
    fixed = [np.clip((loop + 0.5) * finer - 0.5, -FARTHEST_PX, FARTHEST_PX) * 2**FRACTION_BITS for loop in loops_px]
    cv2.fillPoly(mask, [np.round(loop).astype(np.int32) for loop in fixed], 255, cv2.LINE_8, FRACTION_BITS)
    shares = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(shares, dtype=np.float32) / np.float32(255)


def blended(pixels: NDArray[np.uint8], other: NDArray[np.uint8], share: Share) -> NDArray[np.uint8]:
    """``other`` ``(H, W, 3)`` where ``share`` ``(H, W)`` is 1, ``pixels`` where it is 0; uint8 RGB."""
    mixed = pixels + (np.float32(other) - pixels) * share[..., None]
    return np.asarray(np.round(mixed), dtype=np.uint8)
