"""Sessions side by side: the same arms on the same recognizers, differences with intervals, and what else differs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from capture.session import Session
from pipeline.recognizers import Provider, Recognizer
from pipeline.report.digest import in_order
from pipeline.report.hearing import is_plain
from pipeline.report.run import is_simulated
from pipeline.result import Table
from pipeline.scoring.run import score_session
from pipeline.scoring.score import Answer, Row, is_primary
from pipeline.sessions.localizing import session_sheets
from pipeline.statistics import by_cell, paired_effect

LETTERS = 26
MIN_CELLS = 2
"""Fewer conditions in common than this say nothing about a difference between conditions."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that sessions have or do not have in common, a value for each."""

    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the sessions differ in it."""
        return len(set(self.values)) > 1


@dataclass(frozen=True, slots=True)
class Difference:
    """A session's rate minus that of the first, in points, with its 95 % interval.

    ``conditions`` that both sessions took, over which they are paired; 0 when they are not: then both rates stand for
    themselves, whatever their conditions were.
    """

    points: float
    low: float
    high: float
    conditions: int


@dataclass(frozen=True, slots=True)
class Line:
    """One arm on one recognizer: a row for each session, and each later session's difference from the first.

    None: not scored there.
    """

    arm: str
    model: str
    held_out: bool
    rows: tuple[Row | None, ...]
    differences: tuple[Difference | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was compared; the first session is what the others are held against."""

    sessions: tuple[str, ...]
    simulated: tuple[bool, ...]
    facts: tuple[Fact, ...]
    lines: tuple[Line, ...]

    @property
    def letters(self) -> tuple[str, ...]:
        """What the sessions are called in tables: A, B, ..."""
        count = len(self.sessions)
        return tuple(chr(ord("A") + i) if i < LETTERS else f"S{i + 1}" for i in range(count))

    @property
    def against(self) -> tuple[str, ...]:
        """Heads of the differences."""
        first, *others = self.letters
        return tuple(f"{other} − {first}" for other in others)


Cells = dict[tuple[str, str], list[tuple[str, bool]]]


def compare_sessions(
    sessions: Sequence[Session], recognizers: Sequence[Recognizer], provider: Provider, progress: Callable[[int], None]
) -> Comparison:
    """Score every session and compare. Only arms and recognizers that two sessions or more have, have a line."""
    scored = []
    done = 0
    for session in sessions:
        scored.append(score_session(session, recognizers, provider, _after(done, progress)))
        done += len(session.frames)
    return Comparison(
        sessions=tuple(session.header.id for session in sessions),
        simulated=tuple(is_simulated(session) for session in sessions),
        facts=tuple(session_facts(sessions)),
        lines=tuple(compare_scores([(each.rows, each.answers) for each in scored], seed=sessions[0].header.seed)),
    )


def compare_scores(scored: Sequence[tuple[Sequence[Row], Iterable[Answer]]], *, seed: int) -> list[Line]:
    """Rows and answers of each session → the lines, held-out recognizers first. Of the pictures as they are."""
    rows = [{(row.arm, row.model): row for row in found if is_plain(row)} for found, _ in scored]
    cells = [_cells(answers) for _, answers in scored]
    keys = [key for key in dict.fromkeys(key for found in rows for key in found) if sum(key in r for r in rows) > 1]
    order = {arm: i for i, arm in enumerate(in_order(arm for arm, _ in keys))}
    lines = [_line(arm, model, rows, cells, seed) for arm, model in keys]
    return sorted(lines, key=lambda line: (not line.held_out, line.model, order[line.arm]))


def _after(done: int, progress: Callable[[int], None]) -> Callable[[int], None]:
    return lambda n: progress(done + n)


def session_facts(sessions: Sequence[Session]) -> list[Fact]:
    """Camera, plan, conditions, seed, versions; what was on the target in each arm; the hash of every other input.

    Sheets are told by what is printed on them: each has tags, and so a name and a hash, of its own.
    """
    names: dict[str, Callable[[Session], str]] = {
        "camera": lambda s: s.header.camera_words,
        "picture size": lambda s: ", ".join(sorted({f"{frame.width}x{frame.height}" for frame in s.frames})) or "none",
        "captured": lambda s: s.header.created_utc,
        "frames": lambda s: str(len(s.frames)),
        "skipped shots": lambda s: str(len(s.skips)),
        "target": lambda s: s.plan.target if s.plan else "no plan",
        "rule": lambda s: f"{s.plan.primary_arm} against {s.plan.baseline_arm}" if s.plan else "no plan",
        "conditions": _conditions,
        "seed": lambda s: str(s.header.seed),
        "operator": lambda s: s.header.operator or "not named",
        "packages": lambda s: ", ".join(f"{name} {version}" for name, version in s.header.machine.versions.items()),
    }
    facts = [Fact(name, tuple(value(session) for session in sessions)) for name, value in names.items()]
    held = [_printed(session) | _inputs(session) for session in sessions]
    every = dict.fromkeys(name for found in held for name in found)
    return facts + [Fact(name, tuple(found.get(name, "none") for found in held)) for name in every]


