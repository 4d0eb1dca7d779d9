"""The bench of the statistics: its sessions are as was said, ours holds where others fail, and its keys."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.bench.statistics import COPIED, STRONG, at_the_detectable, columns_of, covered, passed, shown, sloped
from pipeline.bench.statistics import SLOPED as FLAT
from pipeline.bench.statistics_trials import Design, simulate
from pipeline.planning.power import Likeness

TWELVE = Design("twelve", 12, 3, 2, 0.7, 10, STRONG)


@pytest.mark.parametrize("copied", [False, True])
def test_sessions_have_the_rates_and_correlations_that_were_asked_for(copied: bool):
    like = COPIED if copied else Likeness(0.4, 0.2, 0.2, 0.5)
    design = Design("x", 2000, 2, 2, 0.6, 15, like, copied=copied)
    right = simulate(design, 4, np.random.default_rng(1)).reshape(-1, 2, 2, 2).astype(float)
    assert right.mean(axis=(0, 2, 3)) == pytest.approx((0.75, 0.6), abs=0.02)
    first = right[:, 1, 0, 0]
    assert np.corrcoef(first, right[:, 1, 1, 0])[0, 1] == pytest.approx(like.repeats, abs=0.05)
    assert np.corrcoef(first, right[:, 1, 1, 1])[0, 1] == pytest.approx(like.recognizers, abs=0.05)
    assert np.corrcoef(first, right[:, 1, 0, 1])[0, 1] == pytest.approx(like.pictures, abs=0.05)
    assert np.corrcoef(first, right[:, 0, 0, 0])[0, 1] == pytest.approx(like.arms, abs=0.06)


def test_the_truth_of_conditions_that_stay_is_their_mean():
    design = Design("x", 5, 400, 1, 0.7, 10, spread=2.0)
    right = simulate(design, 20, np.random.default_rng(1))
    assert right.mean(axis=(0, 1, 3, 4, 5)) == pytest.approx(design.truth, abs=0.01)
    assert design.truth[1] < 0.7


def test_ours_holds_where_others_fail():
    found = covered(TWELVE, 400, 1)
    assert 0.92 <= found.rate <= 0.985
    assert 0.92 <= found.effect <= 0.985
    assert max(found.rate_naive, found.effect_naive) < 0.9
    assert max(found.rate_bootstrap, found.effect_bootstrap) < 0.93
    assert found.rate_width > found.rate_width_naive


def test_bursts_are_no_facts():
    found = covered(Design("x", 12, 2, 2, 0.7, 10, STRONG, frames=10, burst=0.8), 300, 1)
    assert min(found.rate, found.effect) > 0.91
    assert max(found.rate_naive, found.effect_naive) < 0.6


def test_one_condition_has_an_interval_for_itself_and_no_paired_arms():
    found = covered(Design("x", 1, 30, 2, 0.7, 10, Likeness(0, 0, 0, 0.3), frames=5, burst=0.5), 300, 1)
    assert 0.9 < found.rate < 0.99
    assert found.effect is found.effect_width is None


def test_arms_that_are_the_same_seldom_pass_and_power_is_as_planned():
    same = passed(Design("x", 12, 3, 2, 0.7, 0, STRONG), 400, 1, 0.05)
    assert same.low <= 0.025
    large = shown(Design("x", 12, 3, 2, 0.6, 30, STRONG), 400, 1, 800)
    assert large.share == pytest.approx(large.expected, abs=0.08)
    assert large.low < large.share < large.high


def test_what_is_called_detectable_is_detected():
    found = at_the_detectable(Design("x", 18, 3, 2, 0.5, 0, STRONG), 200, 1)
    assert found.share == pytest.approx(0.8, abs=0.12)


def test_no_slope_is_seldom_found():
    assert sloped(FLAT, 40, 1).low <= 0.05


def test_a_simulated_session_is_what_scoring_hands_over():
    one = simulate(TWELVE, 1, np.random.default_rng(1))[0]
    columns = columns_of(one)
    assert len(columns.right) == one.size
    counts = columns.by_cell(columns.where(arm="arm"))
    assert list(counts.right) == list(one[:, 0].sum(axis=(1, 2, 3)))


def test_the_command_has_its_keys(run, tmp_path):
    from pipeline.bench import statistics as statistics_bench

    code, envelope = run("bench", "statistics", "--quick", "--sessions", 20, "--out", "tables.md")
    assert code == 0
    data = envelope["data"]
    assert 0.85 < data["coverage"] <= 1
    assert data["coverage_naive"] < data["coverage"]
    assert data["false_pass_rate"] <= 0.06
    assert {"power", "power_planned", "covered", "hard", "equal", "shown", "detectable", "sloped"} <= set(data)
    assert len(data["covered"]) == len(statistics_bench.COVERED)
    assert "| 12 conditions, strong |" in (tmp_path / "tables.md").read_text()
