"""From answers to the numbers on the page: accuracy, label leak, coverage. Surrogates and held-out never mix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from calibration.sheet import ARMS
from pipeline.report.content import ReportInput, ShotView, Skip
from pipeline.report.hearing import Heard, Said
from pipeline.scoring.score import Row

SAID_INSTEAD = 3
LEAK_ARMS = ("bare", "label", "wrong-class")
"""The controls that show whether a recognizer reads the sticker or the object; they stand beside the patches."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The recognizers of one kind, and a line of rows for each arm (None where nothing was scored)."""

    held_out: bool
    recognizers: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Row | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """Judged answers pooled over recognizers of one kind, and the labels most often said instead."""

    correct: int
    judged: int
    said: tuple[tuple[str, int], ...]

    @property
    def rate(self) -> float | None:
        """Share of correct answers, None when nothing was judged."""
        return self.correct / self.judged if self.judged else None


@dataclass(frozen=True, slots=True)
class LeakLine:
    """One arm of the label-leak table."""

    arm: str
    held_out: Tally
    surrogates: Tally


@dataclass(frozen=True, slots=True)
class ArmCoverage:
    """Shots of one arm: taken, of these located or missed, and skipped."""

    arm: str
    taken: int
    located: int
    skipped: int

    @property
    def missed(self) -> int:
        """Taken, but the sheet was not found."""
        return self.taken - self.located


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the session really covers. ``domain`` names each dimension and the values that were taken."""

    planned: int | None
    arms: tuple[ArmCoverage, ...]
    domain: tuple[tuple[str, str], ...]

    @property
    def taken(self) -> int:
        """Shots taken."""
        return sum(arm.taken for arm in self.arms)

    @property
    def located(self) -> int:
        """Shots in which the sheet was found."""
        return sum(arm.located for arm in self.arms)

    @property
    def skipped(self) -> int:
        """Shots skipped."""
        return sum(arm.skipped for arm in self.arms)

    @property
    def untouched(self) -> int | None:
        """Planned, but neither taken nor skipped: the session ended before."""
        return None if self.planned is None else max(0, self.planned - self.taken - self.skipped)


def is_patch(arm: str) -> bool:
    """Whether the arm is a patch; all others are controls."""
    return arm not in ARMS


def in_order(arms: Iterable[str]) -> list[str]:
    """Distinct arms: controls in their house order, then patches by name."""
    return sorted(set(arms), key=lambda arm: (ARMS.index(arm) if arm in ARMS else len(ARMS), arm))


def all_arms(report: ReportInput) -> list[str]:
    """Every arm that the report speaks of."""
    return in_order([item.arm for part in (report.rows, report.shots, report.skips) for item in part])


def bench(rows: Sequence[Row], held_out: bool) -> Bench:
    """Arms x recognizers of one kind."""
    mine = {(row.arm, row.model): row for row in rows if row.held_out == held_out}
    recognizers = tuple(sorted({model for _, model in mine}))
    arms = in_order(arm for arm, _ in mine)
    lines = tuple((arm, tuple(mine.get((arm, model)) for model in recognizers)) for arm in arms)
    return Bench(held_out, recognizers, lines)


def rows_by_arm(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Every row under its arm, held-out recognizers first."""
    return [
        (arm, sorted((row for row in rows if row.arm == arm), key=lambda row: (not row.held_out, row.model)))
        for arm in in_order(row.arm for row in rows)
    ]


def wrong_counts(heard: Heard) -> Counter[tuple[str, str, bool]]:
    """Wrong answers by (arm, recognizer, held out)."""
    wrong: Counter[tuple[str, str, bool]] = Counter()
    for (arm, said), count in heard.said.items():
        wrong[arm, said.model, said.held_out] += 0 if said.correct else count
    return wrong


def leak_lines(heard: Heard) -> list[LeakLine]:
    """The leak controls and every patch, those that were judged."""
    by_arm: dict[tuple[str, bool], Counter[Said]] = {}
    for (arm, said), count in heard.said.items():
        by_arm.setdefault((arm, said.held_out), Counter())[said] += count
    shown = [arm for arm in in_order(arm for arm, _ in by_arm) if arm in LEAK_ARMS or is_patch(arm)]
    nothing: Counter[Said] = Counter()
    return [
        LeakLine(arm, tally(by_arm.get((arm, True), nothing)), tally(by_arm.get((arm, False), nothing)))
        for arm in shown
    ]


def tally(judged: Mapping[Said, int]) -> Tally:
    """Count what was said; ties among wrong labels go by name."""
    said: Counter[str] = Counter()
    for one, count in judged.items():
        if not one.correct:
            said[one.predicted] += count
    top = sorted(said.items(), key=lambda item: (-item[1], item[0]))[:SAID_INSTEAD]
    total = sum(judged.values())
    return Tally(total - said.total(), total, tuple(top))


def coverage(report: ReportInput) -> Coverage:
    """Planned, taken, skipped, located, missed; and the conditions of the shots taken."""
    arms = tuple(_arm_coverage(arm, report.shots, report.skips) for arm in all_arms(report))
    return Coverage(report.planned, arms, _domain(report.shots))


def reasons(texts: Iterable[str]) -> list[tuple[str, int]]:
    """Distinct reasons with their counts, most frequent first."""
    counts = Counter(text or "no reason given" for text in texts)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def unanswered(heard: Heard) -> list[tuple[str, str, int, int]]:
    """(status, reason, count, count among other views and noises) of answers that are no score.

    The most frequent first within a status.
    """
    keys = heard.unscored.keys() | heard.unscored_otherwise.keys()
    lines = [
        (status, reason or "no reason given", heard.unscored[status, reason], heard.unscored_otherwise[status, reason])
        for status, reason in keys
    ]
    return sorted(lines, key=lambda line: (line[0], -line[2], -line[3], line[1]))


def _arm_coverage(arm: str, shots: Sequence[ShotView], skips: Sequence[Skip]) -> ArmCoverage:
    mine = [shot for shot in shots if shot.arm == arm]
    return ArmCoverage(arm, len(mine), sum(s.found for s in mine), sum(skip.arm == arm for skip in skips))


def _domain(shots: Sequence[ShotView]) -> tuple[tuple[str, str], ...]:
    numbers = (
        ("Distance", " mm", [shot.distance_mm for shot in shots]),
        ("Yaw", "°", [shot.yaw_deg for shot in shots]),
        ("Pitch", "°", [shot.pitch_deg for shot in shots]),
    )
    measured = [(name, _values([v for v in values if v is not None], unit)) for name, unit, values in numbers]
    lights = sorted({shot.light for shot in shots if shot.light})
    return (*measured, ("Light", ", ".join(lights[:20]) or "unknown"))


def _values(values: Sequence[float], unit: str) -> str:
    distinct = sorted(set(values))
    if not distinct:
        return "unknown"
    if len(distinct) > 12:
        return f"{distinct[0]:g} to {distinct[-1]:g}{unit} ({len(distinct)} values)"
    return ", ".join(f"{value:g}" for value in distinct).replace("-", "−") + unit
