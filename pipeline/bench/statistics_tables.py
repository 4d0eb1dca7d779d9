"""What the bench of the statistics counted, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from pipeline.result import Result, Table


@dataclass(frozen=True, slots=True)
class Covered:
    """The share of intervals that hold the truth, of an arm's rate and of the effect: ours and others.

    Naive: Wilson's interval (for the effect: Newcombe's, of two of them) that takes every answer for a fact of its own.
    Bootstrap: percentiles over whole clusters, drawn anew. Widths are means, in points. ``effect`` is None where there
    is but one condition: no arms are paired there.
    """

    design: str
    sessions: int
    rate: float
    rate_naive: float
    rate_bootstrap: float
    rate_width: float
    rate_width_naive: float
    effect: float | None
    effect_naive: float | None
    effect_bootstrap: float | None
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
    alpha: float


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
        "alpha": trials.alpha,
        **asdict(trials),
    }
    said = [
        f"95 % intervals hold the truth in {100 * ours:.1f} % ({100 * min(every):.1f} to {100 * max(every):.1f} by "
        f"design), naive ones in {100 * naive:.1f} %",
        f"arms that are the same: PASS in {100 * data['false_pass_rate']:.1f} %, alpha is {100 * trials.alpha:g} %",
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


def _ours(line: Covered) -> list[float]:
    return [each for each in (line.rate, line.effect) if each is not None]


def _naive(line: Covered) -> list[float]:
    return [each for each in (line.rate_naive, line.effect_naive) if each is not None]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _coverage_table(title: str, lines: Sequence[Covered]) -> Table:
    one = ("naive", "bootstrap", "width, points", "naive")
    heads = ("sessions", "rate", *one, "effect", *one)
    rows = tuple(
        (
            each.design,
            *(_percent(value) for value in (each.rate, each.rate_naive, each.rate_bootstrap)),
            *(_points(value) for value in (each.rate_width, each.rate_width_naive)),
            *(_percent(value) for value in (each.effect, each.effect_naive, each.effect_bootstrap)),
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
