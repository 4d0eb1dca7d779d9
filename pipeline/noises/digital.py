"""What software does to pictures: contrast, elastic, pixelate, JPEG. Pictures are ``(H, W, 3)`` float32 from 0 to 1."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from pipeline.noises.constants import Elastic

Picture = NDArray[np.float32]


def contrast(picture: Picture, left: float, _: Generator) -> Picture:
    """Draw all values to their channel's mean. As published."""
    mean = picture.mean(axis=(0, 1), keepdims=True)
    return np.asarray(mean + left * (picture - mean), dtype=np.float32)


def elastic_transform(picture: Picture, constants: Elastic, rng: Generator) -> Picture:
    """A jittered affine map, then a smooth random displacement. As published, interpolated to 1/32 px.

    Lengths grow with the shorter side, and yet the displacement stays about the same number of pixels: its noise is
    averaged over more of them.
    """
    shorter_px = min(picture.shape[:2])
    sheared = _sheared(picture, constants.jitter * shorter_px, rng)
    return _displaced(sheared, constants.amplitude * shorter_px, constants.sigma * shorter_px, rng)


def _sheared(picture: Picture, jitter_px: float, rng: Generator) -> Picture:
    """Three corners of a square in the middle, each moved by up to ``jitter_px`` in x and y."""
    height, width = picture.shape[:2]
    third = min(height, width) // 3
    corners = np.array([width // 2, height // 2]) + third * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = corners + rng.uniform(-jitter_px, jitter_px, corners.shape)
    affine = cv2.getAffineTransform(corners.astype(np.float32), moved.astype(np.float32))
    warped = cv2.warpAffine(picture, affine, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, dtype=np.float32)


def _displaced(picture: Picture, amplitude_px: float, sigma_px: float, rng: Generator) -> Picture:
    height, width = picture.shape[:2]
    if not amplitude_px:
        return picture
    noise = rng.uniform(-1, 1, (height, width, 2)).astype(np.float32)
    size = 2 * int(3 * sigma_px + 0.5) + 1
    smooth = cv2.GaussianBlur(noise, (size, size), sigma_px, borderType=cv2.BORDER_REFLECT)
    x, y = np.moveaxis(np.asarray(smooth), 2, 0) * np.float32(amplitude_px)
    rows, columns = np.indices((height, width), dtype=np.float32)
    moved = cv2.remap(picture, columns + x, rows + y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, dtype=np.float32)


def pixelate(picture: Picture, scale: float, _: Generator) -> Picture:
    """Shrink with a box filter and enlarge with it again. As published."""
    height, width = picture.shape[:2]
    image = Image.fromarray(as_bytes(picture))
    small = image.resize((int(width * scale), int(height * scale)), Image.Resampling.BOX)
    return _as_floats(small.resize((width, height), Image.Resampling.BOX))


def jpeg_compression(picture: Picture, quality: int, _: Generator) -> Picture:
    """Through JPEG and back, with Pillow's defaults (chroma at half resolution). As published."""
    stream = io.BytesIO()
    Image.fromarray(as_bytes(picture)).save(stream, format="JPEG", quality=quality)
    with Image.open(stream) as image:
        return _as_floats(image)


def as_bytes(picture: Picture) -> NDArray[np.uint8]:
    """Clipped, scaled to 255 and rounded."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _as_floats(image: Image.Image) -> Picture:
    return np.asarray(image, dtype=np.float32) / np.float32(255)
