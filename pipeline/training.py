"""Training as the program runs it: which recognizers are surrogates, which only judge; the patch and its provenance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadUsage, MissingFile
from calibration.files import in_file_name, read_document
from capture.stop import StopFlag, never
from patches.artwork import Artwork, load_artwork, render
from patches.patch import CurvePoint, PatchDocument, Surrogate, write_patch
from patches.spec import TransformSpec
from pipeline.lab import Lab, select_recognizers
from pipeline.recognizers import Recognizer
from pipeline.sheets import frame_geometry_of, patch_path, target_artwork

if TYPE_CHECKING:
    from patches.order import TrainOrder
    from patches.surrogates import Surrogate as Converted

ARTWORK_PX = 192
DISTANCE_MARGIN = 1.3
ANGLE_MARGIN_DEG = 10.0
JUDGE_SEED_OFFSET = 104_729
"""Distance of the seed of the final judgement from that of the training: draws that chose nothing."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Who gives gradients and who only judges."""

    surrogates: tuple[Recognizer, ...]
    held_out: tuple[Recognizer, ...]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of right answers of one recognizer under fresh draws, around a blank frame and around the patch."""

    name: str
    held_out: bool
    blank: float
    patch: float


@dataclass(frozen=True, slots=True)
class TrainedPatch:
    """A patch on disk and how it does. ``interrupted``: exit code of the signal that ended the training, or 0."""

    path: Path
    steps: int
    accuracies: tuple[Accuracy, ...]
    interrupted: int


def training_bench(lab: Lab, label: str) -> Bench:
    """Surrogates as lab.toml names them, or all that are not held out and know the label; the others judge.

    :class:`BadUsage` when one that is held out or does not know the label is named as surrogate, or none is left.
    """
    recognizers = lab.recognizers()
    knowing = [each for each in recognizers if label in each.contract.labels]
    named = lab.config.train.surrogates
    chosen = select_recognizers(recognizers, named) if named else [r for r in knowing if not r.contract.held_out]
    barred = [each.name for each in chosen if each.contract.held_out]
    if barred:
        raise BadUsage(f"{barred[0]} is held out: no patch may be trained on it", hint="name other surrogates")
    strangers = [each.name for each in chosen if each not in knowing]
    if strangers:
        raise BadUsage(f"{strangers[0]} does not know the label {label!r}", hint="name other surrogates")
    if not chosen:
        known = sorted({word for each in recognizers for word in each.contract.labels})
        shown = ", ".join(known[:50]) + (", ..." if len(known) > 50 else "")
        raise BadUsage(f"no recognizer to train on knows the label {label!r}; known labels are {shown or 'none'}")
    names = {each.name for each in chosen}
    return Bench(tuple(chosen), tuple(each for each in knowing if each.name not in names))


def train_patch_of(
    lab: Lab,
    label: str,
    *,
    bench: Bench | None = None,
    artwork_file: Path | None = None,
    progress: Callable[[float, str], None],
    stop: StopFlag = never,
) -> TrainedPatch:
    """Train the lab's patch for ``label`` and write it; a stop that was asked for leaves a checkpoint to go on from."""
    from patches.surrogates import SurrogateSource, load_surrogates
    from patches.train import train_patch

    bench = bench or training_bench(lab, label)
    order = _order(lab, label, load_artwork(artwork_file, label) if artwork_file else target_artwork(lab, label))
    surrogates = load_surrogates([SurrogateSource(each.contract, each.onnx) for each in bench.surrogates])
    judges = load_surrogates([SurrogateSource(each.contract, each.onnx) for each in _convertible(bench.held_out)])
    trained = train_patch(
        order,
        surrogates,
        judges,
        checkpoint=lab.folder / ".work" / f"{in_file_name(label)}.pt",
        progress=lambda point, steps: progress(point.step / steps, _in_words(point)),
        stop=lambda: stop() is not None,
    )
    request = stop()
    if request:
        return TrainedPatch(patch_path(lab, label), trained.steps, (), request.exit_code)
    path = write_patch(lab.patches, trained.texture, _document(lab, order, bench, trained.curve, trained.steps))
    return TrainedPatch(path, trained.steps, _accuracies(trained.texture, order, [*surrogates, *judges], bench), 0)


