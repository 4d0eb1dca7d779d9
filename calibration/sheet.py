"""The sheet: where things are on paper, in mm. What the printer makes, what the camera finds."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from calibration.errors import BadConfig
from calibration.files import Document
from calibration.geometry import Array, Box
from calibration.region import Sticker

ARMS = ("bare", "blank", "flat", "noise", "label", "wrong-class")
"""The control arms. Every other arm name is a patch."""

PAPERS_MM = {
    "A5": (148.0, 210.0),
    "A4": (210.0, 297.0),
    "A3": (297.0, 420.0),
    "A2": (420.0, 594.0),
    "Letter": (215.9, 279.4),
    "Legal": (215.9, 355.6),
    "Tabloid": (279.4, 431.8),
}
"""Portrait width and height in mm. Any other paper is named by its size: ``300x500``."""

PAPER_LIMITS_MM = (50.0, 5000.0)
"""Shortest and longest side of a paper; a page of a PDF is at most 5080 mm long."""

SHEET_FORMAT = "dpcam.sheet"

TAG_FAMILY = "tag36h11"
TAG_COUNT = 587
"""How many ids the family has."""

SHEET_TAGS = 500
"""Sheets have the ids below this one; those from it on are for boards and charts, which share a picture with sheets."""

Outline = Literal["circle", "triangle-up", "triangle-down", "octagon", "diamond", "square", "rectangle"]


def paper_size_mm(paper: str) -> tuple[float, float]:
    """Width and height of a paper in mm, by its name or as ``WxH``; :class:`BadConfig` when it is neither."""
    if paper in PAPERS_MM:
        return PAPERS_MM[paper]
    low, high = PAPER_LIMITS_MM
    sides = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)(?:mm)?", paper, re.ASCII)
    if sides and all(low <= float(side) <= high for side in sides.groups()):
        return float(sides[1]), float(sides[2])
    raise BadConfig(
        f"unknown paper {paper!r}, known are {', '.join(PAPERS_MM)}, or width and height in mm such as 300x500, "
        f"each from {low:g} to {high:g}"
    )


class Tag(Document):
    """One AprilTag on a sheet: id and its black border square, which is upright on the sheet, in mm."""

    id: int = Field(ge=0, lt=TAG_COUNT)
    square: Box


class Target(Document):
    """The object to be recognized, where it stands when the sheet is stuck on: class and bounding box in mm.

    ``artwork`` is the target's own picture as a one-page PDF at true size (relative to the sheet's JSON), or None
    for a real object that dpcam has no picture of.
    """

    label: str
    outline: Outline = "square"
    box: Box
    artwork: str | None = None


class Swatch(Document):
    """One field of the color strip: nominal sRGB (0 to 255) and its box in mm."""

    srgb: tuple[int, int, int]
    box: Box


class Tiles(Document):
    """How a sheet larger than its paper is printed: page by page, row by row, glued together.

    The sheet stays one: its coordinates are mm from the top-left corner of what is assembled. Each tile shows a
    ``window`` of it, inset by ``margin_mm`` on its page, and covers ``overlap_mm`` of the tile to the left and of the
    one above, whose last ``overlap_mm`` are there to be glued on. ``pdf``: a page for each tile, then the diagram.
    """

    paper_width_mm: float = Field(gt=0)
    paper_height_mm: float = Field(gt=0)
    margin_mm: float = Field(ge=0)
    overlap_mm: float = Field(ge=0)
    columns: int = Field(ge=1, le=100)
    rows: int = Field(ge=1, le=26)
    pdf: str

    @model_validator(mode="after")
    def _more_than_overlap(self) -> Tiles:
        if min(self.window_mm) <= self.overlap_mm:
            raise ValueError(f"nothing is left of a tile but its overlap of {self.overlap_mm:g} mm")
        return self

    @property
    def window_mm(self) -> tuple[float, float]:
        """Width and height of what a page shows of the sheet."""
        return self.paper_width_mm - 2 * self.margin_mm, self.paper_height_mm - 2 * self.margin_mm

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the assembled sheet."""
        width, height = self.window_mm
        return (
            width + (self.columns - 1) * (width - self.overlap_mm),
            height + (self.rows - 1) * (height - self.overlap_mm),
        )

    @property
    def seams_mm(self) -> tuple[list[float], list[float]]:
        """Where one tile ends and the next begins, from left to right and from top to bottom, sheet mm."""
        steps = [side - self.overlap_mm for side in self.window_mm]
        return [i * steps[0] for i in range(1, self.columns)], [i * steps[1] for i in range(1, self.rows)]

    def window(self, row: int, column: int) -> Box:
        """What the tile shows, in mm of the sheet; both count from 0."""
        width, height = self.window_mm
        across, down = self.seams_mm
        return Box(x_mm=[0.0, *across][column], y_mm=[0.0, *down][row], width_mm=width, height_mm=height)

    @staticmethod
    def name(row: int, column: int) -> str:
        """The tile's name on paper: a letter for the row, a number for the column, ``A1`` first."""
        return f"{chr(ord('A') + row)}{column + 1}"


