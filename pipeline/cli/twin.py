"""``dpcam twin``: why a printed patch does less than the screen promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calibration.errors import DpcamError, Incomplete
from pipeline.cli.command import LabOption, SeedOption, command
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.cli.scoring import ModelsOption, ProviderOption, model_names
from pipeline.cli.sessions import SessionArgument
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from pipeline.twin.ladder import Change, Ladder, TwinFiles, Twins

NAMED = 5
What = Literal["probability", "accuracy"]
WORDS: Mapping[What, str] = {"probability": "true probability", "accuracy": "accuracy"}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "twin")(twin)


def twin(
    session: SessionArgument,
    arm: Annotated[str | None, typer.Option(help="The arm of the patch; the plan's own by default.")] = None,
    models: ModelsOption = None,
    color: Annotated[
        Path | None, typer.Option(help="Color file of printer and camera, instead of the sheets' own color strips.")
    ] = None,
    provider: ProviderOption = "cpu",
    out: Annotated[Path | None, typer.Option(help="Also write the figure here.", metavar="FIGURE.png")] = None,
    lab: LabOption = Path(),
    seed: SeedOption = None,
) -> Result:
    """Render the patch into the bare and blank shots of a session, and say what the real sticker lost to what."""
    from calibration.color import ColorResponse
    from calibration.files import read_bytes, read_document, write_bytes
    from capture.session import read_session
    from pipeline.lab import select_recognizers
    from pipeline.recognizers import require_provider
    from pipeline.twin.twins import TwinOrder, twin_session

    require_provider(provider)
    opened = read_session(session)
    recognizers = select_recognizers(enter_lab(lab, required=False).recognizers(), model_names(models))
    response = read_document(color, ColorResponse) if color else None
    order = TwinOrder(arm, provider, response, seed or 0)
    with progress_bar("rendering twins") as bar:
        found, files = twin_session(opened, recognizers, order, lambda share: bar(share, f"{share:.0%}"))
    if out:
        write_bytes(out, read_bytes(files.figure))
    return _result(found, files, out)


def _result(found: Twins, files: TwinFiles, out: Path | None) -> Result:
    from pipeline.twin.figure import measures_text

    data = {
        "arm": found.arm,
        "bases": found.bases,
        "averages": found.averages,
        "measures": asdict(found.measures),
        "ladders": [asdict(ladder) for ladder in found.ladders],
        "cells": [asdict(cell) for cell in found.cells],
        "left_out": [asdict(each) for each in found.left_out],
        "twins": str(files.json),
        "figure": str(out or files.figure),
    }
    lines = [measures_text(found.measures), *(line for ladder in found.ladders for line in _sentence(ladder))]
    return Result(
        data=data,
        tables=_tables(found),
        lines=[*lines, str(out or files.figure)],
        errors=_left_out(found),
    )


def _tables(found: Twins) -> list[Table]:
    kinds = [[ladder for ladder in found.ladders if ladder.held_out == held_out] for held_out in (True, False)]
    return [_table(found.arm, kind, what) for kind in kinds if kind for what in WORDS]


def _table(arm: str, ladders: Sequence[Ladder], what: What) -> Table:
    kind = "held-out recognizers" if ladders[0].held_out else "surrogates"
    factors = tuple(factor.name for factor in ladders[0].factors)
    return Table(
        f"Twins of {arm}, {kind}: {WORDS[what]} in %, steps in points",
        ("recognizer", "no patch", "screen", *factors, "real", "repeats"),
        tuple(_row(ladder, what) for ladder in ladders),
    )


def _row(ladder: Ladder, what: What) -> tuple[str, ...]:
    base, screen, real = (f"{getattr(level, what):.1f}" for level in (ladder.base, ladder.levels[0], ladder.levels[-1]))
    steps = (_change(getattr(factor, what), "\n") for factor in ladder.factors)
    moved = f"±{getattr(ladder.spread, f'mean_{what}'):.1f}" if ladder.spread else "–"
    return (ladder.recognizer or "all", base, screen, *steps, real, moved)


def _change(change: Change, between: str = " ") -> str:
    if change.low is None or change.high is None:
        return f"{change.points:+.1f}"
    return f"{change.points:+.1f}{between}({change.low:+.1f} to {change.high:+.1f})"


def _sentence(ladder: Ladder) -> Sequence[str]:
    """What is lost, and whether more is unexplained than repeats move; of all recognizers of a kind together."""
    if ladder.recognizer is not None:
        return ()
    kind = "held-out recognizers" if ladder.held_out else "surrogates"
    said = f"{kind}: true probability of the real sticker against the screen {_change(ladder.lost.probability)} points"
    if ladder.spread is None:
        return (f"{said}; no condition has repeats",)
    left = abs(ladder.gap.probability.points)
    usual = left <= 2 * ladder.spread.mean_probability
    return (f"{said}; {left:.1f} of these are not explained, {'no more' if usual else 'more'} than repeats alone move",)


def _left_out(found: Twins) -> list[DpcamError]:
    if not found.left_out:
        return []
    named = "; ".join(f"{each.name}: {each.reason}" for each in found.left_out[:NAMED])
    more = "; ..." if len(found.left_out) > NAMED else ""
    return [Incomplete(f"{len(found.left_out)} left out ({named}{more})", where=found.left_out[0].name)]
