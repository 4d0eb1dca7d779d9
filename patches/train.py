"""Train a patch: Adam on latents, through EOT and surrogates, by any of the methods; resumable and seeded.

Every step draws from (seed, step) alone, so a run that was killed and started again ends with the same texture as one
that was never disturbed. The texture that is kept is the best one on a fixed batch of views that no step ever sees, by
the surrogates' loss only: held-out recognizers are watched, but neither give gradients nor choose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from patches.checkpoint import Run, read_run, write_run
from patches.device import device_named
from patches.eot import render
from patches.guards import refuse_divergence, warning_sign
from patches.methods import Method, method_named
from patches.order import (
    VALIDATION,
    Bench,
    TrainOrder,
    Views,
    crop_side,
    draws_of,
    make_album,
    make_bench,
    with_backdrops_there,
)
from patches.patch import CurvePoint
from patches.surrogates import Surrogate, true_shares

Pixels = NDArray[np.uint8]
JUDGED_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class TrainResult:
    """``texture`` ``(n, n, 3)`` uint8 RGB of the best point, the curve with all points, the steps done.

    ``warning`` says why a guard ended the training early; empty when none did.
    """

    texture: Pixels
    best: CurvePoint
    curve: tuple[CurvePoint, ...]
    steps: int
    warning: str = ""


def train_patch(
    order: TrainOrder,
    surrogates: Sequence[Surrogate],
    held_out: Sequence[Surrogate] = (),
    *,
    checkpoint: Path | None = None,
    progress: Callable[[CurvePoint, int], None] = lambda point, steps: None,
    stop: Callable[[], bool] = lambda: False,
    threads: int = 1,
) -> TrainResult:
    """Train a patch through ``surrogates``, watched by ``held_out``.

    Continues from ``checkpoint`` where that is there and of the same run, and writes it at every point of the curve.
    ``progress`` gets each new point and the number of steps to come to. When ``stop`` says so, the state is written
    and the best so far is given back, with fewer ``steps`` than ordered. Raises :class:`BadInput` for an order that
    makes no sense or a label that a recognizer does not know, :class:`Incomplete` when the loss is no number any more.
    """
    method = method_named(order.method)
    bench = make_bench(order, order.terms or method.terms, surrogates, held_out)
    with threads_of_torch(threads):
        run = read_run(checkpoint, bench.stamp, order.device) or begin(method, bench)
        validation = bench.validation()
        if not run.curve:
            note(run, method, bench, validation)
        while run.step < order.steps and not run.warning and not stop():
            train_step(run, method, bench)
            if run.step % order.interval == 0 or run.step == order.steps:
                note(run, method, bench, validation)
                write_run(checkpoint, run, bench.stamp)
                progress(run.curve[-1], order.steps)
        if run.step < order.steps:
            write_run(checkpoint, run, bench.stamp)
    texture = run.best.permute(1, 2, 0).numpy().copy()
    return TrainResult(texture, min(run.curve, key=rank), tuple(run.curve), run.step, run.warning)


def begin(method: Method, bench: Bench) -> Run:
    """The run before its first step."""
    latents = [each.to(bench.order.device).requires_grad_() for each in method.begin(bench)]
    return Run(latents, optimizer_of(latents), quantized(method.texture(latents, bench.order)))


def optimizer_of(latents: Sequence[Tensor]) -> torch.optim.Adam:
    """Adam; the rate is set at every step."""
    return torch.optim.Adam(latents)


def quantized(texture: Tensor) -> Tensor:
    """The texture that will be printed: ``(3, n, n)`` uint8, on the CPU."""
    return (texture.detach() * 255).round().to("cpu", torch.uint8)


def train_step(run: Run, method: Method, bench: Bench) -> None:
    """One step of Adam at the method's rate."""
    with torch.no_grad():
        afresh = method.between(run.latents, run.step, bench)
    if afresh:
        run.optimizer = optimizer_of(run.latents)
    for group in run.optimizer.param_groups:
        group["lr"] = method.rate(run.step, bench.order)
    loss = method.loss(run.latents, run.step, bench)
    refuse_divergence(loss.item(), run, bench)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    run.step += 1


