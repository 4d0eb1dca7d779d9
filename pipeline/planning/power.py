"""How many shots show which effect: sessions are simulated, and judged by the very test and rule that scoring uses.

Answers of one recognizer to shots of the same arm under the same condition are alike, and so, less, are those of other
recognizers and of the other arm there. The model is a Gaussian threshold: an answer is right where a normal variable,
the sum of what condition, arm and recognizer bring along and of what each shot brings, lies below the quantile of the
arm's rate. Rates are met exactly; the correlations that are stated are those of right and wrong, not of the variable
(the relation of both: Emrich and Piedmonte 1991, doi 10.1080/00031305.1991.10475828).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadUsage
from pipeline.statistics import PairedTest, Rule, judge, wilson

MAX_REPEATS = 200
MAX_CELLS = 500
_CHUNK = 500
"""Sessions that are simulated at once; part of what a seed means."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Correlations of right and wrong between two answers in one cell (condition): 0 as chance has it, 1 the same.

    ``repeats``: one recognizer, one arm, two shots. ``recognizers``: two recognizers, one arm, two shots. ``arms``: one
    recognizer, both arms (what is hard with the patch is hard without). :class:`BadUsage` unless the first is the
    largest of these. ``pictures``: two recognizers, one shot; what exceeds the one before is owed to the picture.
    """

    repeats: float
    recognizers: float
    arms: float
    pictures: float

    def __post_init__(self) -> None:
        if not 0 <= self.pictures <= 1:
            raise BadUsage(f"the correlation on one picture is {self.pictures:g}; accepted is 0 to 1")
        for name, value in (("recognizers", self.recognizers), ("arms", self.arms)):
            if not 0 <= value <= self.repeats <= 1:
                raise BadUsage(
                    f"the correlation between {name} is {value:g}, that of repeats {self.repeats:g}; "
                    "accepted is 0 to 1, and none larger than that of repeats"
                )


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the power: everything but the effect and the number of repeats.

    ``baseline_rate``: share of right answers without the patch. ``arms``: how many arms the plan has (for the count of
    shots). ``recognizers``: those held out. ``plan_seed`` draws what the test draws, ``seed`` the answers of the
    ``sessions`` that are simulated.
    """

    baseline_rate: float
    likeness: Likeness
    cells: int
    recognizers: int
    arms: int
    rule: Rule
    plan_seed: int
    seed: int
    sessions: int = 2000

    def __post_init__(self) -> None:
        if not 0 < self.baseline_rate < 1:
            raise BadUsage(f"the baseline rate is {self.baseline_rate:g}; accepted is more than 0 and less than 1")
        if self.cells < 2 or self.recognizers < 1 or self.sessions < 1:
            raise BadUsage(
                f"{self.cells} conditions, {self.recognizers} recognizers and {self.sessions} sessions; "
                "at least 2, 1 and 1 are needed"
            )


