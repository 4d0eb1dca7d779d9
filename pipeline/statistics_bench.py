"""The bench of the statistics: how often intervals hold what is known to be true, and verdicts are right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pipeline.power import Bench, Likeness, Question
from pipeline.result import Result, Table
from pipeline.statistics import Effect, PairedTest, Rate, Rule, judge, wilson
from pipeline.statistics.columns import Columns, Judged
from pipeline.statistics.detectable import POWER
from pipeline.statistics.detectable import detectable as detectable_in
from pipeline.statistics.intervals import Floats, clustered_bounds, combined_bounds, wilson_bounds
from pipeline.statistics.slopes import Setting, heterogeneity
from pipeline.statistics_trials import Answers, Design, simulate

Progress = Callable[[float, str], None]

ALPHA = 0.05
CHUNK = 250
"""Sessions that are simulated at once."""
PLAN_SEED = 1
PLANNED_SESSIONS = 4000

WEAK = Likeness(0.1, 0.05, 0.05, 0.3)
STRONG = Likeness(0.5, 0.25, 0.25, 0.75)
FIERCE = Likeness(0.8, 0.4, 0.4, 0.9)
COPIED = Likeness(0.5, 0.5, 0.0, 0.75)
"""As :func:`pipeline.statistics_trials.simulate` can copy: the recognizers as alike as the repeats, the arms not."""

COVERED = (
    Design("6 conditions, weak", 6, 3, 2, 0.7, 10, WEAK),
    Design("6 conditions, strong", 6, 3, 2, 0.7, 10, STRONG),
    Design("9 conditions, strong", 9, 3, 2, 0.7, 10, STRONG),
    Design("12 conditions, weak", 12, 3, 2, 0.7, 10, WEAK),
    Design("12 conditions, strong", 12, 3, 2, 0.7, 10, STRONG),
    Design("12 conditions, very strong", 12, 3, 2, 0.7, 10, FIERCE),
    Design("12 conditions, large effect", 12, 3, 2, 0.5, 35, STRONG),
    Design("18 conditions, one shot each", 18, 1, 2, 0.8, 10, STRONG),
    Design("40 conditions, strong", 40, 3, 4, 0.7, 10, STRONG),
    Design("12 conditions, copied answers", 12, 3, 2, 0.7, 10, COPIED, copied=True),
    Design("12 conditions, bursts of 10", 12, 2, 2, 0.7, 10, STRONG, frames=10, burst=0.8),
    Design("60 pairs, one answer each", 60, 1, 1, 0.7, 10),
    Design("one condition, 30 bursts of 10", 1, 30, 2, 0.7, 10, Likeness(0, 0, 0, 0.3), frames=10, burst=0.5),
)
"""What intervals are held against; the next ones are hard."""

HARD = (
    Design("2 conditions, strong", 2, 3, 2, 0.7, 10, STRONG),
    Design("3 conditions, strong", 3, 3, 2, 0.7, 10, STRONG),
    Design("12 conditions, 90 to 98 %", 12, 3, 2, 0.9, 8, STRONG),
    Design("40 conditions, 90 to 98 %", 40, 3, 2, 0.9, 8, STRONG),
    Design("12 conditions, both 98 %", 12, 3, 2, 0.98, 0, STRONG),
    Design("18 conditions, always the same ones", 18, 3, 2, 0.7, 10, WEAK, spread=2.0),
)

EQUAL = (
    Design("6 conditions", 6, 3, 2, 0.7, 0, STRONG),
    Design("12 conditions", 12, 3, 2, 0.7, 0, STRONG),
    Design("18 conditions, one shot each", 18, 1, 2, 0.8, 0, STRONG),
    Design("40 conditions", 40, 3, 4, 0.7, 0, STRONG),
    Design("12 conditions, independent", 12, 3, 1, 0.7, 0),
    Design("12 conditions, copied answers", 12, 3, 2, 0.7, 0, COPIED, copied=True),
    Design("12 conditions, bursts of 10", 12, 2, 2, 0.7, 0, STRONG, frames=10, burst=0.8),
    Design("12 conditions, both 95 %", 12, 3, 2, 0.95, 0, STRONG),
)

SHOWN = (
    Design("12 conditions, 3 shots, +30", 12, 3, 2, 0.6, 30, STRONG),
    Design("18 conditions, one shot, +15", 18, 1, 2, 0.8, 15, STRONG),
    Design("40 conditions, 3 shots, +15", 40, 3, 2, 0.7, 15, STRONG),
    Design("12 conditions, weak, +20", 12, 3, 2, 0.6, 20, WEAK),
    Design("20 conditions, copied, +30", 20, 3, 2, 0.6, 30, COPIED, copied=True),
)

UNKNOWN = (
    Design("12 conditions, 3 shots", 12, 3, 2, 0.5, 0, STRONG),
    Design("18 conditions, one shot", 18, 1, 2, 0.5, 0, STRONG),
    Design("40 conditions, 3 shots", 40, 3, 2, 0.5, 0, STRONG),
    Design("12 conditions, weak", 12, 3, 2, 0.5, 0, WEAK),
)
"""What each of their sessions calls detectable is then tried."""

SLOPED = Design("18 conditions: 6 distances x 3 angles", 18, 3, 2, 0.7, 10, STRONG)
SLOPE_SESSIONS = 200


@dataclass(frozen=True, slots=True)
class Covered:
    """How many of 100 intervals hold the truth, of an arm's rate and of the effect: these and the naive ones.

    Naive: Wilson's interval (for the effect: Newcombe's, of two of them) that takes every answer for a fact of its own.
    Widths are means, in points. ``effect`` is None where there is but one condition: no arms are paired there.
    """

    design: str
    sessions: int
    rate: float
    rate_naive: float
    rate_width: float
    rate_width_naive: float
    effect: float | None
    effect_naive: float | None
    effect_width: float | None
    effect_width_naive: float | None


@dataclass(frozen=True, slots=True)
class Passed:
    """The share of sessions with the verdict PASS, with its interval, and what it should be."""

    design: str
    sessions: int
    share: float
    low: float
    high: float
    expected: float


@dataclass(frozen=True, slots=True)
class Trials:
    """All that was counted. ``sloped``: how many sessions in which the effect is the same everywhere show a slope."""

    hard: tuple[Covered, ...]
    covered: tuple[Covered, ...]
    equal: tuple[Passed, ...]
    shown: tuple[Passed, ...]
    detectable: tuple[Passed, ...]
    sloped: Passed


def bench_statistics(sessions: int, seed: int, progress: Progress) -> Trials:
    """Simulate ``sessions`` of each design, and count."""
    steps = len(COVERED) + len(HARD) + len(EQUAL) + len(SHOWN) + len(UNKNOWN)
    done = iter(range(steps))

    def each(count: Callable[[Design, int, int], Passed], designs: Sequence[Design]) -> Iterator[Passed]:
        for number, design in enumerate(designs):
            progress(next(done) / steps, design.name)
            yield count(design, sessions, seed + number)

    def covering(designs: Sequence[Design]) -> Iterator[Covered]:
        for number, design in enumerate(designs):
            progress(next(done) / steps, design.name)
            yield covered(design, sessions, seed + number)

    return Trials(
        covered=tuple(covering(COVERED)),
        hard=tuple(covering(HARD)),
        equal=tuple(each(partial(passed, expected=ALPHA), EQUAL)),
        shown=tuple(each(shown, SHOWN)),
        detectable=tuple(each(at_the_detectable, UNKNOWN)),
        sloped=sloped(SLOPED, min(sessions, SLOPE_SESSIONS), seed),
    )


def covered(design: Design, sessions: int, seed: int) -> Covered:
    """Intervals of the arm's rate and of the effect."""
    held: list[NDArray[np.bool_]] = []
    widths: list[Floats] = []
    truth = design.truth
    for answers in _chunks(design, sessions, seed):
        rate = [_rate_bounds(answers), _naive_bounds(answers[:, :, :1])]
        effect = [_effect_bounds(answers), _naive_difference(answers)] if design.cells > 1 else []
        pairs = [*((each, truth[0]) for each in rate), *((each, truth[0] - truth[1]) for each in effect)]
        held.append(np.stack([(low <= true) & (true <= high) for (low, high), true in pairs], axis=1))
        widths.append(np.stack([high - low for (low, high), _ in pairs], axis=1))
    shares = [float(each) for each in np.concatenate(held).mean(axis=0)]
    width = [100 * float(each) for each in np.concatenate(widths).mean(axis=0)]
    paired = design.cells > 1
    return Covered(
        design=design.name,
        sessions=sessions,
        rate=shares[0],
        rate_naive=shares[1],
        rate_width=width[0],
        rate_width_naive=width[1],
        effect=shares[2] if paired else None,
        effect_naive=shares[3] if paired else None,
        effect_width=width[2] if paired else None,
        effect_width_naive=width[3] if paired else None,
    )


