"""The recipe of the zoo: from photographs to recognizers with contract, self-test and model card.

Which families there are, and which of them are held out from all patch training, stands in ``manifest.json`` beside
this file and was fixed before any result was known. torch is reached only through ``patches.fit``, when training
begins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from calibration.contract import Contract, resize_rgb, to_tensor
from calibration.errors import BadInput, BadUsage
from calibration.files import (
    Document,
    read_document,
    sha256_bytes,
    sha256_file,
    write_bytes,
    write_document,
    write_text,
)
from pipeline.declaring import add_model
from pipeline.recognizers import load_recognizer, open_session
from pipeline.zoo.labels import LABELS
from pipeline.zoo.photos import Photo, PhotoSet, Split, find_photos, read_photos, split_by_track

Progress = Callable[[str, float, str], None]

# Photographs are kept a little larger than the networks see them, so that zooming in finds detail.
STORED_PX = 64
MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)
LICENCE = "Apache-2.0"
REQUIRED_ACCURACY = 0.97
"""Share of the photographs of held-out tracks that a recognizer of the zoo must get right."""
DATA = (
    "photographs of German traffic signs from the training set of the German Traffic Sign Recognition Benchmark "
    "(Institut für Neuroinformatik, Ruhr-Universität Bochum; free for research)"
)


class Member(Document):
    """One recognizer of the zoo, as the manifest declares it."""

    name: str
    family: str
    held_out: bool


class Manifest(Document):
    """The zoo: its members, and how photographs are split into those to train on and those to judge by."""

    format: Literal["dpcam.zoo"] = "dpcam.zoo"
    version: Literal[1] = 1
    split: str
    recognizers: list[Member]


class ZooResult(Document):
    """What came of one member: accuracy on the held-out tracks, overall and per class (None: class has none).

    ``recipe`` is the digest of all that determines the weights; ``sha256`` that of the ONNX file.
    """

    format: Literal["dpcam.zoo-result"] = "dpcam.zoo-result"
    version: Literal[1] = 1
    name: str
    family: str
    held_out: bool
    seed: int
    epochs: int
    trained_on: int
    judged_on: int
    correct: int
    per_class: list[tuple[int, int]]
    bytes: int
    sha256: str
    recipe: str

    @property
    def accuracy(self) -> float:
        """Fraction of held-out photographs that are recognized."""
        return self.correct / self.judged_on


@dataclass(frozen=True, slots=True)
class Task:
    """All that training one member needs. ``epochs`` None takes the architecture's own number."""

    member: Member
    photos: PhotoSet
    split: Split
    out: Path
    work: Path
    seed: int
    epochs: int | None


def read_manifest() -> Manifest:
    """The manifest of the zoo that dpcam ships."""
    return read_document(Path(__file__).parent / "manifest.json", Manifest)


def train_zoo(
    photos: Path,
    out: Path,
    work: Path,
    seed: int,
    families: Sequence[str],
    epochs: int | None,
    progress: Progress,
) -> list[ZooResult]:
    """Train, export, judge and store the recognizers of ``families`` (none named: all) in ``out``.

    ``photos`` is a folder or zip of ``CC/TTTTT_FFFFF.png``. ``work`` keeps checkpoints: a run that was stopped goes
    on from its last epoch, what is finished is left as it is. ``progress`` gets name, fraction and one line. Whether an
    accuracy is high enough is for the caller to say. Raises :class:`BadUsage` for an unknown family,
    :class:`MissingFile`, :class:`BadInput` or :class:`BadImage` for photographs that cannot be had.
    """
    members = choose_members(families)
    found = find_photos(photos)
    split = checked_split(found)
    return [train_member(Task(member, found, split, out, work, seed, epochs), progress) for member in members]


def choose_members(families: Sequence[str]) -> list[Member]:
    """The manifest's members of these names, in the manifest's order."""
    chosen = check_families(families)
    return [member for member in read_manifest().recognizers if member.name in chosen]


