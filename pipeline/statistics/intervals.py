"""Intervals of rates and of differences of rates, for answers that come in clusters: what is alike counts once.

Formulas work on arrays, so that a thousand simulated sessions take what one takes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NOTHING = 1e-12
"""Below this a variance is one of rounding."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of ``correct`` in ``n`` with its interval; all None when n is 0.

    ``clusters`` is how many independent things the answers are of: conditions, shots; None: the answers themselves.
    """

    correct: int
    n: int
    rate: float | None
    low: float | None
    high: float | None
    clusters: int | None = None


def wilson(correct: int, n: int, confidence: float = 0.95) -> Rate:
    """Wilson's score interval (Wilson 1927) for independent shots."""
    if n == 0:
        return Rate(0, 0, None, None, None)
    low, high = wilson_bounds(np.array(correct / n), np.array(float(n)), confidence)
    return Rate(correct, n, correct / n, float(low), float(high))


def rate_of(answers: Iterable[tuple[Hashable, Hashable, bool]], confidence: float = 0.95) -> Rate:
    """Share of right answers among (cell, cluster, right), with an interval that takes a cell for one fact, not many.

    Where all answers are of one cell, its clusters (shots) are the independent things, and the interval is one for this
    cell alone: no number of shots there says how others would be.
    """
    share = Share()
    for cell, cluster, right in answers:
        share.add(cell, cluster, right)
    return share.rate(confidence)


class Share:
    """What :func:`rate_of` needs of answers, collected as they come: it grows with the cells, not with the answers.

    Answers that have nothing to do with each other, as those to pictures of a folder, are only counted
    (:meth:`add_alone`); where there are no others, the interval is Wilson's.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self._alone = _Total()
        self._cells: dict[Hashable, _Total] = {}
        self._clusters: dict[Hashable, _Total] = {}

    def add(self, cell: Hashable, cluster: Hashable, right: bool) -> None:
        """One more answer."""
        self._cells.setdefault(cell, _Total()).add(right)
        if len(self._cells) == 1:
            self._clusters.setdefault(cluster, _Total()).add(right)
        else:
            self._clusters.clear()

    def add_alone(self, right: bool) -> None:
        """One more answer, which is independent of all others."""
        self._alone.add(right)

    def rate(self, confidence: float = 0.95) -> Rate:
        """The share and its interval."""
        if not self._cells:
            return wilson(self._alone.right, self._alone.n, confidence)
        groups = self._cells if len(self._cells) > 1 or self._alone.n else self._clusters
        right = np.array([total.right for total in groups.values()], dtype=np.float64)
        counts = np.array([total.n for total in groups.values()], dtype=np.float64)
        alone = np.arange(self._alone.n) < self._alone.right
        return clustered_rate(np.append(right, alone), np.append(counts, np.ones(self._alone.n)), confidence)


@dataclass(slots=True)
class _Total:
    """Answers, and how many of them are right."""

    right: int = 0
    n: int = 0

    def add(self, right: bool) -> None:
        self.right += bool(right)
        self.n += 1


def clustered_rate(correct: Floats, counts: Floats, confidence: float = 0.95) -> Rate:
    """Wilson's interval for clusters ``(C,)`` of answers: with as many answers as they are worth when they agree.

    The variance of the rate comes from the clusters (Kish, Survey Sampling, 1965); see :func:`worth`.
    """
    n = int(counts.sum())
    if n == 0:
        return Rate(0, 0, None, None, None, 0)
    low, high = clustered_bounds(correct[None], counts, confidence)
    return Rate(round(correct.sum()), n, float(correct.sum() / n), float(low[0]), float(high[0]), len(counts))


def clustered_bounds(correct: Floats, counts: Floats, confidence: float) -> tuple[Floats, Floats]:
    """``(S, C)`` right answers out of ``(C,)`` in the clusters of S sessions → bounds ``(S,)`` of the rates."""
    n, clusters = counts.sum(), len(counts)
    rate = correct.sum(axis=1) / n
    variance = clusters / max(clusters - 1, 1) * np.square(correct - rate[:, None] * counts).sum(axis=1) / n**2
    return wilson_bounds(rate, worth(rate, variance, float(n), clusters, confidence), confidence)


def worth(rate: Floats, variance: Floats, answers: float, clusters: int, confidence: float) -> Floats:
    """How many independent answers have a rate of that ``variance``: from 1 to all ``answers`` that there are.

    Variances from few clusters are themselves uncertain, which costs as much as a t-interval does (Korn and Graubard
    1998, Survey Methodology 24, 193-201). Where all answers are the same, a cluster is worth one (after Dean and
    Pagano 2015, doi 10.1093/jssam/smv024); one cluster alone is worth one.
    """
    if clusters < 2:
        return np.ones_like(rate)
    spread = rate * (1 - rate)
    known = variance > _NOTHING
    found = np.where(known, spread / np.where(known, variance, 1.0) * _few(clusters, confidence), answers)
    return np.where(spread > _NOTHING, np.clip(found, 1.0, answers), float(clusters))


def wilson_bounds(rate: Floats, n: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Bounds of Wilson's interval for rates of ``n`` independent answers, which need not be a whole number."""
    z = _quantile(confidence)
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # Where all are right, or all wrong, rounding must not leave the rate itself outside.
    return np.clip(np.minimum(middle - half, rate), 0, 1), np.clip(np.maximum(middle + half, rate), 0, 1)


