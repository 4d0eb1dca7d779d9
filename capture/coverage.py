"""What of a plan is done, missing or failed, condition by condition and arm by arm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

from calibration.files import Document
from capture.plan import Condition, Plan, Shot
from capture.rigs.base import in_words

Outcome = Literal["missing", "done", "failed"]


class ShotOutcome(Document):
    """How it stands with one shot; ``reason``: why it failed."""

    shot: int
    repeat: int = 0
    outcome: Outcome = "missing"
    reason: str = ""


class Cell(Document):
    """The shots of one arm under one condition."""

    arm: str
    shots: tuple[ShotOutcome, ...]


class Row(Document):
    """One condition, also in words, with a cell for each arm."""

    condition: Condition
    words: str
    cells: tuple[Cell, ...]


class Coverage(Document):
    """The grid of a plan: conditions down, arms across; nothing without a plan."""

    arms: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


def coverage_of(plan: Plan | None, outcomes: Mapping[int, ShotOutcome]) -> Coverage:
    """The grid of ``plan``; ``outcomes``: number → what became of a shot, where something did."""
    if plan is None:
        return Coverage()
    shots: dict[tuple[str, str], list[Shot]] = defaultdict(list)
    for shot in plan.shots:
        shots[shot.condition.model_dump_json(), shot.arm].append(shot)
    arms = tuple(plan.arms)
    rows = tuple(_row(condition, arms, shots, outcomes) for condition in plan.conditions)
    return Coverage(arms=arms, rows=tuple(row for row in rows if any(cell.shots for cell in row.cells)))


def _row(
    condition: Condition,
    arms: tuple[str, ...],
    shots: Mapping[tuple[str, str], list[Shot]],
    outcomes: Mapping[int, ShotOutcome],
) -> Row:
    key = condition.model_dump_json()
    cells = tuple(Cell(arm=arm, shots=tuple(_one(shot, outcomes) for shot in shots[key, arm])) for arm in arms)
    return Row(condition=condition, words=in_words(condition), cells=cells)


def _one(shot: Shot, outcomes: Mapping[int, ShotOutcome]) -> ShotOutcome:
    return outcomes.get(shot.index) or ShotOutcome(shot=shot.index, repeat=shot.repeat)
