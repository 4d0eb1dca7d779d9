"""A plane of the scene seen straight on, as a square, without aliasing."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.geometry import Array

Pixels = NDArray[np.uint8]

CELL_PX = 8
"""Places in the picture are computed for each cell of the square, and interpolated between: within 0.02 px.

At 300 mm from a sticker of 160 mm, turned by 60 degrees, through a lens with k1 = -0.3.
"""

SIDE_PX = (64, 1024)
"""Smallest and largest side of the square; between, it is that of the longest edge in the picture."""

SAMPLES = 2**20
"""How many are taken at a time: memory does not grow with the picture."""

LARGEST_PX = 2**15 - 2
"""OpenCV looks up places in pictures of this side at most."""

STEP_PX = 1.1
"""Samples are not farther apart in the picture."""

Places = Callable[[Array], Array]


def rectified(pixels: Pixels, to_pixels: Places) -> Pixels:
    """``(S, S, 3)`` uint8 of what ``to_pixels`` maps the unit square to: ``(N, 2)`` from 0 to 1 → ``(N, 2)`` pixels.

    Where the square has fewer pixels than the picture, each is the mean over its area: samples are at most ``STEP_PX``
    of the picture apart. Beyond the picture its border goes on. ``pixels`` has sides of at most ``LARGEST_PX``.
    """
    fewest, most = (side // CELL_PX for side in SIDE_PX)
    cells = min(max(round(_longest_edge(to_pixels) / CELL_PX), fewest), most)
    nodes = _nodes(to_pixels, cells)
    finer = max(1, math.ceil(_largest_step(nodes) / CELL_PX - STEP_PX + 1))
    rows = max(1, SAMPLES // (cells * (CELL_PX * finer) ** 2))
    strips = [_strip(pixels, nodes[first : first + rows + 2], finer) for first in range(0, cells, rows)]
    return np.concatenate(strips)


def _nodes(to_pixels: Places, cells: int) -> NDArray[np.float32]:
    """``(cells + 2, cells + 2, 2)`` places of the cells' centers, and of one more cell on each side."""
    along = (np.arange(-1, cells + 1) + 0.5) / cells
    x, y = np.meshgrid(along, along)
    places = to_pixels(np.column_stack([x.ravel(), y.ravel()]))
    return np.asarray(places.reshape(cells + 2, cells + 2, 2), dtype=np.float32)


def _strip(pixels: Pixels, nodes: NDArray[np.float32], finer: int) -> Pixels:
    """Rows of cells of the square; the first and the last of ``nodes`` only lead on."""
    samples = CELL_PX * finer
    height, width = nodes.shape[0] * samples, nodes.shape[1] * samples
    places = cv2.resize(nodes, (width, height), interpolation=cv2.INTER_LINEAR)[samples:-samples, samples:-samples]
    x, y = (np.ascontiguousarray(places[..., axis], dtype=np.float32) for axis in (0, 1))
    sampled = cv2.remap(pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    size = x.shape[1] // finer, x.shape[0] // finer
    return np.asarray(cv2.resize(sampled, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _longest_edge(to_pixels: Places) -> float:
    corners = to_pixels(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    return float(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).max())


def _largest_step(nodes: NDArray[np.float32]) -> float:
    """Pixels from a cell to the next."""
    return max(float(np.linalg.norm(np.diff(nodes, axis=axis), axis=2).max()) for axis in (0, 1))
