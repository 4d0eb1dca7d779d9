"""Outlines of traffic signs in photographs that they fill as the benchmark's do."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.zoo.labels import LABELS

Outline = NDArray[np.float64]
"""Corners ``(N, 2)``: x right, y down, from the middle of the picture, in shares of its side."""

CIRCLE_CORNERS = 96
DANGERS = LABELS[LABELS.index("general-caution") : LABELS.index("wild-animals") + 1]
TRIANGLES_UP = frozenset(("right-of-way", *DANGERS))


def sign_outline(label: str, share: float) -> Outline:
    """The outline of a class of signs whose bounding box is ``share`` of the picture: most signs are round."""
    return share / 2 * _shape(label)


def _shape(label: str) -> Outline:
    """In the square from -1 to 1. Pictures are squeezed to squares, and triangles with them."""
    if label in TRIANGLES_UP:
        return np.array([(0.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    if label == "yield":
        return np.array([(0.0, 1.0), (-1.0, -1.0), (1.0, -1.0)])
    if label == "priority-road":
        return np.array([(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)])
    if label == "stop":
        return _around(8, math.pi / 8) / math.cos(math.pi / 8)
    return _around(CIRCLE_CORNERS, 0.0)


def _around(corners: int, start: float) -> Outline:
    angles = start + 2 * math.pi * np.arange(corners) / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
