"""``dpcam export --evidence`` and ``dpcam evidence``: a zip that another laboratory can score again without the rig."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from calibration.errors import BadEvidence, BadUsage, DpcamError, LimitNotMet
from pipeline.cli.command import DryRunOption, LabOption, SeedOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.cli.scoring import (
    JitterOption,
    ModelsOption,
    NoiseAtOption,
    NoisesOption,
    ProviderOption,
    SeveritiesOption,
    ViewsOption,
    model_names,
    severity_numbers,
    words,
)
from pipeline.cli.sessions import SessionArgument
from pipeline.result import Result

if TYPE_CHECKING:
    from capture.session import Session
    from pipeline.evidence.check import Problem
    from pipeline.evidence.compare import Comparison
    from pipeline.evidence.manifest import Evidence, ScoringOrder
    from pipeline.recognizers import Recognizer

group = new_group("Evidence packs of other laboratories: check and score again, unpack.")
PackArgument = Annotated[Path, typer.Argument(help="The evidence pack.", metavar="PACK.zip")]
UNPACKED = "pack"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "export")(export)
    app.add_typer(group, name="evidence")


def export(
    session: SessionArgument,
    evidence: Annotated[bool, typer.Option("--evidence", help="Session, recognizers and answers as one zip.")] = False,
    models: ModelsOption = None,
    views: ViewsOption = "natural",
    jitter: JitterOption = 0,
    noises: NoisesOption = "",
    severities: SeveritiesOption = "3,4,5",
    noise_at: NoiseAtOption = "input",
    provider: ProviderOption = "cpu",
    report: Annotated[Path | None, typer.Option(help="An HTML report to put in.", metavar="FILE.html")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; in the session's derived/ by default.")] = None,
    lab: LabOption = Path(),
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
) -> Result:
    """Write an evidence pack: what another laboratory needs to score the session again, without the rig."""
    from capture.session import read_session
    from pipeline.evidence.manifest import ScoringOrder
    from pipeline.lab import select_recognizers

    if not evidence:
        raise BadUsage("say what to export: --evidence", hint="a table of the frames: dpcam session export")
    if report and (report.suffix != ".html" or not report.is_file()):
        raise BadUsage(f"--report names an HTML file, found {report}", where="--report")
    _refuse_while_written(session)
    opened, entered = read_session(session), enter_lab(lab, required=False)
    recognizers = select_recognizers(entered.recognizers(), model_names(models))
    order = ScoringOrder(
        provider=provider,
        views=list(words(views, "--views")),
        jitter=jitter,
        noises=list(words(noises, "--noises")) if noises.strip() else [],
        severities=severity_numbers(severities) if noises.strip() else [],
        noise_at=noise_at,
        seed=entered.config.lab.seed if seed is None else seed,
    )
    return _would_pack(opened, recognizers) if dry_run else _packed(opened, recognizers, order, report, out)


@command(group, "check")
def check(
    pack: PackArgument,
    score: Annotated[bool, typer.Option("--score/--no-score", help="Score the session again.")] = True,
    tolerance: Annotated[
        float, typer.Option(help="How far apart two numbers may be; 0: identical to the last digit.", min=0, max=1)
    ] = 0.0,
    provider: Annotated[
        Literal["cpu", "cuda"] | None, typer.Option(help="Execution provider, enforced; that of the pack by default.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder to unpack in, and clean up after; the system's own by default.")
    ] = None,
) -> Result:
    """Check a pack wholly: every byte against what was packed, then score it again and compare the answers."""
    from calibration.files import make_folder, sha256_file
    from pipeline.evidence.check import open_pack, score_again

    data = {"evidence": str(pack), "sha256": sha256_file(pack), **_compared(None)}
    if work:
        make_folder(work)
    with tempfile.TemporaryDirectory(dir=work, prefix="dpcam-evidence-") as folder, progress_bar("checking") as bar:
        at = Path(folder).resolve() / UNPACKED
        try:
            evidence, problems = open_pack(pack, at)
            data |= _sizes(pack, evidence)
            if problems:
                return _refused(data, [_as_error(each) for each in problems])
            total = evidence.answers
            found = score_again(at, evidence, provider, lambda n: bar(n / max(total, 1), str(n))) if score else None
        except BadEvidence as error:
            return _refused(data, [error])
    return _checked(data | _compared(found), evidence, found, tolerance)


@command(group, "unpack")
def unpack_pack(
    pack: PackArgument,
    out: Annotated[Path | None, typer.Option(help="Folder to make; named as the pack by default.")] = None,
    dry_run: DryRunOption = False,
) -> Result:
    """Unpack a pack that is what was packed: its session, and a lab whose bench is its recognizers."""
    from calibration.files import sha256_file
    from pipeline.evidence.check import open_pack
    from pipeline.evidence.names import SESSION
    from pipeline.evidence.unpack import read_evidence

    folder = out or Path(pack.stem)
    evidence, problems = (read_evidence(pack), []) if dry_run else open_pack(pack, folder)
    data = {"evidence": str(pack), "sha256": sha256_file(pack), **_sizes(pack, evidence)}
    if problems:
        return _refused(data, [_as_error(each) for each in problems])
    data |= {"unpacked_bytes": evidence.total_bytes, "folder": str(folder), "session": str(folder / SESSION)}
    lines = [
        f"{'would unpack' if dry_run else 'unpacked'} {len(evidence.files)} files, {evidence.total_bytes / 1e6:.1f} MB",
        f"score it: dpcam score {folder / SESSION} --lab {folder} {evidence.scoring.options}",
        str(folder),
    ]
    return Result(data=data, lines=lines)


def _refuse_while_written(session: Path) -> None:
    """:class:`SessionLocked` while a capture writes to the session."""
    from capture.frame import Clock
    from capture.new_session import this_machine
    from capture.repair import find_damage

    find_damage(session, machine=this_machine(), clock=Clock())


def _would_pack(session: Session, recognizers: list[Recognizer]) -> Result:
    from pipeline.evidence.pack import session_files

    paths = [session.folder / name for name in session_files(session)] + [each.onnx for each in recognizers]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    data = {"evidence": None, "files": len(paths), "bytes": size, "models": [each.name for each in recognizers]}
    words = f"would pack {len(paths)} files, {size / 1e6:.1f} MB, with the answers of {len(recognizers)} recognizers"
    return Result(data=data, lines=[words])


def _packed(
    session: Session, recognizers: list[Recognizer], order: ScoringOrder, report: Path | None, out: Path | None
) -> Result:
    from calibration.files import sha256_file
    from pipeline.evidence.pack import Content, pack
    from pipeline.evidence.scores import kept_scores
    from pipeline.sessions.derived import derived_path

    total = max(len(session.frames), 1)
    with progress_bar("scoring") as bar:
        answers = kept_scores(session, recognizers, order, lambda n: bar(n / total, str(n)))
    parameters = [session.event_count, [frame.sha256 for frame in session.frames], order.model_dump(mode="json")]
    parameters += [[each.contract.model_dump(mode="json") for each in recognizers]]
    parameters += [sha256_file(report)] if report else []
    path = out or derived_path(session.folder, "evidence", ".zip", parameters)
    with progress_bar("packing") as bar:
        content = Content(session, recognizers, order, answers, report)
        done = pack(content, path, lambda n, of: bar(n / of, str(n)))
    data = {
        "evidence": str(done.path),
        "sha256": done.sha256,
        "files": len(done.evidence.files),
        "bytes": done.bytes,
        "unpacked_bytes": done.evidence.total_bytes,
        "answers": done.evidence.answers,
        "models": {each.name: each.licence for each in done.evidence.models},
    }
    unlicensed = [each.name for each in done.evidence.models if not each.licence]
    lines = [f"{len(done.evidence.files)} files, {done.bytes / 1e6:.1f} MB, {done.evidence.answers} answers"]
    lines += [f"no licence is stated for {', '.join(unlicensed)}: may they be handed on?"] if unlicensed else []
    lines += [f"sha256 {done.sha256}: tell it to the other laboratory by another way", str(done.path)]
    return Result(data=data, lines=lines)


def _sizes(pack: Path, evidence: Evidence) -> dict[str, int]:
    return {"files": len(evidence.files), "bytes": pack.stat().st_size}


def _compared(found: Comparison | None) -> dict[str, Any]:
    return {
        "identical": found.identical if found else None,
        "max_difference": found.max_difference if found else None,
        "largest": found.largest if found else "",
        "compared": found.compared if found else 0,
        "changed": found.changed if found else 0,
        "problems": [],
    }


def _refused(data: dict[str, Any], errors: list[BadEvidence]) -> Result:
    """A pack that is not what was packed: nothing of it was scored."""
    return Result(data=data | {"problems": [error.message for error in errors]}, errors=errors)


def _as_error(problem: Problem) -> BadEvidence:
    return BadEvidence(problem.message, where=problem.where)


def _checked(data: dict[str, Any], evidence: Evidence, found: Comparison | None, tolerance: float) -> Result:
    lines = [
        f"{len(evidence.files)} files are what was packed",
        f"sha256 {data['sha256']}: compare it with what the laboratory named to you by another way",
    ]
    if found is None:
        return Result(data=data, lines=lines)
    from pipeline.evidence.manifest import other_versions

    lines += [_words(found)]
    errors: list[DpcamError] = []
    if not found.within(tolerance):
        hint = "; ".join([*other_versions(evidence), "--tolerance says how far apart numbers may be"])
        errors = [LimitNotMet(_words(found), hint=hint, where=found.largest)]
    return Result(data=data | {"problems": list(found.changes)}, lines=lines, errors=errors)


def _words(found: Comparison) -> str:
    if found.identical:
        return f"{found.compared} answers scored again: identical numbers"
    apart = f", numbers up to {found.max_difference:.3g} apart ({found.largest})" if found.largest else ""
    other = f", {found.changed} say something else: {found.changes[0]}" if found.changed else ""
    return f"{found.compared} answers scored again{apart}{other}"
