"""The analysis of a session: what is in it, what is never mixed, what is said where there is nothing to say."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.special import expit

from pipeline.report.analysis import Analysis, analyse, settings_of
from pipeline.scoring.score import Answer
from pipeline.statistics import Rule, by_cell, judge, paired_effect, rate_of
from pipeline.statistics.columns import Columns, Judged
from pipeline.statistics.repeatability import LIMIT, repeatability
from pipeline.statistics.slopes import FACTORS, Setting, _fitted, _Rows, heterogeneity, separated

RULE = Rule("patch", "bare", alpha=0.05, min_effect_points=0.0)
DISTANCES, ANGLES = (700.0, 1000.0, 1400.0, 2000.0), (0.0, 20.0, 40.0)
SETTINGS = {f"{d:g} mm, yaw {a:g}°": Setting.of(d, a, 0.0) for d in DISTANCES for a in ANGLES}
ARMS = {"bare": 0.4, "blank": 0.3, "patch": 1.6}
MODELS = {"a": False, "b": False, "x": True, "y": True}


def session(
    seed: int = 1, repeats: int = 3, arms: dict[str, float] | None = None, slope: float = 0.0, models=MODELS
) -> list[Answer]:
    """Answers that are alike in a picture and in a condition; ``slope``: log odds of the patch by 10 degrees."""
    dice = np.random.default_rng(seed)
    found: list[Answer] = []
    for cell, setting in SETTINGS.items():
        for arm, level in (arms or ARMS).items():
            tilted = slope * setting.angle_deg / 10 if arm == "patch" else 0.0
            odds = level + tilted + dice.normal(0, 0.5)
            for _ in range(repeats):
                shot = odds + dice.normal(0, 0.5)
                name = f"{len(found) // len(models):06d}"
                found += [
                    Answer(name, arm, cell, model, held_out, "scored", correct=bool(dice.random() < expit(shot)))
                    for model, held_out in models.items()
                ]
    return found


def look(answers: list[Answer], rule: Rule | None = RULE) -> Analysis:
    return analyse(answers, rule, seed=3, settings=SETTINGS)


@pytest.fixture(scope="module")
def answers() -> list[Answer]:
    return session()


@pytest.fixture(scope="module")
def found(answers: list[Answer]) -> Analysis:
    return look(answers)


def test_the_verdict_is_that_of_the_rule(answers: list[Answer], found: Analysis):
    arms = [
        by_cell([(a.cell, bool(a.correct)) for a in answers if a.held_out and a.arm == arm])
        for arm in ("patch", "bare")
    ]
    assert found.judgement == judge(paired_effect(*arms, seed=3), RULE)
    assert found.primary is not None
    assert found.primary.effect == found.judgement.effect
    assert found.primary.test == "sign-flip"


def test_it_counts_answers_shots_and_conditions(found: Analysis):
    assert (found.answers, found.shots, found.conditions) == (12 * 3 * 3 * 4, 12 * 3 * 3, 12)


def test_every_recognizer_and_each_kind_have_a_rate(answers: list[Answer], found: Analysis):
    assert len(found.rates) == 3 * (4 + 2)
    for each in found.rates:
        of = [
            (a.cell, a.sample, bool(a.correct))
            for a in answers
            if a.arm == each.arm and a.held_out == each.held_out and each.model in (None, a.model)
        ]
        assert each.rate == rate_of(of)
        assert each.rate.clusters == 12


def test_surrogates_never_touch_what_is_said_of_held_out_recognizers(answers: list[Answer], found: Analysis):
    turned = look([a if a.held_out else replace(a, correct=not a.correct) for a in answers])
    assert (turned.judgement, turned.primary, turned.detectable) == (found.judgement, found.primary, found.detectable)
    assert turned.heterogeneity == found.heterogeneity
    assert [each.held_out for each in turned.transfer] == [each.held_out for each in found.transfer]
    assert [each.surrogates for each in turned.transfer] != [each.surrogates for each in found.transfer]


@pytest.mark.parametrize("change", [{"view": "frame"}, {"repeat": 1}, {"noise": "fog", "severity": 3}])
def test_other_views_jitter_and_noise_do_not_count(answers: list[Answer], found: Analysis, change: dict[str, object]):
    more = [replace(a, correct=not a.correct, **change) for a in answers]
    assert look([*answers, *more]) == found


def test_the_order_of_answers_means_nothing(answers: list[Answer], found: Analysis):
    shuffled = [answers[i] for i in np.random.default_rng(1).permutation(len(answers))]
    assert look(shuffled) == found


def test_ten_frames_of_each_shot_change_nothing_but_the_count(answers: list[Answer], found: Analysis):
    bursts = [replace(a, sample=f"{a.sample}-{frame}", cluster=a.sample) for a in answers for frame in range(10)]
    often = look(bursts)
    assert often.shots == found.shots
    assert often.judgement.effect.points == pytest.approx(found.judgement.effect.points)
    assert often.judgement.effect.p_value == found.judgement.effect.p_value
    width, before = (each.judgement.effect.high - each.judgement.effect.low for each in (often, found))
    assert width == pytest.approx(before, rel=0.05)
    for now, then in zip(often.repeatability, found.repeatability, strict=True):
        assert (now.shots, now.sd_points, now.changed) == pytest.approx((then.shots, then.sd_points, then.changed))
    assert {each.test for each in often.by_condition} == {"shuffle"}
    assert {each.test for each in found.by_condition} == {"fisher"}


def test_the_transfer_matrix_has_each_arm_on_each_recognizer(found: Analysis):
    assert [each.arm for each in found.transfer] == ["blank", "patch"]
    patch = found.transfer[1]
    assert [(each.model, each.held_out) for each in patch.by_recognizer] == list(MODELS.items())
    assert patch.held_out.effect == found.primary.effect
    assert patch.kept.points == pytest.approx(patch.held_out.effect.points - patch.surrogates.effect.points)
    assert patch.kept.low < patch.kept.points < patch.kept.high
    for kind in (False, True):
        family = [each for each in patch.by_recognizer if each.held_out == kind]
        least = min(family, key=lambda each: each.effect.p_value)
        assert least.p_adjusted == pytest.approx(min(1.0, 2 * least.effect.p_value))


def test_conditions_are_corrected_for_being_many(found: Analysis):
    assert len(found.by_condition) == 4 * 12
    least = min(found.by_condition, key=lambda each: each.effect.p_value)
    assert least.p_adjusted == pytest.approx(min(1.0, 48 * least.effect.p_value))
    assert all(each.p_adjusted >= each.effect.p_value for each in found.by_condition)


def test_it_goes_into_json(found: Analysis):
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["judgement"]["verdict"] == found.judgement.verdict


# ---- Nothing to say


@pytest.mark.parametrize(
    "keep",
    [
        lambda a: False,
        lambda a: a.arm == "patch",
        lambda a: not a.held_out,
        lambda a: a.held_out,
        lambda a: a.cell == "700 mm, yaw 0°",
        lambda a: a.sample.endswith("0") and a.arm != "bare",
        lambda a: (a.cell == "700 mm, yaw 0°") == (a.arm == "bare"),
    ],
)
@pytest.mark.parametrize("rule", [RULE, None])
def test_what_cannot_be_said_is_left_out(answers: list[Answer], keep, rule: Rule | None):
    found = look([a for a in answers if keep(a)], rule)
    json.dumps(asdict(found), allow_nan=False)
    assert (found.judgement is None) == (rule is None)
    if rule:
        assert found.judgement.verdict in ("INCONCLUSIVE", "PASS")
        assert all(each.reason for each in found.heterogeneity.slopes) or found.conditions > 9
    assert all(each.halves or each.reason for each in found.repeatability)


def test_answers_that_are_no_scores_do_not_count(answers: list[Answer], found: Analysis):
    extra = [replace(a, status="missed", correct=None) for a in answers]
    assert look([*answers, *extra]) == found


# ---- When nothing was changed


def test_an_arm_against_itself():
    """Halves of an arm whose shots are all alike: about one p-value in twenty is below 0.05, and the mean is 0."""
    points, low = [], 0
    for seed in range(150):
        columns = _columns(session(seed, repeats=4, arms={"bare": 0.4}, models={"x": True}))
        halves = repeatability(columns, "bare", held_out=True, seed=1).halves
        points.append(halves.points)
        low += halves.p_value < 0.05
    assert abs(np.mean(points)) < 3
    assert low <= 15


def test_the_limit_holds_between_sessions_alike():
    """Two sessions under the very same conditions: 95 of 100 differences are below the limit that each one says."""
    dice = np.random.default_rng(2)
    odds = expit(dice.normal(0.5, 1.0, 12))
    right = dice.random((400, 12, 4)) < odds[:, None]
    rates = right.mean(axis=(1, 2))
    limits = [
        repeatability(
            Columns.of(
                Judged("bare", "x", True, f"{c:02d}", f"{c} {k}", bool(each)) for (c, k), each in np.ndenumerate(one)
            ),
            "bare",
            held_out=True,
            seed=1,
        )
        for one in right[:100]
    ]
    typical = float(np.median([each.limit_points for each in limits]))
    differences = 100 * np.abs(rates[:200] - rates[200:])
    assert 0.9 < np.mean(differences <= typical) < 0.99
    assert limits[0].limit_points == pytest.approx(LIMIT * limits[0].sd_points)
    changed = np.mean([each.changed for each in limits])
    assert changed == pytest.approx(float(np.mean(2 * odds * (1 - odds))), abs=0.03)


def test_without_repeats_nobody_knows():
    found = look(session(repeats=1))
    assert {each.reason for each in found.repeatability} == {"no shot was repeated under its condition"}
    assert {each.sd_points for each in found.repeatability} == {None}


def test_what_never_changes_has_a_limit_of_nothing():
    same = [replace(a, correct=a.cell < "2") for a in session(arms={"bare": 0.0})]
    found = look(same, None).repeatability[0]
    assert (found.sd_points, found.limit_points, found.changed) == (0.0, 0.0, 0.0)
    assert found.halves.points == 0
    assert found.halves.low < 0 < found.halves.high


def _columns(answers: list[Answer]) -> Columns:
    return Columns.of(Judged(a.arm, a.model, a.held_out, a.cell, a.sample, bool(a.correct)) for a in answers)


# ---- Distance and angle


def test_an_effect_that_grows_with_the_angle_is_found():
    found = look(session(7, repeats=6, slope=1.2, arms={"bare": 0.5, "patch": -0.5})).heterogeneity
    by_factor = {each.factor: each for each in found.slopes}
    assert tuple(by_factor) == FACTORS
    assert by_factor["angle"].low > 0
    assert by_factor["angle"].p_adjusted < 0.05
    assert by_factor["angle"].log_odds == pytest.approx(1.2, abs=0.5)
    assert by_factor["distance"].p_adjusted > 0.05
    levels = {each.value: each.effect.points for each in found.levels if each.factor == "angle"}
    assert list(levels) == list(ANGLES)
    assert levels[0.0] < levels[20.0] < levels[40.0]
    assert [each.effect.cells for each in found.levels if each.factor == "distance"] == [3] * 4


def test_the_angle_is_that_between_the_axis_and_the_normal():
    assert Setting.of(1000, -30, 0).angle_deg == pytest.approx(30)
    assert Setting.of(1000, 30, 40).angle_deg == pytest.approx(48.44, abs=0.01)


def test_settings_come_from_conditions():
    from capture.plan import Condition

    assert settings_of([("here", Condition(distance_mm=900, yaw_deg=10))]) == {"here": Setting(900.0, 10.0)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: replace(a, correct=True), "all answers are right"),
        (lambda a: replace(a, correct=a.arm == "patch"), "without a miss"),
        (lambda a: replace(a, correct=a.cell.endswith("0°") and not a.cell.endswith("40°")), "without a miss"),
        (lambda a: a if "700" in a.cell else replace(a, correct=None), "3 conditions"),
    ],
)
def test_a_model_that_has_no_answer_says_so(answers: list[Answer], change, words: str):
    slopes = look([change(a) for a in answers]).heterogeneity.slopes
    assert all(words in each.reason for each in slopes)
    assert all(each.log_odds is each.p_value is each.low is None for each in slopes)


def test_what_was_not_varied_has_no_slope(answers: list[Answer]):
    flat = {cell: replace(each, angle_deg=0.0) for cell, each in SETTINGS.items()}
    slopes = {each.factor: each for each in analyse(answers, RULE, seed=1, settings=flat).heterogeneity.slopes}
    assert slopes["angle"].reason == "it was the same under all conditions"
    assert slopes["distance"].p_value is not None
    tied = {cell: Setting(each.distance_mm, 10 * np.log2(each.distance_mm)) for cell, each in SETTINGS.items()}
    assert "did not vary independently" in analyse(answers, RULE, seed=1, settings=tied).heterogeneity.slopes[0].reason
    unknown = analyse(answers, RULE, seed=1).heterogeneity
    assert unknown.levels == ()
    assert "0 conditions" in unknown.slopes[0].reason


def test_separation_is_told_from_mere_zeros():
    x = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    apart = _Rows(np.array([0.0, 0.0, 5.0]), np.array([5.0, 5.0, 0.0]), x, ("", "distance"), np.arange(3))
    assert separated(apart)
    quasi = replace(apart, right=np.array([0.0, 2.0, 5.0]))
    assert separated(quasi)
    assert not separated(replace(apart, right=np.array([1.0, 0.0, 5.0])))


def test_the_errors_by_cluster_are_those_of_the_sandwich(answers: list[Answer]):
    """On single answers: Liang and Zeger 1986, with G / (G - 1) * (N - 1) / (N - K) as Stata has it for regressions."""
    columns = _columns(answers)
    slopes = heterogeneity(columns, "patch", "bare", SETTINGS, seed=1).slopes
    chosen = [a for a in answers if a.held_out and a.arm in ("patch", "bare")]
    arm = np.array([float(a.arm == "patch") for a in chosen])
    steps = np.array([[np.log2(SETTINGS[a.cell].distance_mm), SETTINGS[a.cell].angle_deg / 10] for a in chosen])
    steps -= steps.mean(axis=0)
    other = np.array([float(a.model == "y") for a in chosen])
    x = np.column_stack([np.ones(len(arm)), arm, steps, arm[:, None] * steps, other])
    y = np.array([float(a.correct) for a in chosen])
    beta = np.zeros(x.shape[1])
    for _ in range(30):
        mean = expit(x @ beta)
        bread = np.linalg.inv((x * (mean * (1 - mean))[:, None]).T @ x)
        beta += bread @ x.T @ (y - mean)
    cell = np.array([a.cell for a in chosen])
    scores = np.stack([((y - mean)[:, None] * x)[cell == each].sum(axis=0) for each in sorted(set(cell))])
    rows = 12 * 2 * 2
    few = 12 / 11 * (rows - 1) / (rows - x.shape[1])
    errors = np.sqrt(few * np.diag(bread @ scores.T @ scores @ bread))
    assert [each.log_odds for each in slopes] == pytest.approx(list(beta[4:6]), abs=1e-6)
    from scipy.stats import t

    widths = [(each.high - each.low) / 2 for each in slopes]
    assert widths == pytest.approx(list(t.ppf(0.975, 12 - 6) * errors[4:6]), rel=1e-6)


def test_the_published_logit_of_economics_grades():
    """Spector and Mazzeo 1980, as in Greene, Econometric Analysis, table 21.1: GPA 2.826, TUCE 0.095 (PSI 2.379)."""
    from statsmodels.datasets import spector

    data = spector.load_pandas()
    grade, x = data.endog.to_numpy(), data.exog[["GPA", "TUCE", "PSI"]].to_numpy()
    regressors = np.column_stack([np.ones(len(grade)), x])
    found = _fitted(
        _Rows(grade, 1 - grade, regressors, ("", "distance", "angle", "psi"), np.arange(len(grade))), alpha=0.05
    )
    assert found["distance"].log_odds == pytest.approx(2.826, abs=1e-3)
    assert found["angle"].log_odds == pytest.approx(0.095, abs=1e-3)
