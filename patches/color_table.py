"""A measured color response for training: tables over the RGB cube, looked up differentiably.

The response's own forms stay in :mod:`calibration.color`; a table says the same of all of them to within its steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from calibration.color import ColorResponse, cube, unprintable_table

SIDE = 17
"""Steps of a table along each axis: between them, a quadratic curve is off by less than 0.001."""

INSIDE = 1 - 1e-5
"""Colors at the very border of the cube are looked up just within it: on it, torch has no slope for them."""


@dataclass(frozen=True, slots=True)
class ColorTable:
    """``seen`` ``(1, 3, S, S, S)`` code values in [0, 1]; ``off`` ``(1, 1, S, S, S)`` CIEDE2000 to what is printable.

    Axes are red, green, blue asked for.
    """

    seen: Tensor
    off: Tensor

    def to(self, device: torch.device | str) -> ColorTable:
        """The same on another device."""
        return replace(self, seen=self.seen.to(device), off=self.off.to(device))

    def printed(self, texture: Tensor) -> Tensor:
        """``(B, 3, n, n)`` asked for → ``(B, 3, n, n)`` as it is seen, both code values in [0, 1]."""
        return _looked_up(self.seen, texture)

    def unprintability(self, texture: Tensor) -> Tensor:
        """Mean CIEDE2000 from the texels of ``(B, 3, n, n)`` to the nearest printable colors ``(B,)``.

        The term of Sharif et al. 2016, with the gamut that was measured in the place of a palette.
        """
        return _looked_up(self.off, texture).mean(dim=(1, 2, 3))


def color_table(response: ColorResponse, side: int = SIDE, dtype: torch.dtype = torch.float32) -> ColorTable:
    """Both tables of a response."""
    seen = torch.from_numpy(response.predict(cube(side))).reshape(side, side, side, 3)
    off = torch.from_numpy(unprintable_table(response, side))
    return ColorTable(seen.permute(3, 0, 1, 2)[None].to(dtype), off[None, None].to(dtype))


def _looked_up(table: Tensor, texture: Tensor) -> Tensor:
    """Trilinear; colors out of the cube are those on its border."""
    # The last axis of a grid runs along the last axis of the table, which is blue.
    places = ((2 * texture - 1) * INSIDE).flip(1).permute(0, 2, 3, 1)[:, None]
    tables = table.expand(len(texture), -1, -1, -1, -1)
    return functional.grid_sample(tables, places, padding_mode="border", align_corners=True)[:, :, 0]
