"""``dpcam train``, ``sheet`` and ``print``: from a class to a sticker on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibration.errors import DpcamError, Interrupted
from pipeline.cli.command import DryRunOption, LabOption, SeedOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.result import Result, Table

group = new_group("Sheets of paper: for any arm, and the target's own artwork.")
PaperOption = Annotated[str | None, typer.Option(help="A5, A4, A3, A2, Letter, Legal or Tabloid.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "train")(train)
    command(app, "print")(print_patch)
    app.add_typer(group, name="sheet")


def train(
    label: Annotated[
        str | None, typer.Argument(help="The class; the lab's target by default.", metavar="LABEL")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps.", min=1)] = None,
    surrogate: Annotated[
        list[str] | None, typer.Option("--surrogate", help="Train on this recognizer; repeat for several.")
    ] = None,
    artwork: Annotated[Path | None, typer.Option(help="The target's picture: SVG, PNG or JPEG.")] = None,
    lab: LabOption = Path(),
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
) -> Result:
    """Train a patch for one class on several recognizers under simulated physics; held-out ones only judge it."""
    from capture.stop import stop_flag
    from pipeline.training import train_patch_of, training_bench

    flags = {"train.steps": steps, "lab.seed": seed, "train.surrogates": surrogate}
    opened = enter_lab(lab, flags)
    target = label or opened.config.target.label
    bench = training_bench(opened, target)
    names = [each.name for each in bench.surrogates]
    if dry_run:
        return Result(
            data={"label": target, "surrogates": names, "steps": opened.config.train.steps},
            lines=[f"would train a patch for {target} on {', '.join(names)}"],
        )
    with progress_bar(f"training {target}") as bar, stop_flag() as stop:
        trained = train_patch_of(opened, target, bench=bench, artwork_file=artwork, progress=bar, stop=stop)
    rows = tuple(
        (each.name, "held out" if each.held_out else "surrogate", _percent(each.blank), _percent(each.patch))
        for each in trained.accuracies
    )
    data = {
        "patch": str(trained.path),
        "label": target,
        "steps": trained.steps,
        "surrogates": names,
        "accuracy": [
            {"model": each.name, "held_out": each.held_out, "blank": each.blank, "patch": each.patch}
            for each in trained.accuracies
        ],
    }
    errors: list[DpcamError] = []
    if trained.interrupted:
        errors = [
            Interrupted(
                f"training stopped after {trained.steps} steps",
                exit_code=trained.interrupted,
                hint="run again to resume",
            )
        ]
    heads = ("recognizer", "role", "blank frame", "patch")
    table = Table("Right under simulated physics (fresh draws)", heads, rows)
    return Result(data=data, tables=[table], lines=[str(trained.path)], errors=errors)


def print_patch(
    label: Annotated[
        str | None, typer.Argument(help="The class; the lab's target by default.", metavar="LABEL")
    ] = None,
    paper: PaperOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder; the lab's sheets/ by default.")] = None,
    lab: LabOption = Path(),
    dry_run: DryRunOption = False,
) -> Result:
    """Lay out a patch's sheet at true scale: patch, AprilTags, ruler, color strip, cut marks, serial."""
    from pipeline.sheets import make_patch_sheet

    opened = enter_lab(lab, {"sheet.paper": paper})
    made = make_patch_sheet(opened, label or opened.config.target.label, out, write=not dry_run)
    return _sheet_result(made.pdf, made.json, made.sheet.id, dry_run=dry_run)


@command(group, "make")
def make(
    arm: Annotated[str, typer.Option(help="bare, blank, flat, noise, label, wrong-class, or a patch of the lab.")],
    paper: PaperOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder; the lab's sheets/ by default.")] = None,
    label: Annotated[str | None, typer.Option(help="Class of the target; the lab's by default.")] = None,
    lab: LabOption = Path(),
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
) -> Result:
    """Make one sheet for an arm: PDF at true scale and JSON in mm; works outside of a lab, too."""
    from pipeline.sheets import make_arm_sheet

    opened = enter_lab(lab, {"sheet.paper": paper, "lab.seed": seed, "target.label": label}, required=False)
    made = make_arm_sheet(opened, arm, out, write=not dry_run)
    return _sheet_result(made.pdf, made.json, made.sheet.id, dry_run=dry_run)


@command(group, "target")
def target(
    label: Annotated[
        str | None, typer.Argument(help="The class; the lab's target by default.", metavar="LABEL")
    ] = None,
    width_mm: Annotated[float | None, typer.Option("--width-mm", help="Width of the target, mm.", min=1)] = None,
    out: Annotated[Path, typer.Option(help="Folder to write the PDF to.")] = Path(),
    lab: LabOption = Path(),
) -> Result:
    """Write the target's own artwork as a PDF at true size: a sign to mount behind the sheets."""
    from pipeline.sheets import write_target

    opened = enter_lab(lab, {"target.label": label, "target.width_mm": width_mm}, required=False)
    path = write_target(opened, out)
    return Result(data={"pdf": str(path), "label": opened.config.target.label}, lines=[str(path)])


def _sheet_result(pdf: Path, json: Path, serial: str, *, dry_run: bool) -> Result:
    verb = "would write" if dry_run else "wrote"
    line = f"{verb} {pdf}: print at 100 %, without fitting to the page"
    return Result(data={"pdf": str(pdf), "sheet": str(json), "id": serial}, lines=[line])


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