def passed(design: Design, sessions: int, seed: int, expected: float) -> Passed:
    """Sessions in which the arm passes the test that `dpcam score` makes."""
    rule = Rule("arm", "baseline", ALPHA, 0.0)
    effects = [each for answers in _chunks(design, sessions, seed) for each in _tested(answers)]
    return _passed(design.name, sum(judge(each, rule).verdict == "PASS" for each in effects), sessions, expected)


def shown(design: Design, sessions: int, seed: int) -> Passed:
    """The power, beside what `dpcam plan power` says of it."""
    return passed(design, sessions, seed, _planned(design, design.effect_points, sessions, seed))


def at_the_detectable(design: Design, sessions: int, seed: int) -> Passed:
    """Each session says what effect it could have shown; how often is the median of these shown?"""
    rule = Rule("arm", "baseline", ALPHA, 0.0)
    few = min(sessions, CHUNK)
    said = []
    for answers in _chunks(design, few, seed):
        for session in answers:
            columns = columns_of(session)
            counts = [columns.by_cell(columns.where(arm=arm)) for arm in ("arm", "baseline")]
            said.append(detectable_in(counts[0], counts[1], rule, seed=PLAN_SEED).points or 0.0)
    points = min(float(np.median(said)), 99 - 100 * design.rate)
    name = f"{design.name}: {points:.1f} points"
    return passed(replace(design, name=name, effect_points=points), sessions, seed, POWER)


