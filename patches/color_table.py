"""A measured color response for training: tables over the RGB cube, looked up differentiably.

The response's own forms stay in :mod:`calibration.color`; a table says the same of all of them to within its steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from calibration.color import ColorModel, cube, printable
from calibration.geometry import Array

SIDE = 17
"""Steps of a table along each axis: between them, a quadratic curve is off by less than 0.001."""

INSIDE = 1 - 1e-5
"""Colors at the very border of the cube are looked up just within it: on it, torch has no slope for them."""


@dataclass(frozen=True, slots=True)
class ColorTable:
    """``nodes`` ``(1, C, S, S, S)``: values at equal steps of red, green and blue, in this order of axes."""

    nodes: Tensor

    def to(self, device: torch.device | str) -> ColorTable:
        """The same on another device."""
        return ColorTable(self.nodes.to(device))

    def at(self, texture: Tensor) -> Tensor:
        """Values ``(C, n, n)`` at the colors of ``(3, n, n)``; trilinear, beyond the cube those on its border."""
        # The last axis of a grid runs along the last axis of the table, which is blue.
        places = ((2 * texture - 1) * INSIDE).flip(0).permute(1, 2, 0)[None, None]
        nodes = self.nodes.to(texture.dtype)
        return functional.grid_sample(nodes, places, padding_mode="border", align_corners=True)[0, :, 0]


def seen_table(model: ColorModel, side: int = SIDE) -> ColorTable:
    """Code values in [0, 1] as they are seen, of those asked for."""
    return _table(model.predict(cube(side)), side)


def asked_gray(model: ColorModel, seen: float = 0.5) -> float:
    """The gray in [0, 1] to ask for that is seen as ``seen``, as a mean over the channels; the nearest there is."""
    asked = np.linspace(0, 1, 256)
    found = model.predict(np.repeat(asked[:, None], 3, axis=1)).mean(axis=1)
    return float(np.interp(seen, np.maximum.accumulate(found), asked))


def unprintable_table(model: ColorModel, side: int = SIDE) -> ColorTable:
    """CIEDE2000 from a color to the nearest that this printer can make, 0 for those that it can.

    The term of Sharif et al. 2016, with the gamut that was measured in the place of a palette.
    """
    return _table(printable(model).distance(cube(side))[:, None], side)


def _table(values: Array, side: int) -> ColorTable:
    """Nodes from ``(S³, C)``, in the order of :func:`calibration.color.cube`."""
    nodes = torch.from_numpy(values).reshape(side, side, side, -1).permute(3, 0, 1, 2)[None]
    return ColorTable(nodes.float().contiguous())
