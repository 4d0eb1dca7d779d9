"""Comparisons of two arms with the test that is valid for them, and many of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline.statistics.columns import Columns, Counts
from pipeline.statistics.intervals import Floats, clustered_rate, combined_bounds, difference_bounds
from pipeline.statistics.paired import Effect, PairedTest, effect_of

TestName = Literal["mcnemar", "sign-flip", "fisher", "shuffle"]
SHUFFLES = 4000


@dataclass(frozen=True, slots=True)
class Contrast:
    """An arm against the baseline: on one recognizer or (``model`` None) all of a kind; in one cell or (None) over all.

    ``test`` made the effect's p-value, ``why`` says for what reason it and no other. ``p_adjusted`` is the p-value
    after Holm's correction over the family that this contrast is one of; the p-value itself when it stands alone.
    """

    arm: str
    baseline: str
    held_out: bool
    model: str | None
    cell: str | None
    effect: Effect
    test: TestName
    why: str
    p_adjusted: float


@dataclass(frozen=True, slots=True)
class Comparing:
    """What all comparisons of one arm with the baseline have in common."""

    columns: Columns
    arm: str
    baseline: str
    seed: int
    alpha: float = 0.05

    def over_cells(self, *, held_out: bool, model: str | None = None, null_points: float = 0.0) -> Contrast | None:
        """Over all cells that hold both arms; None without one.

        McNemar's exact test where each cell is one pair of answers: these are independent. Otherwise the arms are
        swapped within whole cells, which leaves together what hangs together.
        """
        arms = [self._by_cell(arm, held_out, model) for arm in (self.arm, self.baseline)]
        effect = effect_of(*arms, seed=self.seed, alpha=self.alpha, null_points=null_points)
        if effect is None:
            return None
        both = (arms[0].n > 0) & (arms[1].n > 0)
        pairs = [arm.only(both) for arm in arms]
        test: TestName = "sign-flip"
        if any((arm.n > 1).any() for arm in pairs):
            why = "answers under one condition hang together, so that arms are swapped for whole conditions"
        elif null_points:
            why = "McNemar's test knows no effect to be exceeded but 0"
        else:
            test, why = "mcnemar", "one answer to each arm under each condition: independent pairs"
            effect = replace(effect, p_value=mcnemar(pairs[0], pairs[1]))
        return self._contrast(effect, test, why, held_out=held_out, model=model)

    def in_each_cell(self, model: str, *, held_out: bool) -> Iterator[Contrast]:
        """On one recognizer, in each cell that holds both arms; there, shots are the independent things.

        Fisher's exact test where each shot is one answer; else whole shots are dealt to the arms anew.
        """
        columns = self.columns
        counts = columns.by_cluster(columns.where(model=model))
        shots = [_by_cell(columns, counts, columns.arms.index(arm)) for arm in (self.arm, self.baseline)]
        for number, cell in enumerate(columns.cells):
            if number in shots[0] and number in shots[1]:
                yield self._in_cell(shots[0][number], shots[1][number], cell, model, held_out)

    def gain_kept(self) -> Effect | None:
        """The gain on held-out recognizers less that on surrogates, in the cells that have both; None without one."""
        arms = [self._by_cell(arm, held_out, None) for held_out in (True, False) for arm in (self.arm, self.baseline)]
        all_four = np.all([arm.n > 0 for arm in arms], axis=0)
        if not all_four.any():
            return None
        return _gain_difference([arm.only(all_four) for arm in arms], self.seed, self.alpha)

    def _by_cell(self, arm: str, held_out: bool, model: str | None) -> Counts:
        return self.columns.by_cell(self.columns.where(arm=arm, model=model, held_out=held_out))

    def _in_cell(self, treated: Counts, baseline: Counts, cell: str, model: str, held_out: bool) -> Contrast:
        rates = [clustered_rate(arm.right, arm.n, 1 - self.alpha) for arm in (treated, baseline)]
        bounds = [(np.array([rate.low]), np.array([rate.high])) for rate in rates]
        means = np.array([[[rate.rate for rate in rates]]], dtype=np.float64)
        low, high = combined_bounds(means, *bounds)
        single = all((arm.n == 1).all() for arm in (treated, baseline))
        p_value = fisher(treated, baseline) if single else shuffle(treated, baseline, self.seed)
        points = 100 * float(means[0, 0, 0] - means[0, 0, 1])
        effect = Effect(points, 100 * float(low[0]), 100 * float(high[0]), p_value, 1)
        if single:
            return self._contrast(effect, "fisher", "independent shots, not paired", held_out, model, cell)
        return self._contrast(effect, "shuffle", "several answers to one shot hang together", held_out, model, cell)

    def _contrast(
        self, effect: Effect, test: TestName, why: str, held_out: bool, model: str | None, cell: str | None = None
    ) -> Contrast:
        return Contrast(self.arm, self.baseline, held_out, model, cell, effect, test, why, effect.p_value)


def with_holm(family: Sequence[Contrast]) -> tuple[Contrast, ...]:
    """The contrasts with p-values corrected for being so many."""
    adjusted = holm([each.effect.p_value for each in family])
    return tuple(replace(each, p_adjusted=p_value) for each, p_value in zip(family, adjusted, strict=True))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values after Holm's correction (Holm 1979, Scandinavian Journal of Statistics 6, 65-70), in their order."""
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(each) for each in multipletests(p_values, method="holm")[1]]


