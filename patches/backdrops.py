"""Photographs as what lies behind and around a target, in place of the drawn noise of :mod:`patches.draws`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from calibration.errors import BadInput
from patches.draws import Dice, Draws
from patches.resample import shrink

STORED_PX = 384
GROUND_PX = 224
LEAST_SHARE = 0.4
"""A view shows at least this share of a photograph's side."""


def make_backdrops(photographs: Sequence[NDArray[np.uint8]]) -> Tensor:
    """``(H, W, 3)`` uint8 RGB each → ``(K, 3, STORED_PX, STORED_PX)`` linear light, the middle of each."""
    if not photographs:
        raise BadInput("no photographs were given to put behind the target")
    return torch.cat([_square(each) for each in photographs])


def on_backdrops(draws: Draws, backdrops: Tensor, generator: torch.Generator) -> Draws:
    """The same draws before photographs: for each view one of ``backdrops``, a part of it, mirrored every other time.

    The photograph goes on beyond the patch, so that a view without patch shows it whole.
    """
    count = len(draws.artwork)
    dice = Dice(generator, count, draws.artwork.dtype)
    number, share = dice.uniform((0, 1)), dice.uniform((LEAST_SHARE, 1.0))
    mirrored = torch.where(dice.uniform((0, 1)) < 0.5, -1.0, 1.0).to(share)
    offset = dice.uniform((-1, 1), 2) * (1 - share)[:, None]
    number, share, mirrored, offset = (each.to(draws.artwork.device) for each in (number, share, mirrored, offset))
    chosen = backdrops.to(draws.artwork)[(number * len(backdrops)).long()]
    zero = torch.zeros_like(share)
    across = torch.stack([share * mirrored, zero, offset[:, 0]], dim=1)
    down = torch.stack([zero, share, offset[:, 1]], dim=1)
    grid = functional.affine_grid(
        torch.stack([across, down], dim=1), [count, 3, GROUND_PX, GROUND_PX], align_corners=False
    )
    ground = functional.grid_sample(chosen, grid, padding_mode="border", align_corners=False)
    return replace(draws, grounds=torch.cat([ground, ground], dim=1))


def _square(photograph: NDArray[np.uint8]) -> Tensor:
    height, width = photograph.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = torch.from_numpy(photograph[top : top + side, left : left + side].copy())
    return shrink((middle.permute(2, 0, 1)[None].float() / 255).square(), STORED_PX, STORED_PX)
