"""Intervals, the paired comparison, and the verdict."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.statistics import Rule, by_cell, judge, paired_effect, wilson

RULE = Rule("patch", "bare", alpha=0.05, min_effect_points=0.0)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    # Newcombe 1998, table I, method 3 (Wilson's score interval without continuity correction).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_published_examples(correct: int, n: int, low: float, high: float):
    rate = wilson(correct, n)
    assert rate.low == pytest.approx(low, abs=1e-4)
    assert rate.high == pytest.approx(high, abs=1e-4)


def test_nothing_scored_has_no_rate():
    assert wilson(0, 0).rate is None


def test_only_cells_with_both_arms_count():
    effect = paired_effect({"a": [True], "b": [True]}, {"a": [False], "c": [False]}, seed=1)
    assert effect is not None
    assert (effect.cells, effect.points) == (1, 100.0)
    assert paired_effect({"a": [True]}, {"c": [False]}, seed=1) is None


def cells(rates: list[float], shots: int = 10) -> dict[object, list[bool]]:
    return {i: [k < round(rate * shots) for k in range(shots)] for i, rate in enumerate(rates)}


@pytest.mark.parametrize(
    ("treated", "baseline", "word"),
    [
        ([1.0] * 8, [0.5, 0.6, 0.4, 0.5, 0.5, 0.7, 0.3, 0.5], "PASS"),
        ([0.5] * 8, [0.5] * 8, "FAIL"),
        ([0.2] * 8, [0.9] * 8, "FAIL"),
        ([1.0, 0.0] * 4, [0.0, 1.0] * 4, "INCONCLUSIVE"),
        ([1.0, 1.0, 1.0], [0.5, 0.6, 0.4], "INCONCLUSIVE"),  # three cells cannot reach p < 0.05
        ([1.0], [0.0], "INCONCLUSIVE"),
    ],
)
def test_the_verdict_follows_the_rule(treated: list[float], baseline: list[float], word: str):
    assert judge(paired_effect(cells(treated), cells(baseline), seed=3), RULE).verdict == word


def test_the_same_seed_gives_the_same_interval():
    random = np.random.default_rng(0)
    treated, baseline = (cells(list(random.uniform(size=12))) for _ in range(2))
    assert paired_effect(treated, baseline, seed=5) == paired_effect(treated, baseline, seed=5)


def test_equal_arms_seldom_pass():
    """With no difference between the arms, PASS comes at most at about half of alpha (it is one-sided)."""
    random = np.random.default_rng(1)
    verdicts = []
    for trial in range(200):
        level = random.uniform(0.3, 0.9, size=12)
        arms = [{i: list(random.uniform(size=4) < p) for i, p in enumerate(level)} for _ in range(2)]
        verdicts.append(judge(paired_effect(arms[0], arms[1], seed=trial), RULE).verdict)
    assert verdicts.count("PASS") <= 12


def test_answers_are_collected_by_cell():
    assert by_cell([("a", True), ("b", False), ("a", False)]) == {"a": [True, False], "b": [False]}
