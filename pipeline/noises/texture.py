"""Random textures that weather is made of: plasma for fog, drawn ice crystals for frost."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Field = NDArray[np.float32]

WIBBLE = 100.0
"""Amplitude of the plasma's coarsest step, as published; it acts by its square."""

FROST_TEXTURES = 5
"""As many as the published code uses photographs."""

FROST_SIDE_PX = 800
FROST_ROOM = 1.25
"""A texture is at least this much larger than the picture, so that there is something to choose from."""

FERNS = 420
BRANCHES = 22
FROST_TINT = (0.90, 0.97, 1.0)


def plasma(side: int, decay: float, rng: Generator) -> Field:
    """Diamond-square heights ``(side, side)`` from 0 to 1, periodic; ``side`` is a power of two.

    Each finer step adds noise whose amplitude is smaller by ``decay`` squared.
    """
    noise = rng.uniform(-1, 1, (side, side)).astype(np.float32)
    heights = np.zeros((side, side), dtype=np.float32)
    step, wibble = side, WIBBLE
    while step >= 2:
        _refine(heights, noise * np.float32(wibble**2), step)
        step, wibble = step // 2, wibble / decay
    heights -= heights.min()
    return np.asarray(heights / heights.max(), dtype=np.float32)


def _refine(heights: Field, noise: Field, step: int) -> None:
    """Set the middles of all squares, then those of all edges, to the mean of their four neighbors plus noise."""
    half = step // 2
    corners, middles = heights[::step, ::step], heights[half::step, half::step]
    pairs = corners + np.roll(corners, -1, axis=0)
    middles[:] = (pairs + np.roll(pairs, -1, axis=1)) / 4 + noise[half::step, half::step]
    across = middles + np.roll(middles, 1, axis=0) + corners + np.roll(corners, -1, axis=1)
    heights[::step, half::step] = across / 4 + noise[::step, half::step]
    along = middles + np.roll(middles, 1, axis=1) + corners + np.roll(corners, -1, axis=0)
    heights[half::step, ::step] = along / 4 + noise[half::step, ::step]


def cut_frost(height: int, width: int, scale: float, rng: Generator) -> Field:
    """A random piece ``(height, width, 3)`` from 0 to 1 of one of the textures, which were shrunk by ``scale``.

    A picture that is too large for the texture gets the texture enlarged.
    """
    number, side = int(rng.integers(FROST_TEXTURES)), round(FROST_SIDE_PX * scale)
    while side < FROST_ROOM * max(height, width):
        side *= 2
    gray = frost_texture(number, side)
    top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
    return gray[top : top + height, left : left + width, None] * np.array(FROST_TINT, dtype=np.float32)


@functools.lru_cache(maxsize=2 * FROST_TEXTURES)
def frost_texture(number: int, side_px: int) -> Field:
    """Gray frost ``(side_px, side_px)`` from 0 to 1, always the same for a number; read only."""
    sized = np.asarray(cv2.resize(_drawn_frost(number), (side_px, side_px), interpolation=cv2.INTER_AREA), np.float32)
    sized.setflags(write=False)
    return sized


@functools.cache
def _drawn_frost(number: int) -> Field:
    """A film of uneven thickness, ferns of ice where it is thick, and grain."""
    rng = np.random.default_rng([1903, number])
    mist = plasma(1024, 1.6, rng)[:FROST_SIDE_PX, :FROST_SIDE_PX]
    film = cv2.GaussianBlur(mist, (0, 0), 3)
    ice = np.zeros((FROST_SIDE_PX, FROST_SIDE_PX), dtype=np.float32)
    for bright in (0.35, 0.6, 1.0):
        ice = np.maximum(ice, bright * _ferns(rng))
    grain = cv2.GaussianBlur(rng.standard_normal(ice.shape).astype(np.float32), (0, 0), 0.7)
    return np.clip(0.08 + 0.4 * film + 0.75 * ice * (0.4 + 0.6 * film) + 0.06 * grain, 0, 1).astype(np.float32)


def _ferns(rng: Generator) -> Field:
    """Trunks with branches at 60 degrees that get shorter towards the tip, drawn in one go and softened."""
    roots = rng.uniform(0, FROST_SIDE_PX, (FERNS, 1, 2))
    lengths = rng.lognormal(math.log(60), 0.6, (FERNS, 1))
    # Neighbors grow in much the same direction, as ice on a pane does.
    angles = 2 * math.pi * np.sin(roots @ rng.uniform(-0.006, 0.006, 2)) + rng.normal(0, 0.35, (FERNS, 1))
    along = np.linspace(0.05, 0.95, BRANCHES)[None, :]
    knots = roots + (lengths * along)[..., None] * _direction(angles)
    sides = angles + math.radians(60) * np.where(np.arange(BRANCHES) % 2, 1, -1)[None, :]
    tips = knots + (0.45 * lengths * (1 - along))[..., None] * _direction(sides)
    ends = roots + lengths[..., None] * _direction(angles)
    lines = np.concatenate([np.stack([roots, ends], axis=2), np.stack([knots, tips], axis=2)], axis=1)
    canvas = np.zeros((FROST_SIDE_PX, FROST_SIDE_PX), dtype=np.uint8)
    cv2.polylines(canvas, list(np.rint(lines.reshape(-1, 2, 2)).astype(np.int32)), False, 255, 1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.8), dtype=np.float32) / np.float32(255)


def _direction(angles: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)
