"""Is a session whole? Every hash against its file, the journal against the plan and the seal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import MissingFile
from calibration.files import read_document, sha256_file
from capture.orphans import unjournaled
from capture.session import HEADER, JOURNAL, SEAL, Seal, Session, inside, read_session


@dataclass(frozen=True, slots=True)
class SessionCheck:
    """What a check found. Paths are relative to the session folder.

    ``missing``: journaled or declared, but not there. ``tampered``: there with other bytes (frames, truth, inputs, and
    journal or header against the seal). ``orphans``: below ``frames/`` without being journaled, harmless: the recorder
    was killed between bytes and journal. ``repeated``: shots with more than one outcome, or two frames of one camera.
    ``pending``: planned shots that were not given up, and lack a frame of some camera. ``torn``: the journal ends in a
    torn line. ``frames`` are those that count; ``withdrawn`` ones are verified like them.
    """

    frames: int
    withdrawn: int
    skipped: int
    missing: tuple[str, ...]
    tampered: tuple[str, ...]
    orphans: tuple[str, ...]
    repeated: tuple[int, ...]
    pending: tuple[int, ...]
    torn: bool
    sealed: bool
    stopped: str | None

    @property
    def whole(self) -> bool:
        """Whether everything that the session says is there and as it was written."""
        return not (self.missing or self.tampered or self.repeated)

    @property
    def complete(self) -> bool:
        """Whether the capture came to its end and every planned shot has an outcome."""
        return self.stopped == "complete" and not self.pending


def check_session(folder: Path) -> SessionCheck:
    """Verify the session at ``folder``; the errors of :func:`capture.session.read_session` when it cannot be read."""
    session = read_session(folder)
    states = list(_states(session))
    return SessionCheck(
        frames=len(session.frames),
        withdrawn=len(session.withdrawn),
        skipped=len(session.skips),
        missing=tuple(path for path, state in states if state == "missing"),
        tampered=tuple(path for path, state in states if state == "tampered"),
        orphans=tuple(path.relative_to(folder).as_posix() for path in unjournaled(session)),
        repeated=tuple(_repeated(session)),
        pending=tuple(shot.index for shot in session.pending),
        torn=session.torn,
        sealed=session.sealed,
        stopped=session.stopped,
    )


def _states(session: Session) -> Iterator[tuple[str, str]]:
    """Relative path and ``good``, ``missing`` or ``tampered`` of every file with a known hash."""
    for path, expected in _expected(session):
        name = path.relative_to(session.folder).as_posix()
        try:
            yield name, "good" if sha256_file(path) == expected else "tampered"
        except MissingFile:
            yield name, "missing"


def _expected(session: Session) -> Iterator[tuple[Path, str]]:
    for record in session.header.inputs:
        yield inside(session.folder, record.path, HEADER), record.sha256
    for frame in (*session.frames, *session.withdrawn):
        yield frame.path, frame.sha256
        if frame.truth and frame.truth_sha256:
            yield frame.truth, frame.truth_sha256
    if session.sealed:
        seal = read_document(session.folder / SEAL, Seal)
        yield session.folder / HEADER, seal.header_sha256
        yield session.folder / JOURNAL, seal.journal_sha256


def _repeated(session: Session) -> list[int]:
    times = Counter((frame.shot.index, frame.camera) for frame in session.frames if frame.shot)
    skips = Counter(skip.shot.index for skip in session.skips if skip.shot)
    taken = {shot for shot, _ in times}
    twice = {shot for (shot, _), count in times.items() if count > 1}
    return sorted(twice | {shot for shot, count in skips.items() if count > 1 or shot in taken})
