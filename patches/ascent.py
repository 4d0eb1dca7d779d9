"""What an attacker may reach, and the climb within it: the one loop behind every attack of :mod:`patches.attacks`.

What may be reached is one interval for each pixel: budget, region and the range of pictures together. The loop is
foolbox's; its steps (start, projection, loss, gradient) are overridden, so that the random start comes from a generator
of our own and the projection is one clamp.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from calibration.errors import BadInput, BadModel
from patches.attacks import Attack
from patches.surrogates import Surrogate

# foolbox imports GitPython, which refuses to be imported where no git is installed, and a namespace of scipy that
# warns; dpcam uses neither (docs/decisions/0008-attacks.md).
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from foolbox.attacks.gradient_descent_base import LinfBaseGradientDescent
    from foolbox.models.base import Model
    from foolbox.models.pytorch import PyTorchModel

REACH = 2.5
"""All steps of a climb together, in budgets: enough from any start to any corner (Madry et al., arXiv 1706.06083)."""

SQUARE_SHARE = 0.05
"""Area of the adversarial sticker, as a share of the picture's."""


@dataclass(frozen=True, slots=True)
class Box:
    """What the attacker may turn each pixel into: ``low <= x <= high``, ``(B, 3, H, W)`` float32, within [0, 1]."""

    low: Tensor
    high: Tensor


def box_of(
    attack: Attack, images: Tensor, sticker_mask: Tensor | None, object_mask: Tensor | None, dice: torch.Generator
) -> Box:
    """What ``attack`` may reach from ``images``; ``dice`` throws the adversarial sticker somewhere on the object."""
    mask = _region(attack, images, sticker_mask, object_mask)
    empty = (~mask.flatten(1).any(dim=1)).nonzero()[:, 0].tolist()
    if empty:
        raise BadInput(
            f"{attack}: nothing of the picture is left to attack in picture {', '.join(map(str, empty[:8]))}"
        )
    if attack.method == "sticker":
        mask = squares_on(mask, SQUARE_SHARE, len(images), dice)
    return box_around(images, mask, attack.levels)


def _region(attack: Attack, images: Tensor, sticker_mask: Tensor | None, object_mask: Tensor | None) -> Tensor:
    """Bool ``(1 or B, 1, H, W)``, True where pixels may change."""
    if attack.region == "everywhere":
        return torch.ones(1, 1, *images.shape[-2:], dtype=torch.bool, device=images.device)
    if attack.region == "outside":
        return ~_held(sticker_mask, "sticker_mask", attack, images)
    target = _held(object_mask, "object_mask", attack, images)
    # What the defensive patch covers of the object cannot be painted.
    return target if sticker_mask is None else target & ~_held(sticker_mask, "sticker_mask", attack, images)


def _held(mask: Tensor | None, name: str, attack: Attack, images: Tensor) -> Tensor:
    """The mask as bool; a pixel belongs to what covers at least half of it."""
    if mask is None:
        raise BadInput(f"{attack} needs {name}, which is not given")
    count, _, height, width = images.shape
    if mask.shape not in ((1, 1, height, width), (count, 1, height, width)):
        raise BadInput(f"{name} is (1 or {count}, 1, {height}, {width}), got {tuple(mask.shape)}")
    return mask.to(images.device) >= 0.5


def box_around(images: Tensor, mask: Tensor, levels: int) -> Box:
    """At most ``levels`` of 255 from ``images`` ``(B, 3, H, W)`` float32 where ``mask`` holds; elsewhere nothing.

    ``mask``: bool, ``(1 or B, 1, H, W)``. The bound holds exactly, not but for rounding: it is taken in float64, and
    rounded towards the picture.
    """
    exact = images.double()
    low = _rounded_up(exact - levels / 255).clamp(min=0)
    high = -_rounded_up(-exact - levels / 255)
    return Box(torch.where(mask, low, images), torch.where(mask, high.clamp(max=1), images))


def _rounded_up(exact: Tensor) -> Tensor:
    """float64 → the smallest float32 that is not below."""
    near = exact.float()
    return torch.where(near.double() < exact, near.nextafter(torch.full_like(near, torch.inf)), near)


