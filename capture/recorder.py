"""Writing a session: bytes first, journal second, so that every journaled frame is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from calibration.errors import BadUsage, DpcamError
from calibration.files import (
    not_writable,
    sha256_bytes,
    sha256_file,
    write_bytes,
    write_document,
    write_json,
)
from capture.backlog import Backlog
from capture.encoder import Encoder
from capture.frame import Clock, Frame
from capture.journal import (
    ErrorEvent,
    Event,
    FrameEvent,
    Journal,
    Judged,
    Measured,
    NoteEvent,
    PauseEvent,
    ResumeEvent,
    RetakeEvent,
    RetryEvent,
    SkipEvent,
    StopEvent,
)
from capture.lock import Owner, SessionLock
from capture.new_session import Input, lay_down, new_header
from capture.orphans import keep_torn_line, set_aside, unjournaled
from capture.picture import Pixels
from capture.plan import Shot
from capture.session import (
    FRAMES,
    HEADER,
    JOURNAL,
    LOCK,
    SEAL,
    Machine,
    Seal,
    read_session,
    require_session,
)
from capture.storage import PNG, Storage

ROOM_BYTES = 2**29
"""Pictures that may wait for the disk or be on their way to it: a busy disk stands still for a second now and then."""

MOST_WAITING = 100
"""Of them however small they are: who ends a capture waits for these."""


class SessionWriter:
    """The one writer of a session; a context manager that gives the session back (unfinished is fine).

    A thread does the writing, in the order of the calls. All but :meth:`submit_frame` return when what they say is on
    disk. After a submitted frame could not be written, nothing but an error is written any more, by anybody.
    """

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
            self.set_aside = [keep_torn_line(state)] if state.torn else []
            self._journal = Journal(folder / JOURNAL, state.journal_bytes)
        except BaseException:
            self._lock.release()
            raise
        self.folder = folder
        self.header = state.header
        self.plan = state.plan
        self.state = state
        self._clock = clock
        self._events = state.event_count
        self._frames_of = Counter(frame.shot.index for frame in state.frames if frame.shot)
        self._skips_of = Counter(skip.shot.index for skip in state.skips if skip.shot)
        self._frames = self._submitted = len(state.frames)
        self._skipped = self._given_up = len(state.skips)
        self._next = self._frames + len(state.withdrawn)
        trial = folder / FRAMES / state.header.camera_folder / ".trial.part"
        self._encoder = Encoder(state.header.storage, trial, clock, lambda text: self._append(NoteEvent, text=text))
        self._backlog = Backlog(ROOM_BYTES, f"session {state.header.id}")

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
        storage: Storage = PNG,
        others: Sequence[str] = (),
    ) -> SessionWriter:
        """Begin a session in a new folder under ``root``. The folder appears at once with header, inputs and journal.

        ``camera`` is the camera's identity, ``others`` those of the cameras that take every shot together with it.
        :class:`calibration.errors.NotReady` when ``root`` cannot be written.
        """
        header = new_header(
            camera, machine, clock, inputs, operator=operator, seed=seed, storage=storage, others=others
        )
        return cls(lay_down(root, header, inputs), machine, clock)

    @classmethod
    def resume(cls, folder: Path, *, machine: Machine, clock: Clock) -> SessionWriter:
        """Go on with a session; a torn last line is cut off, which is noted, and half-written files are removed.

        That line, and files that have none, are kept in ``orphans/``. A shot of which a camera has no frame yet is
        taken back: all cameras take it again, together.

        :class:`calibration.errors.SessionLocked` while another process writes to it,
        :class:`BadUsage` when it is sealed.
        """
        require_session(folder)
        writer = cls(folder, machine, clock)
        try:
            _sweep(folder)
            orphans = len(set_aside(folder, unjournaled(writer.state)))
            left = f"; {orphans} files without a line are in orphans/" if orphans else ""
            writer.unpause(f"process {machine.pid} on {machine.host}{left}")
            if writer.state.torn:
                writer.note("the journal ended in a torn line, which was cut off")
            writer._take_back_begun()
        except BaseException:
            writer.close()
            raise
        return writer

    def __enter__(self) -> SessionWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        failure = self.close()
        if kind is None and failure:
            raise failure

    def close(self) -> BaseException | None:
        """Write what was submitted, then give the session back; the failure that nobody was told of yet.

        Safe to call twice.
        """
        try:
            return self._backlog.close()
        finally:
            self._journal.close()
            self._lock.release()

    @property
    def frames(self) -> int:
        """Frames in the session, on disk, without those that were withdrawn."""
        return self._frames

    @property
    def skipped(self) -> int:
        """Shots that were given up."""
        return self._skipped

    @property
    def over(self) -> int:
        """Shots that are over: given up, or with a frame of each camera on disk."""
        return self._frames // len(self.header.cameras) + self._skipped

    @property
    def outcomes(self) -> int:
        """As :attr:`over`, with the frames that are on their way to the disk."""
        return self._submitted // len(self.header.cameras) + self._given_up

    def is_done(self, shot: Shot) -> bool:
        """Whether the shot has its frames, which may be on their way to the disk, or was given up."""
        return self.has_frame(shot) or shot.index in self._skips_of

    def has_frame(self, shot: Shot) -> bool:
        """Whether the shot has a frame of each camera, which may be on its way to the disk."""
        return self._frames_of[shot.index] >= len(self.header.cameras)

    def prepare(self, pixels: Pixels) -> None:
        """Choose how pictures like this are stored, before the first of them comes."""
        self._backlog.do(partial(self._encoder.codec_for, pixels))

    def write_frame(self, frame: Frame, shot: Shot | None, verdict: Judged | None = None, *, camera: int = 0) -> Path:
        """Store the picture and journal it; both are on disk when this returns the picture's path.

        ``camera``: whose picture it is, by its place in the header. Ground truth goes beside it.
        :class:`calibration.errors.DiskFull` or
        :class:`calibration.errors.NotReady` when it cannot be written: then nothing was journaled.
        """
        path = self._backlog.do(lambda: self._store(frame, shot, verdict, camera))
        self._count_frame(shot)
        return path

    def submit_frame(
        self,
        frame: Frame,
        shot: Shot | None,
        verdict: Judged | None,
        stored: Callable[[], None] = lambda: None,
        *,
        camera: int = 0,
    ) -> None:
        """As :meth:`write_frame`, in the background; ``stored`` is called from there, once both are on disk.

        Waits while too many are on their way. What went wrong with an earlier one is raised here, and by
        :meth:`settle`; those behind it are not written, and nobody was told that they were.
        """
        size = max(len(frame.encoded) + frame.pixels.nbytes, ROOM_BYTES // MOST_WAITING)
        self._backlog.put(lambda: self._store_and_tell(frame, shot, verdict, stored, camera), size)
        self._count_frame(shot)

    def settle(self) -> None:
        """Wait until all that was submitted is on disk; raises what went wrong with it."""
        self._backlog.settle()

    def skip(self, shot: Shot | None, reason: str, measured: Measured | None = None) -> None:
        """Journal that a shot is given up."""
        self._backlog.do(lambda: self._skip(shot, reason, measured))
        self._given_up += 1
        if shot is not None:
            self._skips_of[shot.index] += 1

    def retry(self, shot: Shot | None, attempt: int, reason: str, measured: Measured | None = None) -> None:
        """Journal that a picture is taken again, for the ``attempt``-th time; ``measured`` of the one refused."""
        self._write(RetryEvent, shot=_number(shot), attempt=attempt, reason=reason, measured=measured)

    def retake(self, shot: Shot, reason: str) -> None:
        """Journal that what the session has of a shot counts no more: it is to be taken again.

        What of it is on its way to the disk arrives there first.
        """
        frames, skips = self._frames_of[shot.index], self._skips_of[shot.index]
        self._backlog.do(lambda: self._withdraw(shot, reason, frames, skips))
        del self._frames_of[shot.index], self._skips_of[shot.index]
        self._submitted -= frames
        self._given_up -= skips

    def note(self, text: str) -> None:
        """Journal a remark."""
        self._write(NoteEvent, text=text)

    def pause(self, reason: str = "") -> None:
        """Journal that capture waits."""
        self._write(PauseEvent, reason=reason)

    def unpause(self, reason: str = "") -> None:
        """Journal that capture goes on."""
        self._write(ResumeEvent, reason=reason)

    def error(self, error: DpcamError) -> None:
        """Journal what ends the capture; also after a frame could not be written."""
        event = partial(self._append, ErrorEvent, code=error.code, message=error.message)
        self._backlog.do(event, after_failure=True)

    def stop(self, reason: str) -> None:
        """Journal that the recorder ends by itself."""
        self._backlog.do(lambda: self._append(StopEvent, reason=reason, frames=self._frames, skipped=self._skipped))

    def seal(self) -> None:
        """Close the session for good: nothing is written to it after its seal."""
        self._backlog.do(self._seal)

    def _write(self, kind: Callable[..., Event], **fields: Any) -> None:
        self._backlog.do(partial(self._append, kind, **fields))

    def _take_back_begun(self) -> None:
        """Frames of one shot are of one moment."""
        for shot in self.plan.shots if self.plan else ():
            if 0 < self._frames_of[shot.index] < len(self.header.cameras):
                self.retake(shot, "the recorder ended before every camera had its frame")

    def _count_frame(self, shot: Shot | None) -> None:
        """One more frame, on disk or on its way there."""
        self._submitted += 1
        if shot is not None:
            self._frames_of[shot.index] += 1

    # In the thread that writes

    def _store_and_tell(
        self, frame: Frame, shot: Shot | None, verdict: Judged | None, stored: Callable[[], None], camera: int
    ) -> None:
        self._store(frame, shot, verdict, camera)
        stored()

    def _store(self, frame: Frame, shot: Shot | None, verdict: Judged | None, camera: int) -> Path:
        data, suffix = self._encoder.encoded(frame)
        stem = f"{FRAMES}/{self.header.cameras[camera].folder}/{self._next:06d}"
        path = f"{stem}{suffix}"
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
        return self.folder / path

    def _skip(self, shot: Shot | None, reason: str, measured: Measured | None) -> None:
        self._append(SkipEvent, shot=_number(shot), reason=reason, measured=measured)
        self._skipped += 1

    def _withdraw(self, shot: Shot, reason: str, frames: int, skips: int) -> None:
        self._append(RetakeEvent, shot=shot.index, reason=reason)
        self._frames -= frames
        self._skipped -= skips

    def _seal(self) -> None:
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


def _sweep(folder: Path) -> None:
    """Remove what a killed recorder left half-written."""
    for part in folder.glob(f"{FRAMES}/*/.*.part"):
        try:
            part.unlink()
        except OSError as error:
            raise not_writable(part, error) from error


def _number(shot: Shot | None) -> int | None:
    return None if shot is None else shot.index
