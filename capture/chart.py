"""A color chart in a photograph: found by its tags, its fields read in linear light, the light on it evened out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.color import ColorSwatch, encoded, linear
from calibration.errors import BadInput
from calibration.geometry import Array
from calibration.sheet import Sheet
from capture.localize import Localization, localize
from capture.response import CLIPPED, CLIPPED_SHARE, pixels_inside

LONG_SIDE = 2400
"""Larger photographs are averaged down: colors need no detail, and a lens's small distortion becomes smaller."""

MARGIN = 0.2
"""What is left out along each edge of a field, as share of its shorter side: blur, and homographies off by a little."""

MIN_PIXELS = 16
MIN_BLANK = 9
"""Fields of blank paper that are needed to tell how the light falls."""

WHITE = (255, 255, 255)
DARK = 0.25
"""Paper below this code value leaves too few levels for the colors."""

DIM = 180 / 255
"""Paper below this code value is darker than the howto asks for."""

UNEVEN = (0.03, 0.12)
"""What may be left of the light's unevenness on paper, as share of it: beyond the first a warning, then refused."""

BLURRED, BLURRED_SHARE = 0.06, 0.25
"""Fields with more spread than this, in code values, hold more than one color; so many of them are too many."""

SURE = 1.349
"""Distance between the quartiles of a normal distribution, in its standard deviations."""


@dataclass(frozen=True, slots=True)
class ChartPhoto:
    """What one photograph shows of a chart, field by field: linear ``light`` ``(N, 3)`` evened out, its ``spread``.

    ``clipped``, ``dark`` ``(N,)``: cut off by the sensor above or below; ``pixels`` ``(N,)``. ``white`` ``(3,)`` is the
    light of blank paper; ``gradient`` and ``unevenness`` as in :class:`calibration.color.ColorResponse`.
    """

    name: str
    light: Array
    spread: Array
    clipped: NDArray[np.bool_]
    dark: NDArray[np.bool_]
    pixels: NDArray[np.intp]
    white: Array
    gradient: float
    unevenness: float


@dataclass(frozen=True, slots=True)
class _Field:
    light: Array
    spread: Array
    clipped: bool
    dark: bool
    pixels: int


def read_chart(pixels: NDArray[np.uint8], chart: Sheet, name: str, camera: CameraModel | None = None) -> ChartPhoto:
    """Read the fields of ``chart`` in ``(H, W, 3)`` uint8 RGB, a photograph called ``name``.

    :class:`BadInput` says why it cannot be: no chart, no tags, another sheet, blown out, too dark, too small, uneven.
    """
    if camera is None:
        pixels = _shrunk(pixels)
    found = localize(pixels, [chart], camera, chart)
    if not found.found:
        raise _not_found(pixels, chart, found, name)
    fields = [_read(pixels, found, swatch.box.corners_mm, name) for swatch in chart.strip]
    _refuse_exposure(chart, fields, name)
    return _evened(chart, fields, name)


def is_chart(sheet: Sheet) -> bool:
    """Whether the sheet has blank paper among its colors, to see the light by."""
    return sum(swatch.srgb == WHITE for swatch in sheet.strip) >= MIN_BLANK


def combine(chart: Sheet, photos: Sequence[ChartPhoto]) -> tuple[list[ColorSwatch], Array]:
    """The colors over all photographs, each brought to the same white first; and the light of that white ``(3,)``."""
    white = np.median([photo.white for photo in photos], axis=0)
    colors: dict[tuple[int, int, int], list[int]] = {}
    for i, swatch in enumerate(chart.strip):
        colors.setdefault(swatch.srgb, []).append(i)
    places = {asked: [_place(photo, i, white) for photo in photos for i in where] for asked, where in colors.items()}
    return [_color(asked, found) for asked, found in places.items()], np.asarray(white)


def _place(photo: ChartPhoto, i: int, white: Array) -> _Field:
    """A field of a photograph, as it would be under ``white``."""
    scale = white / photo.white
    return _Field(
        photo.light[i] * scale,
        photo.spread[i] * scale,
        bool(photo.clipped[i]),
        bool(photo.dark[i]),
        int(photo.pixels[i]),
    )


def _color(asked: tuple[int, int, int], places: Sequence[_Field]) -> ColorSwatch:
    """One color from all its places; those where it was cut off count only if it was everywhere."""
    kept = [place for place in places if not place.clipped] or places
    seen = np.array([place.light for place in kept])
    return ColorSwatch(
        asked=asked,
        light=_rounded(np.median(seen, axis=0)),
        spread=_rounded(_quartiles(seen) if len(kept) > 1 else kept[0].spread),
        places=len(kept),
        pixels=sum(place.pixels for place in kept),
        clipped=kept is places and places[0].clipped,
    )


def _rounded(values: Array) -> tuple[float, float, float]:
    red, green, blue = values.round(6).tolist()
    return red, green, blue


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = LONG_SIDE / max(pixels.shape[:2])
    if factor >= 1:
        return pixels
    return np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _not_found(pixels: NDArray[np.uint8], chart: Sheet, found: Localization, name: str) -> BadInput:
    """Why the chart is not in the picture, in a line."""
    own = f"the tags {chart.tags[0].id} to {chart.tags[-1].id} of {chart.id}"
    others = sorted({tag.id for tag in found.tags} - chart.tag_ids)
    if found.sheet is not None:
        return BadInput(f"{name}: {found.reason}", hint="show the whole chart, flat and sharp", where=name)
    if others:
        listed = ", ".join(map(str, others[:6]))
        return BadInput(f"{name} shows another sheet: tags {listed}, not {own}", where=name)
    middle = float(np.median(pixels))
    why = " (it is blown out)" if middle > 255 - CLIPPED else " (it is too dark)" if middle < 255 * DARK / 4 else ""
    return BadInput(f"{name} shows no tags{why}; looked for {own}", where=name)


