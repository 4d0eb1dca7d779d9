"""``unadversarial``: cross-entropy on one model under random transformation (Salman et al., arXiv 2012.12235)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from patches.methods.base import OneLatent
from patches.objective import cross_entropy
from patches.order import Bench, Terms

TERMS = Terms(smoothness=0.0, gamut=0.0)


@dataclass(frozen=True, slots=True)
class Unadversarial(OneLatent):
    """One texture, the first surrogate, no further term."""

    name: str = "unadversarial"
    terms: Terms = TERMS

    def loss(self, latents: Sequence[Tensor], step: int, bench: Bench) -> Tensor:
        """Cross-entropy of the first surrogate."""
        views = bench.views(step)
        pictures = views.render(self.texture(latents, bench.order))
        return cross_entropy(pictures, bench.surrogates[:1], views.truth[:1])
