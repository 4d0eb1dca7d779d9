"""``dpcam report`` and ``compare``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calibration.errors import BadUsage
from pipeline.cli.command import LabOption, command
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.cli.scoring import ModelsOption, ProviderOption, count_lines, model_names, score_table
from pipeline.cli.sessions import SessionArgument, verdict_errors, verdict_lines
from pipeline.result import Result

if TYPE_CHECKING:
    from pipeline.comparing import Comparison

FormOption = Annotated[
    Literal["html", "json", "csv", "parquet", "markdown", "pdf"] | None,
    typer.Option("--format", help="By the name of --out; html otherwise. csv, parquet: a line for every answer."),
]
SessionsArgument = Annotated[list[Path], typer.Argument(help="Two session folders or more.", metavar="A B ...")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "report")(report)
    command(app, "compare")(compare)


def report(
    session: SessionArgument,
    models: ModelsOption = None,
    provider: ProviderOption = "cpu",
    form: FormOption = None,
    out: Annotated[Path | None, typer.Option(help="File to write; in the session's derived/ by default.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Write the report of a session: one HTML page with verdict, intervals, heat maps, pictures; or another form."""
    from capture.session import read_session
    from pipeline.lab import select_recognizers
    from pipeline.report.hearing import is_plain
    from pipeline.reporting import report_session

    opened = read_session(session)
    recognizers = select_recognizers(enter_lab(lab, required=False).recognizers(), model_names(models))
    named_lab = lab if lab != Path() else None
    with progress_bar("reporting") as bar:
        total = max(len(opened.frames), 1)
        done = report_session(
            opened, recognizers, provider, out, lambda n: bar(n / total, str(n)), form=form, lab=named_lab
        )
    rows = [row for row in done.scores.rows if is_plain(row)]
    return Result(
        data={
            "report": str(done.path),
            "format": done.form,
            "verdict": done.judgement.verdict if done.judgement else None,
            "sentence": done.judgement.sentence if done.judgement else None,
            "bytes": done.size,
        },
        tables=[score_table(rows)],
        lines=[*count_lines(rows), *verdict_lines(done.judgement), str(done.path)],
        errors=verdict_errors(done.judgement),
    )


def compare(
    sessions: SessionsArgument,
    models: ModelsOption = None,
    provider: ProviderOption = "cpu",
    out: Annotated[Path | None, typer.Option(help="Write an HTML page, too.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Compare sessions: accuracy of the same arms and recognizers, differences with intervals, what else differs."""
    from capture.session import read_session
    from pipeline.comparing import compare_sessions, comparison_tables
    from pipeline.lab import select_recognizers
    from pipeline.report.comparison import write_comparison

    if len(sessions) < 2:
        raise BadUsage("compare takes two sessions or more", hint="dpcam compare SESSION SESSION")
    opened = [read_session(each) for each in sessions]
    recognizers = select_recognizers(enter_lab(lab, required=False).recognizers(), model_names(models))
    total = max(sum(len(each.frames) for each in opened), 1)
    with progress_bar("comparing") as bar:
        found = compare_sessions(opened, recognizers, provider, lambda n: bar(n / total, str(n)))
    size = write_comparison(found, out) if out else None
    return Result(
        data={**_as_data(found), "report": str(out) if out else None, "bytes": size},
        tables=comparison_tables(found),
        lines=[*map(" = ".join, zip(found.letters, found.sessions, strict=True)), *([str(out)] if out else [])],
    )


def _as_data(found: Comparison) -> dict[str, object]:
    return {
        "sessions": list(found.sessions),
        "differs": [asdict(each) for each in found.facts if each.differs],
        "same": [asdict(each) for each in found.facts if not each.differs],
        "rows": [asdict(each) for each in found.lines],
    }
