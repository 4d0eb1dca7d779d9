"""What the analysis of a session says, as a section: comparisons, transfer, repeats, what distance and angle do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydantic import JsonValue, TypeAdapter

from pipeline.report.analysis import Analysis, Transfer
from pipeline.report.content import Section
from pipeline.report.digest import in_order
from pipeline.result import Table
from pipeline.statistics import Effect
from pipeline.statistics.contrasts import Contrast
from pipeline.statistics.detectable import Detectable
from pipeline.statistics.repeatability import Repeatability
from pipeline.statistics.slopes import Heterogeneity, Level, Slope

MOST_CONDITIONS = 40
_ANALYSIS: TypeAdapter[Analysis] = TypeAdapter(Analysis)


def statistics_section(analysis: Analysis) -> Section:
    """Tables of what there is; the JSON form holds the whole analysis."""
    transfers = {each.arm: each for each in analysis.transfer}
    ordered = [transfers[arm] for arm in in_order(transfers)]
    tables = [
        _kept(ordered),
        _gains(ordered),
        _conditions(analysis.by_condition),
        _repeats(analysis.repeatability),
        *(_heterogeneity(analysis.heterogeneity) if analysis.heterogeneity else ()),
    ]
    data: JsonValue = _ANALYSIS.dump_python(analysis, mode="json")
    return Section("statistics", "Statistics", tuple(_words(analysis)), tuple(t for t in tables if t.rows), data=data)


def _words(analysis: Analysis) -> Iterator[str]:
    yield (
        f"{analysis.answers} judged answers to {analysis.shots} shots under {analysis.conditions} conditions. What is "
        "independent is the condition: all answers under one hang together."
    )
    if analysis.primary:
        yield f"The rule's comparison was tested by {analysis.primary.test}: {analysis.primary.why}."
    if analysis.detectable:
        yield _detectable(analysis.detectable)


def _detectable(found: Detectable) -> str:
    reason = f" ({found.reason})" if found.reason else ""
    if found.points is None:
        return f"Minimum detectable effect: none{reason}."
    return (
        f"Minimum detectable effect: {found.points:.1f} points give PASS in {found.power:.0%} of sessions as variable "
        f"as this one{reason}."
    )


def _gains(transfers: Sequence[Transfer]) -> Table:
    rows = [_gain(each) for transfer in transfers for each in sorted(transfer.by_recognizer, key=_held_out_first)]
    return Table(
        "Each arm against the baseline on each recognizer, in points with interval; Holm over recognizers of a kind.",
        ("Arm", "Recognizer", "Kind", "Difference", "p", "p (Holm)", "Test", "Conditions"),
        tuple(rows),
    )


def _held_out_first(one: Contrast) -> bool:
    return not one.held_out


def _gain(one: Contrast) -> tuple[str, ...]:
    kind = "held out" if one.held_out else "surrogate"
    return (one.arm, one.model or "all", kind, _effect(one.effect), *_tested(one), one.test, str(one.effect.cells))


def _kept(transfers: Iterable[Transfer]) -> Table:
    rows = tuple(
        (each.arm, *(_effect(of.effect) if of else "–" for of in (each.surrogates, each.held_out)), _effect(each.kept))
        for each in transfers
    )
    return Table(
        "Transfer: the gain on surrogates, on held-out recognizers, and the difference of both, in points.",
        ("Arm", "On surrogates", "On held-out recognizers", "Held out less surrogates"),
        rows,
    )


def _conditions(contrasts: Sequence[Contrast]) -> Table:
    """Those of the smallest p-values."""
    first = sorted(contrasts, key=lambda one: (one.p_adjusted, one.effect.p_value, one.model or "", one.cell or ""))
    rows = tuple(
        (one.cell or "all", one.model or "all", _effect(one.effect), *_tested(one), one.test)
        for one in first[:MOST_CONDITIONS]
    )
    shown = f"the {MOST_CONDITIONS} of {len(contrasts)} with the smallest p-values" if len(first) > len(rows) else "all"
    return Table(
        f"By condition and recognizer, {shown}; Holm over all {len(contrasts)}.",
        ("Condition", "Recognizer", "Difference", "p", "p (Holm)", "Test"),
        rows,
    )


def _repeats(found: Sequence[Repeatability]) -> Table:
    rows = tuple(
        (
            one.arm,
            "held out" if one.held_out else "surrogates",
            str(one.cells),
            str(one.shots),
            _effect(one.halves),
            _number(one.sd_points),
            _number(one.limit_points),
            _number(None if one.changed is None else 100 * one.changed),
        )
        for one in found
        if not one.reason
    )
    return Table(
        "Repeats of the same condition: half of them against the other half (A/A), standard deviation of the rate, by "
        "how much two sessions alike differ at most in 95 of 100 cases (points), pairs of answers that changed (%).",
        ("Arm", "Recognizers", "Conditions", "Shots", "A/A", "Deviation", "Limit", "Changed"),
        rows,
    )


def _heterogeneity(found: Heterogeneity) -> tuple[Table, Table]:
    against = f"{found.arm} against {found.baseline} on held-out recognizers"
    return (
        Table(
            f"{against}: how its log odds ratio changes with distance and angle.",
            ("Factor", "Per", "Change", "p", "p (Holm)", "Remark"),
            tuple(map(_slope, found.slopes)),
        ),
        Table(
            f"{against}, at each distance and angle, in points.",
            ("Where", "Difference", "Conditions"),
            tuple(map(_level, found.levels)),
        ),
    )


def _slope(one: Slope) -> tuple[str, ...]:
    if one.log_odds is None or one.low is None or one.high is None:
        return one.factor, one.per, "–", "–", "–", one.reason
    change = _minus(f"{one.log_odds:+.2f} ({one.low:+.2f} to {one.high:+.2f})")
    return one.factor, one.per, change, _p(one.p_value), _p(one.p_adjusted), one.reason


def _level(one: Level) -> tuple[str, ...]:
    unit = " mm" if one.factor == "distance" else "°"
    return f"{one.factor} {one.value:g}{unit}", _effect(one.effect), str(one.effect.cells)


def _tested(one: Contrast) -> tuple[str, str]:
    return _p(one.effect.p_value), _p(one.p_adjusted)


def _effect(effect: Effect | None) -> str:
    return "–" if effect is None else _minus(f"{effect.points:+.1f} ({effect.low:+.1f} to {effect.high:+.1f})")


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _minus(text: str) -> str:
    return text.replace("-", "−")