def sloped(design: Design, sessions: int, seed: int) -> Passed:
    """Whether the model over distance and angle finds what is not there."""
    settings = {
        f"cell {number:02d}": Setting(distance, angle)
        for number, (distance, angle) in enumerate(product((700, 1000, 1400, 2000, 2800, 4000), (0, 20, 40)))
    }
    found = 0
    for answers in _chunks(design, sessions, seed):
        for session in answers:
            slopes = heterogeneity(columns_of(session), "arm", "baseline", settings, seed=PLAN_SEED).slopes
            found += any(each.p_adjusted is not None and each.p_adjusted < ALPHA for each in slopes)
    return _passed(design.name, found, sessions, ALPHA)


def columns_of(session: Answers) -> Columns:
    """One session ``(C, 2, K, F, M)`` as scoring would hand it over."""
    return Columns.of(
        Judged(("arm", "baseline")[arm], f"model {m}", True, f"cell {cell:02d}", f"{cell}-{arm}-{shot}", bool(right))
        for (cell, arm, shot, _, m), right in np.ndenumerate(session)
    )


def statistics_result(trials: Trials) -> Result:
    """Tables, and the keys that scripts rely on."""
    ours, naive = (_mean([each for line in trials.covered for each in pick(line)]) for pick in (_ours, _naive))
    every = [each for line in trials.covered for each in _ours(line)]
    data = {
        "coverage": ours,
        "coverage_lowest": min(every),
        "coverage_highest": max(every),
        "coverage_naive": naive,
        "false_pass_rate": _mean([each.share for each in trials.equal]),
        "false_pass_rate_highest": max(each.share for each in trials.equal),
        "power": _mean([each.share for each in trials.shown]),
        "power_planned": _mean([each.expected for each in trials.shown]),
        "false_slope_rate": trials.sloped.share,
        "alpha": ALPHA,
        **asdict(trials),
    }
    said = [
        f"95 % intervals hold the truth in {100 * ours:.1f} % ({100 * min(every):.1f} to {100 * max(every):.1f} by "
        f"design), naive ones in {100 * naive:.1f} %",
        f"arms that are the same: PASS in {100 * data['false_pass_rate']:.1f} %, alpha is {100 * ALPHA:g} %",
        f"power {100 * data['power']:.0f} %, planned {100 * data['power_planned']:.0f} %",
    ]
    tables = [
        _coverage_table("95 % intervals that hold the truth, %", trials.covered),
        _coverage_table("The same where it is hard, %", trials.hard),
        _passed_table("Sessions with PASS where both arms are the same, %", "at most", trials.equal),
        _passed_table("Sessions with PASS where there is an effect, %", "plan power", trials.shown),
        _passed_table("Sessions with PASS at the effect called detectable, %", "said", trials.detectable),
        _passed_table("Sessions that show a slope where there is none, %", "at most", [trials.sloped]),
    ]
    return Result(data=data, tables=tables, lines=said)


