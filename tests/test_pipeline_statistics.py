"""Intervals, tests of arms against each other, and the verdict: published examples, properties, coverage."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from pipeline.statistics import (
    PairedTest,
    Rule,
    Stratum,
    by_cell,
    clustered_rate,
    judge,
    paired_effect,
    rate_of,
    stratified_mean,
    wilson,
)
from pipeline.statistics.columns import Columns, Counts, Judged
from pipeline.statistics.contrasts import Comparing, fisher, holm, mcnemar, shuffle
from pipeline.statistics.detectable import detectable
from pipeline.statistics.intervals import combined_bounds
from pipeline.statistics.paired import least_p_value

RULE = Rule("patch", "bare", alpha=0.05, min_effect_points=0.0)


# ---- Published examples


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    # Newcombe 1998, table I, method 3 (Wilson's score interval without continuity correction).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_published_examples(correct: int, n: int, low: float, high: float):
    rate = wilson(correct, n)
    assert rate.low == pytest.approx(low, abs=1e-4)
    assert rate.high == pytest.approx(high, abs=1e-4)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    # Newcombe 1998 (Interval estimation for the difference between independent proportions), table II, method 10.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_differences_agree_with_published_examples(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
):
    """Without a correlation, as of two arms in a single cell."""
    rates = [wilson(*each) for each in (one, other)]
    bounds = [(np.array([rate.low]), np.array([rate.high])) for rate in rates]
    found = combined_bounds(np.array([[[rate.rate for rate in rates]]]), *bounds)
    assert [float(each[0]) for each in found] == pytest.approx([low, high], abs=1e-4)


def pairs(both: int, only_first: int, only_second: int, neither: int) -> tuple[Counts, Counts]:
    first = np.repeat([1.0, 1.0, 0.0, 0.0], [both, only_first, only_second, neither])
    second = np.repeat([1.0, 0.0, 1.0, 0.0], [both, only_first, only_second, neither])
    return Counts(first, np.ones_like(first)), Counts(second, np.ones_like(second))


def test_mcnemar_on_the_approval_ratings():
    """Agresti, Categorical Data Analysis, table 10.1 (z squared is 17.36, p 3.1e-5); exact: R's exact2x2."""
    assert mcnemar(*pairs(794, 150, 86, 570)) == pytest.approx(3.716e-5, rel=1e-3)


def test_fisher_on_the_lady_tasting_tea():
    """Agresti, table 3.8: three of four cups right on both sides, p = 0.486."""
    assert fisher(Counts(np.array([3.0]), np.array([4.0])), Counts(np.array([1.0]), np.array([4.0]))) == pytest.approx(
        0.4857, abs=1e-4
    )


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    # R: p.adjust(p, "holm")
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.04, 0.01, 0.03], [0.06, 0.03, 0.06]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([], []),
    ],
)
def test_holm_is_that_of_r(p_values: list[float], adjusted: list[float]):
    assert holm(p_values) == pytest.approx(adjusted)


# ---- Rates


def test_nothing_scored_has_no_rate():
    assert wilson(0, 0).rate is None
    assert rate_of([]).rate is None


@pytest.mark.parametrize("right", [[True], [True, True], [True, False], [False] * 9, [True, False] * 20])
def test_each_cluster_alone_is_nearly_wilson(right: list[bool]):
    """It is wider, since the likeness of answers was measured and not known."""
    found, plain = rate_of([(i, i, each) for i, each in enumerate(right)]), wilson(sum(right), len(right))
    assert (found.rate, found.n, found.clusters) == (plain.rate, len(right), len(right))
    assert found.low <= plain.low + 1e-9
    assert found.high >= plain.high - 1e-9
    assert found.high - found.low <= max(1.35 * (plain.high - plain.low), 0.9)


def test_of_one_cell_the_shots_are_the_facts():
    frames = [("here", f"shot {shot}", shot < 8) for shot in range(10) for _ in range(30)]
    found = rate_of(frames)
    assert (found.n, found.clusters) == (300, 10)
    assert found.low < wilson(8, 10).low
    one = rate_of([("here", "one", k < 8) for k in range(10)])
    assert one.high - one.low > 0.7  # one shot is one fact, whatever it was shown


def test_all_right_is_worth_the_clusters_and_no_more():
    for clusters in (1, 2, 5, 40):
        found = clustered_rate(np.full(clusters, 30.0), np.full(clusters, 30.0))
        assert (found.low, found.high) == pytest.approx((wilson(clusters, clusters).low, 1.0))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), min_size=1, max_size=30), st.randoms())
def test_rates_have_an_interval_around_them_in_any_order(clusters: list[tuple[int, int]], dice):
    correct, counts = (np.array([min(a, b) if i == 0 else b for a, b in clusters], float) for i in (0, 1))
    found = clustered_rate(correct, counts)
    assert 0 <= found.low <= found.rate <= found.high <= 1
    order = list(range(len(clusters)))
    dice.shuffle(order)
    again = clustered_rate(correct[order], counts[order])
    assert (again.low, again.high) == pytest.approx((found.low, found.high))
    wrong = clustered_rate(counts - correct, counts)
    assert (1 - wrong.high, 1 - wrong.low) == pytest.approx((found.low, found.high))


