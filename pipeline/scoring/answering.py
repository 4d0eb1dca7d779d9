"""From crops to answers: pictures resized once for all recognizers of a size, asked in batches, each answer judged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.contract import Contract, to_tensor
from calibration.errors import BadInput, BadModel, DpcamError
from pipeline.recognizers import Provider, Recognizer, Runner, not_finite, open_session, to_size
from pipeline.scoring.score import Crop, Line, Noise, NoisedPicture, Pixels, Sample, Seen, Shown, Status, true_label

BATCH = 32
"""Pictures of one run. On a CPU more are no quicker, and fit no cache; those of a GPU are not filled by it."""

TOP = 5
DECIMALS = 9
"""Of what is kept: finer than float32, in which it was computed."""

TINY = np.finfo(np.float64).tiny

Noised = Callable[[Sequence[Seen]], Sequence[NoisedPicture]]


class Outcome(NamedTuple):
    """What became of one picture: what was said to it (:class:`pipeline.scoring.score.Answer`), or why nothing was.

    A tuple, as there is one for each answer, and each becomes a line at once.
    """

    status: Status
    reason: str = ""
    predicted: str | None = None
    probability: float | None = None
    top: tuple[tuple[str, float], ...] = ()
    true_probability: float | None = None
    margin: float | None = None
    entropy: float | None = None


LET_GO = np.zeros((0, 0, 3), np.uint8)
"""Stands for a crop of which nothing more is needed than what was made of it."""

Size = tuple[int, int, str]
"""Height, width and the rule of resizing to it."""


def size_of(contract: Contract) -> Size:
    """What a picture is resized to for a recognizer."""
    return contract.height, contract.width, contract.resize


class Part:
    """Some samples as they are shown; what several recognizers take in the same way is made once.

    Crops are resized as they come, and let go: a crop of a camera's picture is a thousand times as large as what the
    recognizers get of it. They are kept where a noise will ask for them.
    """

    def __init__(self, contracts: Iterable[Contract], *, keep: bool) -> None:
        """Empty, for recognizers of these contracts; ``keep``: the crops, too."""
        self.items: list[tuple[Sample, Shown]] = []
        self.usable: list[int] = []
        self.held_bytes = 0
        self._keep = keep
        self._contracts = {size_of(contract): contract for contract in contracts}
        self._sized: dict[Size, list[Pixels]] = {size: [] for size in self._contracts}
        self._tensors: dict[str, np.ndarray] = {}

    def add(self, sample: Sample, shown: Sequence[Shown]) -> None:
        """Take one more sample."""
        for each in shown:
            if not isinstance(each.crop, tuple):
                self.usable.append(len(self.items))
                self._resize(each.crop)
                each = each if self._keep else replace(each, crop=LET_GO)
            self.items.append((sample, each))

    def pixels(self, index: int) -> Pixels:
        """The crop of one of the usable, which was kept."""
        crop = self.items[index][1].crop
        if isinstance(crop, tuple):
            raise BadInput(f"{self.items[index][0].name} shows nothing: {crop[1]}")
        return crop

    def tensor(self, contract: Contract) -> np.ndarray:
        """All usable crops, in order, as a recognizer of this contract takes them."""
        key = contract.model_dump_json(include=PREPROCESSING)
        if key not in self._tensors:
            # One by one: what is computed on the way stays in the cache.
            sized = self._sized[size_of(contract)]
            self._tensors[key] = np.concatenate([to_tensor(each[None], contract) for each in sized])
        return self._tensors[key]

    def _resize(self, crop: Pixels) -> None:
        self.held_bytes += crop.nbytes if self._keep else 0
        for size, contract in self._contracts.items():
            self._sized[size].append(to_size(crop, contract))
            self.held_bytes += self._sized[size][-1].nbytes


PREPROCESSING = {"height", "width", "resize", "layout", "dtype", "color", "range_max", "mean", "std"}
"""What of a contract decides on its tensor."""


class Answerer:
    """A recognizer that is loaded when it is first asked. What keeps it from answering is its answer to everything."""

    def __init__(self, recognizer: Recognizer, provider: Provider, noises: Sequence[Noise] = ()) -> None:
        """Nothing is loaded yet."""
        self.recognizer = recognizer
        self.noises = tuple(noises)
        self._provider = provider
        self._runner: Runner | str | None = None
        self._noised: dict[int, Noised | Outcome] = {}
        self._lock = Lock()
        self._noise_locks = tuple(Lock() for _ in self.noises)

    @property
    def size(self) -> int:
        """Bytes of the model's file; 0 where it is not there."""
        return self.recognizer.onnx.stat().st_size if self.recognizer.onnx.is_file() else 0

    def runner(self) -> Runner | str:
        """Loaded and tested; or why it cannot be."""
        with self._lock:
            if self._runner is None:
                try:
                    self._runner = open_session(self.recognizer, self._provider)
                except BadInput as error:
                    # Where the bench lies is no part of an answer.
                    self._runner = error.message.replace(f"{self.recognizer.folder}{os.sep}", "")
            return self._runner

    def close(self) -> None:
        """Let go of the model and of what its noises hold."""
        self._runner = None
        self._noised = {}

    def answers(self, part: Part) -> list[Line]:
        """One line for each picture as it is and with each noise, in that order."""
        runner = self.runner()
        if isinstance(runner, str):
            outcomes = [[Outcome("failed", runner)] * len(part.items)] * (1 + len(self.noises))
        else:
            truths = self._truths(part)
            outcomes = [self._plain(runner, part, truths)]
            outcomes += [self._through(i, runner, part, truths) for i in range(len(self.noises))]
        return list(self._lines(part, outcomes))

    def _truths(self, part: Part) -> list[str | None]:
        """The recognizer's own label of each; empty where it has none for the truth."""
        labels = self.recognizer.contract.labels
        known = {sample.truth: true_label(sample.truth, labels) or "" for sample, _ in part.items if sample.truth}
        return [known[sample.truth] if sample.truth else None for sample, _ in part.items]

    def _plain(self, runner: Runner, part: Part, truths: Sequence[str | None]) -> list[Outcome]:
        wanted = [row for row, i in enumerate(part.usable) if truths[i] != ""]
        if not wanted:
            return self._placed(part, truths, [])
        tensor = part.tensor(runner.contract)
        chosen = tensor if len(wanted) == len(tensor) else tensor[wanted]
        return self._placed(part, truths, said(runner, chosen, [truths[part.usable[row]] for row in wanted]))

    def _through(self, number: int, runner: Runner, part: Part, truths: Sequence[str | None]) -> list[Outcome]:
        wanted = [i for i in part.usable if truths[i] != ""]
        with self._noise_locks[number]:
            noised = self._noised_by(number)
            pictures = noised(_seen(part, wanted, truths)) if callable(noised) else [noised] * len(wanted)
        there = [(i, each) for i, each in zip(wanted, pictures, strict=True) if isinstance(each, np.ndarray)]
        tensor = to_tensor(runner.sized([each for _, each in there]), runner.contract) if there else np.zeros(0)
        answered = iter(said(runner, tensor, [truths[i] for i, _ in there]))
        return self._placed(part, truths, [_unless(each) or next(answered) for each in pictures])

    def _noised_by(self, number: int) -> Noised | Outcome:
        """The noise, prepared for this recognizer when it is first needed; or why it cannot be."""
        if number not in self._noised:
            try:
                self._noised[number] = self.noises[number].on(self.recognizer)
            except DpcamError as error:
                self._noised[number] = Outcome("failed", f"{self.noises[number].name}: {error.message}")
        return self._noised[number]

    def _placed(self, part: Part, truths: Sequence[str | None], answered: Sequence[Outcome]) -> list[Outcome]:
        """For each item what was said to it, or why nothing was."""
        found = iter(answered)
        return [self._outcome(*item, truth, found) for item, truth in zip(part.items, truths, strict=True)]

    def _outcome(self, sample: Sample, shown: Shown, truth: str | None, answered: Iterator[Outcome]) -> Outcome:
        if isinstance(shown.crop, tuple):
            return Outcome(*shown.crop)
        if truth == "":
            contract = self.recognizer.contract
            reason = f"{sample.truth!r} is none of the {len(contract.labels)} labels of {contract.name}"
            return Outcome("not-applicable", reason)
        return next(answered)

    def _lines(self, part: Part, outcomes: Sequence[Sequence[Outcome]]) -> Iterator[Line]:
        truths = self._truths(part)
        for i, (sample, shown) in enumerate(part.items):
            yield self._line(sample, shown, truths[i], None, outcomes[0][i])
            for noise, found in zip(self.noises, outcomes[1:], strict=True):
                yield self._line(sample, shown, truths[i], noise, found[i])

    def _line(self, sample: Sample, shown: Shown, truth: str | None, noise: Noise | None, found: Outcome) -> Line:
        contract = self.recognizer.contract
        return Line(
            sample=sample.name,
            arm=sample.arm,
            cell=sample.cell,
            model=contract.name,
            held_out=contract.held_out,
            status=found.status,
            reason=found.reason,
            truth=truth or sample.truth,
            predicted=found.predicted,
            probability=found.probability,
            correct=found.predicted == truth if found.predicted is not None and truth is not None else None,
            cluster=sample.cluster,
            view=shown.view,
            repeat=shown.repeat,
            noise=noise.name if noise else "none",
            severity=noise.severity if noise else 0,
            top=found.top,
            true_probability=found.true_probability,
            margin=found.margin,
            entropy=found.entropy,
            sha256=sample.sha256,
        )


