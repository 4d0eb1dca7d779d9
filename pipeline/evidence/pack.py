"""Writing an evidence pack: a zip with a session, its recognizers and their answers, for another laboratory.

The same input gives the same bytes: order, times and permissions are fixed. Files are streamed and hashed on their
way; one whose hash the session knows must have it.
"""

from __future__ import annotations

import hashlib
import platform
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from calibration.errors import BadEvidence, MissingFile
from calibration.files import read_document, sha256_file
from capture.session import HEADER, JOURNAL, SEAL, Seal, Session, inside
from pipeline.evidence.lines import file_lines, line_hashes
from pipeline.evidence.manifest import (
    MAX_MANIFEST_BYTES,
    Evidence,
    PackedFile,
    PackedModel,
    ScoringOrder,
    installed_packages,
    manifest_bytes,
    sums_text,
    this_system,
)
from pipeline.evidence.names import (
    JOURNAL_LINES,
    MANIFEST,
    MODELS,
    README,
    REPORT,
    SCORE_LINES,
    SCORES,
    SESSION,
    SUMS,
    first_clash,
    has_place,
    why_unsafe,
)
from pipeline.evidence.readme import readme
from pipeline.evidence.scores import as_line
from pipeline.recognizers import Recognizer
from pipeline.scoring.score import Answer
from pipeline.sessions.derived import code_version
from pipeline.sessions.exporting import written_aside

BLOCK = 2**20
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can name."""

COMPRESSED = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".pdf"})
"""Files that do not become smaller."""


@dataclass(frozen=True, slots=True)
class Content:
    """What goes into a pack: ``answers`` are those that ``order`` gives; ``report`` is an HTML file, or None."""

    session: Session
    recognizers: Sequence[Recognizer]
    order: ScoringOrder
    answers: Sequence[Answer]
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack that was written: its file, the hash of that, its size, and what is in it."""

    path: Path
    sha256: str
    bytes: int
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Member:
    """One file that is to be packed: its name, its content in blocks, and the hash that it must have (empty: any)."""

    name: str
    blocks: Callable[[], Iterable[bytes]]
    sha256: str = ""


def pack(content: Content, out: Path, progress: Callable[[int, int], None]) -> Packed:
    """Write the pack of ``content`` to ``out``; ``progress`` is told how many of how many files are in.

    :class:`BadEvidence` names a file of the session that is not what its journal or seal says, or that could not be
    unpacked elsewhere; :class:`MissingFile` one that is gone. Then ``out`` is as it was.
    """
    members = sorted(_members(content), key=lambda member: member.name)
    refuse_names([member.name for member in members])
    files: list[PackedFile] = []
    with written_aside(out) as aside, zipfile.ZipFile(aside, "w") as archive:
        for member in members:
            files.append(_put(archive, member))
            progress(len(files), len(members))
        evidence = _evidence(content, files)
        written = manifest_bytes(evidence)
        _refuse_manifest(written)
        _put(archive, _member(MANIFEST, written))
        _put(archive, _member(SUMS, sums_text(files, written)))
    return Packed(out, sha256_file(out), out.stat().st_size, evidence)


def session_files(session: Session) -> Mapping[str, str]:
    """All that a session names, relative to its folder → the hash that it must have (empty: none is on record)."""
    seal = read_document(session.folder / SEAL, Seal) if session.sealed else None
    known = {HEADER: seal.header_sha256, JOURNAL: seal.journal_sha256, SEAL: ""} if seal else {HEADER: "", JOURNAL: ""}
    known |= {record.path: record.sha256 for record in session.header.inputs}
    for frame in (*session.frames, *session.withdrawn):
        known[_relative(session, frame.path)] = frame.sha256
        if frame.truth:
            known[_relative(session, frame.truth)] = frame.truth_sha256 or ""
    return known


def refuse_names(names: Sequence[str]) -> None:
    """:class:`BadEvidence` for names that cannot stand in a pack, alone or together."""
    for name in names:
        if why := why_unsafe(name):
            raise BadEvidence(f"{name!r} cannot be unpacked safely: {why}", where=name)
        if not has_place(name):
            raise BadEvidence(f"{name!r} has no place in an evidence pack", where=name)
    if clash := first_clash(names):
        raise BadEvidence(
            f"{clash[1]!r} is the same file as {clash[0]!r}, or in its way, on some systems", where=clash[1]
        )


