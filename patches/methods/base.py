"""What a method is: latents to begin with, a loss of them for each step, and the texture that they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from patches.color_table import asked_gray
from patches.objective import out_of_gamut, total_variation
from patches.order import Bench, Terms, TrainOrder


class Method(Protocol):
    """One way to train a patch. It has no state: all of it is in the latents, so that any run can be resumed."""

    @property
    def name(self) -> str:
        """As the command line has it."""

    @property
    def terms(self) -> Terms:
        """The terms it trains with, unless the order says otherwise."""

    def begin(self, bench: Bench) -> list[Tensor]:
        """Latents ``(3, m, m)`` at the start, float32."""

    def loss(self, latents: Sequence[Tensor], step: int, bench: Bench) -> Tensor:
        """Scalar to be lowered in this step. What has no part in it is not moved."""

    def texture(self, latents: Sequence[Tensor], order: TrainOrder) -> Tensor:
        """``(3, n, n)`` in [0, 1], as it would be printed."""

    def rate(self, step: int, order: TrainOrder) -> float:
        """Adam's rate in this step."""

    def between(self, latents: Sequence[Tensor], step: int, bench: Bench) -> bool:
        """Change latents in place before a step, without gradients; True begins the optimizer anew."""


def noisy_gray(bench: Bench, index: int = 0) -> Tensor:
    """``(3, m, m)``: gray with a little noise, before the sigmoid; ``index`` sets several apart.

    Gray as it is seen: a printer that darkens would have the training begin, and often end, with a dark patch.
    """
    side, response = bench.terms.cells or bench.order.geometry.texels, bench.order.spec.print_color
    generator = torch.Generator().manual_seed(bench.order.seed + 7919 * index)
    noise = 0.1 * torch.randn(3, side, side, generator=generator)
    return noise if response is None else noise + torch.logit(torch.tensor(asked_gray(response)), eps=0.05)


def inked(latent: Tensor, order: TrainOrder) -> Tensor:
    """A latent ``(3, m, m)`` as texture ``(3, n, n)`` in [0, 1]: a coarse one is magnified without steps."""
    texture, texels = torch.sigmoid(latent), order.geometry.texels
    if texture.shape[-1] == texels:
        return texture
    return functional.interpolate(texture[None], size=(texels, texels), mode="bilinear", align_corners=False)[0]


def printable(texture: Tensor, bench: Bench) -> Tensor:
    """What a texture costs for being rough or too colorful where it is printed."""
    terms, ring = bench.terms, bench.ring
    gamut = out_of_gamut(texture, ring, bench.unprintable)
    return terms.smoothness * total_variation(texture, ring) + terms.gamut * gamut


class OneLatent:
    """The part of a method that all those share which train a single texture directly."""

    def begin(self, bench: Bench) -> list[Tensor]:
        """Gray with a little noise."""
        return [noisy_gray(bench)]

    def texture(self, latents: Sequence[Tensor], order: TrainOrder) -> Tensor:
        """The one latent's."""
        return inked(latents[0], order)

    def rate(self, step: int, order: TrainOrder) -> float:
        """It falls as a cosine."""
        return order.learning_rate * 0.5 * (1 + math.cos(math.pi * step / order.steps))

    def between(self, latents: Sequence[Tensor], step: int, bench: Bench) -> bool:
        """Nothing."""
        return False
