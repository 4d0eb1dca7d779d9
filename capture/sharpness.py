"""How blurred a picture is: its tags, whose ideal look is known, are blurred until they look like those in the picture.

Blur is a Gaussian in sensor pixels, beside the averaging over each pixel's own area: what :mod:`patches.eot` draws as
``defocus_px`` and, along one direction more, as ``motion_px``. Two models are tried for each tag and the one that fits
better counts: blurred light, as in a camera, and blurred code values, as in a picture that was softened afterwards.
Under the wrong one of the two every edge lies beside its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.geometry import Array
from calibration.tags import CELLS, tag_bits, to_gray

Whole = NDArray[np.int64]

FINE = 3
"""The ideal tag is drawn this many times finer than the picture."""

WINDOW_PX = 72
"""Of a large tag only so much is looked at, around a corner of its black square."""

BEYOND_PX = 8
"""Drawn beyond the part that is looked at, so that blur finds something there."""

RIM_CELLS = 0.3
"""The outer rim of the white border is left out: what lies beyond it is not known."""

ENOUGH_TAGS = 2
"""So many tags of a picture are measured, the largest ones."""

MIN_CELL_PX = 1.5
MIN_PIXELS = 150
CLIPPED = 3
"""Code values so near to black or white say nothing of an edge."""

MAX_SIGMA_PX = 20.0


@dataclass(frozen=True, slots=True)
class Blur:
    """Gaussian sigma, and length of an even streak on top of it, in sensor pixels."""

    defocus_px: float
    motion_px: float


@dataclass(frozen=True, slots=True)
class _Ideal:
    """A tag drawn finely, as its spectrum, and the part ``rows``, ``columns`` of the picture that it is held against.

    ``shape`` of the fine drawing; ``known`` ``(h, w)``: the pixels of that part that show the tag.
    """

    spectrum: NDArray[np.complex128]
    shape: tuple[int, int]
    rows: slice
    columns: slice
    known: NDArray[np.bool_]


def measure_blur(pixels: NDArray[np.uint8], tags: Mapping[int, Array]) -> Blur | None:
    """The blur of ``(H, W, 3)`` uint8 RGB from tags: id → ``(4, 2)`` corners, px as captured.

    The tags' covariances are averaged before they are taken apart, or noise would look like motion. None when no tag
    is large and clean enough.
    """
    gray = to_gray(pixels)
    largest = sorted(tags, key=lambda tag: cv2.contourArea(tags[tag].astype(np.float32)), reverse=True)
    found = (_covariance(gray, tag, tags[tag]) for tag in largest)
    usable = list(islice((each for each in found if each is not None), ENOUGH_TAGS))
    if not usable:
        return None
    across, along = np.linalg.eigvalsh(np.mean(usable, axis=0)).clip(min=0)
    # An even streak of length L has the variance L^2 / 12.
    return Blur(math.sqrt(across), math.sqrt(12 * (along - across)))


def _covariance(gray: NDArray[np.uint8], tag: int, corners: Array) -> Array | None:
    """``(2, 2)`` covariance (x, y) of the blur of one tag, px²; None when it cannot be told."""
    ideal = _drawn(gray.shape, tag, corners)
    if ideal is None:
        return None
    code = gray[ideal.rows, ideal.columns]
    usable = ideal.known & (code >= CLIPPED) & (code <= 255 - CLIPPED)
    if usable.sum() < max(MIN_PIXELS, ideal.known.sum() / 2):
        return None
    values = code[usable] / 255
    fits = [_fit(ideal, usable, seen) for seen in (values**2, values)]
    misfit, covariance = min(fits, key=lambda fit: fit[0])
    plausible = math.isfinite(misfit) and float(np.trace(covariance)) < MAX_SIGMA_PX**2
    return covariance if plausible else None


def _drawn(shape: tuple[int, ...], tag: int, corners: Array) -> _Ideal | None:
    """The ideal tag with its black square at ``corners``; None when it is too small in the picture."""
    square = np.array([[1, 1], [1 + CELLS, 1], [1 + CELLS, 1 + CELLS], [1, 1 + CELLS]], np.float32)
    image_from_cell = np.asarray(cv2.getPerspectiveTransform(square, corners.astype(np.float32)), dtype=np.float64)
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1) / CELLS
    low, high = _window(shape, image_from_cell, corners)
    if sides.min() < MIN_CELL_PX or (high <= low).any():
        return None
    cells = _cells(image_from_cell, low, high)
    fine = _printed(tag, cells, 1 / (FINE * sides.max()))
    centers = _averaged(cells)
    known = np.all((centers > RIM_CELLS) & (centers < CELLS + 2 - RIM_CELLS), axis=-1)
    return _Ideal(
        # White is 0 here, so that the drawing ends smoothly.
        np.fft.rfft2(fine - 1.0),
        (fine.shape[0], fine.shape[1]),
        slice(int(low[1]), int(high[1])),
        slice(int(low[0]), int(high[0])),
        np.asarray(known, dtype=np.bool_),
    )


def _printed(tag: int, cells: Array, step: float) -> Array:
    """How white the tag is at places in cells, averaged over squares of ``step`` cells; white beyond the tag."""
    bits = np.pad(tag_bits(tag), 1, constant_values=True).astype(np.float64)
    # A square of less than a cell covers two cells an axis at most: the one of its first end, the one of its last.
    first, last = (np.clip(np.floor(end).astype(int) + 1, 0, CELLS + 3) for end in (cells - step / 2, cells + step / 2))
    beyond = np.where(last > first, (cells + step / 2 - (last - 1)) / step, 0.0).clip(0, 1)
    (x, y), (next_x, next_y), (share_x, share_y) = (np.moveaxis(each, -1, 0) for each in (first, last, beyond))
    upper = bits[y, x] * (1 - share_x) + bits[y, next_x] * share_x
    lower = bits[next_y, x] * (1 - share_x) + bits[next_y, next_x] * share_x
    return np.asarray(upper * (1 - share_y) + lower * share_y)


def _window(shape: tuple[int, ...], image_from_cell: Array, corners: Array) -> tuple[Whole, Whole]:
    """Least and greatest pixel (x, y) to look at: the tag with its border, or the surroundings of one corner."""
    border = np.array([[[0, 0], [CELLS + 2, 0], [CELLS + 2, CELLS + 2], [0, CELLS + 2]]], np.float64)
    outer = np.asarray(cv2.perspectiveTransform(border, image_from_cell))[0]
    low, high = np.floor(outer.min(axis=0)), np.ceil(outer.max(axis=0)) + 1
    if (high - low).max() > WINDOW_PX:
        low = np.maximum(low, np.floor(corners[0] - WINDOW_PX / 2))
        high = np.minimum(high, np.ceil(corners[0] + WINDOW_PX / 2))
    return np.maximum(low, 0).astype(np.int64), np.minimum(high, [shape[1], shape[0]]).astype(np.int64)


def _cells(image_from_cell: Array, low: Whole, high: Whole) -> Array:
    """``(h, w, 2)`` place in the tag, in cells, of each fine point from ``low`` to ``high`` and a little beyond."""
    width, height = (high - low + 2 * BEYOND_PX) * FINE
    y, x = np.mgrid[0:height, 0:width]
    fine = np.stack([x, y], axis=-1).reshape(1, -1, 2)
    image = (fine + 0.5) / FINE - 0.5 + (low - BEYOND_PX)
    cells = cv2.perspectiveTransform(image, np.linalg.inv(image_from_cell))
    return np.asarray(cells, dtype=np.float64).reshape(height, width, 2)


def _averaged(fine: Array) -> Array:
    """``(h, w, ...)`` fine points → their means over the picture's pixels, without those drawn beyond."""
    height, width = fine.shape[0] // FINE, fine.shape[1] // FINE
    means = fine.reshape(height, FINE, width, FINE, *fine.shape[2:]).mean(axis=(1, 3))
    return np.asarray(means[BEYOND_PX:-BEYOND_PX, BEYOND_PX:-BEYOND_PX])


