"""Unpacking an evidence pack that comes from anywhere: nothing outside of its folder, nothing beyond its stated size.

A pack is hostile until proven otherwise. What is refused is refused with :class:`BadEvidence`, and leaves nothing
behind. Whether the files are those that were packed is another question: see :mod:`pipeline.evidence.check`.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path, PurePosixPath

from calibration.errors import BadEvidence, BadInput, DiskFull, MissingFile
from calibration.files import not_writable, sync_folder, write_text
from capture.session import HEADER, JOURNAL
from pipeline.config import LAB_FILE
from pipeline.evidence.lines import LINES, changed_lines
from pipeline.evidence.manifest import MAX_MANIFEST_BYTES, Evidence, PackedFile, parse_manifest
from pipeline.evidence.names import (
    JOURNAL_LINES,
    MANIFEST,
    SCORE_LINES,
    SCORES,
    SESSION,
    SUMS,
    first_clash,
    why_unsafe,
)
from pipeline.evidence.pack import BLOCK, refuse_names

_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, OverflowError)
"""What the library raises for a zip that is damaged, encrypted or of a kind that it does not know."""

_ENCRYPTED = 0x1 | 0x40 | 0x2000
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_SUMS_LINE_BYTES = 2**11
_ENDLESS = 2**62


def unpack(pack: Path, folder: Path) -> Evidence:
    """Unpack ``pack`` into the new ``folder``, with a lab.toml that puts its recognizers, and no others, on the bench.

    :class:`BadEvidence` for whatever is no sound pack; :class:`DiskFull` before anything is written that cannot fit;
    :class:`BadInput` when ``folder`` is there already.
    """
    with _opened(pack) as archive, _laid_aside(folder) as aside:
        members = _members(pack, archive)
        evidence = _manifest(archive, members)
        _refuse_no_room(evidence, aside)
        _extract(archive, members[MANIFEST], members[MANIFEST].file_size, aside)
        _extract(archive, members[SUMS], members[SUMS].file_size, aside)
        for each in evidence.files:
            _extract_named(archive, members[each.path], each, aside)
        write_text(aside / LAB_FILE, lab_toml(evidence))
    return evidence


def read_evidence(pack: Path) -> Evidence:
    """The manifest of ``pack``, whose names and sizes are those of the zip; nothing is unpacked. Errors as there."""
    with _opened(pack) as archive:
        return _manifest(archive, _members(pack, archive))


def lab_toml(evidence: Evidence) -> str:
    """The settings of a lab with the recognizers of a pack."""
    folders = json.dumps([str(PurePosixPath(each.contract).parent) for each in evidence.models], ensure_ascii=False)
    return f'[lab]\nname = "evidence"\n\n[models]\nzoo = false\nfolders = {folders}\n'


@contextmanager
def _opened(pack: Path) -> Iterator[zipfile.ZipFile]:
    if not pack.is_file():
        raise MissingFile(f"there is no evidence pack {pack}", where=str(pack))
    with _reading(pack.name):
        archive = zipfile.ZipFile(pack)
    with archive:
        yield archive


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Within: what the library says of a damaged zip becomes :class:`BadEvidence`."""
    try:
        yield
    except _DAMAGE as error:
        message = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadEvidence(f"{what} cannot be read: {message}", where=what) from error