def mcnemar(treated: Counts, baseline: Counts) -> float:
    """McNemar's exact p-value for pairs of answers, one of each arm in each place."""
    from statsmodels.stats.contingency_tables import mcnemar as test

    one, other = treated.right > 0, baseline.right > 0
    table = [[int((a & b).sum()) for b in (other, ~other)] for a in (one, ~one)]
    return float(test(table, exact=True).pvalue)


def fisher(treated: Counts, baseline: Counts) -> float:
    """Fisher's exact p-value for independent answers of two arms."""
    from scipy.stats import fisher_exact

    return float(fisher_exact([[arm.right.sum(), (arm.n - arm.right).sum()] for arm in (treated, baseline)])[1])


def shuffle(treated: Counts, baseline: Counts, seed: int) -> float:
    """Two-sided p-value of the difference of mean rates when clusters are dealt to the arms anew."""
    from scipy.stats import permutation_test

    if min(len(treated.n), len(baseline.n)) < 2:
        # Of a single shot nobody knows how far it may lie from another.
        return 1.0

    def difference(one: Floats, other: Floats, axis: int) -> Floats:
        return np.asarray(one.mean(axis=axis) - other.mean(axis=axis), dtype=np.float64)

    samples = (treated.right / treated.n, baseline.right / baseline.n)
    found = permutation_test(samples, difference, n_resamples=SHUFFLES, rng=np.random.default_rng(seed))
    return float(found.pvalue)


def _by_cell(columns: Columns, counts: Counts, arm: int) -> dict[int, Counts]:
    """Number of each cell that has answers of the arm → their counts by cluster."""
    chosen = np.flatnonzero((counts.n > 0) & (columns.cluster_arm == arm))
    cells = columns.cluster_cell[chosen]
    ordered = chosen[np.argsort(cells, kind="stable")]
    numbers, starts = np.unique(np.sort(cells), return_index=True)
    groups = np.split(ordered, starts[1:]) if len(numbers) else []
    return {int(number): Counts(counts.right[i], counts.n[i]) for number, i in zip(numbers, groups, strict=True)}


def _gain_difference(arms: Sequence[Counts], seed: int, alpha: float) -> Effect:
    """Of held-out treated, held-out baseline, surrogates treated, surrogates baseline."""
    rates = np.stack([arm.right / arm.n for arm in arms], axis=1)[None]
    answers = [float(arm.n.sum()) for arm in arms]
    bounds = [difference_bounds(rates[:, :, i : i + 2], answers[i : i + 2], 1 - alpha) for i in (0, 2)]
    gains = np.stack([rates[:, :, i] - rates[:, :, i + 1] for i in (0, 2)], axis=2)
    low, high = combined_bounds(gains, *bounds)
    change = 100 * (gains[:, :, 0] - gains[:, :, 1])
    p_value = PairedTest(rates.shape[1], seed=seed, alpha=alpha).p_values(change)
    return Effect(float(change.mean()), 100 * float(low[0]), 100 * float(high[0]), float(p_value[0]), rates.shape[1])