@dataclass(frozen=True, slots=True)
class Power:
    """Share of sessions with the verdict PASS, with its 95 % interval. ``repeats`` and ``shots`` None: endless."""

    effect_points: float
    cells: int
    repeats: int | None
    shots: int | None
    power: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer for one effect: the power ``now``, and with ``endless`` repeats.

    ``enough``: the smallest number of repeats with the wished power, None when not even endless ones have it.
    ``wider``: the smallest number of conditions with it, with as many repeats as now; None beyond ``MAX_CELLS``.
    """

    now: Power
    endless: Power
    enough: Power | None
    wider: Power | None


@dataclass(frozen=True, slots=True)
class Bench:
    """A question with what has to be drawn but once for it."""

    question: Question
    tests: dict[int, PairedTest] = field(default_factory=dict)

    def power(self, effect_points: float, repeats: int | Sequence[int] | None, cells: int | None = None) -> Power:
        """The power for a true effect, with ``repeats`` of each shot: for all cells, or for each; None: endless."""
        asked = self.question if cells is None else replace(self.question, cells=cells)
        counts = None if repeats is None else np.broadcast_to(np.asarray(repeats, dtype=np.int64), (asked.cells,))
        test = self._test(asked.cells)
        answers = math.inf if counts is None else float(counts.sum() * asked.recognizers)
        passed = sum(
            judge(effect, asked.rule).verdict == "PASS"
            for rates in _simulated(asked, effect_points, counts)
            for effect in test.effects(rates, (answers, answers))
        )
        rate = wilson(passed, asked.sessions)
        return Power(
            effect_points=effect_points,
            cells=asked.cells,
            repeats=None if counts is None else int(counts.max()),
            shots=None if counts is None else int(counts.sum()) * asked.arms,
            power=passed / asked.sessions,
            low=rate.low or 0.0,
            high=1.0 if rate.high is None else rate.high,
        )

    def find(self, effect_points: float, repeats: int | Sequence[int], wished: float) -> Finding:
        """Answer for one effect, from a plan with ``repeats`` (of all cells, or of each)."""
        now, endless = self.power(effect_points, repeats), self.power(effect_points, None)
        most = int(np.max(repeats))
        return Finding(
            now=now,
            endless=endless,
            enough=_smallest(lambda n: self.power(effect_points, n), wished, 1, MAX_REPEATS)
            if endless.power >= wished
            else None,
            wider=_smallest(lambda n: self.power(effect_points, most, n), wished, 2, MAX_CELLS),
        )

    def _test(self, cells: int) -> PairedTest:
        rule = self.question.rule
        if cells not in self.tests:
            self.tests[cells] = PairedTest(
                cells, seed=self.question.plan_seed, alpha=rule.alpha, null_points=rule.min_effect_points
            )
        return self.tests[cells]


def _smallest(power: Callable[[int], Power], wished: float, first: int, last: int) -> Power | None:
    """The first of the numbers for which the power is as wished: doubled until it is, then halved in between."""
    below, above = first - 1, first
    while (found := power(above)).power < wished:
        if above == last:
            return None
        below, above = above, min(2 * above, last)
    while above - below > 1:
        middle = (below + above) // 2
        tried = power(middle)
        below, above, found = (below, middle, tried) if tried.power >= wished else (middle, above, found)
    return found


def _simulated(
    question: Question, effect_points: float, counts: NDArray[np.int64] | None
) -> Iterator[NDArray[np.float64]]:
    """``(S, C, 2)`` rates of the arm and the baseline, chunk after chunk of sessions."""
    treated = question.baseline_rate + effect_points / 100
    if not 0 <= treated <= 1:
        raise BadUsage(
            f"from a baseline of {100 * question.baseline_rate:g} % there is no effect of {effect_points:g} points"
        )
    latent = _Latent.of(question)
    thresholds = _quantiles(question.baseline_rate, treated)
    size = question.cells * question.recognizers * (int(counts.max()) if counts is not None and latent.picture else 1)
    chunk = max(1, min(_CHUNK, 2_000_000 // size))
    for number, start in enumerate(range(0, question.sessions, chunk)):
        random = np.random.default_rng([question.seed, number])
        shape = (min(chunk, question.sessions - start), question.cells, 2, question.recognizers)
        yield latent.shares(thresholds - latent.common(shape, random), counts, random)[:, :, ::-1]


@dataclass(frozen=True, slots=True)
class _Latent:
    """The parts of the normal variable that decides over right and wrong, as variances; all of them add up to 1."""

    condition: float
    condition_arm: float
    condition_recognizer: float
    condition_arm_recognizer: float
    picture: float
    rest: float

    @classmethod
    def of(cls, question: Question) -> _Latent:
        likeness = question.likeness
        repeats, between, across, picture = (
            latent_correlation(question.baseline_rate, value)
            for value in (likeness.repeats, likeness.recognizers, likeness.arms, likeness.pictures)
        )
        shared = across / repeats if repeats else 0.0
        picture = min(max(picture - between, 0.0), 1 - repeats) if question.recognizers > 1 else 0.0
        return cls(
            condition=shared * between,
            condition_arm=(1 - shared) * between,
            condition_recognizer=shared * (repeats - between),
            condition_arm_recognizer=(1 - shared) * (repeats - between),
            picture=picture,
            rest=1 - repeats - picture,
        )

    def common(self, shape: tuple[int, int, int, int], random: np.random.Generator) -> NDArray[np.float64]:
        """What all shots of one cell have in common, ``(S, C, 2, M)``."""
        sessions, cells, arms, recognizers = shape
        drawn = np.zeros(shape)
        for variance, size in (
            (self.condition, (sessions, cells, 1, 1)),
            (self.condition_arm, (sessions, cells, arms, 1)),
            (self.condition_recognizer, (sessions, cells, 1, recognizers)),
            (self.condition_arm_recognizer, shape),
        ):
            drawn = drawn + math.sqrt(max(variance, 0.0)) * random.standard_normal(size)
        return drawn

    def shares(
        self, room: NDArray[np.float64], counts: NDArray[np.int64] | None, random: np.random.Generator
    ) -> NDArray[np.float64]:
        """``(S, C, 2)`` shares of right answers; ``room`` ``(S, C, 2, M)`` is what the shots' own part may take."""
        if counts is None or not self.picture:
            rates = _below(room, self.picture + self.rest)
            drawn = rates if counts is None else random.binomial(counts[:, None, None], rates) / counts[:, None, None]
            return np.asarray(drawn.mean(axis=3), dtype=np.float64)
        repeats = int(counts.max())
        taken = np.arange(repeats) < counts[:, None]
        pictures = math.sqrt(self.picture) * random.standard_normal((*room.shape[:3], 1, repeats))
        right = random.uniform(size=(*room.shape, repeats)) < _below(room[..., None] - pictures, self.rest)
        by_shot = right.mean(axis=3) * taken[:, None]
        return np.asarray(by_shot.sum(axis=3) / counts[:, None], dtype=np.float64)


def _below(room: NDArray[np.float64], variance: float) -> NDArray[np.float64]:
    """The probability that a normal variable of this variance lies below ``room``; without variance, all but a step."""
    from scipy.special import ndtr

    return np.asarray(ndtr(room / math.sqrt(max(variance, 1e-12))), dtype=np.float64)


def _quantiles(baseline: float, treated: float) -> NDArray[np.float64]:
    """``(2, 1)`` quantiles of both rates; of a rate of 1 it is infinite."""
    from scipy.special import ndtri

    return np.asarray(ndtri([baseline, treated]), dtype=np.float64)[:, None]


def latent_correlation(rate: float, correlation: float) -> float:
    """The correlation of two normal variables whose being below the quantile of ``rate`` has this ``correlation``."""
    from scipy.optimize import brentq

    if correlation <= 0 or correlation >= 1:
        return float(np.clip(correlation, 0, 1))
    return float(brentq(lambda latent: _observed_correlation(rate, latent) - correlation, 0, 1))


def _observed_correlation(rate: float, latent: float) -> float:
    """The correlation of right and wrong; both below the quantile by Owen's T function (Owen 1956)."""
    from scipy.special import ndtri, owens_t

    both = rate - 2 * owens_t(ndtri(rate), math.sqrt((1 - latent) / (1 + latent)))
    return float((both - rate**2) / (rate * (1 - rate)))