def _members(pack: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Name → member; all of them sound by what the zip's directory says."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.orig_filename
        if why := _why_refused(info):
            raise BadEvidence(f"{pack.name}: {name!r} is refused: {why}", where=name)
        if name in found:
            raise BadEvidence(f"{pack.name}: {name!r} is in it twice", where=name)
        found[name] = info
    if clash := first_clash(found):
        message = f"{pack.name}: {clash[1]!r} is the same file as {clash[0]!r}, or in its way, on some systems"
        raise BadEvidence(message, where=clash[1])
    for name in (MANIFEST, SUMS):
        if name not in found:
            raise BadEvidence(f"{pack.name} is no evidence pack: it has no {name}", where=name)
    return found


def _why_refused(info: zipfile.ZipInfo) -> str:
    if why := why_unsafe(info.orig_filename):
        return why
    if info.filename != info.orig_filename:
        return f"it calls itself {info.filename!r} as well"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "it is a link" if kind == stat.S_IFLNK else "it is no plain file"
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    if info.compress_type not in _METHODS:
        return f"its compression {info.compress_type} is neither stored (0) nor deflated (8)"
    return ""


def _manifest(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Evidence:
    """The manifest, when the zip holds what it names, as large as it says, and nothing else."""
    info = members[MANIFEST]
    if info.file_size > MAX_MANIFEST_BYTES:
        message = f"{MANIFEST} has {info.file_size} bytes; up to {MAX_MANIFEST_BYTES} are accepted"
        raise BadEvidence(message, where=MANIFEST)
    evidence = parse_manifest(b"".join(_content(archive, info, info.file_size)))
    refuse_names([each.path for each in evidence.files])
    _refuse_unlisted(evidence)
    for each in evidence.files:
        _refuse_other_size(each, members.get(each.path))
    unnamed = sorted(set(members) - {each.path for each in evidence.files} - {MANIFEST, SUMS})
    if unnamed:
        raise BadEvidence(f"{unnamed[0]!r} is in the pack, but {MANIFEST} does not name it", where=unnamed[0])
    if members[SUMS].file_size > _SUMS_LINE_BYTES * (len(evidence.files) + 1):
        raise BadEvidence(f"{SUMS} has {members[SUMS].file_size} bytes: more than its lines can have", where=SUMS)
    return evidence


def _refuse_unlisted(evidence: Evidence) -> None:
    """The files that a pack cannot do without, and those of its recognizers, are among its files."""
    needed = [f"{SESSION}/{HEADER}", f"{SESSION}/{JOURNAL}", SCORES, SCORE_LINES, JOURNAL_LINES]
    needed += [path for each in evidence.models for path in (each.contract, each.onnx)]
    missing = sorted(set(needed) - {each.path for each in evidence.files})
    if missing:
        raise BadEvidence(f"{MANIFEST}: {missing[0]!r} is not among its files", where=MANIFEST)


def _refuse_other_size(stated: PackedFile, info: zipfile.ZipInfo | None) -> None:
    if info is None:
        raise BadEvidence(f"{stated.path} is named by {MANIFEST}, but is not in the pack", where=stated.path)
    # Of those with lines the beginning is unpacked, to say which line is not what was packed.
    if info.file_size != stated.bytes and stated.path not in LINES:
        message = f"{stated.path} has {info.file_size} bytes, {MANIFEST} states {stated.bytes}"
        raise BadEvidence(message, where=stated.path)


def _refuse_no_room(evidence: Evidence, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if evidence.total_bytes > free:
        raise DiskFull(
            f"the pack unpacks to {evidence.total_bytes} bytes, {free} are free in {folder.parent}",
            hint="choose another disk",
            where=str(folder.parent),
        )


def _extract_named(archive: zipfile.ZipFile, info: zipfile.ZipInfo, stated: PackedFile, folder: Path) -> None:
    try:
        _extract(archive, info, stated.bytes, folder)
    except BadEvidence as error:
        line = "".join(f", from line {number} on" for number in changed_lines(folder, stated.path)[:1])
        raise BadEvidence(error.message + line, where=stated.path) from error


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int, folder: Path) -> None:
    path = folder / info.orig_filename
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        for block in _content(archive, info, size):
            stream.write(block)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> Iterator[bytes]:
    """The content of a member in blocks: exactly ``size`` bytes whose checksum is right."""
    name = info.orig_filename
    # The library gives out as many bytes as the zip's directory says, however many there are; we want to know.
    info = copy(info)
    info.file_size = _ENDLESS
    left = size
    with _reading(name), archive.open(info) as stream:
        while block := stream.read(min(BLOCK, left + 1)):
            yield block[:left]
            left -= len(block)
            if left < 0:
                raise BadEvidence(f"{name} goes on behind the {size} bytes that are stated", where=name)
    if left:
        raise BadEvidence(f"{name} ends {left} bytes before the {size} that are stated", where=name)


@contextmanager
def _laid_aside(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` that takes its place when all went well, and is removed otherwise."""
    to = folder.absolute()
    aside = to.with_name(f".{to.name}.{os.getpid()}.part")
    if to.is_symlink() or to.exists():
        raise BadInput(f"{folder} is there already; a folder that is not is expected", where=str(folder))
    try:
        aside.mkdir(parents=True)
        yield aside
        aside.rename(to)
    except OSError as error:
        raise not_writable(folder, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    sync_folder(to.parent)