def difference_bounds(rates: Floats, answers: Sequence[float], confidence: float) -> tuple[Floats, Floats]:
    """``(S, C, 2)`` rates of two arms in the same cells, for S sessions → bounds ``(S,)`` of the mean difference.

    Cells count equally. Both arms' clustered Wilson intervals are combined as their correlation over the cells demands
    (Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10 of paired data;
    Zou and Donner 2008, doi 10.1002/sim.3095): near 100 % it is as lopsided as the answers are, it never leaves ±1,
    and where all answers are the same it still has a width. ``answers``: number of each arm's.
    """
    clusters = rates.shape[1]
    mean = rates.mean(axis=1)
    variance = np.square(rates - mean[:, None]).sum(axis=1) / (max(clusters - 1, 1) * clusters)
    bounds = [
        wilson_bounds(
            mean[:, arm], worth(mean[:, arm], variance[:, arm], answers[arm], clusters, confidence), confidence
        )
        for arm in (0, 1)
    ]
    return combined_bounds(rates, *bounds)


def combined_bounds(values: Floats, one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """``(S, C, 2)`` values in the same cells, and bounds of the mean of both → bounds of the difference of means."""
    clusters = values.shape[1]
    mean = values.mean(axis=1)
    alike = _correlation(values - mean[:, None], clusters)
    difference = mean[:, 0] - mean[:, 1]
    return (
        difference - _combined(mean[:, 0] - one[0], other[1] - mean[:, 1], alike),
        difference + _combined(one[1] - mean[:, 0], mean[:, 1] - other[0], alike),
    )


def _correlation(centered: Floats, clusters: int) -> Floats:
    """The correlation over cells, 0 where one arm does not vary; of few cells it is a guess, and is believed less."""
    both = np.square(centered).sum(axis=1).prod(axis=1)
    product = centered.prod(axis=2).sum(axis=1)
    found = np.where(both > _NOTHING**2, product / np.sqrt(np.where(both > _NOTHING**2, both, 1.0)), 0.0)
    return np.asarray(np.clip(found, -1, 1) * (1 - 1 / max(clusters - 1, 1) ** 2), dtype=np.float64)


def _combined(one: Floats, other: Floats, alike: Floats) -> Floats:
    return np.asarray(np.sqrt(np.maximum(one**2 - 2 * alike * one * other + other**2, 0.0)), dtype=np.float64)


def _quantile(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + confidence / 2))


def _few(clusters: int, confidence: float) -> float:
    """What part of their worth answers keep, since their variance is known from so few clusters."""
    from scipy.special import stdtrit

    return float((_quantile(confidence) / stdtrit(clusters - 1, 0.5 + confidence / 2)) ** 2)
