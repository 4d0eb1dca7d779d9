"""How pictures are to be stored that a camera sends raw. :mod:`capture.codecs` does it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from calibration.files import Document

Codec = Literal["png", "webp", "tiff"]

SUFFIXES: dict[Codec, str] = {"tiff": ".tiff", "png": ".png", "webp": ".webp"}
"""What a file of each is called, the quickest first and the smallest last."""


class Storage(Document):
    """In which lossless format, and how many pictures a second storing has to keep up with.

    ``auto``: the smallest that does, measured on the first picture where it is to be stored; the quickest if none does.
    """

    codec: Literal["auto", "png", "webp", "tiff"] = "auto"
    frames_per_s: float = Field(default=5.0, gt=0, le=1000)


PNG = Storage(codec="png")
