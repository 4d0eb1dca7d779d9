"""What a picture says of color: how white blank paper is at each place, and what the print makes of what was asked for.

The white comes from the tags, whose white and black are known at any size: each is drawn, blurred as the picture is,
and held against what is seen. Code values of a camera follow a power law over most of their range, so that a change
of light is a factor on them: the color of a print is taken as its code values over those of blank paper beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.color import ColorResponse, features
from calibration.geometry import Array
from calibration.sheet import Sheet
from capture.response import SwatchSeen
from pipeline.twin.render import Floats, Layer, Pixels, Sight, Space, blurred, draw, into, out_of, tag_print

RIM = 0.98
"""Pixels of a tag that are covered by less show what lies beyond it."""

MIN_PIXELS = 12
MIN_COLORS = 9
RIDGE = 1e-3
"""What keeps the color of a print even where the strip has nothing to say."""

QUADRATIC_PIXELS = 60
"""With so many pixels of blank paper the light may bend over the frame; with less it is a plane."""

Asked = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class TagLevels:
    """Black and white ``(3,)`` of a tag as code values, its center in px, and the misfit as share of contrast."""

    black: Array
    white: Array
    center_px: Array
    misfit: float


@dataclass(frozen=True, slots=True)
class White:
    """Code values of blank paper over a picture: a polynomial in px. ``terms`` ``(6, 3)`` about ``middle`` ``(2,)``."""

    terms: Array
    middle: Array
    scale: float

    def at(self, points_px: Array) -> Array:
        """``(N, 2)`` px → ``(N, 3)`` code values."""
        return np.asarray(_powers(points_px, self.middle, self.scale) @ self.terms, dtype=np.float64)

    def over(self, layer: Layer) -> Floats:
        """``(h, w, 3)`` over a layer's part of the picture."""
        height, width = layer.cover.shape
        y, x = np.mgrid[0:height, 0:width] + np.array([layer.top, layer.left])[:, None, None]
        return self.at(np.column_stack([x.ravel(), y.ravel()])).reshape(height, width, 3)


@dataclass(frozen=True, slots=True)
class PrintColor:
    """What is seen, over blank paper, of what was asked for: a measured model, or black and white alone.

    ``colors``: how many swatches are behind it.
    """

    coefficients: Array | None
    black: Array
    colors: int
    response: ColorResponse | None = None

    def of(self, texture: Floats) -> Floats:
        """``(n, m, 3)`` asked for → code values over those of blank paper."""
        flat = texture.reshape(-1, 3)
        return np.clip(self._seen(flat), 0, 1.2).reshape(texture.shape)

    def _seen(self, asked: Array) -> Array:
        if self.response is not None:
            return self.response.predict(asked) / np.maximum(self.response.predict(np.ones((1, 3))), 1e-3)
        if self.coefficients is None:
            return self.black + (1 - self.black) * asked
        return np.asarray(features("quadratic", asked) @ self.coefficients, dtype=np.float64)


def tag_levels(pixels: Pixels, sheet: Sheet, sight: Sight, sigma_px: float, space: Space) -> list[TagLevels]:
    """Black and white of each of the sheet's tags in ``(H, W, 3)`` uint8 RGB, which is blurred by ``sigma_px``."""
    found = []
    for tag in sheet.tags:
        printed = tag_print(tag)
        layer = draw(printed, sight, pixels.shape, space, margin_px=4 * sigma_px)
        if layer is not None:
            center = sight.to_image(printed.box.center_mm[None])[0]
            found += _levels(pixels, layer, sigma_px, center)
    return found


