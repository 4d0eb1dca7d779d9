"""What the zoos recognize: for each the photographs, how they are split and kept, and what is said about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibration.files import read_document
from pipeline.zoo.labels import LABELS, OBJECT_LABELS
from pipeline.zoo.manifest import Manifest
from pipeline.zoo.photos import OBJECT_NAMES, SIGN_NAMES, Naming, Photo, Split, split_by_number, split_by_track

SubjectName = Literal["signs", "objects"]


@dataclass(frozen=True, slots=True)
class Card:
    """The words of a model card: what the recognizer is of, and all that a reader has to know of its data."""

    title: str
    command: str
    augmentation: str
    held_out: str
    remark: str
    warning: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What one zoo recognizes.

    ``folder`` has its manifest and its models. Photographs are kept ``stored_px`` a side for training. ``data`` says
    what they are. ``packed``: the models are stored with weights in bytes. ``required_accuracy``: share of the
    held-out photographs that each recognizer must get right, unless it is hardened against attacks.
    """

    name: SubjectName
    folder: Path
    labels: tuple[str, ...]
    naming: Naming
    split: Callable[[Sequence[Photo]], Split]
    stored_px: int
    batch: int
    packed: bool
    required_accuracy: float
    data: str
    card: Card

    @property
    def models(self) -> Path:
        """The folder of the recognizers that dpcam ships."""
        return self.folder / "models"

    def manifest(self) -> Manifest:
        """The manifest of the zoo that dpcam ships."""
        return read_document(self.folder / "manifest.json", Manifest)


SIGNS = Subject(
    name="signs",
    folder=Path(__file__).parent,
    labels=LABELS,
    naming=SIGN_NAMES,
    split=split_by_track,
    # A little larger than the networks see them, so that zooming in finds detail.
    stored_px=64,
    batch=64,
    packed=False,
    required_accuracy=0.97,
    data=(
        "photographs of German traffic signs from the training set of the German Traffic Sign Recognition Benchmark "
        "(Institut für Neuroinformatik, Ruhr-Universität Bochum; free for research)"
    ),
    card=Card(
        title="German traffic signs",
        command="dpcam models train-zoo",
        augmentation=(
            "affine, perspective, crop, color jitter,\n"
            "  gamma, local contrast. No blur, noise, weather or compression: those are for testing"
        ),
        held_out="tracks",
        remark=(
            " Frames of one track show\nthe same physical sign, so a class with one or two held-out tracks says little."
        ),
        warning="Not for driving, and not for pictures without a sign: it always answers",
    ),
)

OBJECTS = Subject(
    name="objects",
    folder=Path(__file__).parent / "objects",
    labels=OBJECT_LABELS,
    naming=OBJECT_NAMES,
    split=split_by_number,
    stored_px=32,
    batch=256,
    packed=True,
    required_accuracy=0.88,
    data=(
        "photographs of objects, 32 px a side, from the training set of CIFAR-10 "
        "(A. Krizhevsky, V. Nair, G. Hinton, University of Toronto; published for research)"
    ),
    card=Card(
        title="everyday objects",
        command="dpcam models train-zoo --subject objects",
        augmentation=(
            "mirrored, moved by\n  up to 2 px. No blur, noise, weather or compression: those are for testing"
        ),
        held_out="photographs",
        remark=" Photographs of\nother things than those that it was trained on.",
        warning="Not for pictures of anything else: it always answers",
    ),
)

SUBJECTS: dict[SubjectName, Subject] = {each.name: each for each in (SIGNS, OBJECTS)}
