"""What a killed recorder leaves: pictures that the journal does not name, a torn last line. They are set aside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from calibration.files import make_folder, not_writable, sync_folder, write_bytes
from capture.session import FRAMES, JOURNAL, ORPHANS, Session


def unjournaled(session: Session) -> Iterator[Path]:
    """Files below ``frames/`` that the journal does not name, sorted."""
    taken = (*session.frames, *session.withdrawn)
    known = {frame.path for frame in taken} | {frame.truth for frame in taken}
    for path in sorted((session.folder / FRAMES).rglob("*")):
        if path.is_file() and path not in known:
            yield path


def torn_line(session: Session) -> bytes:
    """What follows the last whole line of the journal."""
    with (session.folder / JOURNAL).open("rb") as stream:
        stream.seek(session.journal_bytes)
        return stream.read()


def keep_torn_line(session: Session) -> Path:
    """Copy the torn line to a file in ``orphans/``, so that it can be cut off."""
    path = _free(session.folder / ORPHANS / f"{JOURNAL}.{session.journal_bytes}.torn")
    write_bytes(path, torn_line(session))
    return path


def set_aside(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Move files from ``frames/`` of the session at ``folder`` to ``orphans/``; where they are now."""
    return [_moved(folder, path) for path in paths]


def _moved(folder: Path, path: Path) -> Path:
    to = _free(folder / ORPHANS / path.relative_to(folder / FRAMES))
    make_folder(to.parent)
    try:
        path.rename(to)
    except OSError as error:
        raise not_writable(to, error) from error
    sync_folder(to.parent)
    sync_folder(path.parent)
    return to


def _free(path: Path) -> Path:
    """``path``, or with a number behind it while there is a file of that name."""
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
