"""Scoring: every picture decoded and cropped once, then through every recognizer in batches; counted exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from calibration.errors import BadModel
from calibration.geometry import Array
from pipeline.recognizers import Recognizer, Runner
from pipeline.statistics import wilson

Status = Literal["scored", "missed", "not-applicable", "failed"]
Pixels = NDArray[np.uint8]
Crop = Pixels | tuple[Status, str]
"""What is to be recognized, or why there is nothing."""

BATCH = 64
HELD_BYTES = 2**27


class Missed(Exception):
    """The object cannot be found in the picture; the text says why."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One way that a picture is shown to a recognizer: the view's name, the number of its jitter (0: none), the crop.

    ``crop``: ``(H, W, 3)`` uint8 RGB, or (status, reason) when there is nothing to see. ``frame_px``, ``window_px``:
    ``(4, 2)`` corners of the sticker and of the hole in it, in pixels of the crop; None where they are not known.
    """

    view: str
    repeat: int
    crop: Crop
    frame_px: Array | None = None
    window_px: Array | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture to score: a unique name, the sha256 of its bytes, its arm, its true label, its cell (condition).

    ``truth`` is None when nothing is known of the class. ``cluster`` names what hangs together: the pictures of one
    burst, else the picture alone. ``show`` decodes the picture once and gives every view that was asked for; it never
    raises for a bad picture: that is a status.
    """

    name: str
    sha256: str
    arm: str
    truth: str | None
    cell: str
    cluster: str
    show: Callable[[], Sequence[Shown]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A crop that is to be noised: sample name, view, repeat, the recognizer's true label or None, pixels.

    ``pixels``: ``(H, W, 3)`` uint8 RGB; corners as in :class:`Shown`.
    """

    name: str
    view: str
    repeat: int
    truth: str | None
    pixels: Pixels
    frame_px: Array | None
    window_px: Array | None


NoisedPicture = Pixels | NDArray[np.float32] | tuple[Status, str]
"""uint8 of any size; or float32 ``(H, W, 3)`` in [0, 1] of the recognizer's own size, scored as it is; or why none."""


class Noise(Protocol):
    """What is put between picture and recognizer. ``name`` and ``severity`` stand in the answers.

    ``key`` is JSON that names it for good: constants, seed, place, versions.
    """

    @property
    def name(self) -> str:
        """The noise's name, without its severity."""

    @property
    def severity(self) -> int:
        """Its severity, or its budget."""

    @property
    def key(self) -> JsonValue:
        """What it is, for good."""

    def on(self, recognizer: Recognizer) -> Callable[[Sequence[Seen]], Sequence[NoisedPicture]]:
        """Called once for each recognizer (an attacker loads its network here), the result for each batch."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What one recognizer said to one sample. ``correct`` is None without truth or without a score.

    ``view`` is how the picture was cut, ``repeat`` the number of its jitter (0: as it is); ``noise`` and ``severity``
    are what was put between picture and recognizer (``none``, 0: nothing). ``cluster`` names what hangs together:
    pictures of one burst, and all views, repeats and noises of one picture. ``top`` are the likeliest labels with their
    probabilities; ``true_probability`` is that of the truth, ``margin`` is it minus the likeliest other's, ``entropy``
    is in bits.
    """

    sample: str
    arm: str
    cell: str
    model: str
    held_out: bool
    status: Status
    reason: str = ""
    truth: str | None = None
    predicted: str | None = None
    probability: float | None = None
    correct: bool | None = None
    cluster: str = ""
    view: str = "natural"
    repeat: int = 0
    noise: str = "none"
    severity: int = 0
    top: tuple[tuple[str, float], ...] = ()
    true_probability: float | None = None
    margin: float | None = None
    entropy: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Counts of one arm on one recognizer, and the rate of correct answers among the scored with its interval.

    One row for each view, noise and severity.
    """

    arm: str
    model: str
    held_out: bool
    n: int
    scored: int
    missed: int
    not_applicable: int
    failed: int
    correct: int | None
    rate: float | None
    low: float | None
    high: float | None
    view: str = "natural"
    noise: str = "none"
    severity: int = 0


def score(samples: Iterable[Sample], runners: Sequence[Runner], progress: Callable[[int], None]) -> Iterator[Answer]:
    """Score all samples with all recognizers: exactly one :class:`Answer` for each pair, in the samples' order.

    Memory is bounded by ``BATCH`` crops and ``HELD_BYTES``. ``progress`` is told the number of samples finished.
    """
    done = 0
    for chunk, crops in _chunks(samples):
        for runner in runners:
            yield from _answers(runner, chunk, crops)
        done += len(chunk)
        progress(done)


def summarize(answers: Iterable[Answer]) -> list[Row]:
    """Count the answers by arm and recognizer, in order of arm, surrogates before held-out recognizers."""
    groups: dict[tuple[str, bool, str], list[Answer]] = {}
    for answer in answers:
        groups.setdefault((answer.arm, answer.held_out, answer.model), []).append(answer)
    return [_row(arm, model, held_out, group) for (arm, held_out, model), group in sorted(groups.items())]


def true_label(folder: str, labels: Sequence[str]) -> str | None:
    """The label that a class folder's name means: the label itself, or its index in digits; None when neither."""
    if folder in labels:
        return folder
    if folder.isascii() and folder.isdigit() and int(folder) < len(labels):
        return labels[int(folder)]
    return None


def _chunks(samples: Iterable[Sample]) -> Iterator[tuple[list[Sample], list[Crop]]]:
    """Samples with their crops, until there are ``BATCH`` of them or more than ``HELD_BYTES``."""
    chunk: list[Sample] = []
    crops: list[Crop] = []
    for sample in samples:
        chunk.append(sample)
        crops.append(sample.show()[0].crop)
        if len(chunk) == BATCH or sum(crop.nbytes for crop in crops if not isinstance(crop, tuple)) > HELD_BYTES:
            yield chunk, crops
            chunk, crops = [], []
    if chunk:
        yield chunk, crops


def _answers(runner: Runner, samples: Sequence[Sample], crops: Sequence[Crop]) -> Iterator[Answer]:
    truths = [_truth(sample, runner) for sample in samples]
    usable = {i: crop for i, crop in enumerate(crops) if not isinstance(crop, tuple) and truths[i] != UNKNOWN}
    by_index = dict(zip(usable, _probabilities(runner, list(usable.values())), strict=True))
    for i, sample in enumerate(samples):
        yield _answer(runner, sample, crops[i], truths[i], by_index.get(i))


UNKNOWN = "\0unknown"
"""A truth that is none of the recognizer's labels."""


def _truth(sample: Sample, runner: Runner) -> str | None:
    if sample.truth is None:
        return None
    return true_label(sample.truth, runner.contract.labels) or UNKNOWN


def _answer(
    runner: Runner,
    sample: Sample,
    crop: Crop,
    truth: str | None,
    scores: NDArray[np.float32] | str | None,
) -> Answer:
    contract = runner.contract
    unknown = Answer(
        sample.name,
        sample.arm,
        sample.cell,
        contract.name,
        contract.held_out,
        "failed",
        truth=sample.truth,
        cluster=sample.cluster,
    )
    if isinstance(crop, tuple):
        return replace(unknown, status=crop[0], reason=crop[1])
    if truth == UNKNOWN:
        reason = f"{sample.truth!r} is none of the {len(contract.labels)} labels of {contract.name}"
        return replace(unknown, status="not-applicable", reason=reason)
    if scores is None or isinstance(scores, str):
        return replace(unknown, reason=scores or "not scored", truth=truth)
    best = int(scores.argmax())
    predicted = contract.labels[best]
    correct = None if truth is None else predicted == truth
    probability = float(scores[best])
    return replace(unknown, status="scored", truth=truth, predicted=predicted, probability=probability, correct=correct)


def _probabilities(runner: Runner, crops: list[Pixels]) -> list[NDArray[np.float32] | str]:
    """Probabilities per crop; when the batch fails, each crop alone, so that one bad answer costs one sample."""
    if not crops:
        return []
    try:
        return list(softmax(runner.logits(crops), runner.contract.output))
    except BadModel as error:
        if len(crops) == 1:
            return [error.message]
        return [_probabilities(runner, [crop])[0] for crop in crops]


def softmax(logits: NDArray[np.float32], output: str) -> NDArray[np.float32]:
    """``(B, n)`` logits → probabilities; a model that already gives probabilities is left alone."""
    if output == "probabilities":
        return logits
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)


def _row(arm: str, model: str, held_out: bool, group: Sequence[Answer]) -> Row:
    count = Counter(answer.status for answer in group)
    judged = [a.correct for a in group if a.correct is not None]
    rate = wilson(sum(judged), len(judged))
    return Row(
        arm=arm,
        model=model,
        held_out=held_out,
        n=len(group),
        scored=count["scored"],
        missed=count["missed"],
        not_applicable=count["not-applicable"],
        failed=count["failed"],
        correct=rate.correct if judged else None,
        rate=rate.rate,
        low=rate.low,
        high=rate.high,
    )
