"""Which line of a file was changed: a pack holds a short hash of each line of its journal and of its answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest
from pathlib import Path

from calibration.errors import MissingFile
from capture.session import JOURNAL
from pipeline.evidence.names import JOURNAL_LINES, SCORE_LINES, SCORES, SESSION

LINES = {f"{SESSION}/{JOURNAL}": JOURNAL_LINES, SCORES: SCORE_LINES}
"""Files whose lines are hashed → the file with the hashes."""

_DIGITS = 16
"""They find a line; what proves that it was changed is the hash of the whole file."""

_LONGEST = 2**20
MOST_LINES = 6


def file_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their ends, very long ones in pieces; :class:`MissingFile` when it cannot be read."""
    try:
        with path.open("rb") as stream:
            while line := stream.readline(_LONGEST):
                yield line
    except OSError as error:
        raise MissingFile(f"cannot read {path}: {error.strerror or error}", where=str(path)) from error


def line_hashes(lines: Iterable[bytes]) -> Iterator[bytes]:
    """A line with a hash for each line."""
    return (hashlib.sha256(line).hexdigest()[:_DIGITS].encode() + b"\n" for line in lines)


def changed_lines(folder: Path, name: str) -> list[int]:
    """The first lines of the file ``name`` in ``folder`` that are not what was packed, counted from 1.

    Empty where one cannot tell: for other files, and without the hashes.
    """
    hashes = folder / LINES.get(name, "")
    if not (hashes.is_file() and (folder / name).is_file()):
        return []
    pairs = zip_longest(file_lines(hashes), line_hashes(file_lines(folder / name)))
    return list(islice((number for number, (due, found) in enumerate(pairs, 1) if due != found), MOST_LINES))
