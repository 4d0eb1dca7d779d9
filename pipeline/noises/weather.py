"""Weather: snow, frost, fog, brightness. Pictures are ``(H, W, 3)`` float32 from 0 to 1."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.noises.blur import smear, zoomed
from pipeline.noises.constants import Fog, Frost, Motion, Snow
from pipeline.noises.texture import cut_frost, plasma

Picture = NDArray[np.float32]


def snow(picture: Picture, constants: Snow, rng: Generator) -> Picture:
    """Flakes, smeared by wind, over a picture that fades to white. As published, by OpenCV instead of ImageMagick.

    The layer of flakes is not rounded to bytes.
    """
    noise = rng.normal(constants.mean, constants.spread, picture.shape[:2]).astype(np.float32)
    flakes = zoomed(noise, constants.zoom)
    flakes = np.where(flakes < constants.threshold, 0, np.clip(flakes, 0, 1)).astype(np.float32)
    wind = Motion(constants.radius_px, constants.sigma_px)
    layer = smear(flakes, wind, rng.uniform(-135, -45))[..., None]
    whiter = np.maximum(picture, cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None] * 1.5 + 0.5)
    faded = constants.kept * picture + (1 - constants.kept) * whiter
    return np.asarray(faded + layer + layer[::-1, ::-1], dtype=np.float32)


def frost(picture: Picture, constants: Frost, rng: Generator) -> Picture:
    """A piece of frost laid over the picture.

    Differs: the published code cuts the piece from one of five photographs, we from one of five drawn textures.
    """
    piece = cut_frost(picture.shape[0], picture.shape[1], constants.scale, rng)
    return np.asarray(constants.picture * picture + constants.frost * piece, dtype=np.float32)


def fog(picture: Picture, constants: Fog, rng: Generator) -> Picture:
    """Plasma added, then scaled back to the picture's own brightest value. As published.

    The plasma's map is the next power of two (published: 256 for 224 px, 32 for 32 px), cut to the picture.
    """
    height, width = picture.shape[:2]
    mist = plasma(1 << (max(height, width) - 1).bit_length(), constants.decay, rng)[:height, :width, None]
    brightest = picture.max()
    lit = (picture + constants.thickness * mist) * (brightest / (brightest + constants.thickness))
    return np.asarray(lit, dtype=np.float32)


def brightness(picture: Picture, amount: float, _: Generator) -> Picture:
    """Raise the value of hue, saturation, value. As published, in closed form.

    At the same hue and saturation all channels grow by the same factor; black has no hue and becomes gray.
    """
    value = picture.max(axis=2, keepdims=True)
    raised = np.minimum(value + amount, 1)
    grown = picture * (raised / np.maximum(value, 1e-6))
    return np.asarray(np.where(value > 0, grown, raised), dtype=np.float32)
