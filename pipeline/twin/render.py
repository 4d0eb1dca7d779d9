"""Drawing what is printed on paper into a picture: along the measured homography, averaged over each pixel's area.

Nothing here is shared with training (:mod:`patches.eot`) or with the simulator: a twin must be able to disagree.

Convention: colors are ``(..., 3)`` code values as shares of full scale. What is averaged, by a pixel as by a blurred
lens, is either their light or they themselves (*space*); which of the two is a property of the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.color import encoded, linear
from calibration.geometry import Array, Box, apply_homography
from calibration.region import Region
from calibration.sheet import Sheet, Tag
from calibration.tags import CELLS, tag_bits

Space = Literal["light", "code"]
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

NODE_PX = 4
"""Lines of sight are undistorted for one pixel in 4 x 4; between them a lens bends by less than 0.002 px."""

SAMPLES = (4, 12)
"""Least and most samples along a pixel's side; as many between that leave half a texel between two of them."""

MASK_SIDE = 1024
"""A sticker that is no square frame is looked up in a raster of so many points along its box."""

REACH_SIGMAS = 4.0
"""So far beyond the print a blurred print reaches."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Where a sheet is in a picture: ``homography`` ``(3, 3)`` sheet mm → px of the ideal camera; its distortion."""

    homography: Array
    camera: CameraModel | None

    def to_image(self, points_mm: Array) -> Array:
        """``(N, 2)`` mm → px as captured."""
        ideal = apply_homography(self.homography, points_mm)
        return self.camera.distort(ideal) if self.camera else ideal

    def to_sheet(self, points_px: Array) -> Array:
        """``(N, 2)`` px as captured → mm."""
        ideal = self.camera.undistort(points_px) if self.camera else points_px
        return apply_homography(np.asarray(np.linalg.inv(self.homography), dtype=np.float64), ideal)


@dataclass(frozen=True, slots=True)
class Print:
    """A picture on paper: ``texture`` ``(n, m, 3)`` fills ``box`` in flat texels, but for what is not ``printed``.

    ``hole``: a box that is left out; ``region``: only this is printed. ``moved`` ``(3, 3)``: mm where it should be →
    mm where it is.
    """

    texture: Floats
    box: Box
    hole: Box | None = None
    region: Region | None = None
    moved: Array | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """A print in a part of a picture that begins at (``top``, ``left``).

    ``cover`` ``(h, w)``: the share of each pixel that it covers. ``color`` ``(h, w, 3)``: weighted by it, in ``space``.
    """

    color: Floats
    cover: Floats
    top: int
    left: int
    space: Space

    @property
    def rows(self) -> slice:
        """Its rows in the picture."""
        return slice(self.top, self.top + self.cover.shape[0])

    @property
    def columns(self) -> slice:
        """Its columns in the picture."""
        return slice(self.left, self.left + self.cover.shape[1])


def into(space: Space, code: Floats) -> Floats:
    """Code values → what is averaged."""
    return np.asarray(linear(code) if space == "light" else code, dtype=np.float64)


def out_of(space: Space, mean: Floats) -> Floats:
    """Inverse of :func:`into`."""
    return np.asarray(encoded(np.maximum(mean, 0)) if space == "light" else mean, dtype=np.float64)


def sticker_print(sheet: Sheet, texture: Floats, moved: Array | None = None) -> Print:
    """The sticker of a sheet with another texture ``(n, n, 3)``; as :mod:`patches.pdf` draws it."""
    if sheet.sticker:
        return Print(texture, sheet.frame, region=sheet.sticker.printed, moved=moved)
    return Print(texture, sheet.frame, hole=sheet.window, moved=moved)


def tag_print(tag: Tag) -> Print:
    """A tag with its white border: 0 where it is black, 1 where it is white."""
    bits = tag_bits(tag.id).astype(np.float64)
    return Print(np.repeat(bits[..., None], 3, axis=2), tag.square.grown(tag.square.width_mm / CELLS))


def draw(printed: Print, sight: Sight, shape: tuple[int, ...], space: Space, margin_px: float = 0.0) -> Layer | None:
    """Draw into a picture of ``shape`` ``(H, W, ...)``, sharp; None when nothing of it lies in the picture.

    The layer reaches ``margin_px`` beyond the print, so that it can be blurred.
    """
    corners = _where(printed, sight)
    low = np.maximum(np.floor(corners.min(axis=0) - margin_px - 1).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(axis=0) + margin_px + 2).astype(int), [shape[1], shape[0]])
    if (high <= low).any():
        return None
    samples = _samples(printed, corners)
    points = _sheet_points(sight, low, high, samples)
    if printed.moved is not None:
        moved = cv2.perspectiveTransform(points, np.linalg.inv(printed.moved))
        points = np.asarray(moved, dtype=np.float64)
    color, cover = _looked_up(printed, points, space)
    return Layer(_averaged(color, samples), _averaged(cover, samples), int(low[1]), int(low[0]), space)


def blurred(layer: Layer, sigma_px: float) -> Layer:
    """As a lens sees it; a Gaussian."""
    if sigma_px < 0.05:
        return layer
    color, cover = (
        np.asarray(cv2.GaussianBlur(part, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), dtype=np.float64)
        for part in (layer.color, layer.cover)
    )
    return Layer(color, cover, layer.top, layer.left, layer.space)


