"""Two arms compared within the same cells, and the verdict on it by the rule that was stated before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.statistics.columns import Counts
from pipeline.statistics.intervals import Floats, difference_bounds

VerdictWord = Literal["PASS", "FAIL", "INCONCLUSIVE"]
FLIPS = 4096
"""Ways to swap the arms within cells that a p-value rests on: all of them for up to 12 cells, else as many drawn."""


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


def paired_effect(
    treated: Mapping[Hashable, Sequence[bool]],
    baseline: Mapping[Hashable, Sequence[bool]],
    *,
    seed: int,
    alpha: float = 0.05,
    null_points: float = 0.0,
) -> Effect | None:
    """Mean difference of rates within the same cell (condition), in points, cells being the independent unit.

    Interval at level 1 - alpha: :func:`pipeline.statistics.intervals.difference_bounds`. p-value: two-sided, by
    swapping the arms within cells, against a true effect of ``null_points``. Both use the cells that hold both arms,
    each equally; None without one. All recognizers' answers to one shot belong into its cell, so that they are never
    taken for independent facts.
    """
    cells = sorted((cell for cell in treated if baseline.get(cell) and treated[cell]), key=repr)
    counted = [
        Counts(np.array([float(sum(arm[cell])) for cell in cells]), np.array([float(len(arm[cell])) for cell in cells]))
        for arm in (treated, baseline)
    ]
    return effect_of(*counted, seed=seed, alpha=alpha, null_points=null_points)


def effect_of(
    treated: Counts, baseline: Counts, *, seed: int, alpha: float = 0.05, null_points: float = 0.0
) -> Effect | None:
    """:func:`paired_effect` of counts in the same cells, of which those are left out that do not hold both arms."""
    both = (treated.n > 0) & (baseline.n > 0)
    if not both.any():
        return None
    arms = treated.only(both), baseline.only(both)
    rates = np.stack([arm.right / arm.n for arm in arms], axis=1)
    test = PairedTest(len(rates), seed=seed, alpha=alpha, null_points=null_points)
    return test.effects(rates[None], [float(arm.n.sum()) for arm in arms])[0]


class PairedTest:
    """What :func:`paired_effect` says, for many sessions at once that all have the same number of cells."""

    def __init__(self, cells: int, *, seed: int, alpha: float = 0.05, null_points: float = 0.0) -> None:
        """Draw for ``cells`` cells."""
        self._alpha = alpha
        self._null_points = null_points
        self._signs = _signs(cells, seed)
        self._exact = 2**cells <= FLIPS

    def effects(self, rates: Floats, answers: Sequence[float]) -> list[Effect]:
        """``(S, C, 2)`` rates of both arms in each cell, out of so many ``answers`` of each → the effects."""
        cells = rates.shape[1]
        differences = 100 * (rates[:, :, 0] - rates[:, :, 1])
        low, high = difference_bounds(rates, answers, 1 - self._alpha)
        p_values = self.p_values(differences - self._null_points)
        found = np.stack([differences.mean(axis=1), 100 * low, 100 * high, p_values], axis=1).tolist()
        return [Effect(points, below, above, p_value, cells) for points, below, above, p_value in found]

    def p_values(self, shifted: Floats) -> Floats:
        """``(S, C)`` values that are symmetric about 0 if nothing is the matter → the p-value of each session.

        The share of swaps whose mean is as far from zero as the sample's, the sample itself counted in.
        """
        flipped = np.abs(shifted @ self._signs.T)
        slack = 1e-9 * np.abs(shifted).max(axis=1, keepdims=True)
        as_far = (flipped >= np.abs(shifted.sum(axis=1, keepdims=True)) - slack).sum(axis=1)
        drawn = 0 if self._exact else 1
        return np.asarray((as_far + drawn) / (len(self._signs) + drawn), dtype=np.float64)


def least_p_value(cells: int) -> float:
    """What a comparison over that many cells can at best give: all cells on one side."""
    return max(2.0 ** (1 - cells), 1 / (FLIPS + 1))


def judge(effect: Effect | None, rule: Rule) -> Judgement:
    """PASS: the whole interval lies above the stated effect and the permutation test agrees (p < alpha: a handful of
    cells is too few for any interval); FAIL: the whole interval lies at or below it; else INCONCLUSIVE.
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


def _signs(cells: int, seed: int) -> Floats:
    """``(n, C)`` signs: all that there are, or as many drawn."""
    if 2**cells <= FLIPS:
        bits = np.arange(2**cells)[:, None] >> np.arange(cells) & 1
    else:
        bits = np.random.default_rng(seed).integers(0, 2, size=(FLIPS, cells), dtype=np.int8)
    return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
