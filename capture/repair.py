"""Making a session clean after its recorder was killed, without deleting anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calibration.errors import BadUsage
from capture.frame import Clock
from capture.lock import Owner, SessionLock
from capture.orphans import set_aside, torn_line, unjournaled
from capture.recorder import SessionWriter
from capture.session import LOCK, Machine, Session, read_session


@dataclass(frozen=True, slots=True)
class Repair:
    """What there is to repair, or was: bytes of a torn last line, files without a line in the journal.

    ``orphans`` are where they were, relative to the session; ``aside`` is where these and the torn line are now,
    empty before the repair.
    """

    torn_bytes: int
    orphans: tuple[str, ...]
    aside: tuple[str, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.torn_bytes or self.orphans)


def find_damage(folder: Path, *, machine: Machine, clock: Clock) -> Repair:
    """What :func:`repair_session` would do; the same errors."""
    if (folder / LOCK).exists():
        SessionLock(folder / LOCK, Owner(host=machine.host, pid=machine.pid, started_wall_ns=clock.wall_ns())).release()
    return _damage(read_session(folder))


def repair_session(folder: Path, *, machine: Machine, clock: Clock) -> Repair:
    """Cut a torn last line off and move orphans, both to ``orphans/``; what was done is noted in the journal.

    :class:`calibration.errors.SessionLocked` while a capture writes to it, :class:`BadUsage` for a sealed session
    that is not clean. Missing and changed files cannot be repaired; they stay on record.
    """
    found = find_damage(folder, machine=machine, clock=clock)
    if not found.needed:
        return found
    if read_session(folder).sealed:
        raise BadUsage(
            f"the session {folder} is sealed, nothing is written to it any more",
            hint="what it says can be read as it is: files without a line in the journal belong to nothing",
            where=str(folder),
        )
    with SessionWriter(folder, machine, clock) as writer:
        orphans = list(unjournaled(writer.state))
        aside = [*writer.set_aside, *set_aside(folder, orphans)]
        names = tuple(path.relative_to(folder).as_posix() for path in aside)
        writer.note(f"repaired: {_words(found)}; set aside: {', '.join(names)}")
    return Repair(found.torn_bytes, tuple(path.relative_to(folder).as_posix() for path in orphans), names)


def _damage(session: Session) -> Repair:
    names = (path.relative_to(session.folder).as_posix() for path in unjournaled(session))
    return Repair(len(torn_line(session)), tuple(names))


def _words(found: Repair) -> str:
    torn = [f"a torn last line of {found.torn_bytes} bytes was cut off"] if found.torn_bytes else []
    orphans = [f"{len(found.orphans)} files had no line in the journal"] if found.orphans else []
    return ", ".join(torn + orphans)