def check_families(families: Sequence[str] | None) -> list[str]:
    """The names asked for, or all when there are none; :class:`BadUsage` names those that exist."""
    known = [member.name for member in read_manifest().recognizers]
    unknown = [name for name in families or () if name not in known]
    if unknown:
        raise BadUsage(f"no family {unknown[0]!r} in the zoo; there are {', '.join(known)}")
    return [name for name in known if not families or name in families]


def checked_split(found: PhotoSet) -> Split:
    """The split of photographs, if their classes are known and both sides have some."""
    beyond = [photo for photo in found.photos if photo.label >= len(LABELS)]
    if beyond:
        raise BadInput(f"{beyond[0].path}: class {beyond[0].label}; there are 0 to {len(LABELS) - 1}")
    split = split_by_track(found.photos)
    if not split.held_out:
        raise BadInput(f"{found.source}: every class has a single track, none can be held out", where=str(found.source))
    return split


def train_member(task: Task, progress: Progress) -> ZooResult:
    """One member, unless it is finished already."""
    name = task.member.name
    task.work.mkdir(parents=True, exist_ok=True)
    recipe = recipe_digest(task)
    finished = finished_result(task, recipe)
    if finished is not None:
        progress(name, 1.0, "finished before")
        return finished
    model = task.work / f"{name}.onnx"
    write_bytes(model, trained_onnx(task, progress))
    contract = add_member(task, model)
    progress(name, 1.0, "judging")
    result = judge(task, contract, recipe)
    write_text(task.out / f"{name}.md", model_card(result))
    write_document(task.work / f"{name}.result.json", result)
    progress(name, 1.0, f"{result.accuracy:.2%} of {result.judged_on} held-out photographs")
    return result


def recipe_digest(task: Task) -> str:
    """Digest of what determines the weights: code, photographs, member, seed, epochs."""
    digest = hashlib.sha256()
    for file in ("networks.py", "augment.py", "fit.py"):
        digest.update((Path(__file__).parents[2] / "patches" / file).read_bytes())
    digest.update(photos_digest(task.photos).encode())
    digest.update(f"{task.member.name} {task.seed} {task.epochs}".encode())
    return digest.hexdigest()


def photos_digest(found: PhotoSet) -> str:
    """Digest of a zip's bytes, or of the names and sizes in a folder."""
    if found.source.is_file():
        return sha256_file(found.source)
    lines = [f"{photo.path} {(found.source / photo.path).stat().st_size}" for photo in found.photos]
    return sha256_bytes("\n".join(lines).encode())


def finished_result(task: Task, recipe: str) -> ZooResult | None:
    """The result of an earlier run of this very recipe whose files are still in place."""
    record = task.work / f"{task.member.name}.result.json"
    contract = task.out / f"{task.member.name}.json"
    if not (record.is_file() and contract.is_file() and contract.with_suffix(".md").is_file()):
        return None
    result = read_document(record, ZooResult)
    onnx = load_recognizer(contract).onnx
    whole = onnx.is_file() and sha256_file(onnx) == result.sha256
    return result if whole and result.recipe == recipe else None


def trained_onnx(task: Task, progress: Progress) -> bytes:
    """Train (or go on training) and export."""
    from patches import fit
    from patches.networks import ARCHITECTURES

    name = task.member.name
    architecture = ARCHITECTURES[name]
    progress(name, 0.0, "reading photographs")
    pictures = fit.Pictures(
        images=stored_images(task.photos, task.split.training),
        labels=labels_of(task.split.training),
        n_labels=len(LABELS),
    )
    settings = fit.FitSettings(
        seed=task.seed, epochs=task.epochs or architecture.epochs, peak_rate=architecture.peak_rate
    )
    network = fit.fit(
        architecture,
        pictures,
        settings,
        to_input=partial(to_tensor, contract=draft_contract(name, architecture.size_px)),
        checkpoint=task.work / f"{name}.pt",
        progress=partial(progress, name),
    )
    progress(name, 1.0, "exporting")
    return fit.export_onnx(network, architecture.size_px)


def stored_images(found: PhotoSet, photos: Sequence[Photo]) -> np.ndarray:
    """``(N, STORED_PX, STORED_PX, 3)`` uint8 RGB."""
    shrink = partial(resize_rgb, height=STORED_PX, width=STORED_PX, rule="area")
    return np.stack(list(read_photos(found.source, photos, shrink)))


