"""Where a real sticker sits on its sheet, seen by its texture: its twin is drawn over it and moved until the two agree.

The picture is linear in a small shift, and the shift's effect is known from drawing the twin a little beside: a
least-squares fit (Lucas and Kanade 1981) says how far, and how surely. Contrast and brightness are fitted along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.geometry import Array
from pipeline.twin.render import Floats, Layer, Pixels, out_of

COVERED = 0.5
"""A pixel counts when the sticker covers so much of it."""

MIN_PIXELS = 40
SURE = 2.0
"""So many standard errors from its place a sticker is called misplaced."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a sticker is from its place: ``(2,)`` mm right and down, and the standard error of each, mm."""

    shift_mm: Array
    error_mm: float

    @property
    def sure(self) -> bool:
        """Whether it is misplaced at all."""
        return float(np.linalg.norm(self.shift_mm)) > SURE * self.error_mm


def shift_between(pixels: Pixels, here: Layer, right: Layer, below: Layer, step_mm: float) -> Place | None:
    """How far the sticker in ``(H, W, 3)`` uint8 RGB is from where ``here`` has it.

    ``right`` and ``below``: the same sticker, ``step_mm`` farther to the right and down its sheet. None where too
    little of it is seen.
    """
    box = _common((here, right, below))
    (code, cover), *beside = (_code(layer, box) for layer in (here, right, below))
    counts = np.minimum.reduce([cover, *(each for _, each in beside)]) > COVERED
    if counts.sum() < MIN_PIXELS:
        return None
    seen = pixels[box][counts] / 255
    there = code[counts]
    slopes = [(moved[counts] - there) / step_mm for moved, _ in beside]
    return _fitted(seen, there, slopes)


def together(places: Sequence[Place]) -> Place | None:
    """The mean of what several pictures say, each weighed by how sure it is; as sure as they agree, at most."""
    if not places:
        return None
    shifts, weights = np.array([each.shift_mm for each in places]), np.array([each.error_mm**-2 for each in places])
    mean = np.average(shifts, axis=0, weights=weights)
    expected = 1 / weights.sum()
    scatter = float((weights @ np.square(shifts - mean)).mean()) / max(len(places) - 1, 1) * expected
    return Place(mean, float(np.sqrt(max(expected, scatter))))


def _fitted(seen: Floats, there: Floats, slopes: Sequence[Floats]) -> Place | None:
    """Shift along the slopes, and contrast and brightness of each channel, all ``(N, 3)``."""
    channels = np.repeat(np.eye(3)[None], len(there), axis=0)
    columns = np.concatenate([np.stack(slopes, axis=-1), channels * there[..., None], channels], axis=-1).reshape(
        -1, 2 + 6
    )
    values = (seen - there).ravel()
    found, _, rank, _ = np.linalg.lstsq(columns, values, rcond=None)
    freedom = len(values) - columns.shape[1]
    if rank < columns.shape[1] or freedom < 1:
        return None
    variance = float(np.square(columns @ found - values).sum()) / freedom
    covariance = variance * np.linalg.inv(columns.T @ columns)[:2, :2]
    return Place(found[:2], float(np.sqrt(np.trace(covariance) / 2)))


def _common(layers: Sequence[Layer]) -> tuple[slice, slice]:
    """Rows and columns of the picture that all layers have."""
    rows = slice(max(each.rows.start for each in layers), min(each.rows.stop for each in layers))
    return rows, slice(max(each.columns.start for each in layers), min(each.columns.stop for each in layers))


def _code(layer: Layer, box: tuple[slice, slice]) -> tuple[Floats, Floats]:
    """Code values and cover of a layer in a part of the picture."""
    rows, columns = (
        slice(part.start - start, part.stop - start) for part, start in zip(box, (layer.top, layer.left), strict=True)
    )
    color, cover = layer.color[rows, columns], layer.cover[rows, columns]
    return out_of(layer.space, color / np.maximum(cover, 1e-6)[..., None]), cover