def lit(layer: Layer, white: Floats) -> Layer:
    """Under a light in which blank paper is seen as ``white`` ``(h, w, 3)`` code values."""
    code = out_of(layer.space, layer.color / np.maximum(layer.cover, 1e-9)[..., None]) * white
    return Layer(into(layer.space, code) * layer.cover[..., None], layer.cover, layer.top, layer.left, layer.space)


def laid_over(pixels: Pixels, layer: Layer) -> Floats:
    """``(H, W, 3)`` uint8 with the layer over it → its part of the picture as code values ``(h, w, 3)``."""
    below = into(layer.space, pixels[layer.rows, layer.columns] / 255)
    return out_of(layer.space, below * (1 - layer.cover[..., None]) + layer.color)


def exchanged(pixels: Pixels, instead: Layer, layer: Layer) -> Floats:
    """As :func:`laid_over`, for a blurred layer over what is as blurred itself: along the rim nothing counts twice.

    ``instead``: what is there in the picture in the layer's place, blurred, too. Where the print covers all that a
    pixel sees, nothing of the picture is left, nor of its noise.
    """
    below = into(layer.space, pixels[layer.rows, layer.columns] / 255)
    rest = (below - instead.color) * (layer.cover < 1 - 1e-3)[..., None]
    return out_of(layer.space, rest + layer.color)


def pasted(pixels: Pixels, layer: Layer, part: Floats) -> Pixels:
    """A copy of the picture with the layer's part of it replaced."""
    whole = pixels.copy()
    whole[layer.rows, layer.columns] = np.clip(np.rint(part * 255), 0, 255).astype(np.uint8)
    return whole


def _where(printed: Print, sight: Sight) -> Array:
    """``(N, 2)`` px of the print's outline; a lens bends its sides."""
    corners = printed.box.corners_mm
    if printed.moved is not None:
        corners = apply_homography(printed.moved, corners)
    steps = np.linspace(0, 1, 5)[:, None, None]
    return sight.to_image((corners * (1 - steps) + np.roll(corners, -1, axis=0) * steps).reshape(-1, 2))


def _samples(printed: Print, corners: Array) -> int:
    texel_px = float(np.ptp(corners, axis=0).min()) / max(printed.texture.shape[:2])
    return int(np.clip(math.ceil(2 / max(texel_px, 1e-6)), *SAMPLES))


def _sheet_points(sight: Sight, low: NDArray[np.int_], high: NDArray[np.int_], samples: int) -> Floats:
    """``(h * samples, w * samples, 2)`` mm behind evenly spread points of the pixels from ``low`` to ``high``."""
    width, height = high - low
    inverse = np.linalg.inv(sight.homography)
    x, y = ((np.arange(n * samples) + 0.5) / samples - 0.5 for n in (width, height))
    if sight.camera is None:
        points = np.stack(np.meshgrid(x + low[0], y + low[1]), axis=-1)
        return np.asarray(cv2.perspectiveTransform(points, inverse), dtype=np.float64)
    nodes_x, nodes_y = (np.arange(-1, n // NODE_PX + 3) * NODE_PX for n in (width, height))
    grid = np.stack(np.meshgrid(nodes_x, nodes_y), axis=-1).astype(np.float64)
    # What the lens moves, relative to where it is: small numbers, which single precision holds exactly enough.
    bent = sight.camera.undistort(grid.reshape(-1, 2) + low).reshape(grid.shape) - grid - low
    where = np.stack(np.meshgrid(x / NODE_PX + 1, y / NODE_PX + 1), axis=-1).astype(np.float32)
    moved = cv2.remap(bent.astype(np.float32), where, np.empty(0, np.float32), cv2.INTER_LINEAR)
    ideal = np.stack(np.meshgrid(x + low[0], y + low[1]), axis=-1) + moved
    return np.asarray(cv2.perspectiveTransform(ideal, inverse), dtype=np.float64)


def _looked_up(printed: Print, points: Floats, space: Space) -> tuple[Floats, Floats]:
    """Color, weighted by cover, and cover at ``(..., 2)`` mm."""
    box, texture = printed.box, into(space, printed.texture)
    place = (points - box.corners_mm[0]) / [box.width_mm, box.height_mm]
    inside = ((place >= 0) & (place < 1)).all(axis=-1)
    column, row = np.moveaxis(np.clip(place, 0, 1 - 1e-12), -1, 0)
    cover = inside * _printed_share(printed, points, row, column)
    rows, columns = ((row * texture.shape[0]).astype(int), (column * texture.shape[1]).astype(int))
    return texture[rows, columns] * cover[..., None], cover


def _printed_share(printed: Print, points: Floats, row: Floats, column: Floats) -> Floats:
    if printed.region is not None:
        mask = printed.region.coverage(printed.box, MASK_SIDE, MASK_SIDE)
        return np.asarray(mask[(row * MASK_SIDE).astype(int), (column * MASK_SIDE).astype(int)], dtype=np.float64)
    if printed.hole is None:
        return np.ones(row.shape)
    low, _, high, _ = printed.hole.corners_mm
    inside: NDArray[np.bool_] = np.all((points >= low) & (points < high), axis=-1)
    return np.asarray(~inside, dtype=np.float64)


def _averaged(fine: Floats, samples: int) -> Floats:
    height, width = fine.shape[0] // samples, fine.shape[1] // samples
    return np.asarray(fine.reshape(height, samples, width, samples, *fine.shape[2:]).mean(axis=(1, 3)))
