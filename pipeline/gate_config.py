"""The ``[gate]`` section of lab.toml: what a picture must meet when it is taken."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from calibration.files import Document
from capture.quality import Limits

OFF = "off"


def _off_is_none(value: object) -> object:
    return None if value == OFF else value


_Count = Annotated[Annotated[int, Field(ge=0, le=1000)] | None, BeforeValidator(_off_is_none)]
_Number = Annotated[Annotated[float, Field(ge=0, le=10_000)] | None, BeforeValidator(_off_is_none)]
_Share = Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_off_is_none)]


class GateSection(Document):
    """What a picture must meet when it is taken by a plan, or it is taken again, ``retries`` times.

    Any limit is switched off by ``"off"``. Of the tags that are used: ``min_tags`` of them, ``min_side_px`` of the
    smallest, ``min_margin`` (decision margin, code values) of the faintest, ``corrected_bits`` of all together. The
    residual of the fit: in pixels, and as ``residual_share`` of the smallest tag's side. ``blur_px``: Gaussian sigma;
    ``motion_px``: length of a streak. ``still_px``: two looks in a row agree within so much (the first one of a shot
    counts as a retry). ``clipped_share`` of the sticker. ``duplicates``: the same picture twice in a row is accepted,
    as it is where ``camera.frozen_frames`` is 0.
    """

    retries: int = Field(default=2, ge=0, le=1000)
    min_tags: _Count = 2
    min_side_px: _Number = 10.0
    min_margin: _Number = 15.0
    corrected_bits: _Count = None
    residual_px: _Number = 2.0
    residual_share: _Share = 0.1
    blur_px: _Number = 2.5
    motion_px: _Number = 8.0
    still_px: _Number = None
    clipped_share: _Share = 0.5
    duplicates: bool = False

    @property
    def limits(self) -> Limits:
        """As the gate takes them."""
        return Limits(**self.model_dump(exclude={"retries"}))