def _fit(ideal: _Ideal, usable: NDArray[np.bool_], seen: Array) -> tuple[float, Array]:
    """Misfit as share of the contrast, and covariance, of the blur with which ``ideal`` comes nearest to ``seen``.

    Black and white levels that change evenly over the tag are fitted along, whatever the light is like.
    """
    from scipy.optimize import least_squares

    fy = np.fft.fftfreq(ideal.shape[0], 1 / FINE)[:, None]
    fx = np.fft.rfftfreq(ideal.shape[1], 1 / FINE)[None]
    y, x = (np.argwhere(usable) / usable.shape - 0.5).T
    plane = np.stack([np.ones_like(x), x, y], axis=1)

    def blurred(root: Array) -> tuple[Array, Array]:
        (xx, xy), (_, yy) = _square(root)
        gauss = np.exp(-2 * math.pi**2 * (xx * fx**2 + 2 * xy * fx * fy + yy * fy**2))
        drawn = _averaged(np.fft.irfft2(ideal.spectrum * gauss, s=ideal.shape))[usable] + 1
        columns = np.concatenate([plane, plane * drawn[:, None]], axis=1)
        levels = np.linalg.lstsq(columns.T @ columns, columns.T @ seen, rcond=None)[0]
        return columns @ levels - seen, levels

    found = least_squares(lambda root: blurred(root)[0], [0.8, 0.0, 0.8], diff_step=0.02, xtol=1e-3, ftol=1e-4)
    residual, levels = blurred(found.x)
    contrast = max(abs(float(levels[3])), 1e-9)
    return float(np.sqrt(np.mean(residual**2))) / contrast, _square(found.x)


def _square(root: Array) -> Array:
    """``(2, 2)`` covariance from its Cholesky factor ``(a, b, c)``: positive, whatever the search tries."""
    factor = np.array([[root[0], 0.0], [root[1], root[2]]])
    return np.asarray(factor @ factor.T)
