"""Is an evidence pack what was packed, and do its answers follow from its pictures and recognizers?"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import BadEvidence, BadInput
from calibration.files import sha256_file
from capture.check import check_session
from capture.session import read_session
from pipeline.evidence.compare import Comparison, compare
from pipeline.evidence.lines import LINES, MOST_LINES, changed_lines, file_lines
from pipeline.evidence.manifest import Evidence, PackedModel, sums_text
from pipeline.evidence.names import MANIFEST, SCORES, SESSION, SUMS
from pipeline.evidence.pack import session_files
from pipeline.evidence.scores import from_lines, kept_scores
from pipeline.evidence.unpack import unpack
from pipeline.recognizers import Provider, Recognizer, load_recognizer


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a pack: in which file (with a line, where one can tell), and what."""

    where: str
    message: str


def open_pack(pack: Path, folder: Path) -> tuple[Evidence, list[Problem]]:
    """Unpack ``pack`` into the new ``folder`` and look into everything; with problems, the folder does not stay.

    Errors as :func:`pipeline.evidence.unpack.unpack`.
    """
    evidence = unpack(pack, folder)
    problems: list[Problem] | None = None
    try:
        problems = find_problems(folder, evidence)
    finally:
        if problems != []:
            shutil.rmtree(folder)
    return evidence, problems


def find_problems(folder: Path, evidence: Evidence) -> list[Problem]:
    """What speaks against the pack that was unpacked to ``folder``; empty when nothing does.

    Every file against the manifest, the manifest against the sums; when these agree, the journal against its seal and
    the files, and the contracts against their models: where a manifest was made anew over something that was changed,
    these still tell.
    """
    return [*_changed_manifest(folder, evidence), *_changed_files(folder, evidence)] or list(
        _contradictions(folder, evidence)
    )


def score_again(
    folder: Path, evidence: Evidence, provider: Provider | None, progress: Callable[[int], None]
) -> Comparison:
    """Score the session of an unpacked pack anew, and hold that against the answers in it.

    ``provider``: that of the pack, unless named. :class:`BadEvidence` for a line of answers that does not parse.
    """
    session = read_session(folder / SESSION)
    recognizers = [_recognizer(folder, each) for each in evidence.models]
    order = evidence.scoring.model_copy(update={"provider": provider}) if provider else evidence.scoring
    again = kept_scores(session, recognizers, order, progress)
    return compare(from_lines(file_lines(folder / SCORES)), again)


def _changed_manifest(folder: Path, evidence: Evidence) -> Iterator[Problem]:
    manifest = (folder / MANIFEST).read_bytes()
    if (folder / SUMS).read_bytes() != sums_text(evidence.files, manifest):
        yield Problem(MANIFEST, f"{MANIFEST} and {SUMS} do not agree: one of them was changed after they were written")


def _changed_files(folder: Path, evidence: Evidence) -> Iterator[Problem]:
    changed = [each.path for each in evidence.files if sha256_file(folder / each.path) != each.sha256]
    for name in changed:
        lines = [] if LINES.get(name) in changed else changed_lines(folder, name)
        yield Problem(name, f"{name}{_in_words(lines)}: other bytes than were packed")


def _in_words(lines: list[int]) -> str:
    if len(lines) <= 1:
        return f", line {lines[0]}" if lines else ""
    return ", lines " + ", ".join(map(str, lines[: MOST_LINES - 1])) + (", ..." if len(lines) == MOST_LINES else "")


def _contradictions(folder: Path, evidence: Evidence) -> Iterator[Problem]:
    try:
        yield from _in_session(folder, evidence)
        for each in evidence.models:
            yield from _in_model(folder, each)
        if (lines := sum(1 for _ in file_lines(folder / SCORES))) != evidence.answers:
            yield Problem(MANIFEST, f"{MANIFEST} states {evidence.answers} answers, {SCORES} has {lines}")
    except BadInput as error:
        here = f"{folder}/"
        yield Problem(error.where.replace(here, ""), error.message.replace(here, ""))


def _in_session(folder: Path, evidence: Evidence) -> Iterator[Problem]:
    at = folder / SESSION
    session, found = read_session(at), check_session(at)
    for name in found.missing:
        yield Problem(f"{SESSION}/{name}", f"{SESSION}/{name} is missing: the session names it")
    for name in found.tampered:
        yield Problem(f"{SESSION}/{name}", f"{SESSION}/{name}: other bytes than the session recorded")
    if (session.header.id, session.sealed) != (evidence.session, evidence.sealed):
        yield Problem(MANIFEST, f"{MANIFEST} states another session: {evidence.session}, sealed: {evidence.sealed}")
    known = {f"{SESSION}/{name}" for name in session_files(session)}
    for each in evidence.files:
        if each.path.startswith(f"{SESSION}/") and each.path not in known:
            yield Problem(each.path, f"{each.path} belongs to nothing: the session does not name it")


def _in_model(folder: Path, model: PackedModel) -> Iterator[Problem]:
    contract = _recognizer(folder, model).contract
    stated = (model.name, model.sha256, model.held_out, model.licence)
    if stated != (contract.name, contract.sha256, contract.held_out, contract.licence):
        yield Problem(model.contract, f"{model.contract} declares another recognizer than {MANIFEST} states")
    if sha256_file(folder / model.onnx) != contract.sha256:
        yield Problem(model.onnx, f"{model.onnx} is not the file that its contract declares: its sha256 differs")


def _recognizer(folder: Path, model: PackedModel) -> Recognizer:
    recognizer = load_recognizer(folder / model.contract)
    if recognizer.onnx != folder / model.onnx:
        message = f"{model.contract} declares the file {recognizer.contract.file}, {model.onnx} is packed"
        raise BadEvidence(message, where=model.contract)
    return recognizer
