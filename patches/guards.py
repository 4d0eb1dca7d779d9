"""Signs that a training goes wrong: no numbers any more, a texture without content, surrogates merely flattered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.errors import Incomplete
from patches.checkpoint import Run
from patches.order import Bench
from patches.patch import CurvePoint

SATURATED_SHARE = 0.95
"""Share of the frame's values at an end of the scale above which nothing is left to be learned."""

ENDS = (2, 253)
FLAT_LEVELS = 1.0
"""Standard deviation, in levels, below which a frame is of one color."""

FLATTERED_POINTS = 4
FLATTERED_LOSS = 0.1
"""Drop of the held-out accuracy below its best, all the while the surrogates' loss falls."""


def refuse_divergence(loss: float, run: Run, bench: Bench) -> None:
    """:class:`Incomplete` when the loss or a latent is no number any more."""
    if math.isfinite(loss) and all(bool(each.isfinite().all()) for each in run.latents):
        return
    raise Incomplete(
        f"training for {bench.order.label} diverged: the loss is {loss} after {run.step} steps "
        f"at learning rate {bench.order.learning_rate:g}",
        hint="try a lower learning rate",
    )


def warning_sign(texture: Tensor, ring: NDArray[np.bool_], curve: Sequence[CurvePoint]) -> str:
    """What is wrong with ``texture`` ``(3, n, n)`` uint8 or with the curve, in words; empty when nothing is."""
    values = texture[:, torch.from_numpy(ring)].float()
    ends = ((values <= ENDS[0]) | (values >= ENDS[1])).float().mean().item()
    if ends > SATURATED_SHARE:
        return f"{ends:.0%} of the frame's values are black or full; try a lower learning rate"
    if len(curve) > 1 and values.std(dim=1).max().item() < FLAT_LEVELS:
        return "the frame is of a single color; try less smoothness or a higher learning rate"
    return _flattered(curve)


def _flattered(curve: Sequence[CurvePoint]) -> str:
    """Whether the last points all lower the loss while the held-out recognizers get worse and worse."""
    last = curve[-FLATTERED_POINTS:]
    shares = [each.held_out_accuracy for each in curve if each.held_out_accuracy is not None]
    if len(last) < FLATTERED_POINTS or len(shares) < len(curve):
        return ""
    falling = all(b.loss < a.loss for a, b in pairwise(last))
    losing = all(b <= a for a, b in pairwise(shares[-FLATTERED_POINTS:]))
    if falling and losing and shares[-1] < max(shares) - FLATTERED_LOSS:
        return (
            f"the surrogates' loss falls while held-out recognizers went from {max(shares):.0%} to {shares[-1]:.0%}: "
            "more, or more different, surrogates may help"
        )
    return ""
