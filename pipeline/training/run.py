"""Training as the program runs it: a patch on disk with its provenance, judged by surrogates and by all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.files import in_file_name
from capture.stop import StopFlag, never
from patches.patch import CurvePoint, PatchDocument, Surrogate, write_patch
from pipeline.lab import Lab
from pipeline.paper.sheets import patch_path
from pipeline.training.bench import Bench, convertible, loaded, training_bench
from pipeline.training.crew import Outcome, Task, run_all
from pipeline.training.order import Wish, train_order

if TYPE_CHECKING:
    from patches.order import TrainOrder
    from patches.surrogates import Surrogate as Converted
    from patches.train import TrainResult

Progress = Callable[[float, str], None]
JUDGE_SEED_OFFSET = 104_729
"""Distance of the seed of the final judgement from that of the training: draws that chose nothing."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of right answers of one recognizer under fresh draws, around a blank frame and around the patch."""

    name: str
    held_out: bool
    blank: float
    patch: float


@dataclass(frozen=True, slots=True)
class Parity:
    """A surrogate, and how far its logits in torch are from those that are stored with it."""

    name: str
    max_delta: float


@dataclass(frozen=True, slots=True)
class TrainedPatch:
    """A patch on disk and how it does. ``interrupted``: exit code of the signal that ended the training, or 0.

    ``others``: classes that it was trained not to be taken for. ``warning`` says why a guard ended the training early,
    ``remark`` what else should be known; empty when there is nothing to say.
    """

    path: Path
    wish: Wish
    method: str
    steps: int
    surrogates: tuple[Parity, ...]
    others: tuple[str, ...] = ()
    accuracies: tuple[Accuracy, ...] = ()
    interrupted: int = 0
    warning: str = ""
    remark: str = ""


def train_patches(
    lab: Lab, wishes: Sequence[Wish], *, jobs: int = 1, progress: Progress, stop: StopFlag = never
) -> list[Outcome[TrainedPatch]]:
    """Train the lab's patches, ``jobs`` at a time; what becomes of each, in their order.

    After a stop those that were under way have left checkpoints; those that were not begun are left out.
    :class:`NoProvider` when the lab's device is not there; :class:`BadUsage` when nobody can train one of the patches.
    """
    from patches.device import device_named

    device_named(lab.config.train.device)
    benches = [training_bench(lab, wish.labels) for wish in wishes]
    runs = [partial(train_patch_of, lab, wish, bench=bench) for wish, bench in zip(wishes, benches, strict=True)]
    tasks = [Task(wish.name, partial(_in_one_thread, run)) for wish, run in zip(wishes, runs, strict=True)]
    return run_all(tasks, jobs=jobs, progress=progress, stop=stop)


def _in_one_thread(run: Callable[..., TrainedPatch], *, progress: Progress, stop: StopFlag) -> TrainedPatch:
    """Two threads under contention cost more than they bring; patches are trained side by side instead."""
    from patches.train import threads_of_torch

    with threads_of_torch(1):
        return run(progress=progress, stop=stop)


def train_patch_of(
    lab: Lab, wish: Wish, *, bench: Bench | None = None, progress: Progress, stop: StopFlag = never
) -> TrainedPatch:
    """Train a patch of the lab and write it; a stop that was asked for leaves a checkpoint to go on from."""
    from patches.train import train_patch

    bench = bench or training_bench(lab, wish.labels)
    order = train_order(lab, wish, bench.known)
    surrogates, judges = loaded(bench.surrogates), loaded(convertible(bench.held_out))
    found = train_patch(
        order,
        surrogates,
        judges,
        checkpoint=lab.folder / ".work" / f"{in_file_name(wish.name)}.pt",
        progress=lambda point, steps: progress(point.step / steps, _in_words(point)),
        stop=lambda: stop() is not None,
    )
    request, path = stop(), patch_path(lab, wish.name)
    if not request:
        write_patch(lab.patches, found.texture, _document(wish, order, found, surrogates, bench))
    return TrainedPatch(
        path=path,
        wish=wish,
        method=order.method,
        steps=found.steps,
        surrogates=tuple(Parity(each.name, each.max_delta) for each in surrogates),
        others=tuple(picture.label for picture in order.others),
        accuracies=() if request else _accuracies(found, order, surrogates, judges),
        interrupted=request.exit_code if request else 0,
        warning=found.warning,
        remark=_remark(order),
    )


def _remark(order: TrainOrder) -> str:
    """What the order lacks."""
    from patches.methods import method_named

    if order.others or not method_named(order.method).terms.no_spoof:
        return ""
    return (
        "no pictures of other classes: nothing keeps the patch from being taken for its class on other objects "
        "([train] others names a folder of pictures)"
    )


def _accuracies(
    found: TrainResult, order: TrainOrder, surrogates: Sequence[Converted], judges: Sequence[Converted]
) -> tuple[Accuracy, ...]:
    from patches.train import accuracy

    seed, everybody = order.seed + JUDGE_SEED_OFFSET, [*surrogates, *judges]
    blank = accuracy(np.full_like(found.texture, 255), order, everybody, seed=seed)
    patch = accuracy(found.texture, order, everybody, seed=seed)
    return tuple(
        Accuracy(each.name, number >= len(surrogates), blank[number], patch[number])
        for number, each in enumerate(everybody)
    )


def _document(
    wish: Wish, order: TrainOrder, found: TrainResult, surrogates: Sequence[Converted], bench: Bench
) -> PatchDocument:
    return PatchDocument(
        name=in_file_name(wish.name),
        label=wish.name,
        method=order.method,
        geometry=order.geometry,
        texture="",
        texture_sha256="",
        spec_sha256=order.spec.sha256,
        seed=order.seed,
        steps=found.steps,
        surrogates=[Surrogate(name=each.name, sha256=each.contract.sha256) for each in surrogates],
        held_out=[Surrogate(name=each.name, sha256=each.contract.sha256) for each in bench.held_out],
        versions={name: metadata.version(name) for name in ("torch", "onnx2fx", "numpy")},
        curve=list(found.curve),
        group=list(wish.group),
        warning=found.warning,
    )


def _in_words(point: CurvePoint) -> str:
    held_out = "" if point.held_out_accuracy is None else f", held out {100 * point.held_out_accuracy:.0f} %"
    return (
        f"step {point.step}: loss {point.loss:.3f}, surrogates {100 * (point.surrogate_accuracy or 0):.0f} %{held_out}"
    )
