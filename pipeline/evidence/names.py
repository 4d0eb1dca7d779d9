"""Names in an evidence pack: which are safe to unpack anywhere, and which have a place in a pack at all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

MANIFEST = "evidence.json"
SUMS = "SHA256SUMS"
README = "README.txt"
SESSION = "session"
MODELS = "models"
SCORES = "scores.jsonl"
REPORT = "report.html"
JOURNAL_LINES = "lines/events.txt"
SCORE_LINES = "lines/scores.txt"

_PLACES = re.compile(
    r"README\.txt|scores\.jsonl|report\.html|lines/(events|scores)\.txt|models/[^/]+/[^/]+"
    r"|session/(session\.json|events\.jsonl|seal\.json)|session/(inputs|frames)/.+"
)
"""What is derived from a session has no place: kept scores would be read where they are to be computed."""

_LONGEST_PART_BYTES = 255
_LONGEST_BYTES = 1024
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def why_unsafe(name: str) -> str:
    """Why a file of that name must not be unpacked; empty for a name that is safe on every system.

    Safe is a relative path with ``/`` whose parts are plain names: none empty, ``.`` or ``..``, no backslash, colon or
    control character, nothing that Windows takes for a device or cuts off.
    """
    if name.startswith("/"):
        return "it is absolute"
    if "\\" in name:
        return "it has a backslash"
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name):
        return "it has a control character"
    if len(name.encode()) > _LONGEST_BYTES:
        return f"it is longer than {_LONGEST_BYTES} bytes"
    return next((why for part in name.split("/") if (why := _why_unsafe_part(part))), "")


def _why_unsafe_part(part: str) -> str:
    if part in ("", ".", ".."):
        return f"{part!r} is no name of a file"
    if ":" in part:
        return "it has a colon"
    if part[-1] in ". ":
        return "a part of it ends in a dot or a space"
    if _RESERVED.fullmatch(part):
        return f"{part!r} is a device on some systems"
    return (
        f"a part of it is longer than {_LONGEST_PART_BYTES} bytes" if len(part.encode()) > _LONGEST_PART_BYTES else ""
    )


def has_place(name: str) -> bool:
    """Whether a pack may hold a file of that name, beside its manifest and its sums."""
    return _PLACES.fullmatch(name) is not None


def first_clash(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that are, or on some systems would be, the same file, or of which one is the other's folder."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        key = _folded(name)
        above = [_folded(str(folder)) for folder in PurePosixPath(name).parents]
        other = files.get(key) or folders.get(key) or next((files[each] for each in above if each in files), None)
        if other is not None:
            return other, name
        files[key] = name
        folders.update(dict.fromkeys(above, name))
    return None


def _folded(name: str) -> str:
    """The name as file systems see it that know neither case nor how a letter is composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