def lab_spec(lab: Lab) -> TransformSpec:
    """The EOT ranges of a lab: those in the file that ``train.spec`` names, or else those that its plan covers.

    From the plan come distances and angles, with a margin; the rest is the default. :class:`MissingFile` or
    :class:`BadConfig` when a file is named and is not there, or is no spec.
    """
    plan, default = lab.config.plan, TransformSpec()
    if lab.config.train.spec:
        return _named_spec(lab.folder / lab.config.train.spec)
    distances = (min(plan.distances_mm) / DISTANCE_MARGIN, max(plan.distances_mm) * DISTANCE_MARGIN)
    yaw = min(max(abs(angle) for angle in plan.yaws_deg) + ANGLE_MARGIN_DEG, 80.0)
    pitch = min(max(abs(angle) for angle in plan.pitches_deg) + ANGLE_MARGIN_DEG, 80.0)
    return default.model_copy(update={"distance_mm": distances, "yaw_deg": (-yaw, yaw), "pitch_deg": (-pitch, pitch)})


def _named_spec(path: Path) -> TransformSpec:
    if not path.is_file():
        hint = "dpcam eot fit SESSION writes one"
        raise MissingFile(f"train.spec names {path}, which is no file", hint=hint, where=str(path))
    return read_document(path, TransformSpec)


def _order(lab: Lab, label: str, sign: Artwork) -> TrainOrder:
    from patches.order import Picture, TrainOrder

    train = lab.config.train
    return TrainOrder(
        label=label,
        pictures=[Picture(label, render(sign, ARTWORK_PX))],
        geometry=frame_geometry_of(lab, sign),
        spec=lab_spec(lab),
        seed=lab.config.lab.seed,
        steps=train.steps,
        batch=train.batch,
        learning_rate=train.learning_rate,
    )


def _convertible(recognizers: Sequence[Recognizer]) -> list[Recognizer]:
    """Judges during training are converted, too; one that takes other than float32 is scored on captures only."""
    return [each for each in recognizers if each.contract.dtype == "float32" and each.contract.self_test is not None]


def _accuracies(
    texture: NDArray[np.uint8], order: TrainOrder, converted: Sequence[Converted], bench: Bench
) -> tuple[Accuracy, ...]:
    from patches.train import accuracy

    seed = order.seed + JUDGE_SEED_OFFSET
    blank = accuracy(np.full_like(texture, 255), order, converted, seed=seed)
    patch = accuracy(texture, order, converted, seed=seed)
    trained_on = {each.name for each in bench.surrogates}
    return tuple(
        Accuracy(each.name, each.name not in trained_on, before, after)
        for each, before, after in zip(converted, blank, patch, strict=True)
    )


def _document(lab: Lab, order: TrainOrder, bench: Bench, curve: tuple[CurvePoint, ...], steps: int) -> PatchDocument:
    return PatchDocument(
        name=in_file_name(order.label),
        label=order.label,
        method="ensemble",
        geometry=order.geometry,
        texture="",
        texture_sha256="",
        spec_sha256=order.spec.sha256,
        seed=order.seed,
        steps=steps,
        surrogates=[Surrogate(name=each.name, sha256=each.contract.sha256) for each in bench.surrogates],
        held_out=[Surrogate(name=each.name, sha256=each.contract.sha256) for each in bench.held_out],
        versions={name: metadata.version(name) for name in ("torch", "onnx2fx", "numpy")},
        curve=list(curve),
    )


def _in_words(point: CurvePoint) -> str:
    held_out = "" if point.held_out_accuracy is None else f", held out {100 * point.held_out_accuracy:.0f} %"
    return (
        f"step {point.step}: loss {point.loss:.3f}, surrogates {100 * (point.surrogate_accuracy or 0):.0f} %{held_out}"
    )