def labels_of(photos: Sequence[Photo]) -> np.ndarray:
    """``(N,)`` int64 class ids."""
    return np.array([photo.label for photo in photos], np.int64)


def draft_contract(name: str, size_px: int) -> Contract:
    """The contract as far as it decides the input: training sees pixels through the same code as scoring."""
    return Contract(
        name=name,
        file=f"{name}.onnx",
        sha256="",
        input_name="image",
        height=size_px,
        width=size_px,
        mean=MEAN,
        std=STD,
        labels=list(LABELS),
    )


def add_member(task: Task, model: Path) -> Contract:
    """Store the exported model as recognizer in place of an earlier one."""
    name = task.member.name
    (task.out / f"{name}.json").unlink(missing_ok=True)
    return add_model(
        model,
        task.out,
        name=name,
        labels=LABELS,
        mean=MEAN,
        std=STD,
        family=task.member.family,
        held_out=task.member.held_out,
        licence=LICENCE,
        training_data=f"{len(task.split.training)} {DATA}; split {read_manifest().split}",
    )


def judge(task: Task, contract: Contract, recipe: str) -> ZooResult:
    """Accuracy of the stored ONNX file on the held-out photographs."""
    runner = open_session(load_recognizer(task.out / f"{task.member.name}.json"))
    images = list(read_photos(task.photos.source, task.split.held_out, lambda image: image))
    truth = labels_of(task.split.held_out)
    right = runner.logits(images).argmax(axis=1) == truth
    return ZooResult(
        name=task.member.name,
        family=task.member.family,
        held_out=task.member.held_out,
        seed=task.seed,
        epochs=task.epochs or architecture_epochs(task.member.name),
        trained_on=len(task.split.training),
        judged_on=len(truth),
        correct=int(right.sum()),
        per_class=[(int(right[truth == k].sum()), int((truth == k).sum())) for k in range(len(LABELS))],
        bytes=(task.out / contract.file).stat().st_size,
        sha256=contract.sha256,
        recipe=recipe,
    )


def architecture_epochs(name: str) -> int:
    """How long the architecture is trained by default."""
    from patches.networks import ARCHITECTURES

    return ARCHITECTURES[name].epochs


CARD = """\
# {name}

A small recognizer of German traffic signs ({n_labels} classes), family {family}. {role}

- File: `{name}.onnx`, {bytes:,} bytes, sha256 `{sha256}`
- Trained on {trained_on:,} {data}
- Split: {split}
- Recipe: `dpcam models train-zoo`, seed {seed}, {epochs} epochs. Augmentation: affine, perspective, crop, color jitter,
  gamma, local contrast. No blur, noise, weather or compression: those are for testing
- Licence of the weights: {licence}. The photographs are not part of dpcam and keep the terms of the benchmark
- Meant for the evaluation of patches. Not for driving, and not for pictures without a sign: it always answers

## Accuracy on held-out tracks

Overall {accuracy:.2%}: {correct:,} of {judged_on:,} photographs, measured on the ONNX file. Frames of one track show
the same physical sign, so a class with one or two held-out tracks says little.

| class | name | photographs | right | accuracy |
|---:|---|---:|---:|---:|
{rows}
"""


def model_card(result: ZooResult) -> str:
    """The model card in Markdown; it says nothing about when or where it was made."""
    held_out = "Held out: no patch that ships may be trained on it."
    surrogate = "A surrogate: patches may be trained on it."
    return CARD.format(
        **result.model_dump(),
        accuracy=result.accuracy,
        n_labels=len(LABELS),
        role=held_out if result.held_out else surrogate,
        data=DATA,
        split=read_manifest().split,
        licence=LICENCE,
        rows="\n".join(class_row(k, right, n) for k, (right, n) in enumerate(result.per_class)),
    )


def class_row(label: int, right: int, n: int) -> str:
    """One row of the card's table."""
    rate = f"{right / n:.1%}" if n else "none held out"
    return f"| {label} | {LABELS[label]} | {n} | {right} | {rate} |"
