"""Color: what a printer, its paper and a camera make of the sRGB that was asked for, as a document and as numbers.

Convention: colors are ``(N, 3)`` sRGB as shares of full scale, encoded as in a picture, unless a name says ``light``
(linear, IEC 61966-2-1). CIELAB is under D65, the white of sRGB; color differences are CIEDE2000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from calibration.errors import BadInput
from calibration.files import Document
from calibration.geometry import Array

Share = Annotated[float, Field(ge=0, le=1)]
Color = tuple[float, float, float]
Kind = Literal["channels", "matrix", "quadratic", "curves", "polynomial-2", "polynomial-3", "polynomial-4", "table"]

TABLE_SIDE = 7
"""Nodes along each axis of the 3D table that is fitted."""


class ColorSwatch(Document):
    """One color of a chart: sRGB asked for (0 to 255), light seen and its spread, from how many places and pixels.

    ``light`` is linear, evened out over the chart; ``spread``: between the places where the color is, or within the
    one place, as robust standard deviation. ``clipped``: the sensor cut it off.
    """

    asked: tuple[int, int, int]
    light: Color
    spread: Color
    places: int = Field(ge=1)
    pixels: int = Field(ge=1)
    clipped: bool = False


class Candidate(Document):
    """A form that was tried: CIEDE2000 of held-out colors, mean over the folds and its standard error."""

    kind: Kind
    parameters: int
    smoothing: float = 0.0
    delta_e: float
    delta_e_se: float


class ColorModel(Document):
    """A forward model: ``coefficients`` ``(terms, 3)`` of what :func:`features` makes of the color asked for."""

    kind: Kind
    smoothing: float = 0.0
    coefficients: list[Color]

    @model_validator(mode="after")
    def _has_its_terms(self) -> ColorModel:
        terms = features(self.kind, np.zeros((1, 3))).shape[1]
        if len(self.coefficients) != terms:
            raise ValueError(f"{self.kind} has {terms} terms, there are {len(self.coefficients)} coefficients")
        return self

    def predict(self, asked: Array) -> Array:
        """``(N, 3)`` asked for → ``(N, 3)`` seen, within [0, 1]."""
        seen = features(self.kind, asked) @ np.array(self.coefficients)
        return np.clip(encoded(np.clip(seen, 0, 1)) if self.kind == "matrix" else seen, 0, 1)

    def under_white(self, seen: Array) -> Array:
        """``(N, 3)`` seen → as seen by an eye, or a camera, that takes the blank paper for white."""
        paper = self.predict(np.ones((1, 3)))
        return encoded(linear(seen) / np.maximum(linear(paper), 1e-4))


class ColorFit(Document):
    """The chosen model, all that were tried, and how well it does: CIEDE2000 over the colors that were not cut off.

    ``delta_e_before``: asked for against seen; ``delta_e_after``: seen against what was predicted while the color was
    held out, mean and 95 % quantile.
    """

    model: ColorModel
    candidates: list[Candidate]
    delta_e_before: float
    delta_e_after: float
    delta_e_after_p95: float


class ColorResponse(Document):
    """What one printer, paper, light and camera make of color, with the evidence that it was fitted to.

    ``white``: light of the blank paper at the chart's middle. ``gradient``: how much the light changed over the chart
    before it was evened out, ``unevenness``: what is left of that on paper, as shares of the light.
    """

    format: Literal["dpcam.color"] = "dpcam.color"
    version: Literal[1] = 1
    chart: str
    camera: str
    photos: list[str]
    white: Color
    gradient: float
    unevenness: float
    fit: ColorFit
    warnings: list[str] = Field(default_factory=list)
    swatches: list[ColorSwatch] = Field(min_length=1)

    def predict(self, asked: Array) -> Array:
        """``(N, 3)`` asked for → ``(N, 3)`` seen, both sRGB in [0, 1]."""
        return self.fit.model.predict(asked)

    def under_white(self, seen: Array) -> Array:
        """``(N, 3)`` seen → as seen by an eye, or a camera, that takes the blank paper for white."""
        return self.fit.model.under_white(seen)


def linear(srgb: Array) -> Array:
    """Encoded sRGB → linear light, shares of full scale (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0.04045) + 0.055) / 1.055) ** 2.4)


