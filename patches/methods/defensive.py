"""``defensive``: ours. Cross-entropy over all surrogates under transformation, and the terms that pay.

What each term is worth stands in the ablation table of docs/results.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from patches.correlation import correlation_distance
from patches.disturb import disturbed, jittered
from patches.methods.base import OneLatent, printable
from patches.objective import defended
from patches.order import Bench, Terms, Views

TERMS = Terms(no_spoof=0.25, disturb=0.5, jitter=0.07)


@dataclass(frozen=True, slots=True)
class Defensive(OneLatent):
    """One texture, all surrogates, all terms that are on."""

    name: str = "defensive"
    terms: Terms = TERMS

    def loss(self, latents: Sequence[Tensor], step: int, bench: Bench) -> Tensor:
        """Cross-entropy of what came through transformation, corruption, jitter and attack; plus the weighted terms."""
        terms, texture, views = bench.terms, self.texture(latents, bench.order), bench.views(step)
        dice = bench.dice(step)
        pictures = noisy(views.render(texture), views, terms.disturb, dice)
        pictures = jittered(pictures, terms.jitter, dice)
        if terms.attack_levels:
            pictures = attacked(pictures, bench, views, step)
        loss = defended(pictures, bench.surrogates, views) + printable(texture, bench)
        if terms.correlation:
            loss = loss + terms.correlation * correlation_distance(texture, views, bench.surrogates)
        return loss


def noisy(pictures: Tensor, views: Views, share: float, dice: torch.Generator) -> Tensor:
    """Pictures of what the patch is for, ``share`` of them corrupted; other objects as they are.

    Corrupted, some of those are taken for the patch's class with any patch and without one. To forbid that would teach
    the patch to argue against its own class.
    """
    return torch.where(views.own[:, None, None, None], disturbed(pictures, share, dice), pictures)


def attacked(pictures: Tensor, bench: Bench, views: Views, step: int) -> Tensor:
    """Each picture moved by an inner attacker: one step from a random start, with a budget drawn for each picture.

    The attacker is not differentiated through: to the patch its change is a constant (Madry et al., arXiv 1706.06083).
    """
    dice = bench.dice(step + bench.order.steps)
    budget = bench.terms.attack_levels / 255 * torch.rand(len(pictures), 1, 1, 1, generator=dice).to(pictures)
    start = budget * (2 * torch.rand(pictures.shape, generator=dice).to(pictures) - 1)
    seen = (pictures.detach() + start).clamp(0, 1).requires_grad_()
    slope = torch.autograd.grad(defended(seen, bench.surrogates, views), seen)[0]
    change = torch.minimum(torch.maximum(start + 1.25 * budget * slope.sign(), -budget), budget)
    return (pictures + change).clamp(0, 1)
