"""Textures of the control arms: what is printed in the frame when it is not a trained patch."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput
from patches.artwork import Artwork, render
from patches.patch import PatchGeometry

Texture = NDArray[np.uint8]


def control_texture(
    arm: str, geometry: PatchGeometry, artwork: Artwork, *, seed: int, wrong: Texture | None = None
) -> Texture | None:
    """The texture ``(n, n, 3)`` uint8 RGB of a control arm; None for ``bare``, which prints nothing.

    ``blank`` is white; ``flat`` the color that the class's sign has most of; ``noise`` uniform per texel and channel,
    seeded; ``label`` small pictures of the class itself, side by side; ``wrong-class`` the texture ``wrong`` of the
    patch of another class.
    """
    size = geometry.texels
    if arm == "bare":
        return None
    if arm == "blank":
        return np.full((size, size, 3), 255, np.uint8)
    if arm == "flat":
        return np.broadcast_to(main_color(artwork), (size, size, 3)).copy()
    if arm == "noise":
        return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    if arm == "label":
        return label_texture(geometry, artwork)
    if arm == "wrong-class":
        return _fitted(wrong, size)
    raise BadInput(f"{arm!r} is no control arm; known are bare, blank, flat, noise, label, wrong-class")


def main_color(artwork: Artwork) -> NDArray[np.uint8]:
    """``(3,)`` uint8: the most frequent saturated color of the sign, or its most frequent color if it has none."""
    pixels = render(artwork, 64)
    solid = pixels[pixels[..., 3] > 250][:, :3]
    saturated = solid[np.ptp(solid, axis=1) > 60]
    colors, count = np.unique(saturated if len(saturated) else solid, axis=0, return_counts=True)
    return np.asarray(colors[count.argmax()], dtype=np.uint8)


def label_texture(geometry: PatchGeometry, artwork: Artwork) -> Texture:
    """White, with the class's own sign in small, as often as it fits along each side of the frame."""
    size = geometry.texels
    side = max(round((geometry.outer_mm - geometry.inner_mm) / 2 / geometry.texel_mm), 2)
    small = _fitting(artwork, side)
    texture = np.full((size, size, 3), 255, np.uint8)
    for start in np.linspace(0, size - side, size // side).round().astype(int):
        for top, left in ((0, start), (size - side, start), (start, 0), (start, size - side)):
            texture[top : top + side, left : left + side] = small
    return texture


def _fitting(artwork: Artwork, side: int) -> Texture:
    """The sign on a white square of ``side`` texels, undistorted."""
    width = max(round(side / max(artwork.aspect, 1)), 1)
    rgba = render(artwork, width, 8)[:side]
    alpha = rgba[..., 3:].astype(np.float32) / 255
    top, left = (side - len(rgba)) // 2, (side - width) // 2
    square = np.full((side, side, 3), 255, np.uint8)
    square[top : top + len(rgba), left : left + width] = (rgba[..., :3] * alpha + 255 * (1 - alpha)).round()
    return square


def _fitted(texture: Texture | None, size: int) -> Texture:
    if texture is None:
        raise BadInput("the arm wrong-class needs the patch of another class", hint="dpcam train LABEL")
    return np.asarray(cv2.resize(texture, (size, size), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
