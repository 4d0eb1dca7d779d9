"""Statistics of scores: intervals for rates, paired comparison of arms, the verdict. scipy does the mathematics."""

from __future__ import annotations

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
    random = np.random.default_rng(seed)
    draws = random.integers(0, len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.quantile(differences[draws].mean(axis=1), [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


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