@given(st.lists(st.integers(0, 3), min_size=2, max_size=15), st.integers(2, 20))
def test_saying_it_again_is_no_news(right: list[int], times: int):
    """Ten frames of a setup are no ten facts: the interval stays as wide."""
    once = rate_of([(cell, k, k < of) for cell, of in enumerate(right) for k in range(3)])
    often = rate_of([(cell, k, k < of) for cell, of in enumerate(right) for k in range(3) for _ in range(times)])
    if len(set(right)) > 1:
        assert often.high - often.low <= once.high - once.low + 1e-9
        assert rate_of(
            [(c, 0, k < of) for c, of in enumerate(right) for k in range(3) for _ in range(2 * times)]
        ).low == (pytest.approx(often.low, abs=0.02))
    naive = wilson(often.correct, often.n)
    assert naive.high - naive.low <= often.high - often.low + 1e-9


# ---- Two arms


def cells(rates: list[float], shots: int = 10) -> dict[object, list[bool]]:
    return {i: [k < round(rate * shots) for k in range(shots)] for i, rate in enumerate(rates)}


def test_only_cells_with_both_arms_count():
    effect = paired_effect({"a": [True], "b": [True]}, {"a": [False], "c": [False]}, seed=1)
    assert effect is not None
    assert (effect.cells, effect.points) == (1, 100.0)
    assert paired_effect({"a": [True]}, {"c": [False]}, seed=1) is None


@pytest.mark.parametrize(
    ("treated", "baseline", "word"),
    [
        ([1.0] * 8, [0.5, 0.6, 0.4, 0.5, 0.5, 0.7, 0.3, 0.5], "PASS"),
        ([0.5] * 8, [0.5] * 8, "INCONCLUSIVE"),  # to see no difference is not to know that there is none
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
    treated, baseline = (cells(list(random.uniform(size=14))) for _ in range(2))
    assert paired_effect(treated, baseline, seed=5) == paired_effect(treated, baseline, seed=5)


SHARES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=14)


@given(SHARES, st.randoms())
def test_effects_stay_in_bounds_turn_with_the_arms_and_know_no_order(shares: list[tuple[int, int]], dice):
    treated, baseline = ({f"{i:02d}": [k < each[a] for k in range(4)] for i, each in enumerate(shares)} for a in (0, 1))
    found = paired_effect(treated, baseline, seed=1)
    assert -100 <= found.low <= found.points + 1e-9
    assert found.points - 1e-9 <= found.high <= 100
    assert found.high - found.low > 0
    assert least_p_value(found.cells) - 1e-12 <= found.p_value <= 1
    turned = paired_effect(baseline, treated, seed=1)
    assert (-turned.high, -turned.low, turned.p_value) == pytest.approx((found.low, found.high, found.p_value))
    names = list(treated)
    dice.shuffle(names)
    assert paired_effect({name: treated[name] for name in names}, baseline, seed=1) == found


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=2, max_size=8))
def test_the_permutation_is_scipy_s(differences: list[float]):
    rates = np.array([[(0.5 + d / 2, 0.5 - d / 2) for d in differences]])
    found = PairedTest(len(differences), seed=1).effects(rates, (8.0, 8.0))[0].p_value
    exact = permutation_test(
        (np.array(differences),), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", n_resamples=10_000
    )
    assert found == pytest.approx(exact.pvalue)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=12))
def test_swapping_single_answers_is_mcnemar_s_test(answers: list[tuple[bool, bool]]):
    one, other = ({i: [each[a]] for i, each in enumerate(answers)} for a in (0, 1))
    counts = [Counts(np.array([float(each[a]) for each in answers]), np.ones(len(answers))) for a in (0, 1)]
    assert paired_effect(one, other, seed=1).p_value == pytest.approx(mcnemar(*counts))


def test_the_more_cells_agree_the_narrower():
    widths = []
    for count in (4, 8, 16, 32):
        found = paired_effect(cells([0.8, 0.7] * count), cells([0.6, 0.4] * count), seed=1)
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)


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


# ---- Which test, and why


def judged(shots: int, frames: int = 1, models: int = 1, cells: int = 6, seed: int = 1) -> Columns:
    dice = np.random.default_rng(seed)
    return Columns.of(
        Judged(arm, f"model {m}", True, f"cell {cell}", f"{arm} {cell} {shot}", bool(dice.random() < 0.7))
        for arm in ("patch", "bare")
        for cell in range(cells)
        for shot in range(shots)
        for _ in range(frames)
        for m in range(models)
    )


@pytest.mark.parametrize(
    ("columns", "null_points", "test"),
    [
        (judged(1), 0.0, "mcnemar"),
        (judged(1), 5.0, "sign-flip"),
        (judged(2), 0.0, "sign-flip"),
        (judged(1, models=2), 0.0, "sign-flip"),
        (judged(1, frames=3), 0.0, "sign-flip"),
    ],
)
def test_mcnemar_only_for_independent_pairs(columns: Columns, null_points: float, test: str):
    found = Comparing(columns, "patch", "bare", seed=1).over_cells(held_out=True, null_points=null_points)
    assert found is not None
    assert found.test == test
    assert found.why


