"""Files by their name in a folder, a zip or a tar (packed or not): listed and read, never unpacked to disk."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from calibration.errors import BadInput, MissingFile

DAMAGE = (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, tarfile.TarError, lzma.LZMAError)
"""What the readers raise for a file that is damaged or gone."""


def list_names(source: Path) -> list[str]:
    """Names of all files, relative, with ``/``.

    Raises :class:`MissingFile` when nothing is at ``source``, :class:`BadInput` when that is no archive or damaged.
    """
    if not source.exists():
        raise MissingFile(f"no such folder or zip of photographs: {source}", where=str(source))
    if source.is_dir():
        return [path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()]
    try:
        return _names_in_archive(source)
    except DAMAGE as error:
        raise BadInput(f"{source} is neither a folder nor a zip nor a tar: {error}", where=str(source)) from error


def _names_in_archive(source: Path) -> list[str]:
    if not zipfile.is_zipfile(source):
        with tarfile.open(source) as archive:
            return [member.name for member in archive if member.isfile()]
    with zipfile.ZipFile(source) as packed:
        return [name for name in packed.namelist() if not name.endswith("/")]


def read_files(source: Path, names: Sequence[str]) -> Iterator[bytes]:
    """The files of these names, in this order; :class:`BadInput` names one that cannot be read."""
    if source.is_dir():
        return _from_folder(source, names)
    return _from_zip(source, names) if zipfile.is_zipfile(source) else _from_tar(source, names)


def _from_folder(source: Path, names: Sequence[str]) -> Iterator[bytes]:
    for name in names:
        try:
            yield (source / name).read_bytes()
        except OSError as error:
            raise unreadable(source, name, error) from error


def _from_zip(source: Path, names: Sequence[str]) -> Iterator[bytes]:
    with zipfile.ZipFile(source) as archive:
        for name in names:
            try:
                yield archive.read(name)
            except DAMAGE as error:
                raise unreadable(source, name, error) from error


def _from_tar(source: Path, names: Sequence[str]) -> Iterator[bytes]:
    """One pass, as going back in a packed tar means to unpack it again from the start."""
    wanted = set(names)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() and member.name in wanted else None
                found.update({member.name: content.read()} if content else {})
    except DAMAGE as error:
        raise unreadable(source, "all files", error) from error
    for name in names:
        if name not in found:
            raise unreadable(source, name, KeyError(name))
        yield found[name]


def unreadable(source: Path, name: str, error: Exception) -> BadInput:
    """The error for one file."""
    return BadInput(f"cannot read {name} in {source}: {error}", where=str(source))
