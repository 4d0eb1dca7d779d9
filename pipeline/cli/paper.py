"""``dpcam sheet``: from an arm to a sheet of paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command import DryRunOption, LabOption, SeedOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.result import Result

group = new_group("Sheets of paper: for any arm, and the target's own artwork.")
PaperOption = Annotated[str | None, typer.Option(help="A5, A4, A3, A2, Letter, Legal or Tabloid.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(group, name="sheet")


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
    return sheet_result(made.pdf, made.json, made.sheet.id, dry_run=dry_run)


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


def sheet_result(pdf: Path, json: Path, serial: str, *, dry_run: bool) -> Result:
    """The answer for a sheet that was made, or would be."""
    verb = "would write" if dry_run else "wrote"
    line = f"{verb} {pdf}: print at 100 %, without fitting to the page"
    return Result(data={"pdf": str(pdf), "sheet": str(json), "id": serial}, lines=[line])
