"""The recipe of the zoos: from photographs to recognizers with contract, self-test and model card.

Which recognizers there are, and which of them are held out from all patch training, stands in each zoo's
``manifest.json`` and was fixed before any result was known. torch is reached only through ``patches.fit``, when
training begins.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.contract import Contract, resize_rgb, to_tensor
from calibration.errors import BadInput, BadUsage
from calibration.files import read_document, sha256_bytes, sha256_file, write_bytes, write_document, write_text
from pipeline.declaring import add_model
from pipeline.recognizers import load_recognizer, open_session
from pipeline.zoo.card import LICENCE, model_card
from pipeline.zoo.manifest import Member, ZooResult
from pipeline.zoo.photos import Photo, PhotoSet, Split, find_photos, labels_of, read_photos
from pipeline.zoo.subjects import Subject

if TYPE_CHECKING:
    from patches.networks import Architecture

Progress = Callable[[str, float, str], None]

MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)
CODE = ("networks.py", "object_networks.py", "augment.py", "muon.py", "fit.py", "packing.py")
"""Files of ``patches`` that determine the weights."""


@dataclass(frozen=True, slots=True)
class Task:
    """All that training one member needs. ``epochs`` None takes the architecture's own number."""

    subject: Subject
    member: Member
    photos: PhotoSet
    split: Split
    out: Path
    work: Path
    seed: int
    epochs: int | None

    @property
    def architecture(self) -> Architecture:
        """How the member's network is built."""
        from patches.networks import ARCHITECTURES
        from patches.object_networks import OBJECT_ARCHITECTURES

        known = {"signs": ARCHITECTURES, "objects": OBJECT_ARCHITECTURES}[self.subject.name]
        return known[self.member.built_as]


def train_zoo(
    subject: Subject,
    photos: Path,
    out: Path,
    work: Path,
    *,
    seed: int,
    families: Sequence[str],
    epochs: int | None,
    progress: Progress,
    suffix: str = "",
) -> list[ZooResult]:
    """Train, export, judge and store the recognizers of these names (none named: all) in ``out``.

    ``suffix`` is appended to their names: two trainings of one network can then stand side by side. ``photos`` is a
    folder, zip or tar of photographs named as ``subject`` says. ``work`` keeps checkpoints: a run that was stopped goes
    on from its last epoch, what is finished is left as it is. ``progress`` gets name, fraction and one line. Whether an
    accuracy is high enough is for the caller to say (:func:`too_weak`). Raises :class:`BadUsage` for an unknown name or
    a suffix that no name may have, :class:`MissingFile`, :class:`BadInput` or :class:`BadImage` for photographs that
    cannot be had, and :class:`BadInput` when ``out`` has recognizers of something else.
    """
    members = choose_members(subject, families, suffix)
    for member in members:
        refuse_other_subject(subject, out / f"{member.name}.json")
    found = find_photos(photos, subject.naming)
    split = checked_split(subject, found)
    return [train_member(Task(subject, member, found, split, out, work, seed, epochs), progress) for member in members]


def too_weak(subject: Subject, results: Sequence[ZooResult]) -> list[ZooResult]:
    """Those that miss the required accuracy. Hardened ones give some of it away, by design."""
    return [each for each in results if each.accuracy < subject.required_accuracy and not each.attack_levels]


def choose_members(subject: Subject, names: Sequence[str], suffix: str) -> list[Member]:
    """The manifest's members of these names, in the manifest's order, called so with ``suffix``."""
    chosen = check_families(subject, names)
    return [renamed(member, suffix) for member in subject.manifest().recognizers if member.name in chosen]


def renamed(member: Member, suffix: str) -> Member:
    """The same network under its name with ``suffix``; :class:`BadUsage` for what no recognizer may be called."""
    if not suffix:
        return member
    if not re.fullmatch(r"[\w.-]{1,40}", suffix):
        raise BadUsage(f"--suffix {suffix!r}: up to 40 letters, digits, '.', '_' and '-' are expected")
    return member.model_copy(update={"name": member.name + suffix, "architecture": member.built_as})


def check_families(subject: Subject, names: Sequence[str] | None) -> list[str]:
    """The names asked for, or all when there are none; :class:`BadUsage` names those that exist."""
    known = [member.name for member in subject.manifest().recognizers]
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise BadUsage(f"no family {unknown[0]!r} in the zoo of {subject.name}; there are {', '.join(known)}")
    return [name for name in known if not names or name in names]


def refuse_other_subject(subject: Subject, path: Path) -> None:
    """The zoos have members of the same names: one must not be written over the other."""
    if path.is_file() and tuple(load_recognizer(path).contract.labels) != subject.labels:
        raise BadInput(
            f"{path} is a recognizer of other classes than the zoo of {subject.name} has",
            hint="choose another --out",
            where=str(path),
        )


