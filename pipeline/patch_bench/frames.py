"""The frame in the picture: its geometry, how much of each pixel it covers, and pictures that wear it.

The picture fills the crop; the frame overwrites part of it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.geometry import centered_box
from calibration.region import Region, Sticker, region_of
from patches.frames import ring_along
from patches.patch import PatchGeometry
from pipeline.patch_bench.outlines import Outline

Pixels = NDArray[np.uint8]
OUTER_MM = 100.0
OVERLAP = 4.0
"""How far the ring along an outline reaches over the object, mm."""

PAPER_RING = (30 / 32, 26 / 32)
"""Outer and inner side of the paper's ring on CIFAR-10, in shares of the picture's."""


def square_ring(area: float, side_px: int) -> PatchGeometry:
    """A ring along the picture's border that covers the share ``area`` of it; a texel for each pixel."""
    inner_mm = OUTER_MM * math.sqrt(1 - area)
    return with_texels(
        PatchGeometry(target_mm=inner_mm, inner_mm=inner_mm, outer_mm=OUTER_MM, texel_mm=OUTER_MM / side_px)
    )


def paper_ring(side_px: int) -> PatchGeometry:
    """The paper's ring: beyond it the picture's rim stays as it is."""
    outside, inside = (_square(share * OUTER_MM) for share in PAPER_RING)
    inner_mm = PAPER_RING[1] * OUTER_MM
    return PatchGeometry(
        target_mm=inner_mm,
        inner_mm=inner_mm,
        outer_mm=OUTER_MM,
        texel_mm=OUTER_MM / side_px,
        sticker=Sticker(printed=region_of([outside, inside[::-1]]), window=region_of([inside])),
    )


def outline_ring(area: float, side_px: int, outline: Outline) -> PatchGeometry:
    """A ring along an object's outline that covers the share ``area`` of the picture; a texel for each pixel.

    It overlaps the object's rim by :data:`OVERLAP`, for that is where recognizers look, and is as thick as the area
    asks for, within the picture.
    """
    sticker = ring_along(OUTER_MM * outline, -OVERLAP, area_mm2=area * OUTER_MM**2, within_mm=OUTER_MM)
    inner_mm = 2 * float(np.abs(sticker.window.box.corners_mm).max())
    return with_texels(
        PatchGeometry(
            target_mm=inner_mm, inner_mm=inner_mm, outer_mm=OUTER_MM, texel_mm=OUTER_MM / side_px, sticker=sticker
        )
    )


def _square(side_mm: float) -> NDArray[np.float64]:
    return centered_box(np.zeros(2), side_mm, side_mm).corners_mm


def with_texels(frame: PatchGeometry) -> PatchGeometry:
    """The frame with finer texels where it is so thin that none is in it: 5 % of 32 px are a ring of 0.4 px."""
    while not frame.ring().any():
        frame = frame.model_copy(update={"texel_mm": frame.texel_mm / 2})
    return frame


def printed_region(geometry: PatchGeometry) -> Region:
    """Where the patch is, whatever its shape."""
    if geometry.sticker:
        return geometry.sticker.printed
    return region_of([_square(geometry.outer_mm), _square(geometry.inner_mm)[::-1]])


def coverage(geometry: PatchGeometry, side_px: int) -> NDArray[np.float32]:
    """``(S, S)``: the share of each pixel that the patch covers."""
    square = centered_box(np.zeros(2), geometry.outer_mm, geometry.outer_mm)
    return printed_region(geometry).coverage(square, side_px, side_px)


def object_mask(share: float, side_px: int) -> NDArray[np.bool_]:
    """``(S, S)``, True in the middle square whose side is ``share`` of the picture's."""
    within = np.abs((np.arange(side_px) + 0.5) / side_px - 0.5) < share / 2
    return np.asarray(within[:, None] & within[None, :])


def wearing(pictures: Pixels, texture: Pixels | None, geometry: PatchGeometry) -> Pixels:
    """``(B, S, S, 3)`` uint8 with the texture ``(n, n, 3)`` over them, in whole levels; None changes nothing."""
    if texture is None:
        return pictures
    side = pictures.shape[1]
    if len(texture) != side:
        texture = np.asarray(cv2.resize(texture, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    covered = coverage(geometry, side)[..., None]
    mixed = pictures + covered * (texture.astype(np.float32) - pictures)
    return np.asarray(mixed.round().clip(0, 255), dtype=np.uint8)
