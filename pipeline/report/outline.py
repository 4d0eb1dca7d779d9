"""The findings as words and tables, in the order of the page: for the forms on paper and in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report.content import ReportInput, Section
from pipeline.report.curves import noise_section, view_section
from pipeline.report.digest import Bench, Tally
from pipeline.report.findings import Findings
from pipeline.report.heat import HeatCell, HeatMap
from pipeline.report.turning import Counts
from pipeline.result import Table
from pipeline.scoring.score import Row

SAID = 4


def outline(found: Findings) -> list[Section]:
    """All sections; those that were handed in stand where they stand on the page."""
    report = found.report
    sections = [
        _verdict(report),
        _tested(found),
        Section("accuracy", "Accuracy by arm and recognizer", _accuracy_words(found), _accuracy(found)),
        Section("maps", "Accuracy by distance and yaw", _map_words(found), tuple(map(_map, _together(found)))),
        report.statistics,
        noise_section(report.rows),
        view_section(report.rows),
        Section("turned", f"What answers turned into, against {report.baseline}", _turned_words(found), _turned(found)),
        Section("leak", "Label leak", LEAK_WORDS, _leak(found)),
        report.twin,
        _coverage(found),
        _skipped(found),
        Section("provenance", "Provenance", (f"Made by: {report.command}",), (_facts(report),)),
    ]
    return [section for section in sections if section]


LEAK_WORDS = (
    "A patch carries the class of its target. If a plain picture of the class (label) does as much as the patch, or "
    "the patch of another class (wrong-class) pulls answers away, recognizers read the sticker rather than the object.",
)


def _verdict(report: ReportInput) -> Section:
    kind = "Simulated shots: rendered, not photographed." if report.simulated else "Physical: photographs."
    if report.judgement is None:
        return Section("verdict", "Verdict: no rule was stated", (kind, "Nothing was asked before the capture."))
    rule = (f"Rule, as stated before the capture: {report.rule}",) if report.rule else ()
    simulated = " (simulated)" if report.simulated else ""
    return Section(
        "verdict", f"Verdict{simulated}: {report.judgement.verdict}", (report.judgement.sentence, *rule, kind)
    )


def _tested(found: Findings) -> Section:
    coverage = found.coverage
    facts = [
        ("Target", found.report.target),
        ("Shots taken", str(coverage.taken)),
        ("Sheet located in", f"{coverage.located} of {coverage.taken}"),
        ("Answers", str(found.answers)),
        *((_kind(one), ", ".join(one.recognizers)) for one in found.benches),
        ("Arms", ", ".join(found.arms) or "none"),
    ]
    return Section("tested", "What was tested", (), (Table("", ("What", "Value"), tuple(facts)),))


def _kind(one: Bench) -> str:
    return "Held-out recognizers" if one.held_out else "Surrogates"


def _accuracy_words(found: Findings) -> tuple[str, ...]:
    if not found.benches:
        return ("Nothing was scored.",)
    return ("Right answers in %, the 95 % interval, right of judged answers. Surrogates say how well training worked.",)


def _accuracy(found: Findings) -> tuple[Table, ...]:
    return tuple(
        Table(_kind(one), ("Arm", *one.recognizers), tuple((arm, *map(_rate, rows)) for arm, rows in one.lines))
        for one in found.benches
    )


def _rate(row: Row | None) -> str:
    if row is None or row.rate is None or row.low is None or row.high is None or row.correct is None:
        return "–"
    return f"{100 * row.rate:.1f} ({100 * row.low:.1f} to {100 * row.high:.1f}) {row.correct}/{row.scored}"


def _together(found: Findings) -> tuple[HeatMap, ...]:
    return found.maps[0].maps if found.maps else ()


def _map_words(found: Findings) -> tuple[str, ...]:
    if not found.maps:
        return ("Distance and yaw of the shots are not known, or nothing was scored.",)
    kind = "held-out recognizers" if found.maps[0].held_out else "surrogates (none is held out)"
    return (f"Right answers in % of all {kind} together, and the number of shots; a hole is no shot.",)


def _map(one: HeatMap) -> Table:
    rows = zip(one.distances, one.cells, strict=True)
    return Table(one.arm, ("Distance", *one.yaws), tuple((name, *map(_cell, cells)) for name, cells in rows))


def _cell(cell: HeatCell) -> str:
    if cell.state == "rate":
        return f"{100 * cell.rate:.0f} ({cell.shots})"
    return f"none judged ({cell.shots})" if cell.shots else "no shot"


def _turned_words(found: Findings) -> tuple[str, ...]:
    if found.turned:
        return ("Pairs of shots of one condition: answers that changed, and what they were or became.",)
    return ("No condition has a judged answer both to the baseline and to another arm, or there was no plan.",)


def _turned(found: Findings) -> tuple[Table, ...]:
    columns = ("Arm", "Recognizer", "Pairs", "Wrong → right", "Right → wrong", "Wrong → other wrong", "Stayed right")
    rows = tuple(
        (one.arm, one.model, str(one.pairs), *map(_listed, (one.fixed, one.broken, one.swapped)), str(one.stayed_right))
        for one in found.turned
    )
    return (Table("", columns, rows),) if rows else ()


def _listed(counts: Counts) -> str:
    if not counts:
        return "0"
    shown = ", ".join(f"{label} ×{count}" for label, count in counts[:SAID])
    return f"{sum(count for _, count in counts)}: {shown}{', …' if len(counts) > SAID else ''}"


def _leak(found: Findings) -> tuple[Table, ...]:
    rows = tuple((line.arm, *_pooled(line.held_out), *_pooled(line.surrogates)) for line in found.leak)
    columns = ("Arm", "Held out, right", "said instead", "Surrogates, right", "said instead")
    return (Table("", columns, rows),) if rows else ()


def _pooled(tally: Tally) -> tuple[str, str]:
    if tally.rate is None:
        return "–", "–"
    said = ", ".join(f"{label} ×{count}" for label, count in tally.said)
    return f"{100 * tally.rate:.1f} % of {tally.judged}", said or "–"


def _coverage(found: Findings) -> Section:
    coverage = found.coverage
    planned = [("Shots planned", str(coverage.planned))] if coverage.planned is not None else []
    untouched = [("Neither taken nor skipped", str(coverage.untouched))] if coverage.untouched is not None else []
    facts = [*planned, ("Taken", str(coverage.taken)), ("Skipped", str(coverage.skipped)), *untouched, *coverage.domain]
    arms = tuple((a.arm, str(a.taken), str(a.located), str(a.missed), str(a.skipped)) for a in coverage.arms)
    tables = [Table("", ("What", "Value"), tuple(facts))]
    tables += [Table("Shots by arm", ("Arm", "Taken", "Located", "Not located", "Skipped"), arms)] if arms else []
    return Section("coverage", "Coverage", (), (*tables, *_counts(found)))


def _counts(found: Findings) -> list[Table]:
    columns = ("Arm", "Recognizer", "Pictures", "Scored", "Missed", "Not applicable", "Failed")
    rows = tuple(
        (row.arm, row.model, *map(str, (row.n, row.scored, row.missed, row.not_applicable, row.failed)))
        for row in found.rows
    )
    unanswered = tuple((status, why, str(count), str(other)) for status, why, count, other in found.unanswered)
    heads = ("Status", "Reason", "Answers", "Other views, noises")
    tables = [Table("What became of every answer", columns, rows)] if rows else []
    return tables + ([Table("Answers that are no score", heads, unanswered)] if unanswered else [])


def _skipped(found: Findings) -> Section:
    tables = [_reasons("Skipped", found.skip_reasons), _reasons("Sheet not located", found.missed_reasons)]
    words = tuple(f"Not in this report: {what}." for what in found.not_asked)
    nothing = () if any(table.rows for table in tables) else ("Nothing was skipped, and every sheet was located.",)
    return Section("skipped", "Skipped and missed", nothing + words, tuple(table for table in tables if table.rows))


def _reasons(title: str, counts: Sequence[tuple[str, int]]) -> Table:
    return Table(title, ("Reason", "Shots"), tuple((reason, str(count)) for reason, count in counts))


def _facts(report: ReportInput) -> Table:
    return Table("", ("What", "Value"), tuple(report.provenance))
