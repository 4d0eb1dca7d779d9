"""``dpcam report`` and ``compare``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calibration.errors import BadUsage
from pipeline.cli.command import LabOption, SeedOption, command
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
    change_table,
    count_lines,
    model_names,
    named_noises,
    score_table,
    view_order,
)
from pipeline.cli.sessions import SessionArgument, verdict_errors, verdict_lines
from pipeline.result import Result

if TYPE_CHECKING:
    from pipeline.recognizers import Provider
    from pipeline.report.comparing import Comparison
    from pipeline.twin.twins import TwinOrder

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
    views: ViewsOption = "natural",
    jitter: JitterOption = 0,
    noises: NoisesOption = "",
    severities: SeveritiesOption = "3,4,5",
    noise_at: NoiseAtOption = "input",
    twin: Annotated[
        bool, typer.Option("--twin", help="Also the digital twin, with the defaults of dpcam twin.")
    ] = False,
    provider: ProviderOption = "cpu",
    form: FormOption = None,
    out: Annotated[Path | None, typer.Option(help="File to write; in the session's derived/ by default.")] = None,
    lab: LabOption = Path(),
    seed: SeedOption = None,
) -> Result:
    """Write the report of a session: one HTML page with verdict, intervals, heat maps, pictures; or another form."""
    from capture.session import read_session
    from pipeline.lab import select_recognizers
    from pipeline.report.hearing import is_plain
    from pipeline.report.run import Wanted, report_session

    opened = read_session(session)
    entered = enter_lab(lab, required=False)
    recognizers = select_recognizers(entered.recognizers(), model_names(models))
    drawn = entered.config.lab.seed if seed is None else seed
    wanted = Wanted(
        views=view_order(views, jitter, drawn),
        noises=named_noises(noises, severities, noise_at, drawn),
        twin=_twin_order(provider) if twin else None,
        words=_said(views, jitter, noises, severities, noise_at, twin, drawn, lab),
    )
    with progress_bar("reporting") as bar:
        total = max(len(opened.frames), 1)
        done = report_session(
            opened, recognizers, provider, out, lambda n: bar(n / total, str(n)), form=form, wanted=wanted
        )
    rows = [row for row in done.scores.rows if is_plain(row)]
    changes = change_table(done.scores.rows)
    return Result(
        data={
            "report": str(done.path),
            "format": done.form,
            "verdict": done.judgement.verdict if done.judgement else None,
            "sentence": done.judgement.sentence if done.judgement else None,
            "bytes": done.size,
        },
        tables=[score_table(rows), *([changes] if changes else [])],
        lines=[*count_lines(rows), *verdict_lines(done.judgement), str(done.path)],
        errors=verdict_errors(done.judgement),
    )


def _twin_order(provider: Provider) -> TwinOrder:
    from pipeline.twin.twins import TwinOrder

    return TwinOrder(provider=provider)


def _said(
    views: str, jitter: int, noises: str, severities: str, noise_at: str, twin: bool, seed: int, lab: Path
) -> list[str]:
    """The words that ask for the same again, beyond what everybody says."""
    changed = ["--views", views] if views != "natural" else []
    changed += ["--jitter", str(jitter)] if jitter else []
    changed += ["--noises", noises, "--severities", severities, "--noise-at", noise_at] if noises.strip() else []
    changed += ["--seed", str(seed)] if changed else []
    return [*changed, *(["--twin"] if twin else []), *(["--lab", str(lab)] if lab != Path() else [])]


def compare(
    sessions: SessionsArgument,
    models: ModelsOption = None,
    provider: ProviderOption = "cpu",
    out: Annotated[Path | None, typer.Option(help="Write an HTML page, too.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Compare sessions: accuracy of the same arms and recognizers, differences with intervals, what else differs."""
    from capture.session import read_session
    from pipeline.lab import select_recognizers
    from pipeline.report.comparing import compare_sessions, comparison_tables
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
