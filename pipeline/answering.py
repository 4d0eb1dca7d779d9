"""From crops to answers: pictures resized once for all recognizers of a size, asked in batches, each answer judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from calibration.contract import Contract, to_tensor
from calibration.errors import BadInput, BadModel, DpcamError
from pipeline.recognizers import Provider, Recognizer, Runner, not_finite, open_session, to_size
from pipeline.score import Crop, Line, Noise, NoisedPicture, Pixels, Sample, Seen, Shown, Status, true_label

BATCH = 32
"""Pictures of one run. On a CPU more are no quicker, and fit no cache; those of a GPU are not filled by it."""

TOP = 5
DECIMALS = 9
"""Of what is kept: finer than float32, in which it was computed."""

Noised = Callable[[Sequence[Seen]], Sequence[NoisedPicture]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one picture: what was said to it, as in :class:`pipeline.score.Answer`, or why nothing was."""

    status: Status
    reason: str = ""
    predicted: str | None = None
    probability: float | None = None
    top: tuple[tuple[str, float], ...] = ()
    true_probability: float | None = None
    margin: float | None = None
    entropy: float | None = None


class Part:
    """Some samples as they are shown; what several recognizers take in the same way is made once."""

    def __init__(self, shown: Sequence[tuple[Sample, Shown]]) -> None:
        """Take the pictures; they are held as long as this is."""
        self.items = tuple(shown)
        self.usable = tuple(i for i, (_, each) in enumerate(self.items) if not isinstance(each.crop, tuple))
        self._sized: dict[tuple[int, int, str], np.ndarray] = {}
        self._tensors: dict[str, np.ndarray] = {}

    def pixels(self, index: int) -> Pixels:
        """The crop of one of the usable."""
        crop = self.items[index][1].crop
        if isinstance(crop, tuple):
            raise BadInput(f"{self.items[index][0].name} shows nothing: {crop[1]}")
        return crop

    def tensor(self, contract: Contract) -> np.ndarray:
        """All usable crops, in order, as a recognizer of this contract takes them."""
        size = (contract.height, contract.width, contract.resize)
        if size not in self._sized:
            self._sized[size] = np.stack([to_size(self.pixels(i), contract) for i in self.usable])
        key = contract.model_dump_json(include=PREPROCESSING)
        if key not in self._tensors:
            self._tensors[key] = to_tensor(self._sized[size], contract)
        return self._tensors[key]


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
                    self._runner = error.message
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
    return Outcome(*noised) if isinstance(noised, tuple) else noised if isinstance(noised, Outcome) else None


def said(runner: Runner, tensor: np.ndarray, truths: Sequence[str | None]) -> list[Outcome]:
    """What a recognizer says to a tensor of pictures; a picture that gets no numbers, or none at all, is ``failed``."""
    if not len(tensor):
        return []
    scores, reasons = ask(runner, tensor)
    known = [i for i in range(len(tensor)) if i not in reasons]
    judged = iter(judge_scores(scores[known], [truths[i] for i in known], runner.contract) if known else [])
    return [Outcome("failed", reasons[i]) if i in reasons else next(judged) for i in range(len(tensor))]


def ask(runner: Runner, tensor: np.ndarray) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Scores ``(B, n_labels)``, asked in batches; and for which pictures there are none, and why.

    When a batch fails, each picture is asked alone, so that one that cannot be answered costs one answer.
    """
    contract = runner.contract
    scores = np.full((len(tensor), len(contract.labels)), np.nan, np.float32)
    reasons: dict[int, str] = {}
    size = contract.fixed_batch or BATCH
    for start in range(0, len(tensor), size):
        try:
            scores[start : start + size] = runner.answer(tensor[start : start + size])
        except BadModel:
            reasons |= _ask_each(runner, tensor, scores, range(start, min(start + size, len(tensor))))
    for i in np.flatnonzero(~np.isfinite(scores).all(axis=1)):
        reasons.setdefault(int(i), not_finite(contract))
    return scores, reasons


def _ask_each(runner: Runner, tensor: np.ndarray, scores: NDArray[np.float32], among: range) -> dict[int, str]:
    reasons = {}
    for i in among:
        try:
            scores[i] = runner.answer(tensor[i : i + 1])[0]
        except BadModel as error:
            reasons[i] = error.message
    return reasons


def judge_scores(scores: NDArray[np.float32], truths: Sequence[str | None], contract: Contract) -> list[Outcome]:
    """``(B, n_labels)`` finite scores → the likeliest labels, and how sure and how right they are."""
    labels = contract.labels
    shares = softmax(scores, contract.output)
    best = np.argsort(-scores, axis=1, kind="stable")[:, : min(TOP, len(labels))]
    entropy = np.abs((shares * np.log2(np.clip(shares, np.finfo(np.float64).tiny, None))).sum(axis=1))
    number = {label: i for i, label in enumerate(labels)}
    right = np.array([0 if truth is None else number[truth] for truth in truths])
    lines = np.arange(len(scores))
    true = shares[lines, right]
    margin = true - shares[lines, np.where(best[:, 0] == right, best[:, 1], best[:, 0])]
    # One by one, columns of plain numbers: there are many answers, and each of them is a line.
    columns = (np.take_along_axis(shares, best, axis=1), true, margin, entropy)
    kept, *rest = (np.round(column, DECIMALS).tolist() for column in columns)
    tops = [
        tuple(zip([labels[i] for i in row], shown, strict=True)) for row, shown in zip(best.tolist(), kept, strict=True)
    ]
    return [_judged(*row) for row in zip(tops, truths, *rest, strict=True)]


def _judged(
    top: tuple[tuple[str, float], ...], truth: str | None, true: float, margin: float, entropy: float
) -> Outcome:
    if truth is None:
        return Outcome("scored", "", *top[0], top, entropy=entropy)
    return Outcome("scored", "", *top[0], top, true, margin, entropy)


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
