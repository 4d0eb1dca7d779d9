"""``dpcam noise``: what a recognizer has to see through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pipeline.cli.command import DryRunOption, SeedOption, command, new_group
from pipeline.result import Result

if TYPE_CHECKING:
    from pipeline.noises import Table

group = new_group("Noises: the 15 corruptions of ImageNet-C in five severities.")
TableOption = Annotated[
    str | None,
    typer.Option("--table", help="Whose constants: imagenet or cifar; by default cifar up to 96 px.", metavar="NAME"),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(group, name="noise")


@command(group, "show")
def show(
    picture: Annotated[Path, typer.Argument(help="A picture.", metavar="PICTURE")],
    out: Annotated[Path, typer.Option(help="The contact sheet, a PNG.", metavar="FILE")] = Path("noises.png"),
    size: Annotated[int, typer.Option(help="A longer side than this is shrunk to it, px.", min=16)] = 224,
    table: TableOption = None,
    seed: SeedOption = None,
) -> Result:
    """Draw one picture under all 15 noises at all five severities."""
    from pipeline.noises import CORRUPTIONS
    from pipeline.noises.files import write_contact_sheet

    shown = write_contact_sheet(picture, out, size_px=size, seed=seed or 0, table=_table(table))
    data = {
        "picture": str(picture),
        "sheet": str(out),
        "width_px": shown.width_px,
        "height_px": shown.height_px,
        "table": shown.table,
        "seed": seed or 0,
        "noises": list(CORRUPTIONS),
    }
    return Result(data=data, lines=[str(out)])


@command(group, "apply")
def apply(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures.", metavar="PICTURE...")],
    noise: Annotated[str, typer.Option(help="The noise, such as gaussian-noise.", metavar="NAME")],
    severity: Annotated[int, typer.Option(help="From 1 to 5.", min=1, max=5)],
    out: Annotated[Path, typer.Option(help="Folder for the copies.", metavar="FOLDER")],
    table: TableOption = None,
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
) -> Result:
    """Write a copy of each picture under one noise, as PICTURE-NOISE-SEVERITY.png."""
    from pipeline.noises.files import write_noised

    noised = write_noised(pictures, out, noise, severity, seed=seed or 0, table=_table(table), write=not dry_run)
    data = {
        "noise": noise,
        "severity": severity,
        "seed": seed or 0,
        "pictures": [{"picture": str(each.source), "copy": str(each.copy), "table": each.table} for each in noised],
    }
    verb = "would write " if dry_run else ""
    return Result(data=data, lines=[f"{verb}{each.copy}" for each in noised])


def _table(name: str | None) -> Table | None:
    """The word as it was typed; whether there is such a table is said where it is used."""
    return cast("Table | None", name)
