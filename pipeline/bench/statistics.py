"""The bench of the statistics: how often intervals hold what is known to be true, and verdicts are right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.bench.statistics_tables import Covered, Passed, Trials
from pipeline.bench.statistics_trials import Answers, Design, simulate
from pipeline.planning.power import Bench, Likeness, Question
from pipeline.statistics import Effect, PairedTest, Rate, Rule, judge, wilson
from pipeline.statistics.columns import Columns, Judged
from pipeline.statistics.detectable import POWER
from pipeline.statistics.detectable import detectable as detectable_in
from pipeline.statistics.intervals import Floats, clustered_bounds, combined_bounds, wilson_bounds
from pipeline.statistics.slopes import Setting, heterogeneity

Progress = Callable[[float, str], None]
Line = TypeVar("Line")

ALPHA = 0.05
CHUNK = 250
"""Sessions that are simulated at once."""
PLAN_SEED = 1
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Effort:
    """How many sessions of each kind are simulated; how many `plan power` simulates; in how many slopes are sought."""

    sessions: int
    planned: int
    sloped: int


FULL = Effort(1000, 4000, 400)
QUICK = Effort(200, 1000, 50)


WEAK = Likeness(0.1, 0.05, 0.05, 0.3)
STRONG = Likeness(0.5, 0.25, 0.25, 0.75)
FIERCE = Likeness(0.8, 0.4, 0.4, 0.9)
COPIED = Likeness(0.4, 0.4, 0.0, 0.5)
"""What :func:`pipeline.bench.statistics_trials.simulate` can copy: recognizers as alike as repeats, arms not."""

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


def bench_statistics(effort: Effort, seed: int, progress: Progress) -> Trials:
    """Simulate sessions of each design, and count."""
    sessions = effort.sessions
    steps = len(COVERED) + len(HARD) + len(EQUAL) + len(SHOWN) + len(UNKNOWN) + 1
    done = iter(range(steps))

    def each(count: Callable[[Design, int], Line], designs: Sequence[Design]) -> tuple[Line, ...]:
        found = []
        for number, design in enumerate(designs):
            progress(next(done) / steps, design.name)
            found.append(count(design, seed + number))
        return tuple(found)

    return Trials(
        covered=each(lambda design, start: covered(design, sessions, start), COVERED),
        hard=each(lambda design, start: covered(design, sessions, start), HARD),
        equal=each(lambda design, start: passed(design, sessions, start, ALPHA), EQUAL),
        shown=each(lambda design, start: shown(design, sessions, start, effort.planned), SHOWN),
        detectable=each(lambda design, start: at_the_detectable(design, sessions, start), UNKNOWN),
        sloped=each(lambda design, start: sloped(design, effort.sloped, start), [SLOPED])[0],
        alpha=ALPHA,
    )


def covered(design: Design, sessions: int, seed: int) -> Covered:
    """Intervals of the arm's rate and of the effect."""
    held: list[NDArray[np.bool_]] = []
    widths: list[Floats] = []
    truth = design.truth
    for answers in _chunks(design, sessions, seed):
        bootstrap = _Bootstrap(answers)
        rate = [_rate_bounds(answers), _naive_bounds(answers[:, :, :1]), bootstrap.rate()]
        effect = [_effect_bounds(answers), _naive_difference(answers), bootstrap.effect()] if design.cells > 1 else []
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
        rate_bootstrap=shares[2],
        rate_width=width[0],
        rate_width_naive=width[1],
        effect=shares[3] if paired else None,
        effect_naive=shares[4] if paired else None,
        effect_bootstrap=shares[5] if paired else None,
        effect_width=width[3] if paired else None,
        effect_width_naive=width[4] if paired else None,
    )


def passed(design: Design, sessions: int, seed: int, expected: float) -> Passed:
    """Sessions in which the arm passes the test that `dpcam score` makes."""
    rule = Rule("arm", "baseline", ALPHA, 0.0)
    effects = [each for answers in _chunks(design, sessions, seed) for each in _tested(answers)]
    return _passed(design.name, sum(judge(each, rule).verdict == "PASS" for each in effects), sessions, expected)


def shown(design: Design, sessions: int, seed: int, planned: int) -> Passed:
    """The power, beside what `dpcam plan power` says of it from so many sessions of its own."""
    return passed(design, sessions, seed, _planned(design, planned, seed))


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


def _chunks(design: Design, sessions: int, seed: int) -> Iterator[Answers]:
    for number, start in enumerate(range(0, sessions, CHUNK)):
        yield simulate(design, min(CHUNK, sessions - start), np.random.default_rng([seed, number]))


def _rate_bounds(answers: Answers) -> tuple[Floats, Floats]:
    """Of the first arm; conditions are the clusters, or shots where there is but one condition."""
    rates = _cluster_rates(answers)[:, :, 0]
    counts = np.full(rates.shape[1], answers[0, :, 0].size / rates.shape[1])
    return clustered_bounds(rates * counts, counts, 1 - ALPHA)


def _cluster_rates(answers: Answers) -> Floats:
    """``(S, G, 2)`` by clusters: conditions, or the shots of the only one."""
    if answers.shape[1] == 1:
        return np.asarray(answers[:, 0].mean(axis=(3, 4)).swapaxes(1, 2), dtype=np.float64)
    return np.asarray(answers.mean(axis=(3, 4, 5)), dtype=np.float64)


class _Bootstrap:
    """The percentile bootstrap over clusters, all sessions by the same draws."""

    def __init__(self, answers: Answers) -> None:
        self._rates = _cluster_rates(answers)
        clusters = self._rates.shape[1]
        draws = np.random.default_rng(PLAN_SEED).multinomial(clusters, np.full(clusters, 1 / clusters), RESAMPLES)
        self._weights = draws.T / clusters

    def rate(self) -> tuple[Floats, Floats]:
        return self._bounds(self._rates[:, :, 0])

    def effect(self) -> tuple[Floats, Floats]:
        return self._bounds(self._rates[:, :, 0] - self._rates[:, :, 1])

    def _bounds(self, values: Floats) -> tuple[Floats, Floats]:
        low, high = np.quantile(values @ self._weights, [ALPHA / 2, 1 - ALPHA / 2], axis=1)
        return low, high


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


def _planned(design: Design, sessions: int, seed: int) -> float:
    question = Question(
        baseline_rate=design.rate,
        likeness=design.likeness,
        cells=design.cells,
        recognizers=design.recognizers,
        arms=2,
        rule=Rule("arm", "baseline", ALPHA, 0.0),
        plan_seed=PLAN_SEED,
        seed=seed,
        sessions=sessions,
    )
    return Bench(question).power(design.effect_points, design.repeats).power


def _passed(name: str, count: int, sessions: int, expected: float) -> Passed:
    rate: Rate = wilson(count, sessions)
    return Passed(name, sessions, count / sessions, rate.low or 0.0, 1.0 if rate.high is None else rate.high, expected)
