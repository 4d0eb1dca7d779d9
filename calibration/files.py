"""Durable files: written aside, synced, renamed; hashed; versioned JSON with its ``format`` checked."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from calibration.errors import BadConfig, DiskFull, MissingFile, NotReady


class Document(BaseModel):
    """A JSON document of dpcam: frozen, unknown keys refused. Subclasses set ``format`` and ``version``."""

    model_config = ConfigDict(frozen=True, extra="forbid")


DocumentT = TypeVar("DocumentT", bound=Document)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a kill at any moment leaves either the old file or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        # Where nothing can be written, nothing can be removed either; the first error is the one to tell.
        with contextlib.suppress(OSError):
            aside.unlink()
        raise not_writable(path, error) from error


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable (a no-op where folders cannot be synced)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it, where it is not there yet."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from error


def not_writable(path: Path, error: OSError) -> NotReady:
    """The error to raise when writing ``path`` failed: :class:`DiskFull` or :class:`NotReady`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space left to write {path}", hint="free some space, then run again", where=str(path))
    return NotReady(
        f"cannot write {path}: {error.strerror or error}",
        hint="choose a folder that can be written",
        where=str(path),
    )


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text durably."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, keys in the given order, with a final newline."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_document(path: Path, document: Document) -> None:
    """Write a :class:`Document` durably as JSON."""
    write_json(path, document.model_dump(mode="json"))


def in_file_name(word: str) -> str:
    """``word`` as part of a file name: labels of users hold spaces and slashes, file names do not."""
    return re.sub(r"[^\w.-]+", "-", word)[:60].strip("-.") or "unnamed"


def readable_name(name: str) -> str:
    """A file name as text that can be written down: bytes in it that are no UTF-8 as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_bytes(path: Path) -> bytes:
    """Read a file; :class:`MissingFile` when it is not there."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingFile(f"cannot read {path}: {error.strerror or error}", where=str(path)) from error


def read_json(path: Path) -> Any:
    """Read JSON; :class:`BadConfig` names the line that does not parse."""
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise BadConfig(f"{path} is not JSON: {error}", where=str(path)) from error


def read_document(path: Path, kind: type[DocumentT]) -> DocumentT:
    """Read and validate a document of ``kind``; :class:`BadConfig` names the key and the bad value."""
    return parse_document(read_json(path), kind, where=str(path))


def files_of_format(folder: Path, name: str) -> list[Path]:
    """The JSON files in ``folder`` that call themselves ``name``, sorted; :class:`BadConfig` for what is no JSON."""
    found = ((path, read_json(path)) for path in sorted(folder.glob("*.json")))
    return [path for path, content in found if isinstance(content, dict) and content.get("format") == name]


def parse_document(value: Any, kind: type[DocumentT], *, where: str) -> DocumentT:
    """Validate ``value`` as ``kind``; the first problem becomes one line."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise BadConfig(f"{where}: {first_problem(error)}", where=where) from error


def first_problem(error: ValidationError) -> str:
    """One line for a pydantic error: key, what is wrong, the value found."""
    problem = error.errors(include_url=False, include_context=False)[0]
    key = ".".join(str(part) for part in problem["loc"]) or "document"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    shown = repr(problem.get("input"))
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{key}: {problem['msg']}, found {shown}{more}"


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks; :class:`MissingFile` when it is not there."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise MissingFile(f"cannot read {path}: {error.strerror or error}", where=str(path)) from error
