"""Train one network on pictures, resumably and seeded, and export it to ONNX.

Every epoch draws its own random state from (seed, epoch), so a run that is killed and started again continues from
its last whole epoch and ends with the same weights as one that was never disturbed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle  # for the name of its error only
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from calibration.errors import BadInput
from calibration.files import write_bytes
from patches.augment import AUGMENTATIONS
from patches.muon import Muon, matrices_of
from patches.networks import Architecture

Progress = Callable[[float, str], None]
ToInput = Callable[[np.ndarray], np.ndarray]

INPUT_PER_LIGHT = 4.0
"""What a step from black to white is at the network's input: the zoo normalizes with a deviation of 0.25."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Training pictures: ``images`` ``(N, H, W, 3)`` uint8 RGB, ``labels`` ``(N,)`` int64."""

    images: np.ndarray
    labels: np.ndarray
    n_labels: int


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a network is trained; together with the pictures it determines the weights.

    ``attack_levels``: train against one-step attacks of so many of 255 levels (Wong et al., arXiv 2001.03994); a
    network that withstands even weak ones makes patches that carry over to others (Springer et al., arXiv 2106.02105).
    """

    seed: int
    epochs: int
    peak_rate: float
    batch: int = 64
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    threads: int = 1
    attack_levels: float = 0.0


@dataclass(slots=True)
class Trainee:
    """A network on its way, with optimizer and schedule. ``epoch`` counts those that are finished."""

    network: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    schedules: Sequence[torch.optim.lr_scheduler.OneCycleLR]
    epoch: int = 0


def fit(
    architecture: Architecture,
    pictures: Pictures,
    settings: FitSettings,
    *,
    to_input: ToInput,
    checkpoint: Path,
    progress: Progress,
) -> nn.Module:
    """Train a network of this architecture; continue from ``checkpoint`` where that belongs to the same run.

    ``to_input`` maps ``(B, S, S, 3)`` uint8 RGB to the network's ``(B, 3, S, S)`` float32 (the recognizer's
    contract). ``progress`` gets the finished fraction and one line. The result is in evaluation mode.
    """
    stamp = run_stamp(architecture.name, pictures, settings)
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            trainee = begin(architecture, pictures, settings)
            resume(trainee, checkpoint, stamp)
            for epoch in range(trainee.epoch, settings.epochs):
                run_epoch(trainee, architecture, pictures, settings, to_input, progress)
                trainee.epoch = epoch + 1
                save(trainee, checkpoint, stamp)
    finally:
        torch.set_num_threads(threads)
    return trainee.network.eval()


def run_stamp(name: str, pictures: Pictures, settings: FitSettings) -> str:
    """What a checkpoint must carry to be continued: architecture, settings, digest of the pictures."""
    digest = hashlib.sha256(np.ascontiguousarray(pictures.images).tobytes())
    digest.update(np.ascontiguousarray(pictures.labels).tobytes())
    return json.dumps({"name": name, **asdict(settings), "pictures": digest.hexdigest()}, sort_keys=True)


def begin(architecture: Architecture, pictures: Pictures, settings: FitSettings) -> Trainee:
    """A fresh network with seeded weights, its optimizers and one-cycle schedules."""
    torch.manual_seed(settings.seed)
    network = architecture.build(pictures.n_labels).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizers = optimizers_of(network, architecture, settings)
    steps = settings.epochs * batches_per_epoch(pictures, settings) + 1
    return Trainee(network, optimizers, [schedule_of(each, steps) for each in optimizers])


def optimizers_of(
    network: nn.Module, architecture: Architecture, settings: FitSettings
) -> Sequence[torch.optim.Optimizer]:
    """AdamW, and for those who ask for it Muon on what it is for."""
    matrices = matrices_of(network) if architecture.muon else []
    chosen = {id(each) for each in matrices}
    others = [each for each in network.parameters() if id(each) not in chosen]
    adam = torch.optim.AdamW(others, lr=settings.peak_rate, weight_decay=settings.weight_decay)
    return [Muon(matrices), adam] if matrices else [adam]


def schedule_of(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """One cycle up to the rate that each group has."""
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        # The schedule divides by the length of its rise, which must not be zero in the shortest runs.
        pct_start=max(0.25, 2 / steps),
        cycle_momentum=False,
    )


def batches_per_epoch(pictures: Pictures, settings: FitSettings) -> int:
    """Whole batches only: a batch of one picture has no statistics to normalize with."""
    return max(1, len(pictures.labels) // settings.batch)


def run_epoch(
    trainee: Trainee,
    architecture: Architecture,
    pictures: Pictures,
    settings: FitSettings,
    to_input: ToInput,
    progress: Progress,
) -> None:
    """One pass over as many pictures as there are, drawn so that rare classes are seen more often."""
    torch.manual_seed(epoch_seed(settings.seed, trainee.epoch))
    trainee.network.train()
    steps = batches_per_epoch(pictures, settings)
    loss_sum = 0.0
    for step, (images, labels) in enumerate(batches(pictures, settings, trainee.epoch, architecture)):
        inputs = torch.from_numpy(to_input(images)).to(memory_format=torch.channels_last)
        loss_sum += train_step(trainee, inputs, torch.from_numpy(labels), settings, architecture)
        done = (trainee.epoch + (step + 1) / steps) / settings.epochs
        progress(done, f"epoch {trainee.epoch + 1}/{settings.epochs}, loss {loss_sum / (step + 1):.3f}")


def epoch_seed(seed: int, epoch: int) -> int:
    """An independent seed for each epoch."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def train_step(
    trainee: Trainee, inputs: Tensor, labels: Tensor, settings: FitSettings, architecture: Architecture
) -> float:
    """One step down the cross-entropy; its value before the step."""

    def loss_of(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=architecture.bfloat16):
            logits = trainee.network(images)
        return nn.functional.cross_entropy(logits.float(), labels, label_smoothing=settings.label_smoothing)

    if settings.attack_levels:
        inputs = attacked(inputs, loss_of, settings.attack_levels / 255 * INPUT_PER_LIGHT)
    loss = loss_of(inputs)
    trainee.network.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(trainee.network.parameters(), 2.0)
    for optimizer, schedule in zip(trainee.optimizers, trainee.schedules, strict=True):
        optimizer.step()
        schedule.step()
    return loss.item()


