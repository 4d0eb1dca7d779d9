"""The calibration board: what is printed of it, and where its corners are in a picture.

Three patterns. ``charuco``: a chessboard with a marker in each white square, may be partly hidden. ``apriltag``: a grid
of AprilTags, likewise. ``chessboard``: squares only, must be seen whole.

Convention: board coordinates are mm, origin top-left of the board, x right, y down; pixel (0, 0) is the center of the
top-left pixel. The scale of the print does not matter for the intrinsics, only that it is flat and not stretched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from calibration.board_corners import charuco_board, find_charuco, find_chessboard, find_tags, marker_bits
from calibration.errors import BadInput
from calibration.files import Document
from calibration.geometry import Array, Box
from calibration.sheet import SHEET_TAGS, TAG_COUNT
from calibration.tags import CELLS, tag_bits, to_gray

MARKERS = {"DICT_4X4_50": 50, "DICT_5X5_50": 50, "DICT_5X5_250": 250, "DICT_6X6_250": 250}
"""Dictionaries that a board may use and how many markers each has; none shares its pattern with a sheet's tags."""

MIN_SIDE = 16
"""A picture smaller than this holds no board."""

Pattern = Literal["charuco", "apriltag", "chessboard"]

MOST_MARKER = {"charuco": 0.9, "apriltag": 0.88, "chessboard": 1.0}
"""A marker's side by its square's, at most: beyond, its white border is missing."""


@dataclass(frozen=True, slots=True)
class BoardSighting:
    """What one picture shows of a board: corner ids, ``(N, 2)`` px, ``(N, 2)`` mm, and the picture's size in px."""

    ids: tuple[int, ...]
    corners_px: Array
    corners_mm: Array
    width: int
    height: int

    @property
    def points_mm(self) -> Array:
        """``(N, 3)`` corners on the board, as OpenCV takes them."""
        return np.column_stack([self.corners_mm, np.zeros(len(self.ids))])