OPTIONAL = ("sticker", "tiles", "date", "operator", "ghosts")
"""Keys that a sheet has only where there is something to say."""


class Sheet(Document):
    """A sheet of paper with a sticker on it; the JSON beside its PDF. ``paper`` is what goes into the printer.

    ``frame`` is the sticker's outer box and ``inner`` its inner edge; between the two the texture is printed.
    ``window`` is what is cut out, so that the target shows through: the inner box, or for the arm ``bare`` (no
    sticker at all) the whole frame. The natural crop of a recognizer is ``frame``: no tag lies in it.

    A sticker that is no square frame says with ``sticker`` where it is printed and what is cut out, in mm on the
    sheet; the boxes are then those around it and its window, and what lies in neither is plain paper.

    A sheet larger than its paper says with ``tiles`` how it is put together; ``pdf`` shows it in one piece. ``date``
    and ``operator`` are what the serial says; ``ghosts`` are ids of tags that the texture looks like to the detector.
    """

    format: Literal["dpcam.sheet"] = "dpcam.sheet"
    version: Literal[1] = 1
    id: str = Field(min_length=4)
    arm: str
    paper: str
    width_mm: float = Field(gt=0)
    height_mm: float = Field(gt=0)
    target: Target
    frame: Box
    inner: Box
    window: Box
    sticker: Sticker | None = None
    tag_family: Literal["tag36h11"] = "tag36h11"
    tags: list[Tag] = Field(min_length=1)
    texture: str | None = None
    texture_sha256: str | None = None
    patch: str | None = None
    ruler: Box
    strip: list[Swatch] = Field(default_factory=list)
    pdf: str
    seed: int = 0
    tiles: Tiles | None = None
    date: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    operator: str | None = Field(default=None, min_length=1, max_length=60)
    ghosts: list[int] = Field(default_factory=list)

    @model_validator(mode="after")
    def _tiles_make_the_sheet(self) -> Sheet:
        size = self.width_mm, self.height_mm
        if self.tiles and not np.allclose(self.tiles.size_mm, size, atol=0.01, rtol=0):
            width, height = self.tiles.size_mm
            raise ValueError(f"the tiles make {width:g} x {height:g} mm, the sheet is {size[0]:g} x {size[1]:g} mm")
        return self

    @model_validator(mode="after")
    def _tags_are_unique(self) -> Sheet:
        ids = [tag.id for tag in self.tags]
        if len(set(ids)) != len(ids):
            raise ValueError(f"tag ids must be unique on a sheet, got {ids}")
        return self

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A plain sheet is written as it was before there were others: serial numbers hash what is written."""
        written: dict[str, Any] = handler(self)
        return {key: value for key, value in written.items() if key not in OPTIONAL or getattr(self, key)}

    @property
    def printed_pdf(self) -> str:
        """The PDF that goes to the printer: the tiles' where there are some."""
        return self.tiles.pdf if self.tiles else self.pdf

    @property
    def tag_ids(self) -> frozenset[int]:
        """The ids of its tags."""
        return frozenset(tag.id for tag in self.tags)

    def tag_corners_mm(self) -> dict[int, Array]:
        """Tag id → ``(4, 2)`` corners of its black square: top-left, top-right, bottom-right, bottom-left."""
        return {tag.id: tag.square.corners_mm for tag in self.tags}

    def outline_mm(self) -> Array:
        """``(4, 2)`` corners of the paper."""
        return np.array([[0, 0], [self.width_mm, 0], [self.width_mm, self.height_mm], [0, self.height_mm]])
