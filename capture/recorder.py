"""Writing a session: bytes first, journal second, so that every journaled frame is whole."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from calibration.errors import BadUsage, DpcamError
from calibration.files import (
    not_writable,
    read_bytes,
    read_document,
    sha256_bytes,
    sha256_file,
    sync_folder,
    write_bytes,
    write_document,
    write_json,
)
from calibration.sheet import Sheet
from capture.frame import Clock, Frame
from capture.journal import (
    ErrorEvent,
    Event,
    FrameEvent,
    Journal,
    Judged,
    NoteEvent,
    PauseEvent,
    ResumeEvent,
    RetakeEvent,
    RetryEvent,
    SkipEvent,
    StartEvent,
    StopEvent,
)
from capture.lock import Owner, SessionLock
from capture.picture import encode_png
from capture.plan import Shot
from capture.session import (
    FRAMES,
    HEADER,
    INPUTS,
    JOURNAL,
    LOCK,
    SEAL,
    InputRecord,
    Machine,
    Role,
    Seal,
    SessionHeader,
    inside,
    read_session,
    require_session,
)

_RECORDED_PACKAGES = (
    "dpcam",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "apriltag-python",
    "pillow",
    "pydantic",
)


@dataclass(frozen=True, slots=True)
class Input:
    """Something that a capture is made from; kept verbatim as ``inputs/<name>``."""

    role: Role
    name: str
    data: bytes

    @classmethod
    def from_file(cls, role: Role, path: Path, name: str = "") -> Input:
        """A file as it is, under its own name unless another is given."""
        return cls(role, name or path.name, read_bytes(path))


def sheet_inputs(sheet_json: Path) -> list[Input]:
    """A sheet's JSON with every file that it refers to (PDF, texture, target's artwork), as ``sheets/<name>``."""
    sheet = read_document(sheet_json, Sheet)
    inputs = [Input.from_file("sheet", sheet_json, f"sheets/{sheet_json.name}")]
    for name in dict.fromkeys((sheet.pdf, sheet.printed_pdf, sheet.texture, sheet.target.artwork)):
        if name:
            path = inside(sheet_json.parent, name, str(sheet_json))
            inputs.append(Input.from_file("sheet-file", path, f"sheets/{name}"))
    return inputs


def this_machine() -> Machine:
    """The machine that this runs on; asked once, by the program, and passed down."""
    return Machine(
        host=platform.node(),
        pid=os.getpid(),
        system=platform.platform(),
        python=platform.python_version(),
        versions={name: version for name in _RECORDED_PACKAGES if (version := _version(name))},
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


class SessionWriter:
    """The one writer of a session; a context manager that gives the session back (unfinished is fine)."""

    def __init__(self, folder: Path, machine: Machine, clock: Clock) -> None:
        """Take the session at ``folder`` over for writing; :meth:`create` and :meth:`resume` are the ways here."""
        owner = Owner(host=machine.host, pid=machine.pid, started_wall_ns=clock.wall_ns())
        self._lock = SessionLock(folder / LOCK, owner)
        try:
            state = read_session(folder)
            if state.sealed:
                raise BadUsage(
                    f"the session {folder} is complete and sealed", hint="begin a new one", where=str(folder)
                )
            self._journal = Journal(folder / JOURNAL, state.journal_bytes)
        except BaseException:
            self._lock.release()
            raise
        self.folder = folder
        self.header = state.header
        self.plan = state.plan
        self.torn = state.torn
        self._clock = clock
        self._events = state.event_count
        self._frames_of = Counter(frame.shot.index for frame in state.frames if frame.shot)
        self._skips_of = Counter(skip.shot.index for skip in state.skips if skip.shot)
        self._frames = len(state.frames)
        self._skipped = len(state.skips)
        self._next = len(state.frames) + len(state.withdrawn)

    @classmethod
    def create(
        cls,
        root: Path,
        *,
        camera: str,
        machine: Machine,
        clock: Clock,
        inputs: Sequence[Input] = (),
        operator: str = "",
        seed: int = 0,
    ) -> SessionWriter:
        """Begin a session in a new folder under ``root``. The folder appears at once with header, inputs and journal.

        ``camera`` is the camera's identity. :class:`calibration.errors.NotReady` when ``root`` cannot be written.
        """
        header = _header(camera, machine, clock, inputs, operator, seed)
        folder = root / header.id
        aside = root / f".{header.id}.part"
        try:
            _lay_down(aside, header, inputs)
            aside.rename(folder)
        except OSError as error:
            raise not_writable(folder, error) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        sync_folder(root)
        return cls(folder, machine, clock)

    @classmethod
    def resume(cls, folder: Path, *, machine: Machine, clock: Clock) -> SessionWriter:
        """Go on with a session; a torn last line is cut off, which is noted, and half-written files are removed.

        :class:`calibration.errors.SessionLocked` while another process writes to it,
        :class:`BadUsage` when it is sealed.
        """
        require_session(folder)
        writer = cls(folder, machine, clock)
        try:
            _sweep(folder)
            writer._append(ResumeEvent, reason=f"process {machine.pid} on {machine.host}")
            if writer.torn:
                writer.note("the journal ended in a torn line, which was cut off")
        except BaseException:
            writer.close()
            raise
        return writer

    def __enter__(self) -> SessionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the session back; safe to call twice."""
        self._journal.close()
        self._lock.release()

    @property
    def frames(self) -> int:
        """Frames in the session, without those that were withdrawn."""
        return self._frames

    @property
    def skipped(self) -> int:
        """Shots that were given up."""
        return self._skipped

    def is_done(self, shot: Shot) -> bool:
        """Whether the shot has a frame, or was given up."""
        return shot.index in self._frames_of or shot.index in self._skips_of

    def has_frame(self, shot: Shot) -> bool:
        """Whether the shot has a frame."""
        return shot.index in self._frames_of

    def write_frame(self, frame: Frame, shot: Shot | None, verdict: Judged | None = None) -> Path:
        """Store the picture and journal it; both are on disk when this returns the picture's path.

        Ground truth goes beside it. :class:`calibration.errors.DiskFull` or
        :class:`calibration.errors.NotReady` when it cannot be written: then nothing was journaled.
        """
        data = frame.encoded or encode_png(frame.pixels)
        stem = f"{FRAMES}/{self.header.camera_folder}/{self._next:06d}"
        path = f"{stem}{frame.suffix}"
        truth = f"{stem}.truth.json" if frame.truth is not None else None
        if truth:
            write_json(self.folder / truth, frame.truth)
        write_bytes(self.folder / path, data)
        self._append(
            FrameEvent,
            index=self._next,
            shot=_number(shot),
            path=path,
            sha256=sha256_bytes(data),
            bytes=len(data),
            width=frame.pixels.shape[1],
            height=frame.pixels.shape[0],
            captured_mono_ns=frame.t_mono_ns,
            captured_wall_ns=frame.t_wall_ns,
            settings=dict(frame.settings),
            verdict=verdict,
            truth=truth,
            truth_sha256=sha256_file(self.folder / truth) if truth else None,
        )
        self._frames += 1
        self._next += 1
        if shot is not None:
            self._frames_of[shot.index] += 1
        return self.folder / path

    def skip(self, shot: Shot | None, reason: str) -> None:
        """Journal that a shot is given up."""
        self._append(SkipEvent, shot=_number(shot), reason=reason)
        self._skipped += 1
        if shot is not None:
            self._skips_of[shot.index] += 1

    def retry(self, shot: Shot | None, attempt: int, reason: str) -> None:
        """Journal that a picture is taken again, for the ``attempt``-th time."""
        self._append(RetryEvent, shot=_number(shot), attempt=attempt, reason=reason)

    def retake(self, shot: Shot, reason: str) -> None:
        """Journal that what the session has of a shot counts no more: it is to be taken again."""
        self._append(RetakeEvent, shot=shot.index, reason=reason)
        self._frames -= self._frames_of.pop(shot.index, 0)
        self._skipped -= self._skips_of.pop(shot.index, 0)

    def note(self, text: str) -> None:
        """Journal a remark."""
        self._append(NoteEvent, text=text)

    def pause(self, reason: str = "") -> None:
        """Journal that capture waits."""
        self._append(PauseEvent, reason=reason)

    def unpause(self, reason: str = "") -> None:
        """Journal that capture goes on."""
        self._append(ResumeEvent, reason=reason)

    def error(self, error: DpcamError) -> None:
        """Journal what ends the capture."""
        self._append(ErrorEvent, code=error.code, message=error.message)

    def stop(self, reason: str) -> None:
        """Journal that the recorder ends by itself."""
        self._append(StopEvent, reason=reason, frames=self._frames, skipped=self._skipped)

    def seal(self) -> None:
        """Close the session for good: nothing is written to it after its seal."""
        seal = Seal(
            t_mono_ns=self._clock.mono_ns(),
            t_wall_ns=self._clock.wall_ns(),
            frames=self._frames,
            skipped=self._skipped,
            events=self._events,
            journal_sha256=sha256_file(self.folder / JOURNAL),
            header_sha256=sha256_file(self.folder / HEADER),
        )
        write_document(self.folder / SEAL, seal)

    def _append(self, kind: Callable[..., Event], **fields: Any) -> None:
        clocks = {"t_mono_ns": self._clock.mono_ns(), "t_wall_ns": self._clock.wall_ns()}
        self._journal.append(kind(n=self._events, **clocks, **fields))
        self._events += 1


