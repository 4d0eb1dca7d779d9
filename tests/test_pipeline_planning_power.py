"""The power of a plan: the very test that scoring makes, rates and correlations as stated, and sense in its answers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm

from calibration.errors import BadInput, BadUsage
from pipeline.planning.likeness import measure
from pipeline.planning.power import Bench, Likeness, Question, latent_correlation
from pipeline.scoring.score import Answer
from pipeline.statistics import PairedTest, Rule, judge, paired_effect

RULE = Rule("patch", "bare", alpha=0.05, min_effect_points=0.0)
INDEPENDENT = Likeness(0.0, 0.0, 0.0, 0.0)
ASKED = Question(
    baseline_rate=0.6,
    likeness=INDEPENDENT,
    cells=12,
    recognizers=2,
    arms=3,
    rule=RULE,
    plan_seed=3,
    seed=1,
    sessions=1000,
)


def question(**change: object) -> Question:
    return replace(ASKED, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("cells", [2, 5, 12, 18])
@pytest.mark.parametrize("null_points", [0.0, 5.0])
def test_many_sessions_are_tested_as_one_is(cells: int, null_points: float):
    random = np.random.default_rng(cells)
    right = random.binomial(4, [[[0.8], [0.6]]], (20, 2, cells))
    test = PairedTest(cells, seed=7, alpha=0.1, null_points=null_points)
    rule = replace(RULE, alpha=0.1, min_effect_points=null_points)
    of = (4.0 * cells, 4.0 * cells)
    for (treated, baseline), found in zip(right, test.effects(right.swapaxes(1, 2) / 4, of), strict=True):
        one = paired_effect(answers(treated), answers(baseline), seed=7, alpha=0.1, null_points=null_points)
        assert one is not None
        assert (found.points, found.low, found.high, found.p_value, found.cells) == pytest.approx(
            (one.points, one.low, one.high, one.p_value, one.cells)
        )
        assert judge(found, rule).verdict == judge(one, rule).verdict


def answers(counts: NDArray[np.int64]) -> dict[object, list[bool]]:
    return {f"{cell:02d}": [k < count for k in range(4)] for cell, count in enumerate(counts)}


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.97])
@pytest.mark.parametrize("correlation", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_right_and_wrong_are_as_correlated_as_was_said(rate: float, correlation: float):
    latent = latent_correlation(rate, correlation)
    if latent == 1:
        assert correlation == 1
        return
    both = multivariate_normal([0, 0], [[1, latent], [latent, 1]]).cdf([norm.ppf(rate)] * 2)
    assert (both - rate**2) / (rate * (1 - rate)) == pytest.approx(correlation, abs=1e-4)


LIKENESSES = {
    "independent": INDEPENDENT,
    "repeats alike": Likeness(0.3, 0.0, 0.0, 0.0),
    "recognizers, too": Likeness(0.3, 0.2, 0.0, 0.2),
    "and on one picture more": Likeness(0.3, 0.2, 0.0, 0.4),
}


@pytest.mark.parametrize("case", LIKENESSES)
@pytest.mark.parametrize("repeats", [1, 3])
def test_cells_vary_as_the_correlations_demand(case: str, repeats: int):
    """By the variance of a mean of correlated answers; both arms independent of each other."""
    asked = question(likeness=LIKENESSES[case], recognizers=3, cells=40)
    alike, p, m = asked.likeness, asked.baseline_rate, asked.recognizers
    design = 1 + (repeats - 1) * alike.repeats + (m - 1) * alike.pictures + (m - 1) * (repeats - 1) * alike.recognizers
    differences = simulated(asked, 0.0, repeats)
    assert differences.mean() == pytest.approx(0, abs=1)
    assert differences.var() == pytest.approx(2 * 100**2 * p * (1 - p) / (m * repeats) * design, rel=0.05)


def simulated(asked: Question, effect_points: float, repeats: int | None) -> NDArray[np.float64]:
    """``(S, C)`` differences of what the test is given, in points."""
    seen: list[NDArray[np.float64]] = []

    def look(rates: NDArray[np.float64], _: object) -> list[object]:
        seen.append(100 * (rates[:, :, 0] - rates[:, :, 1]))
        return []

    bench = Bench(asked, {asked.cells: SimpleNamespace(effects=look)})  # type: ignore[dict-item]
    bench.power(effect_points, repeats)
    return np.concatenate(seen)


@pytest.mark.parametrize("repeats", [1, 4, None])
@pytest.mark.parametrize("likeness", [INDEPENDENT, Likeness(0.5, 0.3, 0.3, 0.6)])
def test_the_effect_is_the_one_that_was_asked_for(repeats: int | None, likeness: Likeness):
    differences = simulated(question(likeness=likeness, cells=40), 15.0, repeats)
    assert differences.mean() == pytest.approx(15, abs=1)


def test_arms_that_are_alike_cancel():
    alone, together = (
        simulated(question(likeness=Likeness(0.5, 0.25, arms, 0.5)), 0.0, 4).var() for arms in (0.0, 0.5)
    )
    assert together < 0.6 * alone


def test_against_the_power_of_the_z_test():
    """With many cells of many independent answers the rule is a paired z-test, whose power is known."""
    asked = question(cells=60, sessions=2000)
    found = Bench(asked).power(8.0, 4)
    sd = 100 * math.sqrt((0.6 * 0.4 + 0.68 * 0.32) / (4 * asked.recognizers))
    closed = norm.cdf(8 * math.sqrt(asked.cells) / sd - norm.ppf(0.975))
    assert found.power == pytest.approx(closed, abs=0.045)
    assert found.low < found.power < found.high
    assert found.high - found.low == pytest.approx(4 * math.sqrt(found.power * (1 - found.power) / 2000), rel=0.05)
    assert found.shots == 60 * 4 * 3


@pytest.mark.parametrize("likeness", [INDEPENDENT, Likeness(0.5, 0.25, 0.25, 0.75)])
@pytest.mark.parametrize("repeats", [1, 4, None])
def test_without_an_effect_it_is_seldom_seen(likeness: Likeness, repeats: int | None):
    """At most half of alpha: the test has two sides, PASS one."""
    assert Bench(question(likeness=likeness, sessions=2000)).power(0.0, repeats).low <= 0.025


def test_an_effect_no_larger_than_was_asked_for_is_seldom_seen():
    asked = question(rule=replace(RULE, min_effect_points=10.0), cells=20)
    bench = Bench(asked)
    assert bench.power(10.0, 6).low <= 0.025
    assert bench.power(25.0, 6).power > bench.power(18.0, 6).power > 0.1


def test_repeats_conditions_and_recognizers_help_and_correlation_costs():
    alike = Likeness(0.5, 0.2, 0.2, 0.5)
    bench = Bench(question(likeness=alike))
    powers = [bench.power(15.0, repeats).power for repeats in (1, 3, 10, None)]
    assert powers == sorted(powers)
    assert powers[0] < powers[-1] - 0.2
    assert bench.power(15.0, 3, 24).power > powers[1] + 0.1
    assert Bench(question(likeness=alike, recognizers=6)).power(15.0, 3).power > powers[1]
    assert Bench(question()).power(15.0, 3).power > powers[1] + 0.1
    assert bench.power(25.0, 3).power > powers[1] + 0.1


def test_what_is_always_the_same_gains_nothing_by_repeats():
    bench = Bench(question(likeness=Likeness(1.0, 0.3, 0.0, 1.0)))
    assert bench.power(20.0, 1) == replace(bench.power(20.0, 5), repeats=1, shots=36)


def test_a_plan_of_unequal_repeats_lies_in_between():
    bench = Bench(question(likeness=Likeness(0.3, 0.1, 0.1, 0.5)))
    few, mixed, many = (bench.power(20.0, n) for n in (1, [1] * 6 + [6] * 6, 6))
    assert few.power < mixed.power < many.power
    assert mixed.shots == (6 + 36) * 3


def test_the_same_seed_is_the_same_answer():
    asked = question(likeness=Likeness(0.4, 0.2, 0.2, 0.5), sessions=700)
    assert Bench(asked).power(10.0, 2) == Bench(asked).power(10.0, 2)
    assert Bench(asked).power(10.0, 2) != Bench(replace(asked, seed=2)).power(10.0, 2)


def test_the_smallest_numbers():
    bench = Bench(question(likeness=Likeness(0.2, 0.1, 0.1, 0.3), sessions=500))
    found = bench.find(20.0, 2, 0.8)
    assert found.now == bench.power(20.0, 2)
    assert found.now.power < 0.8 < found.endless.power
    assert found.enough is not None
    assert found.wider is not None
    assert found.enough == bench.power(20.0, found.enough.repeats)
    assert bench.power(20.0, (found.enough.repeats or 0) - 1).power < 0.8 <= found.enough.power
    assert bench.power(20.0, 2, found.wider.cells - 1).power < 0.8 <= found.wider.power
    assert found.wider.repeats == 2


def test_what_no_number_of_repeats_shows():
    found = Bench(question(likeness=Likeness(0.9, 0.5, 0.0, 0.9), sessions=200)).find(15.0, 1, 0.9)
    assert found.enough is None
    assert found.endless.power < 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"baseline_rate": 0.0}, "baseline rate is 0"),
        ({"baseline_rate": 1.0}, "baseline rate is 1"),
        ({"cells": 1}, "1 conditions"),
        ({"recognizers": 0}, "0 recognizers"),
    ],
)
def test_senseless_questions_are_refused(change: dict[str, object], words: str):
    with pytest.raises(BadUsage, match=words):
        question(**change)


@pytest.mark.parametrize("values", [(0.2, 0.3, 0.1, 0.5), (0.2, 0.1, 0.3, 0.5), (1.1, 0, 0, 0), (0.5, 0.1, 0.1, 1.5)])
def test_senseless_correlations_are_refused(values: tuple[float, float, float, float]):
    with pytest.raises(BadUsage, match="accepted is"):
        Likeness(*values)


def test_an_effect_beyond_all_answers_right_is_refused():
    with pytest.raises(BadUsage, match="baseline of 60 % there is no effect of 41 points"):
        Bench(ASKED).power(41.0, 1)
    assert Bench(question(sessions=100)).power(40.0, 3).power > 0.9


# ---- Measured in a session


def session_of(cells: int, repeats: int, likeness: Likeness, seed: int, **rates: float) -> tuple[object, list[Answer]]:
    """What :func:`measure` looks at, of a session whose answers have these rates and correlations."""
    rng = np.random.default_rng(seed)
    models, arms = ("m0", "m1", "m2"), sorted(rates)
    r, b, a, p = (
        latent_correlation(0.7, each)
        for each in (likeness.repeats, likeness.recognizers, likeness.arms, likeness.pictures)
    )
    assert a == 0
    shape = (cells, len(arms), len(models), repeats)
    latent = (
        math.sqrt(b) * rng.standard_normal((cells, len(arms), 1, 1))
        + math.sqrt(r - b) * rng.standard_normal((cells, len(arms), len(models), 1))
        + math.sqrt(p - b) * rng.standard_normal((cells, len(arms), 1, repeats))
        + math.sqrt(1 - r - p + b) * rng.standard_normal(shape)
    )
    right = latent < norm.ppf([rates[arm] for arm in arms])[:, None, None]
    frames, found = [], []
    for c, i, k in np.ndindex(cells, len(arms), repeats):
        index = len(frames)
        frames.append(SimpleNamespace(index=index, shot=SimpleNamespace(repeat=k)))
        found += [
            Answer(f"{index:06d}", arms[i], f"cell {c}", model, True, "scored", correct=bool(right[c, i, m, k]))
            for m, model in enumerate(models)
        ]
    plan = SimpleNamespace(primary_arm="patch", baseline_arm="bare", alpha=0.05, min_effect_points=0.0)
    return SimpleNamespace(folder=Path("s"), plan=plan, frames=frames), found


TRUTH = Likeness(0.3, 0.15, 0.0, 0.4)


def test_correlations_are_found_again():
    found = measure(*session_of(400, 3, TRUTH, 1, bare=0.7, blank=0.7, patch=0.7))  # type: ignore[arg-type]
    assert found.baseline_rate == pytest.approx(0.7, abs=0.03)
    measured = (found.repeats, found.recognizers, found.arms, found.pictures)
    assert measured == pytest.approx((0.3, 0.15, 0.0, 0.4), abs=0.04)


def test_small_sessions_are_right_on_average():
    found = [measure(*session_of(10, 2, TRUTH, seed, bare=0.7, patch=0.7)) for seed in range(60)]  # type: ignore[arg-type]
    assert np.mean([each.repeats for each in found]) == pytest.approx(0.3, abs=0.06)
    assert np.mean([each.pictures for each in found]) == pytest.approx(0.4, abs=0.06)


def test_answers_that_are_missing_bend_nothing():
    session, found = session_of(300, 3, TRUTH, 2, bare=0.7, patch=0.7)
    kept = [each for number, each in enumerate(found) if number % 3]
    measured = measure(session, kept)  # type: ignore[arg-type]
    assert (measured.repeats, measured.pictures) == pytest.approx((0.3, 0.4), abs=0.07)


def test_what_a_session_cannot_tell_is_none():
    found = measure(*session_of(200, 1, TRUTH, 1, bare=0.7, patch=0.7))  # type: ignore[arg-type]
    assert found.repeats is found.recognizers is None
    assert found.pictures == pytest.approx(0.4, abs=0.1)
    perfect = measure(*session_of(50, 2, TRUTH, 1, bare=1.0, patch=1.0))  # type: ignore[arg-type]
    assert (perfect.baseline_rate, perfect.repeats, perfect.arms) == (1.0, None, None)


def test_a_session_of_too_little_is_refused():
    session, found = session_of(3, 2, TRUTH, 1, bare=0.7, patch=0.7)
    with pytest.raises(BadInput, match=r"3 conditions.*at least 4"):
        measure(session, found)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no plan"):
        measure(SimpleNamespace(folder=Path("s"), plan=None, frames=[]), found)  # type: ignore[arg-type]
