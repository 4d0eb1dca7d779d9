"""The sheet: where things are on paper, in mm. What the printer makes, what the camera finds."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

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
"""Portrait width and height in mm."""

SHEET_FORMAT = "dpcam.sheet"

TAG_FAMILY = "tag36h11"
TAG_COUNT = 587
"""How many ids the family has."""

Outline = Literal["circle", "triangle-up", "triangle-down", "octagon", "diamond", "square", "rectangle"]


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


class Sheet(Document):
    """A sheet of paper with a sticker on it; the JSON beside its PDF.

    ``frame`` is the sticker's outer box and ``inner`` its inner edge; between the two the texture is printed.
    ``window`` is what is cut out, so that the target shows through: the inner box, or for the arm ``bare`` (no
    sticker at all) the whole frame. The natural crop of a recognizer is ``frame``: no tag lies in it.

    A sticker that is no square frame says with ``sticker`` where it is printed and what is cut out, in mm on the
    sheet; the boxes are then those around it and its window, and what lies in neither is plain paper.
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

    @model_validator(mode="after")
    def _tags_are_unique(self) -> Sheet:
        ids = [tag.id for tag in self.tags]
        if len(set(ids)) != len(ids):
            raise ValueError(f"tag ids must be unique on a sheet, got {ids}")
        return self

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A square frame is written as it was before there were others: serial numbers hash what is written."""
        written: dict[str, Any] = handler(self)
        if self.sticker is None:
            written.pop("sticker", None)
        return written

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
