"""What training minimizes: cross-entropy over surrogates, and terms that keep the texture printable and smooth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from patches.color_table import ColorTable
from patches.order import Views
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


def defended(pictures: Tensor, surrogates: Sequence[Surrogate], views: Views) -> Tensor:
    """Cross-entropy where pictures ``(B, 3, H, W)`` show what the patch is for; of the rest, that they are not it.

    The latter is the negative logarithm of what all other classes get together: which of them is none of the patch's
    business.
    """
    losses = []
    for surrogate, right, classes in zip(surrogates, views.truth, views.classes, strict=True):
        scores = surrogate.logits(pictures)
        every = scores.logsumexp(dim=1)
        others = scores.index_fill(1, classes, -math.inf).logsumexp(dim=1)
        wanted = torch.where(views.own, scores.gather(1, right[:, None])[:, 0], others)
        losses.append((every - wanted).mean())
    return torch.stack(losses).mean()


def total_variation(texture: Tensor, ring: Tensor) -> Tensor:
    """Mean absolute difference of neighbors (Mahendran and Vedaldi 2015): speckle that no camera resolves costs.

    Of ``texture`` ``(3, n, n)`` only neighbors count that are both in ``ring``, ``(n, n)`` bool: no others are printed.
    """
    down = _mean_where(ring[1:] & ring[:-1], (texture[:, 1:] - texture[:, :-1]).abs())
    across = _mean_where(ring[:, 1:] & ring[:, :-1], (texture[:, :, 1:] - texture[:, :, :-1]).abs())
    return down + across


def out_of_gamut(texture: Tensor, ring: Tensor, unprintable: ColorTable | None = None) -> Tensor:
    """How far colors of ``texture`` ``(3, n, n)`` in ``ring`` ``(n, n)`` bool are from what can be printed.

    Where that was measured: CIEDE2000 in shares of the 100 from black to white. Else by how much more saturated they
    are than ink on ordinary paper gets.
    """
    if unprintable is not None:
        return _mean_where(ring, unprintable.at(texture) / 100)
    spread = texture.amax(dim=0) - texture.amin(dim=0)
    return _mean_where(ring, functional.relu(spread - GAMUT_SPREAD))


def _mean_where(chosen: Tensor, values: Tensor) -> Tensor:
    """Mean of ``values`` ``(..., h, w)`` where ``chosen`` ``(h, w)``; 0 where nothing is."""
    return (values * chosen).sum() / chosen.expand(values.shape).sum().clamp(min=1)