def attacked(inputs: Tensor, loss_of: Callable[[Tensor], Tensor], bound: float) -> Tensor:
    """``inputs`` moved by at most ``bound`` each, from a random start, the way the loss rises."""
    start = torch.empty_like(inputs).uniform_(-bound, bound).requires_grad_()
    slope = torch.autograd.grad(loss_of(inputs + start), start)[0]
    return inputs + (start.detach() + 1.25 * bound * slope.sign()).clamp(-bound, bound)


def batches(
    pictures: Pictures, settings: FitSettings, epoch: int, architecture: Architecture
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Augmented batches of one epoch: ``(B, size, size, 3)`` uint8 RGB and ``(B,)`` int64."""
    seed = epoch_seed(settings.seed, epoch)
    augment = AUGMENTATIONS[architecture.subject](architecture.size_px, seed)
    order = draw(pictures, np.random.default_rng(seed))
    for step in range(batches_per_epoch(pictures, settings)):
        chosen = order[step * settings.batch : (step + 1) * settings.batch]
        yield augment(pictures.images[chosen]), pictures.labels[chosen]


def draw(pictures: Pictures, rng: np.random.Generator) -> np.ndarray:
    """Indices of one epoch; a class of n pictures is drawn in proportion to sqrt(n), not n."""
    counts = np.bincount(pictures.labels, minlength=pictures.n_labels)
    weights = counts[pictures.labels] ** -0.5
    return rng.choice(len(weights), size=len(weights), p=weights / weights.sum())


def save(trainee: Trainee, checkpoint: Path, stamp: str) -> None:
    """Write the checkpoint so that a kill leaves the old one or the new one."""
    state = {
        "stamp": stamp,
        "epoch": trainee.epoch,
        "network": trainee.network.state_dict(),
        "optimizers": [each.state_dict() for each in trainee.optimizers],
        "schedules": [each.state_dict() for each in trainee.schedules],
    }
    stream = BytesIO()
    torch.save(state, stream)
    write_bytes(checkpoint, stream.getvalue())


def resume(trainee: Trainee, checkpoint: Path, stamp: str) -> None:
    """Continue from ``checkpoint`` if it is there and of this very run; another run's is left aside.

    Raises :class:`BadInput` when the file is damaged.
    """
    if not checkpoint.exists():
        return
    state = read_checkpoint(checkpoint)
    if state["stamp"] != stamp or shapes(state["network"]) != shapes(trainee.network.state_dict()):
        return
    trainee.network.load_state_dict(state["network"])
    for optimizer, saved in zip(trainee.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    for schedule, saved in zip(trainee.schedules, state["schedules"], strict=True):
        schedule.load_state_dict(saved)
    trainee.epoch = state["epoch"]


def read_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """Tensors and plain values only (``weights_only``): nothing in the file is executed."""
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise BadInput(
            f"the checkpoint {checkpoint} cannot be read", hint="remove it to train anew", where=str(checkpoint)
        ) from error
    if not isinstance(state, dict) or not {"stamp", "network", "optimizers", "schedules", "epoch"} <= state.keys():
        raise BadInput(f"{checkpoint} is no checkpoint of dpcam", hint="remove it to train anew", where=str(checkpoint))
    return state


def shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each named tensor."""
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def export_onnx(network: nn.Module, size_px: int) -> bytes:
    """The network as ONNX: input ``image`` ``(batch, 3, size, size)`` float32, output ``logits``, batch open.

    Names of files and lines of the exporting machine are taken out.
    """
    import onnx

    network = network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    # Two pictures: of one, the exporter would conclude that the batch is always one.
    example = torch.zeros(2, 3, size_px, size_px)
    with warnings.catch_warnings(), quiet_exporter():
        # The exporter uses what torch itself has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    if program is None:
        raise RuntimeError("the exporter gave no program")
    model = program.model_proto
    without_traces(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep the exporter's remarks about optional packages off stderr."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def without_traces(model: Any) -> None:
    """Remove what the exporter notes about source lines, in place."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.functions):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("doc_string")
        value.ClearField("metadata_props")
