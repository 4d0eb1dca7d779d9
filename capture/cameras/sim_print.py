"""The simulator's printers: what a nominal color looks like on paper, in even light, to the simulated camera.

Three of them, of two kinds: two quadratic print-camera models, which act on encoded values, and ink on paper, where
dots of cyan, magenta, yellow and black cover white in linear light.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Quadratic:
    """IBM's print-camera model ``seen = W2 x^2 + W1 x + b`` without mixed terms.

    ``primaries`` ``(3, 3)``: what red, green and blue (columns) add to ``black``; ``share``: how much of it W2 holds.
    """

    black: float
    primaries: NDArray[np.float64]
    share: float

    def __call__(self, x: Floats, ink: float) -> Floats:
        """``(H, W, 3)`` in [0, 1] → the same as seen; ``ink`` 0 changes nothing."""
        linear = (1 - self.share) * ink * self.primaries + (1 - ink) * np.eye(3)
        both = np.hstack([linear, np.full((3, 1), ink * self.black)]).astype(np.float32)
        quadratic = (self.share * ink * self.primaries).astype(np.float32)
        return np.asarray(cv2.add(cv2.transform(x, both), cv2.transform(cv2.multiply(x, x), quadratic)), np.float32)


@dataclass(frozen=True, slots=True)
class Dots:
    """Dots of ink on paper (Yule and Nielsen's form of Neugebauer's equations, coverages after Demichel).

    ``inks`` ``(4, 3)``: linear light that passes full cyan, magenta, yellow and black; two on each other multiply.
    ``gain``: by how much a half-tone's dots grow; ``limit``: most ink in one place, as a sum of coverages;
    ``spread``: Yule and Nielsen's n; ``gamma``: the camera's.
    """

    paper: tuple[float, float, float]
    inks: tuple[tuple[float, float, float], ...]
    gain: float
    limit: float
    spread: float
    gamma: float

    def __call__(self, x: Floats, ink: float) -> Floats:
        """As :meth:`Quadratic.__call__`."""
        cover = self._covers(1 - x)
        light: NDArray[np.float64] = np.ones(x.shape)
        for share, through in zip(np.moveaxis(cover, -1, 0), np.array(self.inks), strict=True):
            light *= 1 - share[..., None] * (1 - through ** (1 / self.spread))
        seen = (light**self.spread * np.array(self.paper)) ** (1 / self.gamma)
        return np.asarray((1 - ink) * x + ink * seen, dtype=np.float32)

    def _covers(self, asked: Floats) -> Floats:
        """``(H, W, 3)`` cyan, magenta, yellow asked for → ``(H, W, 4)`` shares of the paper under each ink."""
        # Part of what all three have in common is black instead.
        key = 0.3 * asked.min(axis=-1, keepdims=True) ** 2
        inks = np.concatenate([asked - key, key], axis=-1)
        inks = inks * np.minimum(self.limit / np.maximum(inks.sum(axis=-1, keepdims=True), 1e-6), 1)
        return np.asarray(inks + 4 * self.gain * inks * (1 - inks), dtype=np.float32)


LAB_PRINTER = "lab"

PRINTERS: Mapping[str, Callable[[Floats, float], Floats]] = {
    # Between two published fits. White is (.86, .84, .80).
    LAB_PRINTER: Quadratic(0.05, np.array([[0.56, 0.19, 0.06], [0.09, 0.50, 0.20], [0.06, 0.14, 0.55]]), 0.35),
    # One published fit: black .04, white (.80, .73, .68), red (.63, .22, .09), green (.19, .46, .18), blue
    # (.07, .13, .52). What the three add up to is scaled to that white, which moves them by up to .02.
    "published": Quadratic(
        0.04,
        np.array([[0.59, 0.15, 0.03], [0.18, 0.42, 0.09], [0.05, 0.14, 0.48]])
        * (np.array([0.76, 0.69, 0.64]) / [0.77, 0.69, 0.67])[:, None],
        0.35,
    ),
    # Office laser: warm paper, dots that grow by up to 14 %, at most 220 % of ink.
    "laser": Dots(
        paper=(0.82, 0.80, 0.73),
        inks=((0.05, 0.30, 0.55), (0.50, 0.06, 0.22), (0.86, 0.72, 0.07), (0.02, 0.02, 0.02)),
        gain=0.14,
        limit=2.2,
        spread=1.8,
        gamma=2.2,
    ),
}
"""The printers that the simulator knows."""


def printed(nominal: Pixels, ink: float, printer: str = LAB_PRINTER) -> Pixels:
    """Nominal ``(H, W, 3)`` uint8 sRGB → what it looks like printed, in even light; ``ink`` from 0 (ideal) to 1."""
    seen = PRINTERS[printer](np.asarray(nominal / 255, np.float32), ink)
    return np.asarray(cv2.convertScaleAbs(np.maximum(seen, 0), alpha=255), dtype=np.uint8)
