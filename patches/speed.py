"""How long a training step takes, and what it is made of: the same step that :mod:`patches.train` takes, and timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patches.checkpoint import Run
from patches.methods import Method, method_named
from patches.objective import cross_entropy
from patches.order import Bench, TrainOrder, make_bench
from patches.surrogates import Surrogate, SurrogateSource, load_surrogates
from patches.train import begin, threads_of_torch, train_step


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call took: wall time, and processor time over all threads of the process."""

    wall_ms: float
    cpu_ms: float


def spent(call: Callable[[], None]) -> Spent:
    """Call and clock."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Spent(1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu))


@dataclass(frozen=True, slots=True)
class Course:
    """A training that goes on step by step, on one thread of torch, and the batch of its first step.

    ``pictures`` ``(B, 3, S, S)`` in [0, 1], ``truth`` ``(B,)`` for each surrogate.
    """

    method: Method
    bench: Bench
    run: Run
    pictures: Tensor
    truth: Sequence[Tensor]

    def step(self) -> Spent:
        """One training step: draws, rendering, all surrogates, gradients, the optimizer."""
        with threads_of_torch(1):
            return spent(lambda: train_step(self.run, self.method, self.bench))

    def bare(self) -> Spent:
        """Forward and backward through the surrogates alone, from pictures that are there to their gradient."""
        with threads_of_torch(1):
            return spent(self._bare)

    def _bare(self) -> None:
        pictures = self.pictures.clone().requires_grad_()
        cross_entropy(pictures, self.bench.surrogates, self.truth).backward()  # type: ignore[no-untyped-call]

    def photographs(self) -> NDArray[np.float32]:
        """The batch ``(B, 3, S, S)`` in [0, 1], float32."""
        return self.pictures.numpy(force=True)


def load(sources: Sequence[SurrogateSource]) -> list[Surrogate]:
    """Surrogates, converted on one thread."""
    with threads_of_torch(1):
        return load_surrogates(sources)


def make_course(order: TrainOrder, surrogates: Sequence[Surrogate]) -> Course:
    """A training before its first step."""
    method = method_named(order.method)
    bench = make_bench(order, order.terms or method.terms, surrogates, ())
    run, views = begin(method, bench), bench.views(0)
    with torch.no_grad():
        pictures = views.render(method.texture(run.latents, order))
    return Course(method, bench, run, pictures, views.truth)