def _levels(pixels: Pixels, sharp: Layer, sigma_px: float, center: Array) -> list[TagLevels]:
    # What lies around a tag is paper.
    paper = Layer(sharp.color + 1 - sharp.cover[..., None], sharp.cover, sharp.top, sharp.left, sharp.space)
    layer = blurred(paper, sigma_px)
    known = layer.cover > RIM
    if known.sum() < MIN_PIXELS:
        return []
    seen = into(layer.space, pixels[layer.rows, layer.columns][known] / 255)
    columns = np.column_stack([1 - layer.color[known][:, 0], layer.color[known][:, 0]])
    levels = np.asarray(np.linalg.lstsq(columns, seen, rcond=None)[0], dtype=np.float64)
    contrast = float(np.ptp(levels, axis=0).mean())
    misfit = float(np.sqrt(np.square(columns @ levels - seen).mean())) / max(contrast, 1e-6)
    black, white = out_of(layer.space, levels)
    return [TagLevels(black, white, center, misfit)]


def white_over(tags: Sequence[TagLevels], paper: tuple[Array, Array] | None = None) -> White | None:
    """The white of a picture from its tags, and from ``paper``: places ``(N, 2)`` px and code values ``(N, 3)`` there.

    A plane through the tags, a quadratic surface with enough paper; None without a tag.
    """
    if not tags:
        return None
    places, seen = np.array([tag.center_px for tag in tags]), np.array([tag.white for tag in tags])
    weights = np.ones(len(tags))
    middle, scale = places.mean(axis=0), max(float(np.ptp(places, axis=0).max()), 1.0)
    bends = paper is not None and len(paper[0]) >= QUADRATIC_PIXELS
    if paper is not None and bends:
        places, seen = np.concatenate([places, paper[0]]), np.concatenate([seen, paper[1]])
        weights = np.concatenate([weights, np.ones(len(paper[0]))])
    count = 6 if bends else 3 if len(tags) > 3 else 1
    columns = _powers(places, middle, scale)[:, :count]
    found = np.linalg.lstsq(columns * weights[:, None], seen * weights[:, None], rcond=None)[0]
    return White(np.vstack([found, np.zeros((6 - count, 3))]), middle, scale)


def _powers(points_px: Array, middle: Array, scale: float) -> Array:
    x, y = ((points_px - middle) / scale).T
    return np.column_stack([np.ones_like(x), x, y, x * x, x * y, y * y])


def over_white(swatches: Sequence[SwatchSeen], white: White, sheet: Sheet, sight: Sight) -> dict[Asked, Array]:
    """Color asked for → code values ``(3,)`` over those of blank paper there. What the sensor cut off is left out."""
    boxes = {swatch.srgb: swatch.box.center_mm for swatch in sheet.strip}
    usable = [each for each in swatches if not each.too_bright.any()]
    return {
        each.srgb: np.sqrt(each.light) / np.maximum(white.at(sight.to_image(boxes[each.srgb][None]))[0], 1e-3)
        for each in usable
    }


def print_color(
    strips: Sequence[Mapping[Asked, Array]], tags: Sequence[TagLevels], response: ColorResponse | None = None
) -> PrintColor:
    """The color of a print from its strips in some pictures, or from ``response`` when it was measured properly.

    With too few colors to be seen, from the black of the tags alone.
    """
    ratios = [tag.black / np.maximum(tag.white, 1e-3) for tag in tags]
    black = np.clip(np.median(ratios, axis=0), 0, 1) if ratios else np.zeros(3)
    known: dict[Asked, list[Array]] = {}
    for strip in strips:
        for asked, seen in strip.items():
            known.setdefault(asked, []).append(seen)
    if response is not None or len(known) < MIN_COLORS:
        return PrintColor(None, black, 0 if response is None else len(response.swatches), response)
    seen = np.array([np.median(values, axis=0) for values in known.values()])
    return PrintColor(_fitted(np.array(list(known)) / 255, seen), black, len(known))


def _fitted(asked: Array, seen: Array) -> Array:
    """``(7, 3)`` coefficients of the print-camera model, the quadratic ones held near 0."""
    columns = features("quadratic", asked)
    held = np.diag([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]) * np.sqrt(RIDGE)
    stacked = np.vstack([columns, held])
    return np.asarray(np.linalg.lstsq(stacked, np.vstack([seen, np.zeros((7, 3))]), rcond=None)[0], dtype=np.float64)
