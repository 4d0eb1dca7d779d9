"""Blur: defocus, glass, motion, zoom. Pictures are ``(H, W, 3)`` float32 from 0 to 1."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.noises.constants import Defocus, Glass, Motion, Zoom

Picture = NDArray[np.float32]
Kernel = NDArray[np.float32]

SPAN_PX = 8
"""The published disk lies in a square that reaches this far, or as far as a larger radius."""


def defocus_blur(picture: Picture, constants: Defocus, _: Generator) -> Picture:
    """Average over a disk with a smoothed rim. As published."""
    return np.asarray(cv2.filter2D(picture, -1, disk(constants)), dtype=np.float32)


@functools.cache
def disk(constants: Defocus) -> Kernel:
    """The disk ``(n, n)``: sum 1 unless it touches the border of its square (radii 8 and 10, as published)."""
    wide = constants.radius_px > SPAN_PX
    # Two pixels around a small disk are as good as the published 17 x 17, and much faster.
    span = math.ceil(constants.radius_px) if wide else min(SPAN_PX, math.ceil(constants.radius_px) + 2)
    across = np.arange(-span, span + 1)
    inside = (np.hypot(across[:, None], across[None, :]) <= constants.radius_px).astype(np.float32)
    window = (5, 5) if wide else (3, 3)
    return np.asarray(cv2.GaussianBlur(inside / inside.sum(), window, constants.rim_px), dtype=np.float32)


def glass_blur(picture: Picture, constants: Glass, rng: Generator) -> Picture:
    """Blur, let pixels copy a neighbor, blur again. As published, without its loop over pixels.

    The published code means to swap pixels, one after the other from the bottom right. Its swap is one of NumPy views,
    so that in fact each pixel copies its neighbor, which may itself be a copy already: :func:`copied_from` has it in
    closed form. Nothing is rounded to bytes between the steps.
    """
    pixels = gaussian(picture, constants.sigma_px).reshape(-1, 3)
    for _ in range(constants.rounds):
        pixels = pixels[copied_from(picture.shape[0], picture.shape[1], constants.reach_px, rng)]
    return gaussian(pixels.reshape(picture.shape), constants.sigma_px)


def copied_from(height: int, width: int, reach_px: int, rng: Generator) -> NDArray[np.intp]:
    """The pixel ``(H * W,)`` that each pixel finally holds, as index into the flat picture.

    Pixels are visited from the bottom right to the top left, but for a margin; each takes what a random neighbor holds
    at that time. A neighbor that was visited before holds a copy, any other one itself.
    """
    indices = np.arange(height * width).reshape(height, width)
    here = indices[reach_px + 1 : height - reach_px + 1, reach_px + 1 : width - reach_px + 1]
    down, right = rng.integers(-reach_px, reach_px, size=(2, *here.shape))
    return follow(here.ravel(), (here + down * width + right).ravel(), height * width)


def follow(here: NDArray[np.intp], there: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """``here`` copies ``there``, highest index first → what each of ``count`` pixels holds in the end.

    Two nodes a pixel, what it will hold and (``count`` further) what it held; jumping along pointers halves the way.
    """
    visited = np.zeros(count, dtype=bool)
    visited[here] = True
    held = np.arange(count) + count
    source = np.concatenate([held, held])
    source[here] = np.where(visited[there] & (there > here), there, there + count)
    while True:
        further = source[source]
        if np.array_equal(further, source):
            return source[:count] - count
        source = further


def gaussian(picture: Picture, sigma_px: float) -> Picture:
    """Gaussian blur, cut off at four sigma, the border repeated: as scikit-image's default."""
    size = 2 * int(4 * sigma_px + 0.5) + 1
    return np.asarray(cv2.GaussianBlur(picture, (size, size), sigma_px, borderType=cv2.BORDER_REPLICATE), np.float32)


def motion_blur(picture: Picture, constants: Motion, rng: Generator) -> Picture:
    """Smear along a line within 45 degrees of the horizontal. As published, by OpenCV instead of ImageMagick."""
    return smear(picture, constants, rng.uniform(-45, 45))


def smear(picture: Picture, constants: Motion, angle_deg: float) -> Picture:
    """ImageMagick's motion blur of ``(H, W[, 3])``: half a Gaussian from each pixel on, the border repeated."""
    steps = np.arange(2 * constants.radius_px + 1)
    angle = math.radians(angle_deg)
    # Rounded as ImageMagick does: halves go down.
    right = np.ceil(steps * math.cos(angle) - 0.5).astype(int)
    down = np.ceil(steps * math.sin(angle) - 0.5).astype(int)
    left, top = int(right.min()), int(down.min())
    kernel = np.zeros((np.ptp(down) + 1, np.ptp(right) + 1), dtype=np.float32)
    np.add.at(kernel, (down - top, right - left), np.exp(-(steps**2) / (2 * constants.sigma_px**2)))
    kernel /= kernel.sum()
    blurred = cv2.filter2D(picture, -1, kernel, anchor=(-left, -top), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, dtype=np.float32)


def zoom_blur(picture: Picture, constants: Zoom, _: Generator) -> Picture:
    """The mean of the picture and of its zooms. As published, for pictures of any shape."""
    factors = np.arange(1, constants.stop, constants.step)
    return (picture + sum(zoomed(picture, factor) for factor in factors)) / np.float32(len(factors) + 1)


def zoomed(picture: Picture, factor: float) -> Picture:
    """The middle of ``(H, W[, 3])``, enlarged to the same size: linear, corner pixel to corner pixel as in SciPy."""
    height, width = picture.shape[:2]
    (x_scale, x_shift), (y_scale, y_shift) = _zoom_axis(width, factor), _zoom_axis(height, factor)
    place = np.array([[x_scale, 0, x_shift], [0, y_scale, y_shift]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    enlarged = cv2.warpAffine(picture, place, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(enlarged, dtype=np.float32)


def _zoom_axis(side: int, factor: float) -> tuple[float, float]:
    """Scale and shift from a pixel of the enlarged picture to the pixel of the original."""
    crop = math.ceil(side / factor)
    enlarged = round(crop * factor)
    scale = (crop - 1) / (enlarged - 1)
    return scale, (side - crop) // 2 + scale * ((enlarged - side) // 2)
