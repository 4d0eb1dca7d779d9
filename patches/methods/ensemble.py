"""``ensemble``: cross-entropy over all surrogates under expectation over transformation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from patches.methods.base import OneLatent, printable
from patches.objective import defended
from patches.order import Bench, Terms

TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Ensemble(OneLatent):
    """One texture, all surrogates."""

    name: str = "ensemble"
    terms: Terms = TERMS

    def loss(self, latents: Sequence[Tensor], step: int, bench: Bench) -> Tensor:
        """Mean over the surrogates."""
        texture, views = self.texture(latents, bench.order), bench.views(step)
        return defended(views.render(texture), bench.surrogates, views) + printable(texture, bench)
