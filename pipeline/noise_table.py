"""What noises do to right answers, as one table: rates over severity, and what each arm is worth against bare.

Surrogates and held-out recognizers are never in one number. The unit is the cell: all answers to one condition, by all
recognizers under all noises, hang together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.noised import ALL, STANDARD_SEVERITIES
from pipeline.noises import CORRUPTIONS
from pipeline.score import Answer
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


class _Pair(NamedTuple):
    """What two answers have to share to be compared."""

    cell: str
    model: str
    noise: str
    severity: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Answers that make one number."""

    arm: str
    model: str | None
    held_out: bool
    noise: str
    severities: tuple[int, ...]


def noise_table(
    answers: Iterable[Answer], *, baseline: str = "bare", view: str = "natural", seed: int = 0, alpha: float = 0.05
) -> NoiseTable:
    """The table of all answers to ``view`` without jitter; arms are compared with ``baseline`` where both have answers.

    The mean over corruptions takes the severities 3 to 5, or, where none of them was scored, all that were. Intervals
    of rates are Wilson's for clusters, those of gains bootstrap over cells, both at level 1 - ``alpha``.
    """
    judged = [each for each in answers if each.correct is not None and (each.view, each.repeat) == (view, 0)]
    hard = _hard(judged)
    by_point: dict[_Group, list[Answer]] = defaultdict(list)
    by_mean: dict[_Group, list[Answer]] = defaultdict(list)
    for answer in judged:
        for group in _points(answer):
            by_point[group].append(answer)
        for group in _means(answer, hard):
            by_mean[group].append(answer)
    rates = tuple(_rate(group, found, alpha) for group, found in sorted(by_point.items(), key=_order))
    return NoiseTable(baseline, hard, rates, tuple(_gains(by_mean, baseline, seed, alpha)))


def _hard(answers: Sequence[Answer]) -> tuple[int, ...]:
    found = sorted({each.severity for each in answers if each.noise in CORRUPTIONS})
    return tuple(each for each in found if each in STANDARD_SEVERITIES) or tuple(found)


def _points(answer: Answer) -> Iterator[_Group]:
    for model in (None, answer.model):
        for noise in _names(answer):
            yield _Group(answer.arm, model, answer.held_out, noise, (answer.severity,))


def _means(answer: Answer, hard: tuple[int, ...]) -> Iterator[_Group]:
    corrupted = answer.noise in CORRUPTIONS
    if corrupted and answer.severity not in hard:
        return
    for model in (None, answer.model):
        for noise in _names(answer):
            yield _Group(answer.arm, model, answer.held_out, noise, hard if corrupted else (answer.severity,))


def _names(answer: Answer) -> tuple[str, ...]:
    return (answer.noise, ALL) if answer.noise in CORRUPTIONS else (answer.noise,)


def _place(noise: str) -> tuple[int, str]:
    known = (CLEAN, ALL, *CORRUPTIONS)
    return (known.index(noise) if noise in known else len(known), noise)


def _order(item: tuple[_Group, list[Answer]]) -> tuple[object, ...]:
    group = item[0]
    return (_place(group.noise), group.severities, group.arm, group.held_out, group.model or "")


def _rate(group: _Group, answers: Sequence[Answer], alpha: float) -> NoiseRate:
    cells: dict[str, list[bool]] = defaultdict(list)
    for each in answers:
        cells[each.cell].append(bool(each.correct))
    correct, counts = (np.array([of(each) for each in cells.values()], np.float64) for of in (sum, len))
    rate = clustered_rate(correct, counts, 1 - alpha)
    return NoiseRate(group.arm, group.model, group.held_out, group.noise, group.severities[0], rate)


@dataclass(frozen=True, slots=True)
class _Compared:
    """A group beside its baseline: ``(C,)`` shares of right answers in each cell."""

    group: _Group
    own: NDArray[np.float64]
    other: NDArray[np.float64]


def _gains(groups: dict[_Group, list[Answer]], baseline: str, seed: int, alpha: float) -> Iterator[NoiseGain]:
    compared = []
    for group, found in sorted(groups.items(), key=_order):
        rival = groups.get(_Group(baseline, group.model, group.held_out, group.noise, group.severities), [])
        if group.arm != baseline and (both := _compared(group, found, rival)):
            compared.append(both)
    effects = _effects([100 * (each.own - each.other) for each in compared], seed, alpha)
    for each, effect in zip(compared, effects, strict=True):
        group, own, other = each.group, float(each.own.mean()), float(each.other.mean())
        yield NoiseGain(group.arm, group.model, group.held_out, group.noise, group.severities, own, other, effect)


def _compared(group: _Group, own: Sequence[Answer], other: Sequence[Answer]) -> _Compared | None:
    """What both arms have answers to, averaged within each cell; None when there are no such cells."""
    mine, theirs = _by_pair(own), _by_pair(other)
    cells: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for pair in (each for each in mine if each in theirs):
        cells[pair.cell].append((float(np.mean(mine[pair])), float(np.mean(theirs[pair]))))
    if not cells:
        return None
    shares = np.array([np.mean(cells[cell], axis=0) for cell in sorted(cells)])
    return _Compared(group, shares[:, 0], shares[:, 1])


def _by_pair(answers: Sequence[Answer]) -> dict[_Pair, list[bool]]:
    found: dict[_Pair, list[bool]] = defaultdict(list)
    for each in answers:
        found[_Pair(each.cell, each.model, each.noise, each.severity)].append(bool(each.correct))
    return found


def _effects(differences: Sequence[NDArray[np.float64]], seed: int, alpha: float) -> list[Effect]:
    """The effect of each; those over equally many cells are drawn together."""
    found: dict[int, Effect] = {}
    for cells in {len(each) for each in differences}:
        places = [place for place, each in enumerate(differences) if len(each) == cells]
        if cells < 2:
            points = [float(differences[place][0]) for place in places]
            found |= {place: Effect(each, each, each, 1.0, 1) for place, each in zip(places, points, strict=True)}
            continue
        effects = PairedTest(cells, seed=seed, alpha=alpha).effects(np.stack([differences[each] for each in places]))
        found |= dict(zip(places, effects, strict=True))
    return [found[place] for place in range(len(differences))]