def _printed(session: Session) -> dict[str, str]:
    """Of each arm: its patch and the hash of the texture that is printed."""
    sheets = session_sheets(session).values()
    found = {}
    for sheet in sorted(sheets, key=lambda sheet: sheet.arm):
        texture = f"texture {sheet.texture_sha256[:12]}" if sheet.texture_sha256 else "no texture"
        found[f"arm {sheet.arm}"] = f"{sheet.patch}, {texture}" if sheet.patch else texture
    return found


def _inputs(session: Session) -> dict[str, str]:
    return {
        f"input {each.path.removeprefix('inputs/')}": each.sha256[:12]
        for each in session.header.inputs
        if each.role not in ("sheet", "sheet-file")
    }


def comparison_tables(found: Comparison) -> list[Table]:
    """For people: rates by session with differences, then what differs."""
    rates = Table(
        "Right answers in %, with 95 % interval; differences in points",
        ("recognizer", "arm", *found.letters, *found.against),
        tuple(_cells_of(line) for line in found.lines),
    )
    differing = Table(
        "What differs", ("", *found.letters), tuple((each.name, *each.values) for each in found.facts if each.differs)
    )
    return [rates, differing]


def unpaired(one: Row, other: Row) -> Difference | None:
    """``other`` minus ``one`` from two rates and their intervals (Newcombe 1998, method 10: squares added)."""
    if None in (one.rate, one.low, one.high, other.rate, other.low, other.high):
        return None
    p, low, high = float(one.rate or 0), float(one.low or 0), float(one.high or 0)
    q, q_low, q_high = float(other.rate or 0), float(other.low or 0), float(other.high or 0)
    below, above = math.hypot(q - q_low, high - p), math.hypot(q_high - q, p - low)
    return Difference(100 * (q - p), 100 * (q - p - below), 100 * (q - p + above), 0)


def _line(arm: str, model: str, rows: Sequence[dict[tuple[str, str], Row]], cells: Sequence[Cells], seed: int) -> Line:
    mine = tuple(found.get((arm, model)) for found in rows)
    lists = [found.get((arm, model), []) for found in cells]
    first, *others = zip(mine, lists, strict=True)
    return Line(
        arm=arm,
        model=model,
        held_out=any(row.held_out for row in mine if row),
        rows=mine,
        differences=tuple(_difference(first, other, seed) for other in others),
    )


Judged = tuple[Row | None, list[tuple[str, bool]]]


def _difference(first: Judged, other: Judged, seed: int) -> Difference | None:
    if first[0] is None or other[0] is None:
        return None
    effect = paired_effect(by_cell(other[1]), by_cell(first[1]), seed=seed)
    if effect is None or effect.cells < MIN_CELLS:
        return unpaired(first[0], other[0])
    return Difference(effect.points, effect.low, effect.high, effect.cells)


def _cells(answers: Iterable[Answer]) -> Cells:
    """(arm, recognizer) → (condition, right) of every judged answer to a picture as it is."""
    found: Cells = {}
    for answer in answers:
        if answer.correct is not None and is_primary(answer):
            found.setdefault((answer.arm, answer.model), []).append((answer.cell, answer.correct))
    return found


def _conditions(session: Session) -> str:
    if session.plan is None:
        return "no plan"
    conditions = {shot.condition.model_dump_json() for shot in session.plan.shots}
    distances = sorted({shot.condition.distance_mm for shot in session.plan.shots})
    return f"{len(conditions)}, {distances[0]:g} to {distances[-1]:g} mm"


def _cells_of(line: Line) -> tuple[str, ...]:
    name = f"{line.model}{' (held out)' if line.held_out else ''}"
    return (name, line.arm, *map(rate_text, line.rows), *map(difference_text, line.differences))


def rate_text(row: Row | None) -> str:
    """A rate with its interval, in percent."""
    if row is None or row.rate is None or row.low is None or row.high is None:
        return "–"
    return f"{100 * row.rate:.1f} ({100 * row.low:.0f} to {100 * row.high:.0f})"


def difference_text(difference: Difference | None) -> str:
    """A difference with its interval, in points; ``*`` when it is not paired over conditions."""
    if difference is None:
        return "–"
    star = "" if difference.conditions else " *"
    return f"{difference.points:+.1f} ({difference.low:+.1f} to {difference.high:+.1f}){star}".replace("-", "−")
