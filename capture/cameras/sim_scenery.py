"""The simulator's surroundings: board, background clutter, lights. All procedural, all seeded."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput
from calibration.geometry import Array

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

FIELD_STEP = 8
"""Light changes slowly: its field is computed for one pixel in 8 x 8."""

STREET_WIDTH = 1600

BOARD_COLORS = ((142, 118, 88), (118, 122, 124), (104, 120, 132), (134, 128, 112), (110, 124, 106))
"""Plywood, zinc, slate, cardboard, lichen: mid-tones, so that both white paper and black ink stand out."""


@dataclass(frozen=True, slots=True)
class Light:
    """A named lighting. Factors act on encoded (gamma) values, where a change of exposure is still a factor.

    ``gain`` and ``tint`` (RGB) multiply everything; ``background`` what is behind the board; ``gradient`` is the
    change over half the frame; ``shadow`` the depth of a cast shadow's edge over the sheet; ``highlight`` the peak of
    a glossy reflection and ``veil`` stray light, in levels. ``exposure_ms`` and ``sensor_gain`` are what the camera
    answered with; noise follows ``sensor_gain``.
    """

    gain: float
    tint: tuple[float, float, float]
    gradient: float
    exposure_ms: float
    sensor_gain: float
    shadow: float = 0.0
    highlight: float = 0.0
    veil: float = 0.0
    background: float = 1.0


LIGHTS = {
    "day": Light(1.00, (1.00, 1.00, 1.00), 0.07, exposure_ms=8, sensor_gain=1.0),
    "dim": Light(0.58, (1.03, 1.00, 0.93), 0.15, exposure_ms=33, sensor_gain=8.0),
    "bright": Light(1.12, (1.00, 1.00, 0.98), 0.10, exposure_ms=2, sensor_gain=1.0, highlight=30, background=1.1),
    "shadow": Light(0.97, (0.99, 1.00, 1.02), 0.06, exposure_ms=10, sensor_gain=1.5, shadow=0.42),
    "warm": Light(0.88, (1.12, 0.98, 0.74), 0.14, exposure_ms=17, sensor_gain=3.0),
    "backlit": Light(0.60, (0.97, 1.00, 1.04), 0.10, exposure_ms=4, sensor_gain=2.0, veil=20, background=1.5),
}
"""The lights that the simulator knows."""


def light_named(name: str) -> Light:
    """The light ``name``; :class:`BadInput` names the known ones."""
    if name in LIGHTS:
        return LIGHTS[name]
    near = difflib.get_close_matches(name, LIGHTS, n=1)
    raise BadInput(
        f"the simulated camera has no light {name!r}; it knows {', '.join(LIGHTS)}",
        hint=f"did you mean {near[0]!r}?" if near else "",
    )


@dataclass(frozen=True, slots=True)
class Field:
    """Light over a frame, one value for 8 x 8 pixels.

    ``factor`` ``(h, w, 3)`` multiplies everything and ``veil`` is added to it, in levels. On the sheet's plane alone
    ``shade`` ``(h, w)`` multiplies and ``shine`` ``(h, w)`` adds levels; ``on_plane`` says whether they do anything.
    """

    factor: Floats
    veil: float
    shade: Floats
    shine: Floats
    on_plane: bool


def light_field(light: Light, falloff: Floats, center_px: Array, size_px: float, rng: np.random.Generator) -> Field:
    """The light on a frame whose sheet is at ``center_px`` and ``size_px`` large.

    ``falloff`` ``(H/8, W/8)`` is the lens's own vignetting; see :func:`falloff_field`.
    """
    height, width = falloff.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x - np.float32(center_px[0] / FIELD_STEP), y - np.float32(center_px[1] / FIELD_STEP)
    size = max(size_px / FIELD_STEP, 2.0)
    turn, edge_turn, shine_turn = rng.uniform(0, 2 * np.pi, 3)
    edge_at = rng.uniform(-0.3, 0.3) * size
    exposure = light.gain * rng.uniform(0.97, 1.03) * np.array(light.tint) * rng.uniform(0.99, 1.01, 3)
    even = falloff * (1 + light.gradient * (x * np.cos(turn) + y * np.sin(turn)) / (width / 2))
    shine_x, shine_y = 0.3 * size * np.cos(shine_turn), 0.3 * size * np.sin(shine_turn)
    spot = np.exp(-((x - shine_x) ** 2 + (y - shine_y) ** 2) / (2 * (0.22 * size) ** 2))
    return Field(
        factor=(even[..., None] * exposure).astype(np.float32),
        veil=light.veil,
        shade=(1 - light.shadow * _edge(x, y, edge_turn, edge_at, 0.05 * size + 1)).astype(np.float32),
        shine=(light.highlight * spot).astype(np.float32),
        on_plane=light.shadow > 0 or light.highlight > 0,
    )


def _edge(x: Floats, y: Floats, turn: float, offset: float, soft: float) -> Floats:
    """1 on one side of a line, 0 on the other, with a penumbra of about ``soft``."""
    along = (x * np.cos(turn) + y * np.sin(turn) - offset) / soft
    return np.asarray(1 / (1 + np.exp(-np.clip(2 * along, -30, 30))), dtype=np.float32)


def falloff_field(width: int, height: int, fx: float) -> Floats:
    """Vignetting ``(H/8, W/8)``: half of the natural cos^4 law, in encoded values (the lens makes up the rest)."""
    rows, columns = -(-height // FIELD_STEP), -(-width // FIELD_STEP)
    y = ((np.arange(rows) + 0.5) * height / rows - height / 2) / fx
    x = ((np.arange(columns) + 0.5) * width / columns - width / 2) / fx
    cosine = 1 / np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)
    return np.asarray(cosine ** (4 * 0.5 / 2.2), dtype=np.float32)


def fractal_noise(height: int, width: int, rng: np.random.Generator, octaves: int = 6) -> Floats:
    """``(height, width)`` noise with a 1/f spectrum, about unit spread: octaves of random grids, enlarged."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = 2 << octave
        grid = rng.standard_normal((cells + 1, max(2, cells * width // height) + 1), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.6**octave)
    return total


def board_texture(height: int, width: int, texels_per_mm: float, rng: np.random.Generator) -> Pixels:
    """``(height, width, 3)`` of a weathered board: seeded color, stains, grain along one direction, worn rim."""
    color = np.array(BOARD_COLORS[rng.integers(len(BOARD_COLORS))], np.float32) + rng.uniform(-8, 8)
    stains = fractal_noise(height, width, rng)
    long = max(2, round(20 * texels_per_mm))
    rows = max(2, round(height / texels_per_mm / 0.7))
    fibres = rng.standard_normal((rows, -(-width // long) + 2), dtype=np.float32)
    grain = cv2.resize(fibres, (width, height), interpolation=cv2.INTER_LINEAR)
    tone = np.asarray(1 + 0.035 * stains + 0.05 * grain)
    rim = max(1, round(1.5 * texels_per_mm))
    tone[:rim], tone[-rim:], tone[:, :rim], tone[:, -rim:] = 0.7, 0.55, 0.75, 0.6
    return np.asarray(np.clip(tone[..., None] * color, 0, 255), dtype=np.uint8)


def background_picture(height: int, width: int, clutter: float, rng: np.random.Generator) -> Pixels:
    """``(height, width, 3)`` of a street out of focus: sky, houses with windows, foliage, poles, pavement.

    ``clutter`` from 0 (plain gray) to 1. Out of focus, it needs no more than :data:`STREET_WIDTH` pixels of its own.
    """
    small = min(1.0, STREET_WIDTH / width)
    street = _street(round(height * small), round(width * small), rng)
    street = np.clip(128 + np.float32(clutter) * (street - 128), 0, 255)
    return np.asarray(cv2.resize(street.astype(np.uint8), (width, height)), dtype=np.uint8)


def _street(height: int, width: int, rng: np.random.Generator) -> Floats:
    picture = _sky_and_ground(height, width, rng)
    for _ in range(9):
        _house(picture, rng)
    for _ in range(6):
        _foliage(picture, rng)
    for _ in range(4):
        _pole(picture, rng)
    picture += fractal_noise(height, width, rng, octaves=8)[..., None] * np.float32(7)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(0.8, width / 900)), dtype=np.float32)


def _sky_and_ground(height: int, width: int, rng: np.random.Generator) -> Floats:
    horizon = rng.uniform(0.6, 0.72)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    sky = np.array([165, 185, 210], np.float32) + rows * np.array([45, 30, 10], np.float32)
    ground = np.array([88, 86, 84], np.float32) + (rows - horizon) * 90
    column = np.where(rows < horizon, sky, ground)
    return np.ascontiguousarray(np.broadcast_to(column[:, None], (height, width, 3)), dtype=np.float32)


def _house(picture: Floats, rng: np.random.Generator) -> None:
    """A wall with rows of windows; its foot stands on the ground."""
    height, width = picture.shape[:2]
    wide, tall = int(rng.uniform(0.12, 0.3) * width), int(rng.uniform(0.25, 0.6) * height)
    left, foot = int(rng.uniform(-0.1, 0.95) * width), int(rng.uniform(0.66, 0.78) * height)
    wall = rng.uniform(70, 185) * rng.uniform([0.95, 0.86, 0.75], [1.05, 1.0, 1.0])
    slant = int(rng.uniform(-0.06, 0.06) * tall)
    corners = [[left, foot - tall], [left + wide, foot - tall + slant], [left + wide, foot], [left, foot]]
    cv2.fillConvexPoly(picture, np.array(corners, np.int32), wall.tolist())
    pitch = int(rng.uniform(0.035, 0.07) * width)
    glass = (wall * rng.uniform(0.25, 0.6)).tolist()
    for y in range(foot - tall + pitch // 2, foot - pitch, int(pitch * 1.4)):
        for x in range(left + pitch // 3, left + wide - pitch // 2, pitch):
            cv2.rectangle(picture, (x, y), (x + pitch // 2, y + int(pitch * 0.8)), glass, -1)


def _foliage(picture: Floats, rng: np.random.Generator) -> None:
    """A bush or crown: a heap of leaves in many greens."""
    height, width = picture.shape[:2]
    center = rng.uniform([0, 0.35], [1, 0.75]) * [width, height]
    spread = rng.uniform(0.04, 0.1) * width
    for _ in range(140):
        at = (center + rng.normal(0, spread, 2) * [1, 0.7]).astype(int).tolist()
        color = (rng.uniform(0.5, 1.3) * np.array([70, 92, 48]) + rng.uniform(-8, 8, 3)).tolist()
        size = rng.uniform(0.004, 0.014, 2) * width
        axes = (int(size[0]) + 1, int(size[1]) + 1)
        cv2.ellipse(picture, at, axes, rng.uniform(0, 180), 0, 360, color, -1)


def _pole(picture: Floats, rng: np.random.Generator) -> None:
    """A pole, sometimes with a dark box on it."""
    height, width = picture.shape[:2]
    x, thick = int(rng.uniform(0, 1) * width), max(2, int(rng.uniform(0.004, 0.012) * width))
    gray = [rng.uniform(40, 120)] * 3
    top = int(rng.uniform(0, 0.5) * height)
    cv2.rectangle(picture, (x, top), (x + thick, int(0.85 * height)), gray, -1)
    if rng.uniform() < 0.6:
        side = int(rng.uniform(0.03, 0.06) * width)
        cv2.rectangle(picture, (x - side // 2, top), (x + side // 2, top + side), [28.0, 30.0, 34.0], -1)
