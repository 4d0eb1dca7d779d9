"""Train a patch: Adam on a latent texture, through EOT and an ensemble of surrogates; resumable and seeded.

Every step draws from (seed, step) alone, so a run that was killed and started again ends with the same texture as one
that was never disturbed. The texture that is kept is the best one on a fixed batch of transforms that no step ever
sees, by the surrogates' loss only: held-out recognizers are watched, but neither give gradients nor choose.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.errors import BadInput, Incomplete
from calibration.files import read_bytes, write_bytes
from patches.draws import Draws, draw
from patches.eot import Scene, make_scene, render
from patches.objective import Weights, cross_entropy, objective
from patches.patch import CurvePoint, PatchGeometry
from patches.spec import TransformSpec
from patches.surrogates import Surrogate, true_shares

Pixels = NDArray[np.uint8]
VALIDATION = 2**32 - 1
"""The step number whose draws are the validation batch; no training step has it."""

JUDGED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class TrainOrder:
    """What is to be trained; together with the recognizers it determines the texture.

    ``artworks``: pictures of the target, ``(H, W, 4)`` uint8 RGBA, transparent beyond its outline. ``interval``: steps
    between two looks at the ``validation`` fixed views, and between two checkpoints.
    """

    label: str
    artworks: Sequence[Pixels]
    geometry: PatchGeometry
    spec: TransformSpec = field(default_factory=TransformSpec)
    seed: int = 0
    steps: int = 200
    batch: int = 16
    learning_rate: float = 0.2
    weights: Weights = field(default_factory=Weights)
    interval: int = 25
    validation: int = 64


@dataclass(frozen=True, slots=True)
class TrainResult:
    """``texture`` ``(n, n, 3)`` uint8 RGB of the best point, the curve with all points, the steps done."""

    texture: Pixels
    best: CurvePoint
    curve: tuple[CurvePoint, ...]
    steps: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What does not change during a run. ``stamp``: a checkpoint with another one belongs to another run."""

    order: TrainOrder
    scene: Scene
    surrogates: Sequence[Surrogate]
    held_out: Sequence[Surrogate]
    targets: Sequence[int]
    stamp: str


@dataclass(slots=True)
class Run:
    """What changes. ``best`` is the texture ``(3, n, n)`` uint8 of the best point of the curve."""

    latent: Tensor
    optimizer: torch.optim.Adam
    best: Tensor
    step: int = 0
    curve: list[CurvePoint] = field(default_factory=list)


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
    bench = make_bench(order, surrogates, held_out)
    with threads_of_torch(threads):
        run = resumed(bench, checkpoint)
        validation = draws_of(order, bench.scene, VALIDATION, order.validation)
        if not run.curve:
            note(run, bench, validation)
        while run.step < order.steps and not stop():
            train_step(run, bench)
            if run.step % order.interval == 0 or run.step == order.steps:
                note(run, bench, validation)
                save(run, bench, checkpoint)
                progress(run.curve[-1], order.steps)
        if run.step < order.steps:
            save(run, bench, checkpoint)
    return TrainResult(run.best.permute(1, 2, 0).numpy().copy(), min(run.curve, key=rank), tuple(run.curve), run.step)


def accuracy(
    texture: Pixels | None,
    order: TrainOrder,
    recognizers: Sequence[Surrogate],
    *,
    seed: int,
    count: int = 256,
) -> list[float]:
    """Per recognizer the share of ``count`` drawn views of the order's target that it takes for the label.

    ``texture`` is ``(n, n, 3)`` uint8 RGB, None for the bare target. The same seed gives the same views.
    """
    scene = make_scene(order.artworks, order.geometry, crop_side(recognizers))
    ink = None if texture is None else torch.from_numpy(texture.copy()).permute(2, 0, 1).float() / 255
    right = torch.zeros(len(recognizers), dtype=torch.float64)
    for part, start in enumerate(range(0, count, JUDGED_AT_ONCE)):
        size = min(JUDGED_AT_ONCE, count - start)
        views = draw(
            order.spec,
            size,
            texels=order.geometry.texels,
            crop_px=scene.crop_px,
            generator=torch.Generator().manual_seed(step_seed(seed, VALIDATION - 1 - part)),
        )
        with torch.no_grad():
            images = render(ink, scene, views)
        right += size * torch.tensor(true_shares(recognizers, images, order.label), dtype=torch.float64)
    return [float(each) / count for each in right]


def make_bench(order: TrainOrder, surrogates: Sequence[Surrogate], held_out: Sequence[Surrogate]) -> Bench:
    """Check the order and stamp it."""
    if not surrogates:
        raise BadInput("a patch is trained on surrogates, and none was given", hint="name some recognizers to train on")
    if min(order.steps, order.batch, order.interval, order.validation) < 1 or not order.learning_rate > 0:
        raise BadInput(
            "steps, batch, interval, validation and learning rate must be positive, got "
            f"{order.steps}, {order.batch}, {order.interval}, {order.validation} and {order.learning_rate:g}"
        )
    for judge in held_out:
        judge.index(order.label)
    targets = [each.index(order.label) for each in surrogates]
    scene = make_scene(order.artworks, order.geometry, crop_side(surrogates))
    return Bench(order, scene, surrogates, held_out, targets, run_stamp(order, surrogates, held_out))


