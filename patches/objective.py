"""What training minimizes: cross-entropy over surrogates, and terms that keep the texture printable and smooth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from patches.surrogates import Surrogate

GAMUT_SPREAD = 0.75
"""Largest difference between the channels of a color that an ordinary printer reaches."""


def cross_entropy(pictures: Tensor, surrogates: Sequence[Surrogate], truth: Sequence[Tensor]) -> Tensor:
    """Mean over pictures ``(B, 3, H, W)`` and surrogates; ``truth``: class indices ``(B,)`` for each surrogate."""
    losses = [
        functional.cross_entropy(surrogate.logits(pictures), right)
        for surrogate, right in zip(surrogates, truth, strict=True)
    ]
    return torch.stack(losses).mean()


def total_variation(texture: Tensor) -> Tensor:
    """Mean absolute difference of neighbors (Mahendran and Vedaldi 2015): speckle that no camera resolves costs."""
    down = (texture[:, 1:] - texture[:, :-1]).abs().mean()
    across = (texture[:, :, 1:] - texture[:, :, :-1]).abs().mean()
    return down + across


def out_of_gamut(texture: Tensor) -> Tensor:
    """How far colors are more saturated than ink on paper gets."""
    spread = texture.amax(dim=0) - texture.amin(dim=0)
    return functional.relu(spread - GAMUT_SPREAD).mean()
