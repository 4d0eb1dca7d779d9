"""What scoring speaks of: pictures and the ways to show them, noises, answers, and the rows that count the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from calibration.geometry import Array
from pipeline.recognizers import Recognizer
from pipeline.statistics import Share

Status = Literal["scored", "missed", "not-applicable", "failed"]
Pixels = NDArray[np.uint8]
Crop = Pixels | tuple[Status, str]
"""What is to be recognized, or why there is nothing."""


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
        """What it is called."""
        ...

    @property
    def severity(self) -> int:
        """How strong it is; 0 where the name says it."""
        ...

    @property
    def key(self) -> JsonValue:
        """What it is made of."""
        ...

    def on(self, recognizer: Recognizer) -> Callable[[Sequence[Seen]], Sequence[NoisedPicture]]:
        """Called once for each recognizer (an attacker loads its network here), the result for each batch.

        The result is never called by two threads at once; the same pictures come in the same batches.
        """
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
class Line(Answer):
    """An answer as it is kept: with the hash of the picture that it was given to."""

    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Counts of one arm on one recognizer, and the rate of correct answers among the scored with its interval.

    The interval takes a condition for one fact, not each of its shots (:func:`pipeline.statistics.rate_of`).
    One row for each view, noise and severity; jitters of a view are not counted.
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


@dataclass(slots=True)
class Count:
    """How many answers of each status, and the share of right ones among those that were judged."""

    scored: int = 0
    missed: int = 0
    not_applicable: int = 0
    failed: int = 0
    share: Share = field(default_factory=Share)

    def add(self, answer: Answer) -> None:
        """Count one more."""
        self.scored += answer.status == "scored"
        self.missed += answer.status == "missed"
        self.not_applicable += answer.status == "not-applicable"
        self.failed += answer.status == "failed"
        if answer.correct is None:
            return
        if answer.cell == answer.sample:
            self.share.add_alone(answer.correct)
        else:
            self.share.add(answer.cell, answer.cluster or answer.sample, answer.correct)

    @property
    def n(self) -> int:
        """All answers."""
        return self.scored + self.missed + self.not_applicable + self.failed


@dataclass(frozen=True, slots=True)
class _Group:
    """What a row counts. The order is that of the rows: first what is shown as it is; surrogates before held-out."""

    changed: bool
    view: str
    noise: str
    severity: int
    arm: str
    held_out: bool
    model: str


@dataclass(slots=True)
class Tally:
    """Answers counted as they come. ``failures``: each reason of a failure, with how many answers failed for it."""

    counts: dict[_Group, Count] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        """Count one more answer; a jitter counts only where it failed."""
        if answer.status == "failed":
            self.failures[answer.reason] = self.failures.get(answer.reason, 0) + 1
        if answer.repeat == 0:
            self.counts.setdefault(_group(answer), Count()).add(answer)

    @property
    def rows(self) -> list[Row]:
        """One row for each group, in order."""
        return [_row(group, self.counts[group]) for group in sorted(self.counts, key=_order)]


def merged(tallies: Iterable[Tally]) -> Tally:
    """Tallies of different recognizers as one."""
    whole = Tally()
    for each in tallies:
        whole.counts.update(each.counts)
        for reason, count in each.failures.items():
            whole.failures[reason] = whole.failures.get(reason, 0) + count
    return whole


def is_primary(answer: Answer) -> bool:
    """Whether it was given to the picture as a detector would cut it, with nothing put before it."""
    return (answer.view, answer.repeat, answer.noise) == ("natural", 0, "none")


def summarize(answers: Iterable[Answer]) -> list[Row]:
    """Count the answers by view, noise, arm and recognizer; in that order, surrogates before held-out recognizers."""
    tally = Tally()
    for answer in answers:
        tally.add(answer)
    return tally.rows


def true_label(folder: str, labels: Sequence[str]) -> str | None:
    """The label that a class folder's name means: the label itself, or its index in digits; None when neither."""
    if folder in labels:
        return folder
    if folder.isascii() and folder.isdigit() and int(folder) < len(labels):
        return labels[int(folder)]
    return None


def _group(answer: Answer) -> _Group:
    changed = (answer.view, answer.noise) != ("natural", "none")
    return _Group(changed, answer.view, answer.noise, answer.severity, answer.arm, answer.held_out, answer.model)


def _order(group: _Group) -> tuple[bool, str, bool, str, int, str, bool, str]:
    noised = group.noise != "none"
    return group.changed, group.view, noised, group.noise, group.severity, group.arm, group.held_out, group.model


def _row(group: _Group, count: Count) -> Row:
    rate = count.share.rate()
    return Row(
        arm=group.arm,
        model=group.model,
        held_out=group.held_out,
        n=count.n,
        scored=count.scored,
        missed=count.missed,
        not_applicable=count.not_applicable,
        failed=count.failed,
        correct=rate.correct if rate.n else None,
        rate=rate.rate,
        low=rate.low,
        high=rate.high,
        view=group.view,
        noise=group.noise,
        severity=group.severity,
    )
