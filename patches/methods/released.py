"""``released``: the public code of the paper's authors, as it is rather than as the paper has it.

One patch for each class, no transformation at all, and a correlation taken over RGB pixels. Stage 1 trains the patch on
a gray ground with one surrogate (Adam, 0.001, 10 epochs). Stage 2 goes through 30 rounds: clone the patch for each
surrogate and tune the clones by cross-entropy for an epoch (Adam, 0.03), then move the shared patch for an epoch so
that its inner products with the pixels of the whole picture come near those of the clones. Epochs are as many steps as
the order has room for; stage 1 keeps its rate times its steps. The authors keep the checkpoint that is best on training
pictures; here all methods are chosen alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from patches.objective import cross_entropy
from patches.order import Bench, Terms, TrainOrder, Views
from patches.spec import TransformSpec

ROUNDS = 30
PRIOR_SHARE = 0.2
"""Part of the steps that stage 1 gets."""

PRIOR_TRAVEL = 0.001 * 400
"""Rate times steps of the authors' stage 1: 10 epochs of 40 batches."""

RATE = 0.03
GRAM_PICTURES = 4
PLAIN = TransformSpec.identity()


@dataclass(frozen=True, slots=True)
class Phase:
    """Where a step is: stage 1; or in stage 2 tuning clones or moving the shared patch. ``first`` of its phase."""

    prior: bool
    cloned: bool
    first: bool


def phase_of(step: int, steps: int) -> Phase:
    """The phase of a step: stage 1, then rounds of two halves."""
    prior = max(1, round(PRIOR_SHARE * steps))
    if step < prior:
        return Phase(True, False, step == 0)
    rounds = max(1, min(ROUNDS, (steps - prior) // 2))
    length = max(2, (steps - prior) // rounds)
    within = (step - prior) % length
    half = (length + 1) // 2
    return Phase(False, within < half, within in (0, half))


TERMS = Terms(smoothness=0.0, gamut=0.0)


@dataclass(frozen=True, slots=True)
class Released:
    """Latents are pixels: the shared patch first, then a clone for each surrogate."""

    name: str = "released"
    terms: Terms = TERMS

    def begin(self, bench: Bench) -> list[Tensor]:
        """Uniform noise; the clones like it."""
        texels = bench.order.geometry.texels
        generator = torch.Generator().manual_seed(bench.order.seed)
        shared = torch.rand(3, texels, texels, generator=generator)
        return [shared.clone() for _ in range(1 + len(bench.surrogates))]

    def rate(self, step: int, order: TrainOrder) -> float:
        """The authors' rates, whatever the order's is."""
        prior = max(1, round(PRIOR_SHARE * order.steps))
        return PRIOR_TRAVEL / prior if step < prior else RATE

    def between(self, latents: Sequence[Tensor], step: int, bench: Bench) -> bool:
        """Keep pixels within [0, 1]; clone at the beginning of a round; a new optimizer for each phase."""
        for latent in latents:
            latent.clamp_(0, 1)
        phase = phase_of(step, bench.order.steps)
        if phase.cloned and phase.first:
            for clone in latents[1:]:
                clone.copy_(latents[0])
        return phase.first

    def loss(self, latents: Sequence[Tensor], step: int, bench: Bench) -> Tensor:
        """Of the phase that the step is in."""
        views, phase = bench.views(step, PLAIN), phase_of(step, bench.order.steps)
        if phase.prior:
            return cross_entropy(views.alone().render(latents[0]), bench.surrogates[:1], views.truth[:1])
        if phase.cloned:
            each = zip(latents[1:], bench.surrogates, views.truth, strict=True)
            return torch.stack([cross_entropy(views.render(a), [b], [c]) for a, b, c in each]).sum()
        return gram_distance(latents, views)

    def texture(self, latents: Sequence[Tensor], order: TrainOrder) -> Tensor:
        """The shared patch."""
        return latents[0].clamp(0, 1)


def gram_distance(latents: Sequence[Tensor], views: Views) -> Tensor:
    """Mean squared distance of the shared patch's products with its picture from those of each clone with its own."""
    shared = pixel_gram(latents[0], views)
    with torch.no_grad():
        wanted = [pixel_gram(clone, views) for clone in latents[1:]]
    return torch.stack([(shared - each).square().mean() for each in wanted]).mean()


def pixel_gram(texture: Tensor, views: Views) -> Tensor:
    """``(B, T, P)``: inner products over RGB of the ring's T texels with the P pixels of each picture."""
    ring = torch.from_numpy(views.scene.geometry.ring()).to(texture.device)
    pictures = views.first(GRAM_PICTURES).render(texture)
    return texture[:, ring].T[None] @ pictures.flatten(2) / 3
