"""Muon: momentum whose matrices are made orthogonal, several times faster than Adam on convolutions.

Source: K. Jordan and others, *Muon: an optimizer for hidden layers in neural networks*, 2024; the renormalized filters
are those of their airbench. ``torch.optim.Muon`` takes no filters of convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of a quintic step towards orthogonality that need not converge exactly."""

STEPS = 3
FILTER_RATE = 0.12
MATRIX_RATE = 0.02


def matrices_of(network: nn.Module) -> list[Tensor]:
    """Filters of whole convolutions, and matrices of linear layers but for the last, the classifier."""
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv2d) and each.groups == 1]
    linear = [each for each in network.modules() if isinstance(each, nn.Linear) and each.out_features >= 64]
    weights: list[Tensor] = [each.weight for each in convolutions]
    return weights + [each.weight for each in linear]


class Muon(torch.optim.Optimizer):
    """Filters keep the norm sqrt(outputs), as a normalization follows them; plain matrices are free."""

    def __init__(self, matrices: Sequence[Tensor], momentum: float = 0.6) -> None:
        filters = [each for each in matrices if each.ndim == 4]
        plain = [each for each in matrices if each.ndim == 2]
        groups = [{"params": filters, "lr": FILTER_RATE}, {"params": plain, "lr": MATRIX_RATE}]
        super().__init__([group for group in groups if group["params"]], {"lr": FILTER_RATE, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step for every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._move(matrix, group)

    def _move(self, matrix: Tensor, group: dict[str, Any]) -> None:
        state = self.state[matrix]
        momentum = state.setdefault("momentum", torch.zeros_like(matrix))
        momentum.mul_(group["momentum"]).add_(matrix.grad)
        update = orthogonal((matrix.grad + group["momentum"] * momentum).flatten(1))
        if matrix.ndim == 4:
            matrix.mul_(len(matrix) ** 0.5 / matrix.norm())
        matrix.add_(update.reshape(matrix.shape), alpha=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns: ``(m, n)`` → ``(m, n)``, by Newton and Schulz."""
    a, b, c = NEWTON_SCHULZ
    wide = matrix.T if len(matrix) > matrix.shape[1] else matrix
    x = wide.bfloat16() / (wide.norm() + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = (x.T if len(matrix) > matrix.shape[1] else x).to(matrix.dtype)
    return found