def test_one_recognizer_of_several_may_be_paired():
    found = Comparing(judged(1, models=2), "patch", "bare", seed=1).over_cells(held_out=True, model="model 1")
    assert found is not None
    assert found.test == "mcnemar"


@pytest.mark.parametrize(("frames", "test"), [(1, "fisher"), (3, "shuffle")])
def test_within_a_cell_shots_are_dealt_not_frames(frames: int, test: str):
    columns = judged(4, frames)
    found = list(Comparing(columns, "patch", "bare", seed=1).in_each_cell("model 0", held_out=True))
    assert [each.cell for each in found] == [f"cell {i}" for i in range(6)]
    assert {each.test for each in found} == {test}
    for each in found:
        assert each.effect.low <= each.effect.points <= each.effect.high
        assert each.effect.p_value >= 2 / math.comb(8, 4) - 1e-9


def test_of_two_shots_nothing_is_shown_however_many_frames():
    one, other = Counts(np.array([50.0]), np.array([50.0])), Counts(np.array([0.0]), np.array([50.0]))
    assert shuffle(one, other, seed=1) == 1.0


# ---- What could have been shown


def test_few_conditions_can_show_nothing():
    counts = Counts(np.full(5, 4.0), np.full(5, 4.0)), Counts(np.zeros(5), np.full(5, 4.0))
    found = detectable(*counts, RULE, seed=1)
    assert found.points is None
    assert "5 conditions" in found.reason
    six = detectable(*(Counts(np.append(c.right, c.right[0]), np.full(6, 4.0)) for c in counts), RULE, seed=1)
    assert six.points is not None
    assert detectable(*counts, replace(RULE, alpha=0.1), seed=1).points is not None


def test_the_detectable_effect_is_that_of_the_t_test():
    """statsmodels' own power of a t-test, for 12 cells whose differences have a standard deviation of 20 points."""
    from statsmodels.stats.power import TTestPower

    differences = np.array([0.2, -0.2] * 6) * math.sqrt(11 / 12)
    counts = Counts(50 + 50 * differences, np.full(12, 100.0)), Counts(50 - 50 * differences, np.full(12, 100.0))
    found = detectable(*counts, RULE, seed=1)
    size = TTestPower().solve_power(nobs=12, alpha=0.025, power=0.8, alternative="larger")
    assert found.points == pytest.approx(20 * size, rel=1e-3)
    assert found.error_points == pytest.approx(20 / math.sqrt(12))
    assert detectable(*counts, replace(RULE, min_effect_points=5.0), seed=1).points == pytest.approx(
        20 * size + 5, rel=1e-3
    )


def test_more_than_all_right_is_not_detectable():
    counts = Counts(np.array([4.0, 3.0] * 4), np.full(8, 4.0)), Counts(np.array([3.0, 4.0] * 4), np.full(8, 4.0))
    found = detectable(*counts, RULE, seed=1)
    assert found.points > 12.5
    assert "leaves 12 points" in found.reason


def test_pictures_of_one_object_are_not_several_facts():
    same = np.repeat([0.0, 10.0], [5, 5]), np.full(10, 10.0)
    mixed = np.full(10, 5.0), np.full(10, 10.0)
    agreeing, differing = clustered_rate(*same), clustered_rate(*mixed)
    assert agreeing.n == differing.n == 100
    assert agreeing.rate == differing.rate == 0.5
    ten, hundred = wilson(5, 10), wilson(50, 100)
    # As wide as ten answers are, and a little more: how alike the others are was measured on ten.
    assert ten.low - 0.06 < agreeing.low < ten.low < ten.high < agreeing.high < ten.high + 0.06
    assert (differing.low, differing.high) == pytest.approx((hundred.low, hundred.high))
    never = clustered_rate(np.zeros(4), np.full(4, 25.0))
    assert (never.low, never.high) == pytest.approx((wilson(0, 4).low, wilson(0, 4).high))
    assert clustered_rate(np.zeros(0), np.zeros(0)).rate is None


def test_the_interval_of_a_mean_over_strata_covers_it():
    """Clusters of three pictures around a known mean, two seeds: about 95 of 100 intervals hold it."""
    held = 0
    for number in range(100):
        dice = np.random.default_rng(number)
        strata = [
            Stratum(3 * (mean + dice.normal(0, 0.1, 20) + np.zeros((2, 1))), np.full(20, 3.0)) for mean in (0.1, 0.3)
        ]
        found = stratified_mean(strata, seed=1)
        held += found.low <= 20 <= found.high
    assert 88 <= held <= 99


def test_seeds_that_differ_widen_the_interval():
    clusters = np.ones((3, 8))
    alike = stratified_mean([Stratum(clusters, np.ones(8))], seed=1)
    other = stratified_mean([Stratum(clusters * [[0.0], [1.0], [2.0]], np.ones(8))], seed=1)
    assert (alike.points, alike.low, alike.high) == (100, 100, 100)
    assert other.points == 100
    assert other.low < 70 < 130 < other.high