def _read(pixels: NDArray[np.uint8], found: Localization, corners_mm: Array, name: str) -> _Field:
    """One field: mean of the middle half of its pixels in linear light, their spread between the quartiles."""
    corners = found.to_image(corners_mm)
    short = float(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).min())
    places = pixels_inside(pixels.shape, corners, max(MARGIN * short, 1.5))
    if places is None:
        raise BadInput(f"{name}: the chart is not wholly in the picture", where=name)
    if len(places) < MIN_PIXELS:
        raise BadInput(
            f"{name}: the chart is too small: its fields have {short:.1f} px on a side, about 9 px are needed",
            hint="go nearer",
            where=name,
        )
    code = pixels[places[:, 0], places[:, 1]]
    light = np.sort(linear(code / 255), axis=0)
    cut = len(light) // 4
    return _Field(
        light=light[cut : len(light) - cut].mean(axis=0),
        spread=_quartiles(light),
        clipped=bool(((code > 255 - CLIPPED).mean(axis=0) > CLIPPED_SHARE).any()),
        dark=bool(((code < CLIPPED).mean(axis=0) > CLIPPED_SHARE).any()),
        pixels=len(places),
    )


def _quartiles(values: Array) -> Array:
    """``(3,)`` robust standard deviation of ``(M, 3)``."""
    low, high = np.quantile(values, (0.25, 0.75), axis=0)
    return np.asarray((high - low) / SURE, dtype=np.float64)


def _refuse_exposure(chart: Sheet, fields: Sequence[_Field], name: str) -> None:
    blank = [field for field, swatch in zip(fields, chart.strip, strict=True) if swatch.srgb == WHITE]
    clipped = sum(field.clipped for field in blank)
    if clipped > len(blank) / 4:
        raise BadInput(
            f"{name} is blown out: the paper's white is cut off in {clipped} of {len(blank)} places",
            hint="expose shorter: white shall be seen as 180 to 240 of 255",
            where=name,
        )
    white = float(encoded(np.median([field.light for field in blank], axis=0)).max())
    if white < DARK:
        raise BadInput(
            f"{name} is too dark: the paper's white is seen as {255 * white:.0f} of 255, at least "
            f"{255 * DARK:.0f} is needed",
            hint="expose longer, or take more light",
            where=name,
        )
    blurred = sum(_code_spread(field) > BLURRED for field in fields)
    if blurred > BLURRED_SHARE * len(fields):
        raise BadInput(
            f"{name}: {blurred} of {len(fields)} fields hold more than one color: the picture is blurred, the paper "
            "not flat, or the lens bends lines",
            hint="take the photograph again, or give the camera's calibration",
            where=name,
        )


def _code_spread(field: _Field) -> float:
    """Spread of a field in code values, of its worst channel."""
    above, below = (encoded(np.maximum(field.light + sign * field.spread / 2, 0)) for sign in (1, -1))
    return float((above - below).max())


def _evened(chart: Sheet, fields: Sequence[_Field], name: str) -> ChartPhoto:
    """Light that falls unevenly is divided out: a smooth surface through the blank paper, the same for all channels."""
    light, spread = (np.array([getattr(field, part) for field in fields]) for part in ("light", "spread"))
    clipped = np.array([field.clipped for field in fields])
    center = np.array([swatch.box.center_mm for swatch in chart.strip])
    blank = np.array([swatch.srgb == WHITE for swatch in chart.strip]) & ~clipped
    surface = _surface(center, np.log(light[blank].mean(axis=1)), blank)
    factor = np.exp(surface)[:, None]
    even = light / factor
    left = even[blank].mean(axis=1)
    unevenness = float(np.ptp(np.quantile(left, (0.1, 0.9))) / np.median(left))
    if unevenness > UNEVEN[1]:
        raise BadInput(
            f"{name}: the light on the chart is uneven: shadow or reflection changes the paper's white by "
            f"{100 * unevenness:.0f} %, at most {100 * UNEVEN[1]:.0f} % accepted",
            hint="take the photograph in even light",
            where=name,
        )
    return ChartPhoto(
        name=name,
        light=even,
        spread=spread / factor,
        clipped=clipped,
        dark=np.array([field.dark for field in fields]),
        pixels=np.array([field.pixels for field in fields]),
        white=np.median(even[blank], axis=0),
        gradient=float(np.ptp(factor)),
        unevenness=unevenness,
    )


def _surface(center_mm: Array, log_light: Array, blank: NDArray[np.bool_]) -> Array:
    """``(N,)`` a quadratic surface through the blank places, those far off it left out, relative to its middle."""
    middle = center_mm.mean(axis=0)
    x, y = ((center_mm - middle) / np.abs(center_mm - middle).max()).T
    terms = np.column_stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    known = terms[blank]
    kept = np.ones(len(known), dtype=bool)
    for _ in range(3):
        found = np.linalg.lstsq(known[kept], log_light[kept], rcond=None)[0]
        off = np.abs(known @ found - log_light)
        kept = off <= max(4 * float(np.median(off)), 0.01)
    return np.asarray(terms @ found - found[0], dtype=np.float64)