class Board(Document):
    """A board of ``squares_x`` x ``squares_y`` squares. The default fits A4 and Letter landscape.

    ``marker_mm``: side of a ChArUco marker, or of a tag's black square, in the middle of its square. ``dictionary`` is
    that of a ChArUco board; ``first_tag`` the id of the top-left AprilTag, from which the others count row by row.
    The top-left square of a chessboard is black.
    """

    format: Literal["dpcam.board"] = "dpcam.board"
    version: Literal[1] = 1
    pattern: Pattern = "charuco"
    squares_x: int = Field(default=10, ge=3, le=50)
    squares_y: int = Field(default=7, ge=3, le=50)
    square_mm: float = Field(default=25.0, gt=0, le=1000)
    marker_mm: float = Field(default=18.75, gt=0, le=1000)
    dictionary: Literal["DICT_4X4_50", "DICT_5X5_50", "DICT_5X5_250", "DICT_6X6_250"] = "DICT_5X5_50"
    first_tag: int = Field(default=SHEET_TAGS, ge=0, lt=TAG_COUNT)

    @model_validator(mode="after")
    def _markers_fit(self) -> Board:
        most_mm = MOST_MARKER[self.pattern] * self.square_mm
        if self.pattern != "chessboard" and self.marker_mm > most_mm:
            raise ValueError(
                f"a marker of {self.marker_mm:g} mm leaves no white border in a square of {self.square_mm:g} mm, "
                f"at most {most_mm:g} mm accepted"
            )
        family, available = self._family
        if self.markers > available:
            raise ValueError(
                f"a board of {self.squares_x}x{self.squares_y} squares needs {self.markers} markers, "
                f"{family} has {available}"
            )
        return self

    @property
    def _family(self) -> tuple[str, int]:
        """What its markers are called, and how many there are."""
        if self.pattern == "apriltag":
            return f"tag36h11 from {self.first_tag} on", TAG_COUNT - self.first_tag
        return self.dictionary, MARKERS[self.dictionary]

    @property
    def markers(self) -> int:
        """How many markers it has: one in each white square, in each square, or none."""
        squares = self.squares_x * self.squares_y
        return {"charuco": squares // 2, "apriltag": squares, "chessboard": 0}[self.pattern]

    @property
    def corners(self) -> int:
        """How many corners it has: the inner ones of the squares, or the four of each tag; ids count row by row."""
        return 4 * self.markers if self.pattern == "apriltag" else (self.squares_x - 1) * (self.squares_y - 1)

    @property
    def width_mm(self) -> float:
        """Width of the squares without margin."""
        return self.squares_x * self.square_mm

    @property
    def height_mm(self) -> float:
        """Height of the squares without margin."""
        return self.squares_y * self.square_mm

    def corners_mm(self) -> Array:
        """``(corners, 2)`` corners by id; a tag's: top-left, top-right, bottom-right, bottom-left."""
        if self.pattern == "apriltag":
            return np.concatenate([_box(*place, self.marker_mm).corners_mm for place in self._tag_places()])
        y, x = np.mgrid[1 : self.squares_y, 1 : self.squares_x]
        return np.column_stack([x.ravel(), y.ravel()]) * self.square_mm

    def black_boxes(self) -> list[Box]:
        """All that is printed black, as boxes in mm that do not overlap: squares, then cells of markers."""
        if self.pattern == "apriltag":
            return [cell for number in range(self.markers) for cell in self._tag_cells(number)]
        squares = [
            _box(x * self.square_mm, y * self.square_mm, self.square_mm)
            for y in range(self.squares_y)
            for x in range(self.squares_x)
            if (x + y) % 2 == 0
        ]
        return squares + [cell for marker in range(self.markers) for cell in self._marker_cells(marker)]

    def find(self, pixels: NDArray[np.uint8]) -> BoardSighting:
        """Find it in ``(H, W, 3)`` uint8 RGB; no ids when it is not there, :class:`BadInput` for other arrays."""
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise BadInput(f"a board is searched in a (H, W, 3) uint8 RGB picture, got {pixels.shape} {pixels.dtype}")
        height, width = pixels.shape[:2]
        if min(height, width) < MIN_SIDE:
            return BoardSighting((), np.empty((0, 2)), np.empty((0, 2)), width, height)
        ids, corners = self._found(to_gray(np.ascontiguousarray(pixels)))
        return BoardSighting(tuple(map(int, ids)), corners, self.corners_mm()[ids], width, height)

    def _found(self, gray: NDArray[np.uint8]) -> tuple[NDArray[np.intp], Array]:
        if self.pattern == "charuco":
            size = (self.squares_x, self.squares_y)
            return find_charuco(gray, charuco_board(size, self.square_mm, self.marker_mm, self.dictionary))
        if self.pattern == "apriltag":
            return find_tags(gray, self.first_tag, self.markers)
        return find_chessboard(gray, self.squares_x - 1, self.squares_y - 1)

    def _marker_cells(self, marker: int) -> list[Box]:
        size = (self.squares_x, self.squares_y)
        board = charuco_board(size, self.square_mm, self.marker_mm, self.dictionary)
        left, top = np.asarray(board.getObjPoints()[marker], dtype=np.float64)[0, :2]
        return _cells(marker_bits(self.dictionary, marker), float(left), float(top), self.marker_mm)

    def _tag_cells(self, number: int) -> list[Box]:
        left, top = self._tag_places()[number]
        return _cells(tag_bits(self.first_tag + number)[1 : CELLS + 1, 1 : CELLS + 1], left, top, self.marker_mm)

    def _tag_places(self) -> list[tuple[float, float]]:
        """Where the black squares of the tags begin, by number."""
        border = (self.square_mm - self.marker_mm) / 2
        return [
            (x * self.square_mm + border, y * self.square_mm + border)
            for y in range(self.squares_y)
            for x in range(self.squares_x)
        ]


def _cells(bits: NDArray[np.bool_], left_mm: float, top_mm: float, side_mm: float) -> list[Box]:
    """The black cells of a marker."""
    cell = side_mm / len(bits)
    return [_box(left_mm + x * cell, top_mm + y * cell, cell) for y, x in np.argwhere(~bits)]


def _box(x_mm: float, y_mm: float, side_mm: float) -> Box:
    return Box(x_mm=x_mm, y_mm=y_mm, width_mm=side_mm, height_mm=side_mm)