def squares_on(mask: Tensor, share: float, batch: int, dice: torch.Generator) -> Tensor:
    """Bool ``(batch, 1, H, W)``: in each picture one square of ``share`` of its area, somewhere on ``mask``.

    All places where the square lies wholly on the mask ``(1 or B, 1, H, W)`` are equally likely; where there is none,
    those where most of it does, and what hangs over is cut off. ``dice`` are the processor's.
    """
    height, width = mask.shape[-2:]
    side = max(1, min(height, width, round((share * height * width) ** 0.5)))
    on = mask.cpu().expand(batch, 1, height, width)
    covered = functional.avg_pool2d(on.float(), side, stride=1, divisor_override=1).flatten(1)
    fits = (covered == covered.amax(dim=1, keepdim=True)).float()
    place = torch.multinomial(fits, 1, generator=dice)
    columns = width - side + 1
    down, across = _spans(place // columns, side, height), _spans(place % columns, side, width)
    return (down[:, None, :, None] & across[:, None, None, :] & on).to(mask.device)


def _spans(start: Tensor, side: int, length: int) -> Tensor:
    """``(B, 1)`` first places → bool ``(B, length)``, True for ``side`` places from there."""
    places = torch.arange(length)
    return (places >= start) & (places < start + side)


def check(surrogate: Surrogate, images: Tensor, truth: Tensor) -> None:
    """:class:`BadInput` when the pictures or their classes are none."""
    if images.dim() != 4 or images.shape[1] != 3 or not images.numel() or not images.is_floating_point():
        raise BadInput(f"pictures are (B, 3, H, W) floats, at least one, got {tuple(images.shape)} {images.dtype}")
    low, high = float(images.min()), float(images.max())
    # Not a number is not within either.
    if not (low >= 0 and high <= 1):
        raise BadInput(f"pictures are in [0, 1], got {low:g} to {high:g}")
    count = len(surrogate.contract.labels)
    if truth.shape != images.shape[:1] or truth.dtype != torch.long:
        raise BadInput(f"classes are ({len(images)},) int64, got {tuple(truth.shape)} {truth.dtype}")
    if not bool(((truth >= 0) & (truth < count)).all()):
        raise BadInput(f"classes of {surrogate.name} are 0 to {count - 1}, got {truth.min():d} to {truth.max():d}")


def seeded(seed: int) -> torch.Generator:
    """The dice of one attack, on the processor: the same on every device."""
    return torch.Generator().manual_seed(seed)


def as_pixels(images: NDArray[np.uint8], surrogate: Surrogate) -> Tensor:
    """``(B, H, W, 3)`` uint8 → ``(B, 3, H, W)`` float32 in [0, 1], where the network is."""
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        raise BadInput(f"pictures are (B, H, W, 3) uint8 RGB, got {images.shape} {images.dtype}")
    return torch.from_numpy(images.copy()).to(device_of(surrogate)).permute(0, 3, 1, 2).float() / 255


def as_mask(mask: NDArray[np.bool_] | None) -> Tensor | None:
    """``(H, W)`` or ``(B, H, W)`` → ``(1 or B, 1, H, W)``."""
    return None if mask is None else torch.from_numpy(mask.copy()).reshape(-1, 1, *mask.shape[-2:])


def classes(truth: NDArray[np.int64], surrogate: Surrogate) -> Tensor:
    """``(B,)`` class indices, where the network is."""
    return torch.from_numpy(truth.copy()).to(device_of(surrogate))


def device_of(surrogate: Surrogate) -> torch.device:
    """Where the network's weights are."""
    held = next(itertools.chain(surrogate.network.parameters(), surrogate.network.buffers()), None)
    return torch.device("cpu") if held is None else held.device


def ascend(
    surrogate: Surrogate, images: Tensor, truth: Tensor, attack: Attack, box: Box, dice: torch.Generator
) -> Tensor:
    """Pictures in ``box`` that raise the attack's loss, found by steps along the sign of its gradient.

    ``images`` ``(B, 3, H, W)`` float32, ``truth`` ``(B,)``. ``dice`` throw the random start. Costs as many passes
    forward and backward as the attack has steps, no more. The last picture is given, not the best.
    """
    model = PyTorchModel(_Logits(surrogate).eval(), bounds=(0, 1), device=images.device)
    # run, not a call: that would pass forward once more to see who was fooled, which is the scorer's to say.
    found: Tensor = _Climb(attack, box, surrogate.name, dice).run(model, images, truth, epsilon=attack.levels / 255)
    return found


class _Logits(nn.Module):
    """The shape in which foolbox takes a model. The network stays in the dataclass, so that nothing moves it."""

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__()
        self.surrogate = surrogate

    def forward(self, images: Tensor) -> Tensor:
        return self.surrogate.logits(images)


class _Climb(LinfBaseGradientDescent):
    """foolbox's loop, with a box in the place of a ball."""

    def __init__(self, attack: Attack, box: Box, name: str, dice: torch.Generator) -> None:
        single = attack.method == "fgsm"
        super().__init__(
            rel_stepsize=1.0 if single else REACH / attack.steps, steps=attack.steps, random_start=not single
        )
        self.box, self.name, self.dice = box, name, dice
        self.loss = margin if attack.margin else _cross_entropy

    def get_random_start(self, x0: Any, epsilon: float) -> Any:
        """Uniform in the box."""
        share = torch.rand(x0.shape, generator=self.dice).to(x0.raw)
        return type(x0)(torch.lerp(self.box.low, self.box.high, share))

    def project(self, x: Any, x0: Any, epsilon: float) -> Any:
        """Onto the box."""
        return type(x)(x.raw.clamp(self.box.low, self.box.high))

    def get_loss_fn(self, model: Model, labels: Any) -> Callable[[Any], Any]:
        """Cross-entropy or margin, summed over the pictures."""
        return lambda inputs: self.loss(model(inputs.raw), labels.raw)

    def value_and_grad(self, loss_fn: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
        """As foolbox's, but for the pixels alone: weights that could be trained gather no gradient."""
        pixels = type(x)(x.raw.detach().requires_grad_())
        with torch.enable_grad():
            loss = loss_fn(pixels)
        slope = torch.autograd.grad(loss, pixels.raw)[0]
        low, high = slope.aminmax()
        if not bool((low + high).isfinite()):
            raise BadModel(
                f"{self.name} gives gradients that are no numbers; it cannot be attacked",
                hint="leave it out of the attacks; it can still be scored",
            )
        return loss, type(x)(slope)


def _cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    return functional.cross_entropy(logits, truth, reduction="sum")


def margin(logits: Tensor, truth: Tensor) -> Tensor:
    """Best other logit minus true logit, summed (Carlini and Wagner, arXiv 1608.04644, without their bound).

    Its gradient does not vanish when the network is sure, as that of cross-entropy does: that one is exactly zero once
    the softmax rounds to one.
    """
    column = truth[:, None]
    others = logits.scatter(1, column, -torch.inf).amax(dim=1)
    return (others - logits.gather(1, column)[:, 0]).sum()
