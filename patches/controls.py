"""Textures of the control arms: what is printed in the frame when it is not a trained patch."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput
from patches.artwork import Artwork, render
from patches.patch import PatchGeometry

Texture = NDArray[np.uint8]
LITTLE_SIGNS = 16
PLACES_TRIED = 160
"""Places for them along each axis of a frame that is not square."""


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
    if geometry.sticker:
        return _label_within(geometry.ring(), artwork)
    side = max(round((geometry.outer_mm - geometry.inner_mm) / 2 / geometry.texel_mm), 2)
    small = _fitting(artwork, side)
    texture = np.full((size, size, 3), 255, np.uint8)
    for start in np.linspace(0, size - side, size // side).round().astype(int):
        for top, left in ((0, start), (size - side, start), (start, 0), (start, size - side)):
            texture[top : top + side, left : left + side] = small
    return texture


def _label_within(ring: NDArray[np.bool_], artwork: Artwork) -> Texture:
    """The little signs where a frame of any shape has room, as large as :data:`LITTLE_SIGNS` of them can be."""
    texture = np.full((*ring.shape, 3), 255, np.uint8)
    side = max(int(2 * cv2.distanceTransform(ring.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max()), 1)
    while side > 1 and len(_places(ring, side)) < LITTLE_SIGNS:
        side = int(side * 0.9)
    small = _fitting(artwork, side)
    for top, left in _places(ring, side):
        texture[top : top + side, left : left + side] = small
    return texture


def _places(ring: NDArray[np.bool_], side: int) -> list[tuple[int, int]]:
    """Top-left corners of squares of ``side`` texels that lie in the ring and not on each other, in reading order."""
    room = ring.copy()
    found = []
    step = len(ring) // PLACES_TRIED + 1
    for top, left in (np.argwhere(_fits(room, side)[::step, ::step]) * step).tolist():
        square = room[top : top + side, left : left + side]
        if square.all():
            found.append((top, left))
            square[:] = False
    return found


def _fits(room: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Where a square of ``side`` texels that begins there is free."""
    until = cv2.integral(room.astype(np.uint8))
    free = until[side:, side:] - until[:-side, side:] - until[side:, :-side] + until[:-side, :-side]
    return np.asarray(free == side * side)


def spread(texture: Texture, ring: NDArray[np.bool_]) -> Texture:
    """The texture with what lies beyond its ring, which nobody trained, replaced by the nearest texel of the ring.

    So the patch of one frame can be printed in a frame of another shape.
    """
    _, nearest = cv2.distanceTransformWithLabels(
        (~ring).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colors = np.zeros((nearest.max() + 1, 3), np.uint8)
    colors[nearest[ring]] = texture[ring]
    return np.asarray(colors[nearest], dtype=np.uint8)


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
