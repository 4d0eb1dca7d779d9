"""``mean``: a texture for each surrogate, averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from patches.methods.base import OneLatent, inked, noisy_gray, printable
from patches.objective import cross_entropy
from patches.order import Bench, Terms, TrainOrder

TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Mean(OneLatent):
    """As many textures as surrogates; each sees its own surrogate only, and the same views."""

    name: str = "mean"
    terms: Terms = TERMS

    def begin(self, bench: Bench) -> list[Tensor]:
        """One for each surrogate."""
        return [noisy_gray(bench, index) for index in range(len(bench.surrogates))]

    def loss(self, latents: Sequence[Tensor], step: int, bench: Bench) -> Tensor:
        """Each surrogate's own cross-entropy; no term ties the textures."""
        views = bench.views(step)
        losses = []
        for latent, surrogate, truth in zip(latents, bench.surrogates, views.truth, strict=True):
            texture = inked(latent, bench.order)
            own = cross_entropy(views.render(texture), [surrogate], [truth])
            losses.append(own + printable(texture, bench))
        return torch.stack(losses).sum()

    def texture(self, latents: Sequence[Tensor], order: TrainOrder) -> Tensor:
        """The average of the inked textures."""
        return torch.stack([inked(latent, order) for latent in latents]).mean(dim=0)