def encoded(light: Array) -> Array:
    """Inverse of :func:`linear`."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def lab(srgb: Array) -> Array:
    """``(N, 3)`` sRGB → ``(N, 3)`` CIELAB under D65."""
    from colour.models import RGB_COLOURSPACE_sRGB, XYZ_to_Lab

    xyz = linear(srgb) @ RGB_COLOURSPACE_sRGB.matrix_RGB_to_XYZ.T
    return np.asarray(XYZ_to_Lab(xyz, RGB_COLOURSPACE_sRGB.whitepoint), dtype=np.float64)


def delta_e(first: Array, second: Array) -> Array:
    """``(N,)`` CIEDE2000 between sRGB colors ``(N, 3)`` (Sharma, Wu, Dalal 2005)."""
    return delta_e_lab(lab(first), lab(second))


def delta_e_lab(first: Array, second: Array) -> Array:
    """``(...)`` CIEDE2000 between CIELAB colors ``(..., 3)``."""
    from colour.difference import delta_E_CIE2000

    return np.asarray(delta_E_CIE2000(first, second), dtype=np.float64)


def cube(side: int) -> Array:
    """``(side³, 3)`` colors at equal steps through the RGB cube, blue running fastest."""
    steps = np.linspace(0, 1, side)
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)


def features(kind: Kind, asked: Array) -> Array:
    """``(N, 3)`` asked for → ``(N, terms)``, in which the color seen is linear (its light, for ``matrix``).

    ``quadratic`` is the print-camera model ``W2 x² + W1 x + b``; ``curves`` has cubics, and so has ``channels``, where
    no channel tells anything about another; the polynomials have mixed terms, too; ``table`` interpolates linearly
    between the nodes of a cube.
    """
    if kind == "table":
        return _weights(asked, TABLE_SIDE)
    one = np.ones((len(asked), 1))
    if kind == "matrix":
        return np.hstack([one, linear(asked)])
    if kind in ("channels", "quadratic", "curves"):
        return np.hstack([one, *(asked**power for power in range(1, 3 if kind == "quadratic" else 4))])
    return np.stack([np.prod(asked**power, axis=1) for power in _powers(int(kind[-1]))], axis=1)


def _powers(degree: int) -> Array:
    """``(terms, 3)`` exponents of all products up to ``degree``."""
    grid = np.stack(np.meshgrid(*[np.arange(degree + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(grid[grid.sum(axis=1) <= degree], dtype=np.float64)


def _weights(asked: Array, side: int) -> Array:
    """``(N, side³)`` trilinear weights of the nodes of :func:`cube`."""
    places = np.clip(asked, 0, 1)[..., None] * (side - 1)
    red, green, blue = np.moveaxis(np.clip(1 - np.abs(places - np.arange(side)), 0, 1), 1, 0)
    weights = np.einsum("ni,nj,nk->nijk", red, green, blue).reshape(len(asked), -1)
    return np.asarray(weights, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Gamut:
    """What can be printed: CIELAB of colors seen under the paper's white, and the sRGB to ask for, ``(N, 3)`` each."""

    model: ColorModel
    asked: Array
    lab: Array

    @property
    def volume(self) -> float:
        """Volume of the convex hull in CIELAB; sRGB itself has about 0.98 million."""
        from scipy.spatial import ConvexHull

        return float(ConvexHull(self.lab).volume)

    def distance(self, wanted: Array) -> Array:
        """``(N,)`` CIEDE2000 from colors ``(N, 3)`` to what comes nearest on this paper: 0 for what can be printed."""
        return self.nearest(wanted)[1]

    def distance_of(self, picture: NDArray[np.uint8]) -> Array:
        """``(H, W)``: the same for each texel of ``(H, W, 3)`` uint8 sRGB."""
        return self.distance(picture.reshape(-1, 3) / 255).reshape(picture.shape[:2])

    def nearest(self, wanted: Array) -> tuple[Array, Array]:
        """``(N, 3)`` sRGB to ask for, so that what is seen comes nearest to ``wanted``, and how far off it is."""
        from scipy.spatial import cKDTree

        if not len(wanted):
            return np.empty((0, 3)), np.empty(0)
        colors, where = np.unique(np.asarray(wanted, dtype=np.float64), axis=0, return_inverse=True)
        goal = lab(colors)
        _, found = cKDTree(self.lab).query(goal, k=NEIGHBORS)
        asked, off = _best(goal, self.asked[found], self.lab[found])
        step = 1 / (GAMUT_SIDE - 1)
        for _ in range(ROUNDS):
            step /= 2
            near = np.clip(asked[:, None] + step * AROUND, 0, 1)
            seen = lab(self.model.under_white(self.model.predict(near.reshape(-1, 3)))).reshape(near.shape)
            asked, off = _best(goal, near, seen)
        return asked[where.reshape(-1)], off[where.reshape(-1)]


GAMUT_SIDE, NEIGHBORS, ROUNDS = 25, 8, 5
AROUND = 2 * cube(3) - 1
"""``(27, 3)`` a step in every direction, and none."""


def printable(model: ColorModel) -> Gamut:
    """All that the model can make, sampled in the whole cube."""
    asked = cube(GAMUT_SIDE)
    return Gamut(model, asked, lab(model.under_white(model.predict(asked))))


def _best(goal: Array, asked: Array, seen_lab: Array) -> tuple[Array, Array]:
    """Of each row's candidates ``(N, K, 3)`` the one nearest to its goal ``(N, 3)``, and how far off that is."""
    off = delta_e_lab(goal[:, None], seen_lab)
    rows, best = np.arange(len(goal)), off.argmin(axis=1)
    return asked[rows, best], off[rows, best]


def asked_of(swatches: Sequence[ColorSwatch]) -> Array:
    """``(N, 3)`` sRGB in [0, 1] that was asked for; :class:`BadInput` when there is none."""
    if not swatches:
        raise BadInput("there are no colors to fit a response to")
    return np.array([each.asked for each in swatches]) / 255


def seen_of(swatches: Sequence[ColorSwatch]) -> Array:
    """``(N, 3)`` sRGB in [0, 1] that was seen."""
    return np.clip(encoded(np.array([each.light for each in swatches])), 0, 1)