def run_stamp(order: TrainOrder, surrogates: Sequence[Surrogate], held_out: Sequence[Surrogate]) -> str:
    """All that determines a run, as text."""
    plain = {name: getattr(order, name) for name in ("label", "seed", "steps", "batch", "learning_rate")}
    return json.dumps(
        {
            **plain,
            "every": [order.interval, order.validation],
            "artworks": [hashlib.sha256(np.ascontiguousarray(each).tobytes()).hexdigest() for each in order.artworks],
            "geometry": order.geometry.model_dump(mode="json"),
            "spec": order.spec.sha256,
            "weights": asdict(order.weights),
            "surrogates": [each.contract.sha256 for each in surrogates],
            "held_out": [each.contract.sha256 for each in held_out],
        },
        sort_keys=True,
    )


def crop_side(recognizers: Sequence[Surrogate]) -> int:
    """Crops are rendered at the largest input size and resized for the others."""
    return max(max(each.contract.height, each.contract.width) for each in recognizers)


def draws_of(order: TrainOrder, scene: Scene, step: int, batch: int) -> Draws:
    """The draws of one step."""
    generator = torch.Generator().manual_seed(step_seed(order.seed, step))
    return draw(order.spec, batch, texels=order.geometry.texels, crop_px=scene.crop_px, generator=generator)


def step_seed(seed: int, step: int) -> int:
    """An independent seed for each step."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


@contextmanager
def threads_of_torch(threads: int) -> Iterator[None]:
    """Let torch use that many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def begin(bench: Bench) -> Run:
    """A gray texture with a little noise."""
    generator = torch.Generator().manual_seed(bench.order.seed)
    texels = bench.order.geometry.texels
    latent = (0.1 * torch.randn(3, texels, texels, generator=generator)).requires_grad_()
    return Run(latent, torch.optim.Adam([latent], lr=bench.order.learning_rate), quantized(latent))


def quantized(latent: Tensor) -> Tensor:
    """The texture that will be printed: ``(3, n, n)`` uint8."""
    return (torch.sigmoid(latent.detach()) * 255).round().to(torch.uint8)


def train_step(run: Run, bench: Bench) -> None:
    """One step of Adam with a rate that falls as a cosine."""
    order = bench.order
    for group in run.optimizer.param_groups:
        group["lr"] = order.learning_rate * 0.5 * (1 + math.cos(math.pi * run.step / order.steps))
    texture = torch.sigmoid(run.latent)
    pictures = render(texture, bench.scene, draws_of(order, bench.scene, run.step, order.batch))
    loss = objective(pictures, texture, bench.surrogates, bench.targets, order.weights)
    guard(loss.item(), run, bench)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    run.step += 1


def guard(loss: float, run: Run, bench: Bench) -> None:
    """:class:`Incomplete` when the loss or the texture is no number any more."""
    if math.isfinite(loss) and bool(run.latent.isfinite().all()):
        return
    raise Incomplete(
        f"training for {bench.order.label} diverged: the loss is {loss} after {run.step} steps "
        f"at learning rate {bench.order.learning_rate:g}",
        hint="try a lower learning rate",
    )


def rank(point: CurvePoint) -> float:
    """What the best point has least of: the surrogates' loss, finer than their accuracy. Held-out ones have no say."""
    return point.loss


def note(run: Run, bench: Bench, validation: Draws) -> None:
    """Judge the texture as it would be printed; keep it when it is the best so far."""
    texture, label = quantized(run.latent), bench.order.label
    with torch.no_grad():
        pictures = render(texture.float() / 255, bench.scene, validation)
        loss = cross_entropy(pictures, bench.surrogates, bench.targets).item()
    guard(loss, run, bench)
    own, others = (true_shares(each, pictures, label) for each in (bench.surrogates, bench.held_out))
    point = CurvePoint(step=run.step, loss=loss, surrogate_accuracy=mean(own), held_out_accuracy=mean(others))
    if not run.curve or rank(point) < min(map(rank, run.curve)):
        run.best = texture
    run.curve.append(point)


def mean(shares: Sequence[float]) -> float | None:
    """The mean, None of nothing."""
    return math.fsum(shares) / len(shares) if shares else None


def save(run: Run, bench: Bench, checkpoint: Path | None) -> None:
    """Write the state so that a kill leaves the old one or the new one."""
    if checkpoint is None:
        return
    state = {
        "stamp": bench.stamp,
        "step": run.step,
        "latent": run.latent.detach(),
        "optimizer": run.optimizer.state_dict(),
        "best": run.best,
        "curve": [point.model_dump(mode="json") for point in run.curve],
    }
    stream = BytesIO()
    torch.save(state, stream)
    write_bytes(checkpoint, stream.getvalue())


def resumed(bench: Bench, checkpoint: Path | None) -> Run:
    """The run as ``checkpoint`` has it, or a fresh one when that is not there or of another run."""
    run = begin(bench)
    state = read_state(checkpoint) if checkpoint and checkpoint.exists() else {}
    if state.get("stamp") != bench.stamp:
        return run
    run.step = state["step"]
    run.latent.data.copy_(state["latent"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.best = state["best"]
    run.curve = [CurvePoint.model_validate(point) for point in state["curve"]]
    return run


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The content of a checkpoint: tensors and plain values, nothing that executes."""
    try:
        state = torch.load(BytesIO(read_bytes(checkpoint)), map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and torch each have their own
        raise BadInput(
            f"{checkpoint} is no checkpoint of a training", hint="remove it to start afresh", where=str(checkpoint)
        ) from error
    return state if isinstance(state, dict) else {}
