"""``dpcam eot``: what stands between the printer and the recognizer: shown as pictures, measured in a session."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibration.errors import DpcamError, Incomplete
from pipeline.cli.command import LabOption, SeedOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from patches.preview import Sample
    from pipeline.training.eot_fit import Fit

group = new_group("The transforms that a patch is trained through: show samples of them, measure their ranges.")
SPEC_FILE = "spec.json"
NAMED = 5
HEADS = ("range", "low", "high", "from")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(group, name="eot")


@command(group, "show")
def show(
    name: Annotated[
        str | None,
        typer.Argument(help="A class, a patch or its JSON file, a control arm.", metavar="[LABEL]", show_default=False),
    ] = None,
    spec: Annotated[Path | None, typer.Option(help="File with the ranges; those of the lab by default.")] = None,
    count: Annotated[int, typer.Option(help="Samples to draw.", min=1, max=400)] = 36,
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("eot.png"),
    lab: LabOption = Path(),
    seed: SeedOption = None,
) -> Result:
    """Draw a contact sheet: what training sees of a target and its patch, with what was drawn for each sample."""
    from calibration.files import read_document
    from patches.spec import TransformSpec
    from pipeline.training.eot_show import draw_samples, what_to_show, write_contact_sheet
    from pipeline.training.order import lab_spec

    opened = enter_lab(lab, {"lab.seed": seed}, required=False)
    seed = opened.config.lab.seed
    ranges = read_document(spec, TransformSpec) if spec else lab_spec(opened)
    shown = what_to_show(opened, name)
    samples = draw_samples(shown, ranges, count=count, seed=seed)
    write_contact_sheet(samples, f"{shown.name} around {shown.sign.label}, seed {seed}", out)
    data = {
        "picture": str(out),
        "shown": shown.name,
        "target": shown.sign.label,
        "seed": seed,
        "spec": ranges.model_dump(mode="json"),
        "spec_sha256": ranges.sha256,
        "samples": [_drawn(each) for each in samples],
    }
    return Result(data=data, lines=[f"wrote {out}: {count} samples of {shown.name} around {shown.sign.label}"])


def _drawn(sample: Sample) -> dict[str, float]:
    """What was drawn for a sample: all of it but the picture."""
    return {each.name: getattr(sample, each.name) for each in fields(sample) if each.name != "pixels"}


@command(group, "fit")
def fit(
    session: Annotated[Path, typer.Argument(help="The session folder.", metavar="SESSION")],
    out: Annotated[Path | None, typer.Option(help="File to write; spec.json in the lab by default.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Measure the ranges of the transforms in a session: distances, angles, blur, noise, color, light."""
    from calibration.files import write_document
    from capture.session import read_session
    from pipeline.training.eot_fit import fit_session

    opened = read_session(session)
    with progress_bar("measuring") as bar:
        found = fit_session(opened, lambda done: bar(done / max(len(opened.frames), 1), str(done)))
    path = out or lab / SPEC_FILE
    write_document(path, found.spec)
    return Result(
        data={
            "spec": str(path),
            "spec_sha256": found.spec.sha256,
            "frames": found.frames,
            "used": found.frames - len(found.unused),
            "fields": {
                each.name: {"low": each.low, "high": each.high, "source": each.source, "n": each.n, "how": each.how}
                for each in found.ranges
            },
            "unused": [asdict(each) for each in found.unused],
        },
        tables=[_ranges(found)],
        lines=[f'wrote {path}; to train with it, name it in lab.toml: [train] spec = "{SPEC_FILE}"'],
        errors=_unused(found, session),
    )


def _ranges(found: Fit) -> Table:
    rows = tuple(
        (
            each.name,
            f"{each.low:g}",
            f"{each.high:g}",
            f"{each.n} frames: {each.how}" if each.n else f"default: {each.how}",
        )
        for each in found.ranges
    )
    return Table(f"Measured in {found.frames - len(found.unused)} of {found.frames} frames", HEADS, rows)


def _unused(found: Fit, session: Path) -> list[DpcamError]:
    if not found.unused:
        return []
    named = "; ".join(f"{each.frame:06d}: {each.reason}" for each in found.unused[:NAMED])
    more = "; ..." if len(found.unused) > NAMED else ""
    message = f"{len(found.unused)} of {found.frames} frames could not be used ({named}{more})"
    return [Incomplete(message, where=str(session))]