def rank(point: CurvePoint) -> float:
    """What the best point has least of: the surrogates' loss, finer than their accuracy. Held-out ones have no say."""
    return point.loss


def note(run: Run, method: Method, bench: Bench, validation: Views) -> None:
    """Judge the texture as it would be printed; keep it when it is the best so far; look for signs of trouble."""
    with torch.no_grad():
        texture = quantized(method.texture(run.latents, bench.order))
    point = judge(texture, run.step, bench, validation)
    refuse_divergence(point.loss, run, bench)
    if not run.curve or rank(point) < min(map(rank, run.curve)):
        run.best = texture
    run.curve.append(point)
    run.warning = warning_sign(texture, bench.order.geometry.ring(), run.curve)


def judge(texture: Tensor, step: int, bench: Bench, validation: Views) -> CurvePoint:
    """The surrogates' loss with the texture ``(3, n, n)`` uint8, and how often they and held-out ones are right."""
    ink = (texture.float() / 255).to(bench.order.device)
    recognizers, own = (*bench.surrogates, *bench.held_out), len(bench.surrogates)
    losses, right = np.zeros(len(recognizers)), np.zeros(len(recognizers))
    for views in validation.parts(JUDGED_AT_ONCE):
        with torch.no_grad():
            pictures = views.render(ink)
            scores = [each.logits(pictures) for each in recognizers]
        pairs = list(zip(scores, views.truth, strict=True))
        losses += [functional.cross_entropy(found, truth, reduction="sum").item() for found, truth in pairs]
        right += [(found.argmax(dim=1) == truth).sum().item() for found, truth in pairs]
    shares = (right / bench.order.validation).tolist()
    return CurvePoint(
        step=step,
        loss=float(losses[:own].mean()) / bench.order.validation,
        surrogate_accuracy=mean(shares[:own]),
        held_out_accuracy=mean(shares[own:]),
    )


def mean(shares: Sequence[float]) -> float | None:
    """The mean, None of nothing."""
    return math.fsum(shares) / len(shares) if shares else None


def accuracy(
    texture: Pixels | None,
    order: TrainOrder,
    recognizers: Sequence[Surrogate],
    *,
    seed: int,
    count: int = 256,
) -> list[float]:
    """Per recognizer the share of ``count`` drawn views of the order's pictures that it takes for what they are.

    ``texture`` is ``(n, n, 3)`` uint8 RGB, None for the bare target. The same seed gives the same views. Recognizers
    answer in float32, on the order's device.
    """
    device, order = device_named(order.device), with_backdrops_there(replace(order, seed=seed))
    album = make_album(order, order.pictures, len(order.pictures), crop_side(recognizers))
    ink = None if texture is None else (torch.from_numpy(texture.copy()).permute(2, 0, 1).float() / 255).to(device)
    judges = [each.on(device) for each in recognizers]
    right = torch.zeros(len(recognizers), dtype=torch.float64)
    for part, start in enumerate(range(0, count, JUDGED_AT_ONCE)):
        size = min(JUDGED_AT_ONCE, count - start)
        draws = draws_of(order, album.scene, VALIDATION - 1 - part, size)
        index = album.chosen(draws.artwork, 0.0)
        with torch.no_grad():
            images = render(ink, album.scene, replace(draws, artwork=album.share(index)))
        truth = [album.truth(each).to(device)[index] for each in judges]
        right += size * torch.tensor(true_shares(judges, images, truth), dtype=torch.float64)
    return [float(each) / count for each in right]


@contextmanager
def threads_of_torch(threads: int) -> Iterator[None]:
    """Let torch use that many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
