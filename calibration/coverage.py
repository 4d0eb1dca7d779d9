"""Which part of the picture and which tilt of the board the pictures show, and what is missing, in words.

Tilts before there is a calibration come from a camera of an ordinary lens: a few degrees off, which is enough here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.board import BoardSighting
from calibration.geometry import Array

NINTHS = ("top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right")
CELL_CORNERS = 8
"""A ninth of the picture counts as covered when so many corners were seen in it, all pictures together."""

TILT_DEG = 15.0
TILTS = ("right", "left", "bottom", "top")
"""Sides of the board, as they are in the picture, that can be the farther one."""

GRID = (24, 18)
GOOD_VIEWS = 15
NEAR_SHARE = 0.12
"""In at least one picture the board's corners span this share; the board itself is larger than its inner corners."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """``cells``: ``(3, 3)`` corners seen in each ninth of the picture. ``share`` of the picture that all corners span.

    ``tilts_deg``: ``(V, 2)`` by how much each board's right and bottom side is farther (negative: its left, its top).
    ``largest``: the largest share of the picture that one board filled.
    """

    cells: Array
    share: float
    tilts_deg: Array
    largest: float

    @property
    def missing(self) -> tuple[str, ...]:
        """What to photograph next, in words; empty when the set is good."""
        wanted = [f"the board in the {name} of the picture" for name in self._empty_cells()]
        wanted += [f"the board with its {side} side farther away, by 20 to 45 degrees" for side in self._level()]
        if self.largest < NEAR_SHARE:
            wanted.append(f"the board nearer: its corners spanned {self.largest:.0%} of the picture at most")
        if (few := GOOD_VIEWS - len(self.tilts_deg)) > 0:
            wanted.append(f"{few} more views")
        return tuple(wanted)

    def _empty_cells(self) -> list[str]:
        return [name for name, count in zip(NINTHS, self.cells.ravel(), strict=True) if count < CELL_CORNERS]

    def _level(self) -> list[str]:
        """Sides that were never the farther one."""
        right, bottom = self.tilts_deg.T
        most = (right.max(initial=0), -right.min(initial=0), bottom.max(initial=0), -bottom.min(initial=0))
        return [side for side, tilt in zip(TILTS, most, strict=True) if tilt < TILT_DEG]


def coverage_of(views: Sequence[BoardSighting], width: int, height: int, normals: Array | None = None) -> Coverage:
    """The coverage of these views; ``normals`` ``(V, 3)`` are those of the boards when a fit knows them."""
    corners = np.concatenate([view.corners_px for view in views]) if views else np.empty((0, 2))
    bins = np.clip((corners / [width, height] * 3).astype(int), 0, 2)
    cells = np.zeros((3, 3))
    np.add.at(cells, (bins[:, 1], bins[:, 0]), 1)
    area = width * height
    known = np.array([_rough_normal(view) for view in views]) if normals is None else normals
    return Coverage(
        cells,
        _hull_area(corners) / area,
        tilts_deg(known.reshape(-1, 3)),
        max((_hull_area(view.corners_px) for view in views), default=0.0) / area,
    )


def tilts_deg(normals: Array) -> Array:
    """``(V, 3)`` normals of boards (away from the viewer) → ``(V, 2)``: right side and bottom side farther, degrees."""
    return np.degrees(np.arctan2(-normals[:, :2], normals[:, 2:]))


def seen_pixels(views: Sequence[BoardSighting]) -> Array:
    """A grid of pixels ``(N, 2)`` over the part of the picture that the corners span."""
    hull = cv2.convexHull(np.concatenate([view.corners_px for view in views]).astype(np.float32))
    across, down = GRID
    x, y = np.meshgrid(np.linspace(0, views[0].width - 1, across), np.linspace(0, views[0].height - 1, down))
    pixels = np.column_stack([x.ravel(), y.ravel()])
    inside = [cv2.pointPolygonTest(hull, (float(u), float(v)), False) >= 0 for u, v in pixels]
    return pixels[inside]


def _hull_area(corners: Array) -> float:
    return float(cv2.contourArea(cv2.convexHull(corners.astype(np.float32)))) if len(corners) > 2 else 0.0


def _rough_normal(view: BoardSighting) -> Array:
    focal = float(max(view.width, view.height))
    matrix = np.array([[focal, 0, view.width / 2], [0, focal, view.height / 2], [0, 0, 1]])
    done, turn, _ = cv2.solvePnP(view.points_mm, view.corners_px, matrix, None)
    if not done or not math.isfinite(float(np.sum(turn))):
        return np.array([0.0, 0.0, 1.0])
    return np.asarray(cv2.Rodrigues(turn)[0][:, 2], dtype=np.float64)
