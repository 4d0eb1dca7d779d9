"""Noise of single values: Gaussian, shot, impulse. Pictures are ``(H, W, 3)`` float32 from 0 to 1."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Picture = NDArray[np.float32]


def gaussian_noise(picture: Picture, deviation: float, rng: Generator) -> Picture:
    """Add normal noise. As published."""
    return picture + np.float32(deviation) * rng.standard_normal(picture.shape, dtype=np.float32)


def shot_noise(picture: Picture, photons: float, rng: Generator) -> Picture:
    """Count photons, ``photons`` of them for white, with Poisson's distribution. As published."""
    return (rng.poisson(picture * photons) / photons).astype(np.float32)


def impulse_noise(picture: Picture, share: float, rng: Generator) -> Picture:
    """Set a share of all values, each channel for itself, to 0 or 1 with equal chances. As published."""
    hit = rng.random(picture.shape, dtype=np.float32) <= share
    return np.where(hit, rng.integers(0, 2, picture.shape), picture).astype(np.float32)
