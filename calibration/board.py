"""The calibration board: a ChArUco chessboard, and where its corners are in a picture.

Convention: board coordinates are mm, origin top-left of the board, x right, y down; pixel (0, 0) is the center of the
top-left pixel. The scale of the print does not matter for the intrinsics, only that it is flat and not stretched.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from calibration.errors import BadInput
from calibration.files import Document
from calibration.geometry import Array, Box

MARKERS = {"DICT_4X4_50": 50, "DICT_5X5_50": 50, "DICT_5X5_250": 250, "DICT_6X6_250": 250}
"""Dictionaries that a board may use and how many markers each has; none shares its pattern with a sheet's tags."""

MIN_SIDE = 16
"""A picture smaller than this holds no board."""


@dataclass(frozen=True, slots=True)
class BoardSighting:
    """What one picture shows of a board: corner ids, ``(N, 2)`` px, ``(N, 2)`` mm, and the picture's size in px."""

    ids: tuple[int, ...]
    corners_px: Array
    corners_mm: Array
    width: int
    height: int


class Board(Document):
    """A chessboard with a marker in each white square; top-left square black. The default fits A4 landscape."""

    format: Literal["dpcam.board"] = "dpcam.board"
    version: Literal[1] = 1
    squares_x: int = Field(default=7, ge=3, le=50)
    squares_y: int = Field(default=5, ge=3, le=50)
    square_mm: float = Field(default=36.0, gt=0, le=1000)
    marker_mm: float = Field(default=27.0, gt=0, le=1000)
    dictionary: Literal["DICT_4X4_50", "DICT_5X5_50", "DICT_5X5_250", "DICT_6X6_250"] = "DICT_5X5_50"

    @model_validator(mode="after")
    def _markers_fit(self) -> Board:
        if self.marker_mm > 0.9 * self.square_mm:
            raise ValueError(
                f"a marker of {self.marker_mm:g} mm leaves no white border in a square of {self.square_mm:g} mm, "
                f"at most {0.9 * self.square_mm:g} mm accepted"
            )
        if self.markers > MARKERS[self.dictionary]:
            raise ValueError(
                f"a board of {self.squares_x}x{self.squares_y} squares needs {self.markers} markers, "
                f"{self.dictionary} has {MARKERS[self.dictionary]}"
            )
        return self

    @property
    def markers(self) -> int:
        """How many white squares, and so markers, it has."""
        return self.squares_x * self.squares_y // 2

    @property
    def corners(self) -> int:
        """How many inner corners it has; their ids count row by row from the top-left one."""
        return (self.squares_x - 1) * (self.squares_y - 1)

    @property
    def width_mm(self) -> float:
        """Width of the chessboard without margin."""
        return self.squares_x * self.square_mm

    @property
    def height_mm(self) -> float:
        """Height of the chessboard without margin."""
        return self.squares_y * self.square_mm

    def corners_mm(self) -> Array:
        """``(corners, 2)`` inner corners by id."""
        return np.asarray(_opencv_board(self).getChessboardCorners(), dtype=np.float64)[:, :2]

    def black_boxes(self) -> list[Box]:
        """All that is printed black, as boxes in mm that do not overlap: squares, then cells of markers."""
        squares = [
            _box(x * self.square_mm, y * self.square_mm, self.square_mm)
            for y in range(self.squares_y)
            for x in range(self.squares_x)
            if (x + y) % 2 == 0
        ]
        return squares + [cell for marker in range(self.markers) for cell in self._marker_cells(marker)]

    def _marker_cells(self, marker: int) -> list[Box]:
        board = _opencv_board(self)
        bits = marker_bits(self.dictionary, marker)
        left, top = np.asarray(board.getObjPoints()[marker], dtype=np.float64)[0, :2]
        side = self.marker_mm / len(bits)
        return [_box(left + x * side, top + y * side, side) for y, x in np.argwhere(~bits)]

    def find(self, pixels: NDArray[np.uint8]) -> BoardSighting:
        """Find it in ``(H, W, 3)`` uint8 RGB; no ids when it is not there, :class:`BadInput` for other arrays."""
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise BadInput(f"a board is searched in a (H, W, 3) uint8 RGB picture, got {pixels.shape} {pixels.dtype}")
        height, width = pixels.shape[:2]
        if min(height, width) < MIN_SIDE:
            return BoardSighting((), np.empty((0, 2)), np.empty((0, 2)), width, height)
        gray = np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        corners, ids, _, _ = cv2.aruco.CharucoDetector(_opencv_board(self)).detectBoard(gray)
        found = np.empty(0, int) if ids is None else np.asarray(ids).reshape(-1)
        seen = self._refined(gray, np.asarray(corners)) if len(found) else np.empty((0, 2))
        return BoardSighting(tuple(map(int, found)), seen, self.corners_mm()[found], width, height)

    def _refined(self, gray: NDArray[np.uint8], corners: NDArray[np.float32]) -> Array:
        """Corners measured again in a window as large as the markers allow: OpenCV's own is tiny (0.10 → 0.07 px)."""
        points = corners.reshape(-1, 2)
        gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
        spacing = float(gaps[gaps > 0].min(initial=np.inf))
        border = (1 - self.marker_mm / self.square_mm) / 2
        half = int(np.clip(0.65 * border * min(spacing, 1000), 2, 7))
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-3)
        refined = cv2.cornerSubPix(gray, points.reshape(-1, 1, 2).copy(), (half, half), (-1, -1), criteria)
        return np.asarray(refined, dtype=np.float64).reshape(-1, 2)


def marker_bits(dictionary: str, marker: int) -> NDArray[np.bool_]:
    """Cells of a marker with its black border, True = white."""
    table = _dictionary(dictionary)
    cells = table.markerSize + 2
    return np.asarray(cv2.aruco.generateImageMarker(table, marker, cells) > 127)


def _dictionary(name: str) -> cv2.aruco.Dictionary:
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))


@lru_cache(maxsize=16)
def _opencv_board(board: Board) -> cv2.aruco.CharucoBoard:
    size = (board.squares_x, board.squares_y)
    return cv2.aruco.CharucoBoard(size, board.square_mm, board.marker_mm, _dictionary(board.dictionary))


def _box(x_mm: float, y_mm: float, side_mm: float) -> Box:
    return Box(x_mm=x_mm, y_mm=y_mm, width_mm=side_mm, height_mm=side_mm)
