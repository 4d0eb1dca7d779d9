"""The corruptions by name: one function that takes a batch of pictures, a name and a severity."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.errors import BadInput, BadUsage
from pipeline.noises import blur, constants, digital, grain, weather
from pipeline.noises.constants import SEVERITIES, TABLES, Levels, Table, table_for

Pixels = NDArray[np.uint8]
Picture = NDArray[np.float32]

MIN_SIDE_PX = 16
"""Below this there is nothing left of a picture after the stronger blurs."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """One type: what it does to a picture ``(H, W, 3)`` float32 from 0 to 1, and its published constants."""

    name: str
    apply: Callable[[Picture, Any, Generator], Picture]
    levels: Levels[Any]


KINDS = (
    Corruption("gaussian-noise", grain.gaussian_noise, constants.GAUSSIAN_NOISE),
    Corruption("shot-noise", grain.shot_noise, constants.SHOT_NOISE),
    Corruption("impulse-noise", grain.impulse_noise, constants.IMPULSE_NOISE),
    Corruption("defocus-blur", blur.defocus_blur, constants.DEFOCUS_BLUR),
    Corruption("glass-blur", blur.glass_blur, constants.GLASS_BLUR),
    Corruption("motion-blur", blur.motion_blur, constants.MOTION_BLUR),
    Corruption("zoom-blur", blur.zoom_blur, constants.ZOOM_BLUR),
    Corruption("snow", weather.snow, constants.SNOW),
    Corruption("frost", weather.frost, constants.FROST),
    Corruption("fog", weather.fog, constants.FOG),
    Corruption("brightness", weather.brightness, constants.BRIGHTNESS),
    Corruption("contrast", digital.contrast, constants.CONTRAST),
    Corruption("elastic-transform", digital.elastic_transform, constants.ELASTIC_TRANSFORM),
    Corruption("pixelate", digital.pixelate, constants.PIXELATE),
    Corruption("jpeg-compression", digital.jpeg_compression, constants.JPEG_COMPRESSION),
)
"""In the published order, which random states depend on: append, never reorder."""

CORRUPTIONS: tuple[str, ...] = tuple(kind.name for kind in KINDS)
"""The names that :func:`corrupt` takes."""


def corrupt(
    images: Pixels, name: str, severity: int, *, seed: int, first: int = 0, table: Table | None = None
) -> Pixels:
    """``(B, H, W, 3)`` uint8 RGB → the same pictures under one corruption at severity 1 to 5.

    Each picture has its own random state, from ``seed``, its index, the type and the severity: it comes out the same
    whatever stands beside it. ``first`` is the index of the first picture, for a data set that goes through in parts.
    ``table`` overrides :func:`table_for`. Results are rounded to bytes, where the published code cuts off; ImageNet-C's
    own files went through JPEG once more.

    :class:`BadUsage` for an unknown name, severity, table or a negative number; :class:`BadInput` for other arrays.
    """
    kind = _checked_kind(name, severity, table)
    _check_numbers(seed, first)
    _check_images(images)
    level = kind.levels.at(table or table_for(*images.shape[1:3]), severity)
    number = CORRUPTIONS.index(name)
    result = np.empty_like(images)
    for index, pixels in enumerate(images):
        rng = np.random.default_rng([seed, first + index, number, severity])
        result[index] = digital.as_bytes(kind.apply(pixels.astype(np.float32) / np.float32(255), level, rng))
    return result


def check_size(size_px: tuple[int, int], where: str) -> None:
    """:class:`BadInput`, naming ``where``, when pictures of that height and width are too small."""
    height, width = size_px
    if min(height, width) < MIN_SIDE_PX:
        expected = f"at least {MIN_SIDE_PX} x {MIN_SIDE_PX} px"
        raise BadInput(f"{where}: {expected} are expected, got {width} x {height}", where=where)


def _checked_kind(name: str, severity: int, table: Table | None) -> Corruption:
    if name not in CORRUPTIONS:
        near = difflib.get_close_matches(name, CORRUPTIONS, n=1, cutoff=0.0)[0]
        raise BadUsage(f"no noise {name!r}; there are {', '.join(CORRUPTIONS)}", hint=f"did you mean {near!r}?")
    if not isinstance(severity, int | np.integer) or severity not in SEVERITIES:
        raise BadUsage(f"severity {severity!r}: a whole number from 1 to 5 is expected")
    if table is not None and table not in TABLES:
        raise BadUsage(f"no table {table!r}; there are {', '.join(TABLES)}")
    return KINDS[CORRUPTIONS.index(name)]


def _check_numbers(seed: int, first: int) -> None:
    for word, value in (("seed", seed), ("first", first)):
        if value < 0:
            raise BadUsage(f"{word} {value}: 0 or more is expected")


def _check_images(images: Pixels) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise BadInput(f"pictures (B, H, W, 3) uint8 are expected, got {images.shape} {images.dtype}")
    check_size((images.shape[1], images.shape[2]), "the pictures")