def _unless(noised: NoisedPicture | Outcome) -> Outcome | None:
    """What became of a picture that there is none of."""
    if isinstance(noised, Outcome):
        return noised
    return Outcome(*noised) if isinstance(noised, tuple) else None


def said(runner: Runner, tensor: np.ndarray, truths: Sequence[str | None]) -> list[Outcome]:
    """What a recognizer says to a tensor of pictures; a picture that gets no numbers, or none at all, is ``failed``."""
    size = runner.contract.fixed_batch or BATCH
    found: list[Outcome] = []
    for start in range(0, len(tensor), size):
        found += _said(runner, tensor[start : start + size], truths[start : start + size])
    return found


def _said(runner: Runner, batch: np.ndarray, truths: Sequence[str | None]) -> list[Outcome]:
    """One run. When it fails, each picture is asked alone, so that one that cannot be answered costs one answer."""
    try:
        scores = runner.answer(batch)
    except BadModel as error:
        if len(batch) == 1:
            return [Outcome("failed", error.message)]
        return [_said(runner, batch[i : i + 1], truths[i : i + 1])[0] for i in range(len(batch))]
    finite = np.isfinite(scores).all(axis=1)
    if finite.all():
        return judge_scores(scores, truths, runner.contract)
    known = np.flatnonzero(finite).tolist()
    judged = iter(judge_scores(scores[known], [truths[i] for i in known], runner.contract) if known else [])
    return [next(judged) if each else Outcome("failed", not_finite(runner.contract)) for each in finite]