def _lay_down(folder: Path, header: SessionHeader, inputs: Iterable[Input]) -> None:
    """Write what a session begins with."""
    write_document(folder / HEADER, header)
    for one in inputs:
        write_bytes(inside(folder / INPUTS, one.name, one.name), one.data)
    start = StartEvent(n=0, t_mono_ns=header.t_mono_ns, t_wall_ns=header.t_wall_ns, session=header.id)
    write_bytes(folder / JOURNAL, start.model_dump_json().encode() + b"\n")


def _sweep(folder: Path) -> None:
    """Remove what a killed recorder left half-written."""
    for part in folder.glob(f"{FRAMES}/*/.*.part"):
        try:
            part.unlink()
        except OSError as error:
            raise not_writable(part, error) from error


def _number(shot: Shot | None) -> int | None:
    return None if shot is None else shot.index


def _header(
    camera: str, machine: Machine, clock: Clock, inputs: Iterable[Input], operator: str, seed: int
) -> SessionHeader:
    mono_ns, wall_ns = clock.mono_ns(), clock.wall_ns()
    created = datetime.fromtimestamp(wall_ns / 1e9, UTC)
    folder = _folder_name(camera)
    unique = hashlib.sha256(f"{machine.host} {machine.pid} {mono_ns} {wall_ns}".encode()).hexdigest()[:6]
    return SessionHeader(
        id=f"{created:%Y%m%dT%H%M%SZ}-{folder}-{unique}",
        created_utc=created.isoformat(timespec="milliseconds"),
        t_mono_ns=mono_ns,
        t_wall_ns=wall_ns,
        camera=camera,
        camera_folder=folder,
        operator=operator,
        seed=seed,
        machine=machine,
        inputs=[
            InputRecord(role=one.role, path=f"{INPUTS}/{one.name}", sha256=sha256_bytes(one.data), bytes=len(one.data))
            for one in inputs
        ],
    )


def _folder_name(camera: str) -> str:
    """The kind of the camera and the end of its address, in letters, digits and hyphens."""
    kind, _, address = camera.partition(":")
    words = re.findall(r"[A-Za-z0-9]+", address)
    return "-".join([*re.findall(r"[A-Za-z0-9]+", kind), *words[-4:]]).lower()[:40].strip("-") or "camera"
