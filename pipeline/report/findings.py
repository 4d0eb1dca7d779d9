"""All that a report found, as numbers: every form of the report is written from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pipeline.report.content import ReportInput
from pipeline.report.curves import NoiseCurves, noise_curves
from pipeline.report.digest import (
    Bench,
    Coverage,
    LeakLine,
    all_arms,
    bench,
    coverage,
    leak_lines,
    reasons,
    unanswered,
    wrong_counts,
)
from pipeline.report.hearing import hear, is_plain
from pipeline.report.heat import MapSet, heat_maps
from pipeline.report.pictures import Example, choose
from pipeline.report.turning import Turned, turned
from pipeline.scoring.score import Row


@dataclass(frozen=True, slots=True)
class Findings:
    """What the answers of a session add up to. ``report`` is what they were made of; its answers have been read.

    ``rows`` and all that follows are of the pictures as they are; views and noises stand in ``report.rows`` and
    ``curves``. ``answers`` counts all, ``plain`` those of the pictures as they are. ``unanswered``: status, reason,
    how many of these, how many of the others.
    """

    report: ReportInput
    arms: tuple[str, ...]
    rows: tuple[Row, ...]
    answers: int
    plain: int
    benches: tuple[Bench, ...]
    wrong: Counter[tuple[str, str, bool]]
    maps: tuple[MapSet, ...]
    curves: tuple[NoiseCurves, ...]
    turned: tuple[Turned, ...]
    leak: tuple[LeakLine, ...]
    coverage: Coverage
    unanswered: tuple[tuple[str, str, int, int], ...]
    skip_reasons: tuple[tuple[str, int], ...]
    missed_reasons: tuple[tuple[str, int], ...]
    examples: tuple[Example, ...]
    not_asked: tuple[str, ...]


def find(report: ReportInput) -> Findings:
    """Read the answers, once, and count."""
    heard = hear(report.answers)
    rows = tuple(row for row in report.rows if is_plain(row))
    arms = tuple(all_arms(report))
    benches = [bench(rows, held_out) for held_out in (True, False)]
    return Findings(
        report=report,
        arms=arms,
        rows=rows,
        answers=heard.answers,
        plain=heard.plain,
        benches=tuple(one for one in benches if one.recognizers),
        wrong=wrong_counts(heard),
        maps=tuple(heat_maps(report.shots, heard)),
        curves=tuple(noise_curves(report.rows)),
        # Without a plan nobody knows which shots are of one condition.
        turned=tuple(turned(heard, arms, report.baseline)) if report.planned is not None else (),
        leak=tuple(leak_lines(heard)),
        coverage=coverage(report),
        unanswered=tuple(unanswered(heard)),
        skip_reasons=tuple(reasons(skip.reason for skip in report.skips)),
        missed_reasons=tuple(reasons(shot.reason for shot in report.shots if not shot.found)),
        examples=tuple(choose(report.shots, heard)),
        not_asked=tuple(_not_asked(report)),
    )


def _not_asked(report: ReportInput) -> list[str]:
    """What the report has no number of, in words."""
    missing = []
    if all(row.noise == "none" for row in report.rows):
        missing.append("answers under noises (dpcam score --noises)")
    if all(row.view == "natural" for row in report.rows):
        missing.append("answers to other views of the pictures (dpcam score --views)")
    if report.statistics is None:
        missing.append("comparisons of every arm and recognizer, corrected for their number")
    if report.twin is None:
        missing.append("the digital twin: what the patch would do if print and camera were perfect")
    return missing
