"""Statistics of scores: intervals for rates, paired comparison of arms, the verdict. scipy does the mathematics."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

VerdictWord = Literal["PASS", "FAIL", "INCONCLUSIVE"]
RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of ``correct`` in ``n`` with its interval; all None when n is 0."""

    correct: int
    n: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Effect:
    """Difference between two arms in percentage points, with an interval and a p-value, over ``cells`` cells."""

    points: float
    low: float
    high: float
    p_value: float
    cells: int


@dataclass(frozen=True, slots=True)
class Rule:
    """What the plan asked before the capture: this arm beats that baseline by more than so many points."""

    arm: str
    baseline: str
    alpha: float
    min_effect_points: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict by the plan's rule, in a sentence, with the effect that it rests on (None without data)."""

    verdict: VerdictWord
    sentence: str
    effect: Effect | None


def wilson(correct: int, n: int, confidence: float = 0.95) -> Rate:
    """Wilson's score interval (Wilson 1927) for independent shots."""
    if n == 0:
        return Rate(0, 0, None, None, None)
    from scipy.stats import binomtest

    interval = binomtest(correct, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Rate(correct, n, correct / n, float(interval.low), float(interval.high))


def paired_effect(
    treated: Mapping[Hashable, Sequence[bool]],
    baseline: Mapping[Hashable, Sequence[bool]],
    *,
    seed: int,
    alpha: float = 0.05,
    null_points: float = 0.0,
) -> Effect | None:
    """Mean difference of rates within the same cell (condition), in points, cells being the independent unit.

    Interval: percentile bootstrap over cells at level 1 - alpha. p-value: two-sided permutation by sign flips over
    cells, against a true effect of ``null_points``. Both use the cells that hold both arms; None without one. All
    recognizers' answers to one shot belong into its cell, so that they are never taken for independent facts.
    """
    cells = sorted((cell for cell in treated if baseline.get(cell) and treated[cell]), key=repr)
    if not cells:
        return None
    differences = np.array([100 * (np.mean(treated[cell]) - np.mean(baseline[cell])) for cell in cells])
    low, high = _bootstrap(differences, seed, alpha)
    return Effect(float(differences.mean()), low, high, _sign_flip(differences - null_points, seed), len(cells))


class PairedTest:
    """The interval and the p-value of :func:`paired_effect` for many sessions at once, all with the same cells.

    The very draws that :func:`paired_effect` makes with that seed are made once, and multiplied with all sessions.
    """

    def __init__(self, cells: int, *, seed: int, alpha: float = 0.05, null_points: float = 0.0) -> None:
        """Draw for ``cells`` (2 or more) cells."""
        self._alpha = alpha
        self._null_points = null_points
        self._times = np.apply_along_axis(np.bincount, 1, _drawn(cells, seed), minlength=cells).astype(np.float64)
        self._signs, self._exact = _signs(cells, seed)

    def effects(self, differences: NDArray[np.float64]) -> list[Effect]:
        """``(S, C)`` differences in points, for each session and cell → the effect of each session."""
        sessions, cells = differences.shape
        drawn = differences @ self._times.T / cells
        low, high = np.quantile(drawn, [self._alpha / 2, 1 - self._alpha / 2], axis=1)
        p_values = self._p_values(differences - self._null_points)
        means = differences.mean(axis=1)
        return [
            Effect(float(means[i]), float(low[i]), float(high[i]), float(p_values[i]), cells) for i in range(sessions)
        ]

    def _p_values(self, shifted: NDArray[np.float64]) -> NDArray[np.float64]:
        """As scipy's ``permutation_test`` computes them: twice the smaller tail, the sample itself counted in."""
        flipped = shifted @ self._signs.T / shifted.shape[1]
        observed = shifted.mean(axis=1, keepdims=True)
        slack = 1e-9 * np.abs(shifted).max(axis=1, keepdims=True)
        one_more = 0 if self._exact else 1
        tails = [(flipped <= observed + slack).sum(axis=1), (flipped >= observed - slack).sum(axis=1)]
        p_values = 2 * (np.minimum(*tails) + one_more) / (len(self._signs) + one_more)
        return np.asarray(np.minimum(p_values, 1.0), dtype=np.float64)


def judge(effect: Effect | None, rule: Rule) -> Judgement:
    """PASS: the whole interval lies above the stated effect and the permutation test agrees (p < alpha: with few
    cells the bootstrap alone is too sure); FAIL: the whole interval lies at or below it; else INCONCLUSIVE.
    """
    if effect is None or effect.cells < 2:
        return Judgement(
            "INCONCLUSIVE", f"No two conditions hold both {rule.arm} and {rule.baseline}: nothing can be said.", effect
        )
    word: VerdictWord = "INCONCLUSIVE"
    if effect.low > rule.min_effect_points and effect.p_value < rule.alpha:
        word = "PASS"
    elif effect.high <= rule.min_effect_points:
        word = "FAIL"
    sentence = (
        f"{rule.arm} against {rule.baseline} on held-out recognizers: {effect.points:+.1f} points "
        f"({100 * (1 - rule.alpha):g} % interval {effect.low:+.1f} to {effect.high:+.1f}, p = {effect.p_value:.3f}, "
        f"{effect.cells} conditions); asked: more than {rule.min_effect_points:g} points."
    )
    return Judgement(word, sentence, effect)


def by_cell(answers: Sequence[tuple[Hashable, bool]]) -> dict[Hashable, list[bool]]:
    """Collect (cell, correct) pairs by cell."""
    cells: dict[Hashable, list[bool]] = defaultdict(list)
    for cell, correct in answers:
        cells[cell].append(correct)
    return dict(cells)


def _bootstrap(differences: NDArray[np.float64], seed: int, alpha: float) -> tuple[float, float]:
    draws = _drawn(len(differences), seed)
    low, high = np.quantile(differences[draws].mean(axis=1), [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def _drawn(cells: int, seed: int) -> NDArray[np.int64]:
    """``(RESAMPLES, C)`` numbers of cells, drawn with replacement."""
    return np.random.default_rng(seed).integers(0, cells, size=(RESAMPLES, cells))


def _signs(cells: int, seed: int) -> tuple[NDArray[np.float64], bool]:
    """``(n, C)`` signs that scipy flips a sample of that many cells by, and whether they are all that there are."""
    from scipy.stats import permutation_test

    seen: list[NDArray[np.float64]] = []

    def look(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        seen.append(values)
        return np.asarray(np.mean(values, axis=axis))

    permutation_test(
        (np.ones(cells),),
        look,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    signs = np.concatenate([values.reshape(-1, cells) for values in seen if values.ndim > 1])
    return signs, 2**cells <= RESAMPLES


def _sign_flip(differences: NDArray[np.float64], seed: int) -> float:
    from scipy.stats import permutation_test

    if len(differences) < 2 or not differences.any():
        return 1.0
    result = permutation_test(
        (differences,),
        lambda values, axis: np.mean(values, axis=axis),
        permutation_type="samples",
        n_resamples=RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


# ---- Rates and differences of clusters: several pictures of the same thing are not several facts


@dataclass(frozen=True, slots=True)
class Stratum:
    """A class: ``totals`` ``(K, C)`` sums over each cluster, for each seed; ``sizes`` ``(C,)`` pictures in it."""

    totals: NDArray[np.float64]
    sizes: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Points:
    """A value in percentage points with its interval."""

    points: float
    low: float
    high: float


def clustered_rate(correct: NDArray[np.float64], counts: NDArray[np.float64], confidence: float = 0.95) -> Rate:
    """Wilson's interval for clusters ``(C,)`` of answers: with as many answers as they are worth when they agree.

    The variance of the rate comes from the clusters (Kish, Survey Sampling, 1965); where all answers are the same, a
    cluster is worth one (after Dean and Pagano 2015, doi 10.1093/jssam/smv024).
    """
    n = int(counts.sum())
    if n == 0:
        return Rate(0, 0, None, None, None)
    rate = float(correct.sum() / n)
    worth = _worth(correct, counts, rate)
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + confidence / 2))
    middle = (rate + z * z / (2 * worth)) / (1 + z * z / worth)
    half = z / (1 + z * z / worth) * math.sqrt(rate * (1 - rate) / worth + z * z / (4 * worth * worth))
    return Rate(round(correct.sum()), n, rate, max(0.0, middle - half), min(1.0, middle + half))


def _worth(correct: NDArray[np.float64], counts: NDArray[np.float64], rate: float) -> float:
    """The number of independent answers that clusters of answers are worth: from one for each cluster to all."""
    clusters, n = len(counts), float(counts.sum())
    if clusters < 2 or rate in (0.0, 1.0):
        return float(clusters)
    variance = clusters / (clusters - 1) * float(np.square(correct - rate * counts).sum()) / n**2
    return min(n, max(float(clusters), rate * (1 - rate) / variance)) if variance else n


def stratified_mean(strata: Sequence[Stratum], *, seed: int, alpha: float = 0.05) -> Points:
    """Mean over strata of the mean over pictures and seeds, in points, with a percentile bootstrap interval.

    Resampled together, within each stratum: its clusters, and its seeds. Strata themselves stand.
    """
    random = np.random.default_rng(seed)
    drawn = np.mean([_resampled(each, random) for each in strata], axis=0)
    mean = float(np.mean([each.totals.sum() / (len(each.totals) * each.sizes.sum()) for each in strata]))
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    return Points(100 * mean, 100 * float(low), 100 * float(high))


def _resampled(stratum: Stratum, random: np.random.Generator) -> NDArray[np.float64]:
    """``(RESAMPLES,)`` means."""
    seeds, clusters = stratum.totals.shape
    times = random.multinomial(clusters, np.full(clusters, 1 / clusters), RESAMPLES).astype(np.float64)
    weights = random.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    sums = ((weights @ stratum.totals) * times).sum(axis=1)
    return np.asarray(sums / (times @ stratum.sizes), dtype=np.float64)