def file_blocks(path: Path) -> Iterator[bytes]:
    """The content of a file in blocks; :class:`MissingFile` when it cannot be read."""
    try:
        with path.open("rb") as stream:
            while block := stream.read(BLOCK):
                yield block
    except OSError as error:
        raise MissingFile(f"cannot read {path}: {error.strerror or error}", where=str(path)) from error


def contract_name(recognizer: Recognizer) -> str:
    """Where the recognizer's contract stands in a pack: each in a folder of its own."""
    return f"{MODELS}/{recognizer.name}/{recognizer.name}.json"


def onnx_name(recognizer: Recognizer) -> str:
    """Where its model stands."""
    return f"{MODELS}/{recognizer.name}/{recognizer.contract.file}"


def _members(content: Content) -> Iterator[Member]:
    session = content.session
    for name, sha256 in session_files(session).items():
        path = inside(session.folder, name, HEADER)
        yield Member(f"{SESSION}/{name}", partial(file_blocks, path), sha256)
    for each in content.recognizers:
        contract = each.contract.model_dump_json(indent=1).encode() + b"\n"
        yield _member(contract_name(each), contract)
        yield Member(onnx_name(each), partial(file_blocks, each.onnx), each.contract.sha256)
    if content.report is not None:
        yield Member(REPORT, partial(file_blocks, content.report))
    yield Member(SCORES, lambda: map(as_line, content.answers))
    yield Member(SCORE_LINES, lambda: line_hashes(map(as_line, content.answers)))
    yield Member(JOURNAL_LINES, lambda: line_hashes(file_lines(session.folder / JOURNAL)))
    yield _member(README, readme(session, [each.contract for each in content.recognizers], content.report is not None))


def _member(name: str, data: bytes) -> Member:
    return Member(name, lambda: (data,))


def _put(archive: zipfile.ZipFile, member: Member) -> PackedFile:
    info = zipfile.ZipInfo(member.name, EPOCH)
    stored = PurePosixPath(member.name).suffix.lower() in COMPRESSED
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = 0o100644 << 16
    digest, size = hashlib.sha256(), 0
    # How large a stream becomes is not known before: each member is written so that it may be larger than 2 GiB.
    with archive.open(info, "w", force_zip64=True) as stream:
        for block in member.blocks():
            digest.update(block)
            size += stream.write(block)
    if member.sha256 not in ("", digest.hexdigest()):
        raise BadEvidence(
            f"{member.name} holds other bytes than are on record: a pack of them would prove nothing",
            hint="dpcam session check, dpcam models check",
            where=member.name,
        )
    return PackedFile(path=member.name, bytes=size, sha256=digest.hexdigest())


def _evidence(content: Content, files: list[PackedFile]) -> Evidence:
    return Evidence(
        session=content.session.header.id,
        sealed=content.session.sealed,
        dpcam=code_version(),
        python=platform.python_version(),
        machine=this_system(),
        packages=installed_packages(),
        scoring=content.order,
        models=[_model(each) for each in content.recognizers],
        answers=len(content.answers),
        commands=rescoring_commands(content.order),
        total_bytes=sum(each.bytes for each in files),
        files=files,
    )


def rescoring_commands(order: ScoringOrder) -> list[str]:
    """What scores a pack again: in one step, and by hand."""
    return [
        "dpcam evidence check PACK.zip",
        "dpcam evidence unpack PACK.zip --out evidence",
        f"dpcam score evidence/{SESSION} --lab evidence {order.options}",
    ]


def _model(recognizer: Recognizer) -> PackedModel:
    contract = recognizer.contract
    return PackedModel(
        name=contract.name,
        contract=contract_name(recognizer),
        onnx=onnx_name(recognizer),
        sha256=contract.sha256,
        family=contract.family,
        held_out=contract.held_out,
        licence=contract.licence,
        training_data=contract.training_data,
    )


def _refuse_manifest(written: bytes) -> None:
    if len(written) > MAX_MANIFEST_BYTES:
        raise BadEvidence(f"too many files for one pack: {MANIFEST} would be over {MAX_MANIFEST_BYTES} bytes")


def _relative(session: Session, path: Path) -> str:
    return path.relative_to(session.folder).as_posix()
