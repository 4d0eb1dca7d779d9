"""The session: the folder that a capture leaves, the only truth about what happened. This file reads it.

    sessions/<utc>-<camera>-<id>/
      session.json     the header, written once, first
      events.jsonl     the journal
      inputs/          verbatim copies of what the capture was made from
      frames/<camera>/000000.png, 000000.truth.json
      orphans/         what a killed recorder left in frames/ without a line in the journal
      derived/         whatever can be computed again
      seal.json        written last

:mod:`capture.recorder` writes it, :mod:`capture.check` verifies it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from calibration.errors import BadConfig, MissingFile
from calibration.files import Document, read_document
from capture.journal import (
    Event,
    FrameEvent,
    Judged,
    NoteEvent,
    RetakeEvent,
    Setting,
    SkipEvent,
    StopEvent,
    read_lines,
)
from capture.plan import Plan, Shot
from capture.storage import PNG, Storage

HEADER = "session.json"
JOURNAL = "events.jsonl"
SEAL = "seal.json"
LOCK = ".lock"
INPUTS = "inputs"
FRAMES = "frames"
ORPHANS = "orphans"

Role = Literal["plan", "sheet", "sheet-file", "camera", "lab", "other"]
"""What an input is. ``sheet`` is a sheet's JSON; ``sheet-file`` what it refers to (PDF, texture, artwork)."""


class InputRecord(Document):
    """One input of the capture; ``path`` is relative to the session folder."""

    role: Role
    path: str
    sha256: str
    bytes: int


class Machine(Document):
    """Where and with what a session is recorded: host, system, Python, versions of the packages that matter."""

    host: str
    pid: int
    system: str
    python: str
    versions: dict[str, str]


class CameraRecord(Document):
    """A camera's identity, and the folder of its frames below ``frames/``, which is its name within the session."""

    identity: str
    folder: str


class SessionHeader(Document):
    """``session.json``. ``camera`` is the camera's identity, ``camera_folder`` the folder of its frames.

    ``other_cameras`` take every shot together with it. ``storage``: how pictures were to be stored that came raw; each
    frame's name says what became of it.
    """

    format: Literal["dpcam.session"] = "dpcam.session"
    version: Literal[1] = 1
    id: str
    created_utc: str
    t_mono_ns: int
    t_wall_ns: int
    camera: str
    camera_folder: str
    other_cameras: tuple[CameraRecord, ...] = ()
    operator: str = ""
    seed: int = 0
    storage: Storage = PNG
    machine: Machine
    inputs: list[InputRecord] = Field(default_factory=list)

    @property
    def cameras(self) -> tuple[CameraRecord, ...]:
        """All cameras; a shot is complete when each of them has its frame."""
        return (CameraRecord(identity=self.camera, folder=self.camera_folder), *self.other_cameras)

    @property
    def camera_words(self) -> str:
        """The identities of all cameras."""
        return ", ".join(camera.identity for camera in self.cameras)


class Seal(Document):
    """``seal.json``: what the session holds, now that it is complete. The journal holds the hash of every frame."""

    format: Literal["dpcam.seal"] = "dpcam.seal"
    version: Literal[1] = 1
    t_mono_ns: int
    t_wall_ns: int
    frames: int
    skipped: int
    events: int
    journal_sha256: str
    header_sha256: str


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One journaled frame. ``shot`` is None without a plan; times are those of the picture's arrival."""

    index: int
    shot: Shot | None
    path: Path
    sha256: str
    t_mono_ns: int
    t_wall_ns: int
    width: int
    height: int
    settings: Mapping[str, Setting] = field(default_factory=dict)
    verdict: Judged | None = None
    truth: Path | None = None
    truth_sha256: str | None = None

    @property
    def camera(self) -> str:
        """Name of the camera that took it: the folder that it lies in."""
        return self.path.parent.name


@dataclass(frozen=True, slots=True)
class SkipRecord:
    """One shot that was given up."""

    shot: Shot | None
    reason: str


@dataclass(frozen=True, slots=True)
class Session:
    """What a session folder says, as far as its journal goes.

    ``withdrawn``: frames that are there and do not count any more, because their shots were taken again.
    ``torn``: the journal ends in a torn line. ``stopped``: the reason of the last event, notes aside, if that is a
    ``stop``, None when the recorder died (or still runs). ``event_count`` and ``journal_bytes`` count whole lines.
    """

    folder: Path
    header: SessionHeader
    plan: Plan | None
    frames: tuple[FrameRecord, ...]
    skips: tuple[SkipRecord, ...]
    event_count: int
    journal_bytes: int
    torn: bool
    stopped: str | None
    sealed: bool
    withdrawn: tuple[FrameRecord, ...] = ()

    def events(self) -> Iterator[Event]:
        """All events, read from the journal one by one."""
        return (line.event for line in read_lines(self.folder / JOURNAL))

    def inputs(self, role: Role) -> list[Path]:
        """Paths of the inputs of one role."""
        return [inside(self.folder, record.path, HEADER) for record in self.header.inputs if record.role == role]

    @property
    def done(self) -> frozenset[int]:
        """Numbers of the planned shots that have a frame of each camera, or were given up."""
        return self.taken | {skip.shot.index for skip in self.skips if skip.shot}

    @property
    def taken(self) -> frozenset[int]:
        """Numbers of the planned shots that have a frame of each camera."""
        cameras: defaultdict[int, set[str]] = defaultdict(set)
        for frame in self.frames:
            if frame.shot:
                cameras[frame.shot.index].add(frame.camera)
        return frozenset(shot for shot, seen in cameras.items() if len(seen) == len(self.header.cameras))

    @property
    def pending(self) -> tuple[Shot, ...]:
        """Planned shots still to be taken, in order."""
        done = self.done
        return tuple(shot for shot in self.plan.shots if shot.index not in done) if self.plan else ()


