"""How wide the edges of a picture's tags are: a quick look at sharpness, in a millisecond.

Each side of a tag's black square is a straight edge between a black cell and a white one. It is sampled across, the
samples along it are averaged, and what is left is the edge's profile: its slope is the blur across it. How far a blur
that is wider than half a cell reaches is not seen. :mod:`capture.sharpness` measures properly, and takes a hundred
times as long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.geometry import Array
from calibration.tags import CELLS, Window, to_gray

ALONG = 24
"""Samples along a side."""

ACROSS = 33
"""Samples across it, over one cell inwards and one outwards."""

MIN_CONTRAST = 8 / 255
"""Of black and white, as shares of the full scale of light; an edge with less is no edge to measure."""

SAMPLED = 1 / 6 + 1 / 12
"""Variance in px² that bilinear sampling and the averaging over a pixel add, on average."""


def edge_blur_px(pixels: NDArray[np.uint8], tags: Mapping[int, Array]) -> float | None:
    """The widest blur across the sides of ``tags`` (id → ``(4, 2)`` corners, px) in ``(H, W, 3)`` uint8 RGB.

    A Gaussian sigma in sensor pixels, beside the averaging over each pixel's own area: the larger one of the sides that
    run across the picture and of those that run down, so that a streak along either is seen. None without an edge.
    """
    by_direction: tuple[list[float], list[float]] = ([], [])
    for corners in tags.values():
        for side, variance in enumerate(_variances(pixels, corners)):
            if math.isfinite(variance):
                by_direction[side % 2].append(variance)
    means = [float(np.median(variances)) for variances in by_direction if variances]
    return math.sqrt(max(*means, 0.0)) if means else None


def _variances(pixels: NDArray[np.uint8], corners: Array) -> Array:
    """``(4,)`` px², of the four sides of one tag; NaN for one that is not in the picture whole, or has no contrast."""
    window = Window.around(corners, float(np.ptp(corners, axis=0).max()) / CELLS + 2, pixels.shape)
    if window.empty:
        return np.full(4, np.nan)
    points = _across_sides(corners) - [window.left, window.top]
    seen = _sampled(to_gray(window.of(pixels)), points)
    # Light, roughly: under a camera's encoding an edge is not even.
    profile = (seen**2).mean(axis=1)
    steps_px = np.linalg.norm(points[:, :, -1] - points[:, :, 0], axis=-1).mean(axis=1) / (ACROSS - 1)
    return np.array([_variance(each, float(step)) for each, step in zip(profile, steps_px, strict=True)])


def _sampled(gray: NDArray[np.uint8], points: Array) -> Array:
    """Shares of the full scale at ``(4, ALONG, ACROSS, 2)`` points; NaN beyond the picture."""
    share = gray.astype(np.float32) / 255
    places = points.astype(np.float32).reshape(-1, ACROSS, 2)
    nothing = np.empty(0, np.float32)
    seen = cv2.remap(share, places, nothing, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=math.nan)
    return np.asarray(seen, dtype=np.float64).reshape(4, ALONG, ACROSS)


def _across_sides(corners: Array) -> Array:
    """``(4, ALONG, ACROSS, 2)`` places in the picture, from the white border over each side to the black within."""
    square = np.array([[0, 0], [CELLS, 0], [CELLS, CELLS], [0, CELLS]], np.float32)
    image_from_cell = np.asarray(cv2.getPerspectiveTransform(square, corners.astype(np.float32)), dtype=np.float64)
    along, across = np.meshgrid(np.linspace(1, CELLS - 1, ALONG), np.linspace(-1, 1, ACROSS), indexing="ij")
    top = np.stack([along, across], axis=-1)
    left = np.stack([across, along], axis=-1)
    sides = np.stack([top, CELLS - left, CELLS - top, left])
    image = np.asarray(cv2.perspectiveTransform(sides.reshape(1, -1, 2), image_from_cell), dtype=np.float64)
    return image.reshape(sides.shape)


def _variance(profile: Array, step_px: float) -> float:
    """Of the slope of an edge that falls from white to black."""
    slope = (profile[:-1] - profile[1:]).clip(min=0)
    if not np.isfinite(slope).all() or profile[0] - profile[-1] < MIN_CONTRAST:
        return math.nan
    places = np.arange(len(slope)) * step_px
    weights = slope / slope.sum()
    middle = float(weights @ places)
    return float(weights @ (places - middle) ** 2) - SAMPLED
