"""What a print and a camera did to color, and how much noise is in a picture: read from the sheet's color strip.

Light is the square of the code value as a share of full scale, as in :mod:`patches.eot`; the tone model is the one
there, too: ``shade = black + (white - black) * ink``, where ``ink`` is the nominal color with its midtones darkened by
``dot_gain`` and its ``saturation`` reduced, and red gains by ``warmth`` the light that blue loses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.geometry import Array, Box
from calibration.sheet import Swatch

MIN_PIXELS = 4
"""A swatch with fewer pixels inside tells no color."""

MIN_FREEDOM = 6
"""Degrees of freedom below which a swatch tells no noise."""

PLANE = 3
"""Parameters of the plane that is taken off before noise is measured: light falls off over a swatch."""

CLIPPED = 3
CLIPPED_SHARE = 0.02
"""Where more pixels than this share are so near to black or white, the sensor has cut them off."""

MIN_SWATCHES = 6
MIN_CONTRAST = 0.25
"""In code values as share of full scale, between brightest and darkest swatch."""

ROUNDING = 1 / (12 * 255**2)
"""Variance of a code value that was rounded to one of 256 levels."""


@dataclass(frozen=True, slots=True)
class SwatchSeen:
    """A swatch in a picture: nominal sRGB, and ``(3,)`` each: mean light, its variance around a plane, cut off or not.

    ``pixels``: how many were looked at.
    """

    srgb: tuple[int, int, int]
    light: Array
    variance: Array
    too_dark: NDArray[np.bool_]
    too_bright: NDArray[np.bool_]
    pixels: int


@dataclass(frozen=True, slots=True)
class Noise:
    """``shot``: variance per unit of light; ``read``: sigma in the dark, as share of full scale."""

    shot: float
    read: float


@dataclass(frozen=True, slots=True)
class Tone:
    """The response of print, light and camera together. ``level``: the code value of white paper in the green, 0 to 1.

    ``black`` is that of black ink as share of the white's. ``level`` is more than 1 where white is cut off.
    """

    level: float
    black: float
    dot_gain: float
    saturation: float
    warmth: float


def see_swatches(
    pixels: NDArray[np.uint8], strip: Sequence[Swatch], to_image: Callable[[Array], Array], margin_px: float
) -> list[SwatchSeen]:
    """Look at the swatches of a color strip in ``(H, W, 3)`` uint8 RGB.

    ``to_image`` maps ``(N, 2)`` sheet mm to pixels. Pixels nearer than ``margin_px`` to a swatch's border are not
    looked at, because blur mixes its neighbors into them. Swatches too small for that, or partly outside of the
    picture, are left out.
    """
    found = [
        _see(pixels, swatch.srgb, to_image(swatch.box.corners_mm), margin_px) for swatch in strip if _solid(swatch.box)
    ]
    return [each for each in found if each is not None]


def _solid(box: Box) -> bool:
    return box.width_mm > 0 and box.height_mm > 0


def _see(pixels: NDArray[np.uint8], srgb: tuple[int, int, int], corners: Array, margin_px: float) -> SwatchSeen | None:
    places = pixels_inside(pixels.shape, corners, margin_px)
    if places is None or len(places) < MIN_PIXELS:
        return None
    y, x = places.T
    code = pixels[y, x].astype(np.float64)
    light = (code / 255) ** 2
    plane = np.column_stack([np.ones(len(x)), x - x.mean(), y - y.mean()])
    # Pixels in a row have no slope across; least norm gives none then.
    rest = light - plane @ np.linalg.lstsq(plane, light, rcond=None)[0]
    return SwatchSeen(
        srgb=srgb,
        light=light.mean(axis=0),
        variance=(rest**2).sum(axis=0) / max(len(x) - PLANE, 1),
        too_dark=(code < CLIPPED).mean(axis=0) > CLIPPED_SHARE,
        too_bright=(code > 255 - CLIPPED).mean(axis=0) > CLIPPED_SHARE,
        pixels=len(x),
    )


def pixels_inside(shape: tuple[int, ...], corners: Array, margin_px: float) -> NDArray[np.intp] | None:
    """``(N, 2)`` pixels (row, column) at least ``margin_px`` inside of a convex quadrangle; None when it is cut off."""
    height, width = shape[:2]
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    if (low < 0).any() or (high >= [width, height]).any():
        return None
    y, x = np.mgrid[low[1] : high[1] + 1, low[0] : high[0] + 1]
    inside = np.ones(x.shape, dtype=bool)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
        inside &= (y - start[1]) * along[0] - (x - start[0]) * along[1] >= margin_px
    return np.asarray(np.argwhere(inside) + low[::-1], dtype=np.intp)


def fit_noise(swatches: Sequence[SwatchSeen]) -> Noise | None:
    """Shot and read noise from how variance grows with light over the swatches; None when too little is to be seen.

    What rounding to 256 levels adds is taken off. Colors that the sensor cut off are left out.
    """
    enough = [each for each in swatches if each.pixels - PLANE >= MIN_FREEDOM]
    if len(enough) < MIN_SWATCHES:
        return None
    whole = ~np.concatenate([each.too_dark | each.too_bright for each in enough])
    light = np.concatenate([each.light for each in enough])[whole]
    variance = np.concatenate([each.variance for each in enough])[whole]
    freedom = np.repeat([each.pixels - PLANE for each in enough], 3)[whole]
    if len(light) < MIN_SWATCHES or math.sqrt(light.max()) - math.sqrt(light.min()) < MIN_CONTRAST:
        return None
    # d(light) = 2 code d(code)
    rounding = 4 * light * ROUNDING
    shot, read_squared = _line(light, variance, rounding, freedom)
    return Noise(shot, math.sqrt(read_squared))


def _line(light: Array, variance: Array, rounding: Array, freedom: Array) -> tuple[float, float]:
    """Slope and offset, neither negative, of variance over light; each value weighed by how well it is known."""
    from scipy.optimize import nnls

    columns = np.column_stack([light, np.ones_like(light)])
    expected = np.full_like(variance, max(float(np.median(variance)), 1e-9))
    found = np.zeros(2)
    for _ in range(4):
        weight = np.sqrt(freedom / 2) / expected
        found = nnls(columns * weight[:, None], np.maximum(variance - rounding, 0) * weight)[0]
        expected = np.maximum(columns @ found + rounding, 1e-9)
    return float(found[0]), float(found[1])


def fit_tone(swatches: Sequence[SwatchSeen]) -> Tone | None:
    """The response that turns the nominal colors into those seen; None with too few swatches or too little contrast."""
    from scipy.optimize import least_squares

    if len(swatches) < MIN_SWATCHES:
        return None
    nominal = np.array([each.srgb for each in swatches]) / 255
    seen = np.sqrt([each.light for each in swatches])
    whole = ~np.array([each.too_bright for each in swatches])
    if (
        whole.sum() < 3 * MIN_SWATCHES
        or np.ptp(seen[whole]) < MIN_CONTRAST
        or np.ptp(nominal.mean(axis=1)) < MIN_CONTRAST
    ):
        return None

    def off(values: Array) -> Array:
        return np.asarray((shades(nominal, Tone(*values)) - seen)[whole])

    # A swatch in a shadow or a reflection shall not bend the rest.
    start, low, high = [float(seen[whole].max()), 0.1, 0.1, 0.8, 0.0], [0.01, 0, 0, 0, -0.9], [4, 0.9, 1, 1, 0.9]
    found = least_squares(off, np.clip(start, low, high), bounds=(low, high), loss="soft_l1", f_scale=0.02)
    return Tone(*(float(value) for value in found.x))


def shades(nominal: Array, tone: Tone) -> Array:
    """Code values, 0 to 1, that nominal colors ``(N, 3)``, 0 to 1, are seen as."""
    ink = nominal - tone.dot_gain * nominal * (1 - nominal)
    gray = ink.mean(axis=1, keepdims=True)
    ink = gray + tone.saturation * (ink - gray)
    color = np.sqrt([1 + tone.warmth, 1.0, 1 - tone.warmth])
    return np.asarray(tone.level * color * (tone.black + (1 - tone.black) * ink))
