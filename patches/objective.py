"""What training minimizes: cross-entropy over surrogates, and terms that keep the texture printable and smooth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from patches.surrogates import Surrogate


@dataclass(frozen=True, slots=True)
class Weights:
    """Weight of each term beside the cross-entropy."""

    smoothness: float = 0.1
    gamut: float = 0.5


def objective(
    pictures: Tensor, texture: Tensor, surrogates: Sequence[Surrogate], targets: Sequence[int], weights: Weights
) -> Tensor:
    """Scalar loss for pictures ``(B, 3, H, W)`` and texture ``(3, n, n)``; ``targets``: class index per surrogate."""
    loss = cross_entropy(pictures, surrogates, targets)
    return loss + weights.smoothness * total_variation(texture) + weights.gamut * out_of_gamut(texture)


def cross_entropy(pictures: Tensor, surrogates: Sequence[Surrogate], targets: Sequence[int]) -> Tensor:
    """Mean cross-entropy over pictures and surrogates."""
    losses = [
        functional.cross_entropy(surrogate.logits(pictures), _column(pictures, target))
        for surrogate, target in zip(surrogates, targets, strict=True)
    ]
    return torch.stack(losses).mean()


def total_variation(texture: Tensor) -> Tensor:
    """Mean absolute difference of neighbors (Mahendran and Vedaldi 2015): speckle that no camera resolves costs."""
    down = (texture[:, 1:] - texture[:, :-1]).abs().mean()
    across = (texture[:, :, 1:] - texture[:, :, :-1]).abs().mean()
    return down + across


def out_of_gamut(texture: Tensor) -> Tensor:
    """How far colors are more saturated than ink on paper gets; the bound of 0.75 is that of an ordinary printer."""
    spread = texture.amax(dim=0) - texture.amin(dim=0)
    return functional.relu(spread - 0.75).mean()


def _column(pictures: Tensor, target: int) -> Tensor:
    return torch.full((len(pictures),), target, dtype=torch.long, device=pictures.device)