def judge_scores(scores: NDArray[np.float32], truths: Sequence[str | None], contract: Contract) -> list[Outcome]:
    """``(B, n_labels)`` finite scores → the likeliest labels, and how sure and how right they are."""
    labels = contract.labels
    shares = softmax(scores, contract.output)
    best = np.argsort(-scores, axis=1, kind="stable")[:, : min(TOP, len(labels))]
    entropy = -(shares * np.log2(np.maximum(shares, TINY))).sum(axis=1, keepdims=True)
    number = {label: i for i, label in enumerate(labels)}
    right = np.array([0 if truth is None else number[truth] for truth in truths])[:, None]
    other = np.where(best[:, :1] == right, best[:, 1:2], best[:, :1])
    # Columns of plain numbers, one line for each picture: there are many, and nothing here takes longer.
    columns = np.take_along_axis(shares, np.concatenate([right, other, best], axis=1), axis=1)
    columns[:, 1] = columns[:, 0] - columns[:, 1]
    kept = np.round(np.concatenate([np.abs(entropy), columns], axis=1), DECIMALS).tolist()
    return [_judged(labels, *row) for row in zip(best.tolist(), truths, kept, strict=True)]


def _judged(labels: Sequence[str], best: list[int], truth: str | None, kept: list[float]) -> Outcome:
    """``kept``: entropy, probability of the truth, margin, and the probabilities of the ``best``."""
    entropy, true, margin, *shares = kept
    top = tuple((labels[i], share) for i, share in zip(best, shares, strict=True))
    if truth is None:
        return Outcome("scored", "", top[0][0], shares[0], top, None, None, entropy)
    return Outcome("scored", "", top[0][0], shares[0], top, true, margin, entropy)


def softmax(scores: NDArray[np.float32], output: str) -> NDArray[np.float64]:
    """``(B, n)`` scores → probabilities; those of a model that gives probabilities are left alone."""
    exact = np.asarray(scores, dtype=np.float64)
    if output == "probabilities":
        return exact
    shifted = np.exp(exact - exact.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _seen(part: Part, wanted: Sequence[int], truths: Sequence[str | None]) -> list[Seen]:
    return [_one_seen(*part.items[i], part.pixels(i), truths[i]) for i in wanted]


def _one_seen(sample: Sample, shown: Shown, pixels: Pixels, truth: str | None) -> Seen:
    return Seen(sample.name, shown.view, shown.repeat, truth, pixels, shown.frame_px, shown.window_px)


def in_order(shown: Sequence[Shown], wanted: Sequence[tuple[str, int]]) -> list[Shown]:
    """What was asked for, each once and in that order; what is missing has the status of the first that is there."""
    there = {(each.view, each.repeat): each for each in shown}
    lost: Crop = next(
        (each.crop for each in shown if isinstance(each.crop, tuple)), ("failed", "this view was not made")
    )
    return [_checked(there.get(key) or Shown(*key, lost)) for key in wanted]


def _checked(shown: Shown) -> Shown:
    crop = shown.crop
    if isinstance(crop, tuple) or (crop.dtype == np.uint8 and crop.ndim == 3 and crop.shape[2] == 3 and crop.size):
        return shown
    return Shown(shown.view, shown.repeat, ("failed", f"a picture of shape {crop.shape} has nothing to be seen"))
