"""What a session holds, for people and scripts: plan progress, events, cameras, settings. No picture is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from capture.journal import (
    ErrorEvent,
    Event,
    FrameEvent,
    Measured,
    NoteEvent,
    PauseEvent,
    ResumeEvent,
    RetakeEvent,
    RetryEvent,
    Setting,
    SkipEvent,
)
from capture.plan import Condition, Shot
from capture.session import Session

LAST_NOTES = 10
_FEW_VALUES = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """How far one arm is under one condition; with its repeats, ``planned`` shots.

    ``frames``: shots with a frame of each camera.
    """

    condition: Condition
    arm: str
    planned: int
    frames: int
    skipped: int

    @property
    def pending(self) -> int:
        """Shots without an outcome."""
        return self.planned - self.frames - self.skipped


@dataclass(frozen=True, slots=True)
class Remark:
    """A note, skip, retry, retake, pause, resume or error: when, what, and what it says."""

    t_wall_ns: int
    kind: str
    text: str


@dataclass(slots=True)
class SettingRange:
    """What a camera or rig reported of one setting: over how many frames, which values (few), from where to where."""

    frames: int = 0
    values: list[Setting] = field(default_factory=list)
    lowest: float | None = None
    highest: float | None = None

    def take(self, value: Setting) -> None:
        """Add the value of one more frame."""
        self.frames += 1
        if len(self.values) <= _FEW_VALUES and value not in self.values:
            self.values.append(value)
        if not isinstance(value, str):
            self.lowest = value if self.lowest is None else min(self.lowest, value)
            self.highest = value if self.highest is None else max(self.highest, value)

    def __str__(self) -> str:
        if len(self.values) <= _FEW_VALUES:
            return ", ".join(str(value) for value in self.values)
        if self.lowest is not None and self.highest is not None:
            return f"{self.lowest:g} to {self.highest:g}"
        return f"{', '.join(str(value) for value in self.values[:2])}, ..."


@dataclass(slots=True)
class Happened:
    """What the events of a session add up to. ``sizes``: width x height → frames; ``suffixes``: of what is stored.

    ``taken`` and ``refused``: what the gate measured of the frames, and of the pictures that it did not take. Frames
    whose numbers are in ``withdrawn`` count nowhere but in ``kinds``, which counts all events.
    """

    withdrawn: frozenset[int] = frozenset()
    kinds: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    sizes: Counter[str] = field(default_factory=Counter)
    suffixes: Counter[str] = field(default_factory=Counter)
    settings: dict[str, SettingRange] = field(default_factory=dict)
    taken: dict[str, SettingRange] = field(default_factory=dict)
    refused: dict[str, SettingRange] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    first_wall_ns: int | None = None
    last_wall_ns: int | None = None

    def take(self, event: Event) -> None:
        """Add one event."""
        self.kinds[event.kind] += 1
        self.first_wall_ns = event.t_wall_ns if self.first_wall_ns is None else self.first_wall_ns
        self.last_wall_ns = event.t_wall_ns
        if isinstance(event, SkipEvent | RetryEvent):
            _add(self.refused, event.measured)
        if isinstance(event, FrameEvent):
            if event.index not in self.withdrawn:
                self._frame(event)
        elif words := _words(event):
            self.remarks = [*self.remarks[1 - LAST_NOTES :], Remark(event.t_wall_ns, event.kind, words)]

    def _frame(self, event: FrameEvent) -> None:
        self.bytes += event.bytes
        self.sizes[f"{event.width}x{event.height}"] += 1
        self.suffixes[PurePosixPath(event.path).suffix] += 1
        for name, value in event.settings.items():
            self.settings.setdefault(name, SettingRange()).take(value)
        _add(self.taken, event.verdict.measured if event.verdict else None)


def _add(ranges: dict[str, SettingRange], measured: Measured | None) -> None:
    for name, value in measured.model_dump(exclude_none=True).items() if measured else ():
        ranges.setdefault(name, SettingRange()).take(value)


def happened(session: Session) -> Happened:
    """Read a journal once, holding nothing but the sums and the last remarks."""
    sums = Happened(withdrawn=frozenset(frame.index for frame in session.withdrawn))
    for event in session.events():
        sums.take(event)
    return sums


def progress(session: Session) -> list[Cell]:
    """Conditions x arms in the order of the plan; nothing without a plan."""
    if session.plan is None:
        return []
    planned: Counter[tuple[str, str]] = Counter()
    conditions: dict[str, Condition] = {}
    for shot in session.plan.shots:
        key = shot.condition.model_dump_json()
        conditions.setdefault(key, shot.condition)
        planned[key, shot.arm] += 1
    taken = _counts(session.plan.shot(number) for number in session.taken)
    skipped = _counts(skip.shot for skip in session.skips)
    return [
        Cell(condition, arm, planned[key, arm], taken[key, arm], skipped[key, arm])
        for key, condition in conditions.items()
        for arm in session.plan.arms
        if planned[key, arm]
    ]


def _counts(shots: Iterable[Shot | None]) -> Counter[tuple[str, str]]:
    return Counter((shot.condition.model_dump_json(), shot.arm) for shot in shots if shot)


def _words(event: Event) -> str:
    if isinstance(event, NoteEvent):
        return event.text
    if isinstance(event, SkipEvent | RetryEvent | RetakeEvent):
        return event.reason if event.shot is None else f"shot {event.shot}: {event.reason}"
    if isinstance(event, PauseEvent | ResumeEvent):
        return event.reason
    return event.message if isinstance(event, ErrorEvent) else ""


def settings_as_data(settings: Mapping[str, SettingRange]) -> dict[str, dict[str, object]]:
    """For JSON: of each setting how many frames have it, its values where they are few, and the range of numbers."""
    return {
        name: {
            "frames": each.frames,
            "values": each.values if len(each.values) <= _FEW_VALUES else None,
            "lowest": each.lowest,
            "highest": each.highest,
        }
        for name, each in settings.items()
    }
