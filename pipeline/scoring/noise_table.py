"""What noises do to right answers, as one table: rates over severity, and what each arm is worth against bare.

Surrogates and held-out recognizers are never in one number. The unit is the cell: all answers to one condition, by all
recognizers under all noises, hang together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.noises import CORRUPTIONS
from pipeline.scoring.noised import ALL, STANDARD_SEVERITIES
from pipeline.scoring.score import Answer
from pipeline.statistics import Effect, PairedTest, Rate, clustered_rate

CLEAN = "none"


@dataclass(frozen=True, slots=True)
class NoiseRate:
    """Right answers to one arm under one noise at one severity (an attack's: its budget), a point of a curve.

    ``model`` None: all recognizers of that side, surrogates or held out. ``noise`` is ``none`` (severity 0), the name
    of a corruption or an attack, or ``corruptions``, all that were scored together. ``rate`` counts the scored alone.
    """

    arm: str
    model: str | None
    held_out: bool
    noise: str
    severity: int
    rate: Rate


@dataclass(frozen=True, slots=True)
class NoiseGain:
    """One arm over the baseline under one noise, in points, paired within cell, recognizer, noise and severity.

    ``severities``: those that it is the mean over; (0,) without noise, the budget of an attack. ``rate`` and
    ``baseline_rate`` are the two arms' means over the pairs. p-values are not corrected for their number.
    """

    arm: str
    model: str | None
    held_out: bool
    noise: str
    severities: tuple[int, ...]
    rate: float
    baseline_rate: float
    effect: Effect


@dataclass(frozen=True, slots=True)
class NoiseTable:
    """All rates and gains; ``severities`` are those that the mean over corruptions takes, of those that were scored."""

    baseline: str
    severities: tuple[int, ...]
    rates: tuple[NoiseRate, ...]
    gains: tuple[NoiseGain, ...]

    @property
    def noises(self) -> tuple[str, ...]:
        """What there are curves of: ``corruptions`` first, then each corruption, then attacks."""
        found = dict.fromkeys(each.noise for each in self.rates)
        return tuple(sorted((each for each in found if each != CLEAN), key=_place))

    def curve(self, arm: str, noise: str, *, held_out: bool, model: str | None = None) -> tuple[NoiseRate, ...]:
        """Rates over severity, from none on."""
        found = (
            each
            for each in self.rates
            if (each.arm, each.model, each.held_out) == (arm, model, held_out) and each.noise in (CLEAN, noise)
        )
        return tuple(sorted(found, key=lambda each: each.severity))


def noise_table(
    answers: Iterable[Answer], *, baseline: str = "bare", view: str = "natural", seed: int = 0, alpha: float = 0.05
) -> NoiseTable:
    """The table of all answers to ``view`` without jitter; arms are compared with ``baseline`` where both have answers.

    The mean over corruptions takes the severities 3 to 5, or, where none of them was scored, all that were. Intervals
    of rates are Wilson's for clusters, those of gains bootstrap over cells, both at level 1 - ``alpha``.
    """
    tally = _tally(each for each in answers if each.correct is not None and (each.view, each.repeat) == (view, 0))
    hard = _hard(tally.points)
    gains = _gains(tally, baseline, hard, seed, alpha) if baseline in tally.arms else ()
    return NoiseTable(baseline, hard, tuple(_rates(tally, alpha)), tuple(gains))


WordT = TypeVar("WordT", str, "_Recognizer", "_Point")


class _Point(NamedTuple):
    noise: str
    severity: int


class _Recognizer(NamedTuple):
    held_out: bool
    name: str


@dataclass(frozen=True, slots=True)
class _Tally:
    """``right`` and ``count`` ``(A, M, P, C)``: answers of each arm, recognizer, point and cell, in sorted order."""

    arms: tuple[str, ...]
    recognizers: tuple[_Recognizer, ...]
    points: tuple[_Point, ...]
    right: NDArray[np.int32]
    count: NDArray[np.int32]

    def sides(self) -> Iterator[tuple[str | None, bool, list[int]]]:
        """Model (None: all of a side), side, and their places."""
        for side in sorted({each.held_out for each in self.recognizers}):
            yield None, side, [i for i, each in enumerate(self.recognizers) if each.held_out == side]
        yield from ((each.name, each.held_out, [i]) for i, each in enumerate(self.recognizers))


def _tally(answers: Iterable[Answer]) -> _Tally:
    found: dict[tuple[str, _Recognizer, _Point, str], list[int]] = defaultdict(lambda: [0, 0])
    for each in answers:
        sums = found[each.arm, _Recognizer(each.held_out, each.model), _Point(each.noise, each.severity), each.cell]
        sums[0] += bool(each.correct)
        sums[1] += 1
    arms, arm = _numbered(place[0] for place in found)
    recognizers, recognizer = _numbered(place[1] for place in found)
    points, point = _numbered(place[2] for place in found)
    cells, cell = _numbered(place[3] for place in found)
    table = np.zeros((2, len(arms), len(recognizers), len(points), len(cells)), np.int32)
    for (a, r, p, c), sums in found.items():
        table[:, arm[a], recognizer[r], point[p], cell[c]] = sums
    return _Tally(arms, recognizers, points, table[0], table[1])


def _numbered(words: Iterable[WordT]) -> tuple[tuple[WordT, ...], dict[WordT, int]]:
    """Each once, in order, and the place of each."""
    found = tuple(sorted(set(words)))
    return found, {word: place for place, word in enumerate(found)}


def _hard(points: Iterable[_Point]) -> tuple[int, ...]:
    found = sorted({each.severity for each in points if each.noise in CORRUPTIONS})
    return tuple(each for each in found if each in STANDARD_SEVERITIES) or tuple(found)


def _by_noise(points: Sequence[_Point], severities: Sequence[int] | None = None) -> dict[_Point, list[int]]:
    """What makes one number, in order: places of each point, and of all corruptions together at its severity.

    With ``severities``, corruptions are taken together over these, under severity 0.
    """
    found: dict[_Point, list[int]] = defaultdict(list)
    for place, each in enumerate(points):
        corrupted = each.noise in CORRUPTIONS
        if corrupted and severities is not None and each.severity not in severities:
            continue
        severity = 0 if corrupted and severities is not None else each.severity
        for noise in (each.noise, ALL) if corrupted else (each.noise,):
            found[_Point(noise, severity)].append(place)
    return dict(sorted(found.items(), key=lambda item: (_place(item[0].noise), item[0].severity)))


def _place(noise: str) -> tuple[int, str]:
    known = (CLEAN, ALL, *CORRUPTIONS)
    return (known.index(noise) if noise in known else len(known), noise)


def _rates(tally: _Tally, alpha: float) -> Iterator[NoiseRate]:
    for point, places in _by_noise(tally.points).items():
        for arm, name in enumerate(tally.arms):
            for model, held_out, those in tally.sides():
                of = np.ix_([arm], those, places)
                right, count = (each[of].sum(axis=(0, 1, 2), dtype=np.float64) for each in (tally.right, tally.count))
                if count.any():
                    rate = clustered_rate(right[count > 0], count[count > 0], 1 - alpha)
                    yield NoiseRate(name, model, held_out, point.noise, point.severity, rate)


def _gains(tally: _Tally, baseline: str, hard: tuple[int, ...], seed: int, alpha: float) -> Iterator[NoiseGain]:
    tests: dict[int, PairedTest] = {}
    for each in _compared(tally, baseline, hard):
        cells = len(each.rates)
        test = tests.setdefault(cells, PairedTest(cells, seed=seed, alpha=alpha))
        effect = test.effects(each.rates[None], each.answers)[0]
        own, other = each.rates.mean(axis=0).tolist()
        yield NoiseGain(each.arm, each.model, each.held_out, each.noise, each.severities, own, other, effect)


@dataclass(frozen=True, slots=True)
class _Compared:
    """An arm beside its baseline: ``(C, 2)`` shares of right answers in each cell that has both, of so many answers."""

    arm: str
    model: str | None
    held_out: bool
    noise: str
    severities: tuple[int, ...]
    rates: NDArray[np.float64]
    answers: tuple[float, float]


def _compared(tally: _Tally, baseline: str, hard: tuple[int, ...]) -> Iterator[_Compared]:
    rival = tally.arms.index(baseline)
    for point, places in _by_noise(tally.points, hard).items():
        severities = hard if point.noise in (ALL, *CORRUPTIONS) else (point.severity,)
        for arm, name in enumerate(tally.arms):
            for model, held_out, those in tally.sides() if arm != rival else ():
                rates, answers = _paired(tally, np.ix_([arm, rival], those, places))
                if len(rates):
                    yield _Compared(name, model, held_out, point.noise, severities, rates, answers)


def _paired(tally: _Tally, of: tuple[NDArray[np.intp], ...]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """``(C, 2)``: for each cell the mean share over those recognizers and points that both arms have answers to.

    And how many answers each arm has there.
    """
    right, count = tally.right[of], tally.count[of]
    both = (count > 0).all(axis=0)
    shares = np.where(both, right / np.maximum(count, 1), 0).sum(axis=(1, 2))
    pairs = both.sum(axis=(0, 1))
    own, other = np.where(both, count, 0).sum(axis=(1, 2, 3)).tolist()
    return np.asarray((shares[:, pairs > 0] / pairs[pairs > 0]).T, dtype=np.float64), (own, other)