def checked_split(subject: Subject, found: PhotoSet) -> Split:
    """The split of photographs, if their classes are known and both sides have some."""
    beyond = [photo for photo in found.photos if photo.label >= len(subject.labels)]
    if beyond:
        raise BadInput(f"{beyond[0].path}: class {beyond[0].label}; there are 0 to {len(subject.labels) - 1}")
    split = subject.split(found.photos)
    if not (split.training and split.held_out):
        raise BadInput(
            f"{found.source}: photographs to train on and photographs to judge by are needed, there are "
            f"{len(split.training)} and {len(split.held_out)} (split {subject.manifest().split})",
            where=str(found.source),
        )
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
    write_text(task.out / f"{name}.md", model_card(result, task.subject))
    write_document(task.work / f"{name}.result.json", result)
    progress(name, 1.0, f"{result.accuracy:.2%} of {result.judged_on} held-out photographs")
    return result


def recipe_digest(task: Task) -> str:
    """Digest of what determines the weights: code, photographs, member, seed, epochs."""
    digest = hashlib.sha256()
    for file in CODE:
        digest.update((Path(__file__).parents[2] / "patches" / file).read_bytes())
    digest.update(photos_digest(task.photos).encode())
    digest.update(f"{task.subject.name} {task.member.model_dump_json()} {task.seed} {task.epochs}".encode())
    return digest.hexdigest()


def photos_digest(found: PhotoSet) -> str:
    """Digest of an archive's bytes, or of the names and sizes in a folder."""
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
    from patches.packing import with_packed_weights

    name, architecture = task.member.name, task.architecture
    progress(name, 0.0, "reading photographs")
    pictures = fit.Pictures(
        images=stored_images(task, task.split.training),
        labels=labels_of(task.split.training),
        n_labels=len(task.subject.labels),
    )
    settings = fit.FitSettings(
        seed=task.seed,
        epochs=task.epochs or architecture.epochs,
        peak_rate=architecture.peak_rate,
        batch=task.subject.batch,
        attack_levels=task.member.attack_levels,
    )
    network = fit.fit(
        architecture,
        pictures,
        settings,
        to_input=partial(to_tensor, contract=draft_contract(task)),
        checkpoint=task.work / f"{name}.pt",
        progress=partial(progress, name),
    )
    progress(name, 1.0, "exporting")
    model = fit.export_onnx(network, architecture.size_px)
    return with_packed_weights(model) if task.subject.packed else model


def stored_images(task: Task, photos: Sequence[Photo]) -> np.ndarray:
    """``(N, stored_px, stored_px, 3)`` uint8 RGB."""
    side = task.subject.stored_px
    shrink = partial(resize_rgb, height=side, width=side, rule="area")
    return np.stack(list(read_photos(task.photos.source, photos, shrink)))


def draft_contract(task: Task) -> Contract:
    """The contract as far as it decides the input: training sees pixels through the same code as scoring."""
    return Contract(
        name=task.member.name,
        file=f"{task.member.name}.onnx",
        sha256="",
        input_name="image",
        height=task.architecture.size_px,
        width=task.architecture.size_px,
        mean=MEAN,
        std=STD,
        labels=list(task.subject.labels),
    )


def add_member(task: Task, model: Path) -> Contract:
    """Store the exported model as recognizer in place of an earlier one; its self-test is that of the stored file."""
    name, subject = task.member.name, task.subject
    (task.out / f"{name}.json").unlink(missing_ok=True)
    return add_model(
        model,
        task.out,
        name=name,
        labels=subject.labels,
        mean=MEAN,
        std=STD,
        family=task.member.family,
        held_out=task.member.held_out,
        licence=LICENCE,
        training_data=f"{len(task.split.training)} {subject.data}; split {subject.manifest().split}",
    )


def judge(task: Task, contract: Contract, recipe: str) -> ZooResult:
    """Accuracy of the stored ONNX file on the held-out photographs."""
    runner = open_session(load_recognizer(task.out / f"{task.member.name}.json"))
    images = list(read_photos(task.photos.source, task.split.held_out, lambda image: image))
    truth = labels_of(task.split.held_out)
    right = runner.logits(images).argmax(axis=1) == truth
    classes = range(len(task.subject.labels))
    return ZooResult(
        name=task.member.name,
        family=task.member.family,
        held_out=task.member.held_out,
        attack_levels=task.member.attack_levels,
        seed=task.seed,
        epochs=task.epochs or task.architecture.epochs,
        trained_on=len(task.split.training),
        judged_on=len(truth),
        correct=int(right.sum()),
        per_class=[(int(right[truth == k].sum()), int((truth == k).sum())) for k in classes],
        bytes=(task.out / contract.file).stat().st_size,
        sha256=contract.sha256,
        recipe=recipe,
    )