def _chunks(design: Design, sessions: int, seed: int) -> Iterator[Answers]:
    for number, start in enumerate(range(0, sessions, CHUNK)):
        yield simulate(design, min(CHUNK, sessions - start), np.random.default_rng([seed, number]))


def _rate_bounds(answers: Answers) -> tuple[Floats, Floats]:
    """Of the first arm; conditions are the clusters, or shots where there is but one condition."""
    arm = answers[:, :, 0]
    clusters = arm.sum(axis=(2, 3, 4)) if answers.shape[1] > 1 else arm[:, 0].sum(axis=(2, 3))
    counts = np.full(clusters.shape[1], arm[0].size / clusters.shape[1])
    return clustered_bounds(clusters.astype(np.float64), counts, 1 - ALPHA)


def _naive_bounds(answers: Answers) -> tuple[Floats, Floats]:
    n = float(answers[0].size)
    return wilson_bounds(answers.reshape(len(answers), -1).mean(axis=1), np.array(n), 1 - ALPHA)


def _naive_difference(answers: Answers) -> tuple[Floats, Floats]:
    bounds = [_naive_bounds(answers[:, :, arm : arm + 1]) for arm in (0, 1)]
    return combined_bounds(answers.mean(axis=(1, 3, 4, 5))[:, None], bounds[0], bounds[1])


def _effect_bounds(answers: Answers) -> tuple[Floats, Floats]:
    found = [(each.low / 100, each.high / 100) for each in _tested(answers)]
    low, high = np.array(found, dtype=np.float64).T
    return low, high


def _tested(answers: Answers) -> list[Effect]:
    n = float(answers[0, :, 0].size)
    return PairedTest(answers.shape[1], seed=PLAN_SEED, alpha=ALPHA).effects(answers.mean(axis=(3, 4, 5)), (n, n))


def _planned(design: Design, points: float, sessions: int, seed: int) -> float:
    question = Question(
        baseline_rate=design.rate,
        likeness=design.likeness,
        cells=design.cells,
        recognizers=design.recognizers,
        arms=2,
        rule=Rule("arm", "baseline", ALPHA, 0.0),
        plan_seed=PLAN_SEED,
        seed=seed,
        sessions=PLANNED_SESSIONS,
    )
    return Bench(question).power(points, design.repeats).power


def _passed(name: str, count: int, sessions: int, expected: float) -> Passed:
    rate: Rate = wilson(count, sessions)
    return Passed(name, sessions, count / sessions, rate.low or 0.0, 1.0 if rate.high is None else rate.high, expected)


def _ours(line: Covered) -> list[float]:
    return [each for each in (line.rate, line.effect) if each is not None]


def _naive(line: Covered) -> list[float]:
    return [each for each in (line.rate_naive, line.effect_naive) if each is not None]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _coverage_table(title: str, lines: Sequence[Covered]) -> Table:
    heads = ("sessions", "rate", "naive", "width, points", "naive", "effect", "naive", "width, points", "naive")
    rows = tuple(
        (
            each.design,
            *(_percent(value) for value in (each.rate, each.rate_naive)),
            *(_points(value) for value in (each.rate_width, each.rate_width_naive)),
            *(_percent(value) for value in (each.effect, each.effect_naive)),
            *(_points(value) for value in (each.effect_width, each.effect_width_naive)),
        )
        for each in lines
    )
    return Table(title, heads, rows)


def _passed_table(title: str, expected: str, lines: Sequence[Passed]) -> Table:
    rows = tuple(
        (
            each.design,
            str(each.sessions),
            f"{_percent(each.share)} ({_percent(each.low)} to {_percent(each.high)})",
            _percent(each.expected),
        )
        for each in lines
    )
    return Table(title, ("sessions", "count", "PASS" if "PASS" in title else "slope", expected), rows)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _points(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
