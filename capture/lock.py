"""One writer for a session: a lock file that says who holds it, with a lock of the operating system on it.

The system gives the lock back when its owner dies, however it dies, so that a lock file left behind by a process of
this host is known to be stale. One left behind by another host (on a shared disk, whose locks may not reach here)
is never taken over.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from calibration.errors import SessionLocked
from calibration.files import Document, not_writable


class Owner(Document):
    """Who writes to a session."""

    host: str
    pid: int
    started_wall_ns: int


class SessionLock:
    """Held from construction to :meth:`release`; :class:`SessionLocked` names the owner when another has it."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self._path = path
        self._descriptor = _locked(path)
        try:
            self._refuse_other_host(owner.host)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, owner.model_dump_json().encode(), 0)
            os.fsync(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            raise not_writable(path, error) from error
        except SessionLocked:
            os.close(self._descriptor)
            raise

    def _refuse_other_host(self, host: str) -> None:
        former = read_owner(self._path)
        if former is not None and former.host != host:
            raise _refusal(self._path, former, f"if that process is surely gone, remove {self._path}")

    def release(self) -> None:
        """Remove the file, then the lock; safe to call twice.

        Where nothing can be written any more the file stays: it is the lock of the system that counts.
        """
        if self._descriptor >= 0:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def read_owner(path: Path) -> Owner | None:
    """Who is written in the lock file; None when it is not there or was cut off before its owner was written."""
    try:
        return Owner.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _locked(path: Path) -> int:
    """A descriptor of ``path`` with the system's lock on it."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise not_writable(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise _refusal(path, read_owner(path), "wait for it, or end it") from error
        except FileNotFoundError:
            # Its former owner removed the file between our two calls: the lock that we got is on nothing.
            pass
        os.close(descriptor)


def _refusal(path: Path, owner: Owner | None, hint: str) -> SessionLocked:
    who = f"process {owner.pid} on {owner.host}" if owner else "another process"
    return SessionLocked(f"{path.parent} is being written by {who}", hint=hint, where=str(path.parent))