def inside(folder: Path, relative: str, where: str) -> Path:
    """The path that a session's file names; :class:`BadConfig` when it leads out of the session."""
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in relative:
        raise BadConfig(f"{where}: {relative!r} does not lie in the session {folder}", where=where)
    return folder / path


def session_folders(root: Path) -> list[Path]:
    """The sessions below ``root``, by name; one that was killed while it was laid down is none yet."""
    return sorted(path.parent for path in root.glob(f"*/{HEADER}") if not path.parent.name.startswith("."))


def require_session(folder: Path) -> None:
    """:class:`MissingFile` when ``folder`` is no session."""
    if not (folder / HEADER).is_file():
        raise MissingFile(f"{folder} is not a session: it has no {HEADER}", where=str(folder))


def read_session(folder: Path) -> Session:
    """Read a session folder; of the frames only their journal lines.

    :class:`MissingFile` when ``folder`` is no session, :class:`BadConfig` (with the line) when it was damaged.
    """
    require_session(folder)
    header = read_document(folder / HEADER, SessionHeader)
    reading = _Reading(folder, _plan(folder, header))
    for line in read_lines(folder / JOURNAL):
        reading.take(line.event, line.end)
    return Session(
        folder=folder,
        header=header,
        plan=reading.plan,
        frames=tuple(reading.frames),
        skips=tuple(reading.skips),
        event_count=reading.count,
        journal_bytes=reading.end,
        torn=(folder / JOURNAL).stat().st_size > reading.end,
        stopped=reading.stopped,
        sealed=(folder / SEAL).is_file(),
        withdrawn=tuple(reading.withdrawn),
    )


def session_plan(folder: Path) -> Plan | None:
    """The plan of a session, without reading its journal; errors as :func:`read_session`."""
    require_session(folder)
    return _plan(folder, read_document(folder / HEADER, SessionHeader))


def _plan(folder: Path, header: SessionHeader) -> Plan | None:
    paths = [record.path for record in header.inputs if record.role == "plan"]
    return read_document(inside(folder, paths[0], HEADER), Plan) if paths else None


class _Reading:
    """The state of reading a journal: what the events so far add up to."""

    def __init__(self, folder: Path, plan: Plan | None) -> None:
        self.folder = folder
        self.plan = plan
        self.frames: list[FrameRecord] = []
        self.skips: list[SkipRecord] = []
        self.withdrawn: list[FrameRecord] = []
        self.count = 0
        self.end = 0
        self.stopped: str | None = None

    def take(self, event: Event, end: int) -> None:
        """Add one event, whose line ends at byte ``end``."""
        where = f"{self.folder / JOURNAL}, line {self.count + 1}"
        if isinstance(event, FrameEvent):
            self.frames.append(self._frame(event, where))
        elif isinstance(event, SkipEvent):
            self.skips.append(SkipRecord(self._shot(event.shot, where), event.reason))
        elif isinstance(event, RetakeEvent):
            self._withdraw(self._shot(event.shot, where))
        if not isinstance(event, NoteEvent):
            self.stopped = event.reason if isinstance(event, StopEvent) else None
        self.count += 1
        self.end = end

    def _frame(self, event: FrameEvent, where: str) -> FrameRecord:
        due = len(self.frames) + len(self.withdrawn)
        if event.index != due:
            raise BadConfig(f"{where}: frame {event.index}, but {due} is due", where=where)
        return FrameRecord(
            index=event.index,
            shot=self._shot(event.shot, where),
            path=inside(self.folder, event.path, where),
            sha256=event.sha256,
            t_mono_ns=event.captured_mono_ns,
            t_wall_ns=event.captured_wall_ns,
            width=event.width,
            height=event.height,
            settings=event.settings,
            verdict=event.verdict,
            truth=inside(self.folder, event.truth, where) if event.truth else None,
            truth_sha256=event.truth_sha256,
        )

    def _withdraw(self, shot: Shot | None) -> None:
        self.withdrawn += [frame for frame in self.frames if frame.shot == shot]
        self.frames = [frame for frame in self.frames if frame.shot != shot]
        self.skips = [skip for skip in self.skips if skip.shot != shot]

    def _shot(self, number: int | None, where: str) -> Shot | None:
        if number is None:
            return None
        shot = self.plan.shot(number) if self.plan else None
        if shot is None:
            raise BadConfig(f"{where}: shot {number} is not in the plan of this session", where=where)
        return shot
