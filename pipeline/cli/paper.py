"""``dpcam sheet``: sheets for any arm, and the target's own artwork."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.command import DryRunOption, LabOption, SeedOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.result import Result

if TYPE_CHECKING:
    from pipeline.paper.sheets import MadeSheet

group = new_group("Sheets of paper: for any arm, and the target's own artwork.")
PAPER = "A5, A4, A3, A2, Letter, Legal, Tabloid, or width and height in mm: 300x500."
PaperOption = Annotated[str | None, typer.Option(help=PAPER)]
TilesOption = Annotated[
    bool | None, typer.Option("--tiles/--one-page", help="Larger than the paper: in tiles to glue.")
]
DateOption = Annotated[
    str | None, typer.Option(help="Date to print on it, such as 2026-01-31; none: a line to fill in.")
]
OperatorOption = Annotated[str | None, typer.Option(help="Operator to print on it; none: a line to fill in.")]
PngOption = Annotated[
    float | None, typer.Option("--png", metavar="DPI", min=30, max=2400, help="Write PNG too, at so many dpi.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(group, name="sheet")


@command(group, "make")
def make(
    arm: Annotated[str, typer.Option(help="bare, blank, flat, noise, label, wrong-class, or a patch of the lab.")],
    paper: PaperOption = None,
    tiles: TilesOption = None,
    date: DateOption = None,
    operator: OperatorOption = None,
    png: PngOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder; the lab's sheets/ by default.")] = None,
    label: Annotated[str | None, typer.Option(help="Class of the target; the lab's by default.")] = None,
    lab: LabOption = Path(),
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
) -> Result:
    """Make one sheet for an arm: PDF at true scale and JSON in mm; works outside of a lab, too."""
    from pipeline.paper.sheets import make_arm_sheet

    flags = sheet_flags(paper, tiles, date, operator) | {"lab.seed": seed, "target.label": label}
    made = make_arm_sheet(enter_lab(lab, flags, required=False), arm, out, write=not dry_run)
    return sheet_result(made, png, dry_run=dry_run)


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
    from pipeline.paper.sheets import write_target

    opened = enter_lab(lab, {"target.label": label, "target.width_mm": width_mm}, required=False)
    path = write_target(opened, out)
    return Result(data={"pdf": str(path), "label": opened.config.target.label}, lines=[str(path)])


def sheet_flags(paper: str | None, tiles: bool | None, date: str | None, operator: str | None) -> dict[str, Any]:
    """What was said about a sheet, as settings."""
    return {"sheet.paper": paper, "sheet.tiles": tiles, "sheet.date": date, "sheet.operator": operator}


def sheet_result(made: MadeSheet, dpi: float | None, *, dry_run: bool) -> Result:
    """The answer for a sheet that was made, or would be; its pictures at ``dpi``, unless that is None."""
    from pipeline.paper.sheets import picture_paths, write_pictures

    pictures = [] if dpi is None else picture_paths(made) if dry_run else write_pictures(made, dpi)
    verb, tiles = "would write" if dry_run else "wrote", made.sheet.tiles
    pages = f", {tiles.columns * tiles.rows} tiles and how they go together" if tiles else ""
    lines = [f"{verb} {made.pdf}{pages}: print at 100 %, without fitting to the page"]
    lines += [f"{verb} {path}" for path in pictures]
    ghosts = made.sheet.ghosts
    if ghosts:
        ids = ", ".join(map(str, ghosts))
        lines.append(f"in its frame the detector sees tags that are none, {ids}: the sheet has others")
    data: dict[str, Any] = {"pdf": str(made.pdf), "sheet": str(made.json), "id": made.sheet.id, "ghosts": ghosts}
    return Result(data=data | {"png": [str(path) for path in pictures]}, lines=lines)
