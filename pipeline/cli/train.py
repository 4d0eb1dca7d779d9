"""``dpcam train``: patches for one class, for several, or one for a group of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from calibration.errors import BadUsage, DpcamError, Incomplete, Interrupted
from pipeline.cli.command import DryRunOption, LabOption, SeedOption, command
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from pipeline.lab import Lab
    from pipeline.training.crew import Outcome
    from pipeline.training.order import Wish
    from pipeline.training.run import TrainedPatch


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "train")(train)


def train(
    labels: Annotated[
        list[str] | None, typer.Argument(help="The classes; the lab's target by default.", metavar="LABEL...")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="One patch of this name for all the classes, instead of one for each.")
    ] = None,
    method: Annotated[
        Literal["defensive", "ensemble", "mean", "unadversarial", "released"] | None,
        typer.Option(help="How the patch is trained; defensive by default."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps.", min=1)] = None,
    jobs: Annotated[int, typer.Option(help="How many patches are trained at once, a process each.", min=1)] = 1,
    surrogate: Annotated[
        list[str] | None,
        typer.Option(
            "--surrogate", help="Train on this recognizer, or on package.module:name@contract.json; repeat for several."
        ),
    ] = None,
    artwork: Annotated[Path | None, typer.Option(help="The target's picture: SVG, PNG or JPEG.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="Of the surrogates; bfloat16 is mixed precision.")
    ] = None,
    lab: LabOption = Path(),
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
) -> Result:
    """Train patches on several recognizers under simulated physics; held-out ones only judge them."""
    from capture.stop import stop_flag
    from pipeline.training.run import train_patches

    opened = enter_lab(
        lab,
        {
            "train.method": method,
            "train.steps": steps,
            "train.surrogates": surrogate,
            "train.device": device,
            "train.precision": precision,
            "lab.seed": seed,
        },
    )
    wishes = _wishes(opened, labels or [], group, artwork)
    if dry_run:
        return _would(opened, wishes)
    title = f"training {wishes[0].name}" if len(wishes) == 1 else f"training {len(wishes)} patches"
    with progress_bar(title) as bar, stop_flag() as stop:
        outcomes = train_patches(opened, wishes, jobs=jobs, progress=bar, stop=stop)
        request = stop()
    return _result(wishes, outcomes, request.exit_code if request else 0)


def _wishes(lab: Lab, labels: Sequence[str], group: str | None, artwork: Path | None) -> list[Wish]:
    """The patches that are asked for."""
    from pipeline.training.order import Wish

    chosen = tuple(dict.fromkeys(labels or [lab.config.target.label]))
    if artwork and len(chosen) > 1:
        raise BadUsage("--artwork is the picture of one class, and several are named", hint="train them one by one")
    if group is None:
        return [Wish.of(label, artwork) for label in chosen]
    if len(chosen) < 2:
        raise BadUsage(
            f"the group {group!r} needs two classes or more", hint=f"dpcam train --group {group} LABEL LABEL"
        )
    if any(group in each.contract.labels for each in lab.recognizers()):
        raise BadUsage(f"{group!r} is a class by itself", hint="give the group another name")
    return [Wish(group, chosen)]


def _would(lab: Lab, wishes: Sequence[Wish]) -> Result:
    from pipeline.training.bench import training_bench

    train = lab.config.train
    plans: list[dict[str, Any]] = [
        {
            "label": wish.name,
            "group": list(wish.group),
            "method": train.method,
            "surrogates": [{"name": each.name} for each in training_bench(lab, wish.labels).surrogates],
            "steps": train.steps,
        }
        for wish in wishes
    ]
    lines = [
        f"would train a patch for {plan['label']} by {plan['method']} on "
        + ", ".join(each["name"] for each in plan["surrogates"])
        for plan in plans
    ]
    return Result(data=_told(plans), lines=lines)


def _result(wishes: Sequence[Wish], outcomes: Sequence[Outcome[TrainedPatch]], exit_code: int) -> Result:
    found = [each.result for each in outcomes if each.result]
    errors: list[DpcamError] = [each.error for each in outcomes if each.error]
    whole = [each for each in found if not each.interrupted]
    warned = [
        Incomplete(f"{each.wish.name}: training was ended after {each.steps} steps: {each.warning}")
        for each in whole
        if each.warning
    ]
    stopped = [_stopped(wishes, found, exit_code)] if exit_code else []
    lines = [line for each in whole for line in (str(each.path), each.remark) if line]
    return Result(
        data=_told([_data(each) for each in found]),
        tables=[_table(each) for each in whole],
        lines=lines,
        errors=[*stopped, *errors, *warned],
    )


def _told(patches: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All patches; what is said of a single one stands beside them, too."""
    return {**(patches[0] if len(patches) == 1 else {}), "patches": list(patches)}


def _data(trained: TrainedPatch) -> dict[str, Any]:
    return {
        "patch": str(trained.path),
        "label": trained.wish.name,
        "group": list(trained.wish.group),
        "method": trained.method,
        "steps": trained.steps,
        "surrogates": [asdict(each) for each in trained.surrogates],
        "others": list(trained.others),
        "accuracy": [
            {"model": each.name, "held_out": each.held_out, "blank": each.blank, "patch": each.patch}
            for each in trained.accuracies
        ],
        "warning": trained.warning,
        "remark": trained.remark,
    }


def _stopped(wishes: Sequence[Wish], found: Sequence[TrainedPatch], exit_code: int) -> Interrupted:
    steps = {each.wish.name: each.steps for each in found if each.interrupted}
    done = {each.wish.name for each in found if not each.interrupted}
    left = [f"{wish.name} after {steps.get(wish.name, 0)} steps" for wish in wishes if wish.name not in done]
    return Interrupted(f"training stopped: {', '.join(left)}", exit_code=exit_code, hint="run again to resume")


def _table(trained: TrainedPatch) -> Table:
    rows = tuple(
        (each.name, "held out" if each.held_out else "surrogate", _percent(each.blank), _percent(each.patch))
        for each in trained.accuracies
    )
    title = f"{trained.wish.name}: right under simulated physics (fresh draws)"
    return Table(title, ("recognizer", "role", "blank frame", "patch"), rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
