"""The journal of a session: ``events.jsonl``, append-only, one JSON object a line, the only truth about what happened.

A line counts when it ends with a newline. What follows the last newline is a torn line: the recorder was killed
while writing it, and nothing of it happened. Every event carries its number, which is its line, and two clocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from calibration.errors import BadConfig, MissingFile
from calibration.files import Document, first_problem, not_writable

Setting = str | int | float


class Measured(Document):
    """What the quality gate measured of a picture; None for what could not be told, or was not looked into.

    Over the ``tags`` that were used: the shortest side, the least decision margin, the sum of corrected bits.
    ``edge_px``: the widest blur across the tags' edges; ``blur_px`` and ``motion_px``: defocus and streak, where these
    were in doubt. ``moved_px``: how far the tags are from where the look before saw them, at the same shot.
    ``clipped_share`` of the sticker's pixels.
    """

    tags: int = Field(ge=0)
    side_px: float | None = None
    margin: float | None = None
    corrected_bits: int | None = None
    residual_px: float | None = None
    edge_px: float | None = None
    blur_px: float | None = None
    motion_px: float | None = None
    moved_px: float | None = None
    clipped_share: float | None = None


class Judged(Document):
    """What the quality gate said of a frame."""

    ok: bool
    reason: str = ""
    measured: Measured | None = None


class _Event(Document):
    """``n``: number of the event. ``t_mono_ns``, ``t_wall_ns``: when it was written."""

    # A camera may report "not a number"; JSON has no such number.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    n: int = Field(ge=0)
    t_mono_ns: int
    t_wall_ns: int


class StartEvent(_Event):
    """The session begins."""

    kind: Literal["start"] = "start"
    session: str


class FrameEvent(_Event):
    """A picture is on disk, complete. ``path`` and ``truth`` are relative to the session folder, with ``/``.

    ``shot``: its number in the plan, None without a plan. ``captured_*``: when the picture arrived from the camera.
    """

    kind: Literal["frame"] = "frame"
    index: int = Field(ge=0)
    shot: int | None
    path: str
    sha256: str
    bytes: int
    width: int
    height: int
    captured_mono_ns: int
    captured_wall_ns: int
    settings: dict[str, Setting] = Field(default_factory=dict)
    verdict: Judged | None = None
    truth: str | None = None
    truth_sha256: str | None = None


class SkipEvent(_Event):
    """A shot was given up, with the reason; it has no frame. ``measured`` of the last picture that was refused."""

    kind: Literal["skip"] = "skip"
    shot: int | None
    reason: str
    measured: Measured | None = None


class RetryEvent(_Event):
    """A picture was not good enough and is taken again. ``attempt`` counts from 1; ``measured`` of that picture."""

    kind: Literal["retry"] = "retry"
    shot: int | None
    attempt: int
    reason: str
    measured: Measured | None = None


class RetakeEvent(_Event):
    """What the session has of a shot, a frame or a skip, counts no more: the shot is to be taken again."""

    kind: Literal["retake"] = "retake"
    shot: int
    reason: str


class NoteEvent(_Event):
    """A remark, by a person or by the recorder."""

    kind: Literal["note"] = "note"
    text: str


class PauseEvent(_Event):
    """Capture waits."""

    kind: Literal["pause"] = "pause"
    reason: str = ""


class ResumeEvent(_Event):
    """Capture goes on, in another process perhaps."""

    kind: Literal["resume"] = "resume"
    reason: str = ""


class ErrorEvent(_Event):
    """Something ended the capture; ``code`` as in the tree of errors."""

    kind: Literal["error"] = "error"
    code: str
    message: str


class StopEvent(_Event):
    """The recorder ended by itself. ``reason``: ``complete``, ``limit``, or what interrupted it."""

    kind: Literal["stop"] = "stop"
    reason: str
    frames: int
    skipped: int


Event = (
    StartEvent
    | FrameEvent
    | SkipEvent
    | RetryEvent
    | RetakeEvent
    | NoteEvent
    | PauseEvent
    | ResumeEvent
    | ErrorEvent
    | StopEvent
)
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line of the journal: its event and where the next line begins, in bytes."""

    event: Event
    end: int


def read_lines(path: Path) -> Iterator[Line]:
    """The whole lines, one at a time; a torn last line is passed over.

    :class:`MissingFile` without a journal, :class:`BadConfig` with the number of a line that was damaged, removed
    or added by hand.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise MissingFile(f"cannot read {path}: {error.strerror}", where=str(path)) from error
    end = 0
    with stream:
        for number, line in enumerate(stream):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield Line(_parsed(line, number, path), end)


def _parsed(line: bytes, number: int, path: Path) -> Event:
    where = f"{path}, line {number + 1}"
    try:
        event = _EVENT.validate_json(line)
    except ValidationError as error:
        raise BadConfig(f"{where}: {first_problem(error)}", where=where) from error
    if event.n != number:
        raise BadConfig(
            f"{where}: event number {event.n}, but {number} is due: lines are missing or added", where=where
        )
    return event


class Journal:
    """The writing end: an event is on disk when :meth:`append` returns."""

    def __init__(self, path: Path, size: int) -> None:
        """Open ``path`` and cut off what follows the first ``size`` bytes, a torn line."""
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            raise not_writable(path, error) from error
        self._size = size

    def append(self, event: Event) -> None:
        """Write one line and sync it; when that fails, nothing of it stays."""
        line = event.model_dump_json().encode() + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            os.fsync(self._descriptor)
        except OSError as error:
            self._cut()
            raise not_writable(self._path, error) from error
        self._size += len(line)

    def _cut(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            # The torn line stays, and readers pass over it; the error that led here is raised by the caller.
            return

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
