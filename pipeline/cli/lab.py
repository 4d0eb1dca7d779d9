"""``dpcam init``, ``config``, ``doctor``, ``run`` and ``demo``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibration.errors import DpcamError, Interrupted, NotReady
from pipeline.cli.asking import Asking
from pipeline.cli.command import DryRunOption, LabOption, SeedOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.cli.output import note, progress_bar
from pipeline.cli.scoring import count_lines, score_table
from pipeline.cli.sessions import verdict_errors, verdict_lines
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from pipeline.experiment import Experiment, Outcome

group = new_group("Settings: what is in force, and where each value comes from.")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "init")(init)
    command(app, "run")(run)
    command(app, "demo")(demo)
    command(app, "doctor")(doctor)
    app.add_typer(group, name="config")


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new lab.", metavar="DIR")],
    seed: Annotated[int, typer.Option(help="Seed of all randomness in the lab.", min=0, max=2**32 - 1)] = 1,
    dry_run: DryRunOption = False,
) -> Result:
    """Make a lab: lab.toml, recognizers, shipped patches, sheets, plan; what is there already stays."""
    from pipeline.lab import create_lab
    from pipeline.planning.lab_plan import make_lab_plan

    if dry_run:
        return Result(data={"lab": str(folder), "new": []}, lines=[f"would make a lab in {folder}"])
    new = create_lab(folder, seed=seed)
    lab = enter_lab(folder)
    plan = make_lab_plan(lab, write=True)
    data = {
        "lab": str(folder),
        "new": [str(path) for path in new],
        "plan": str(plan.path),
        "shots": len(plan.plan.shots),
        "target": lab.config.target.label,
    }
    lines = [f"{folder} is a lab: target {lab.config.target.label}, {len(plan.plan.shots)} shots planned"]
    return Result(data=data, lines=[*lines, f"next: cd {folder} && dpcam capture"])


@command(group, "show")
def show(lab: LabOption = Path()) -> Result:
    """List every setting with its value and its source: flag, env, a file, or default."""
    settings = enter_lab(lab, required=False).settings.settings
    rows = tuple((each.key, str(each.value), each.source) for each in settings)
    return Result(
        data={"settings": [asdict(each) for each in settings]},
        tables=[Table("Settings", ("key", "value", "source"), rows)],
    )


def doctor(lab: LabOption = Path()) -> Result:
    """Check the installation: packages, the one cv2, the one onnxruntime, tags, recognizers, disk."""
    from pipeline.doctor import examine

    findings = examine(lab)
    rows = tuple((each.name, "ok" if each.ok else "PROBLEM", each.text) for each in findings)
    errors: list[DpcamError] = [
        NotReady(f"{each.name}: {each.text}", hint=each.hint) for each in findings if not each.ok
    ]
    return Result(
        data={"checks": [asdict(each) for each in findings]},
        tables=[Table("Doctor", ("check", "state", "finding"), rows)],
        errors=errors,
    )


def run(
    lab_file: Annotated[Path, typer.Argument(help="The lab's lab.toml, or its folder.", metavar="lab.toml")] = Path(
        "lab.toml"
    ),
    seed: SeedOption = None,
    steps: Annotated[int | None, typer.Option(help="Training steps for each patch.", min=1)] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train the patches anew.")] = False,
    dry_run: DryRunOption = False,
) -> Result:
    """Run the whole experiment of a lab: train, sheets, plan, capture, localize, score, report."""
    from pipeline.experiment import Experiment

    folder = lab_file if lab_file.is_dir() else lab_file.parent
    lab = enter_lab(folder, {"lab.seed": seed, "train.steps": steps})
    if dry_run:
        data = {"lab": str(folder), "steps": ["train", "print", "plan", "capture", "localize", "score", "report"]}
        return Result(data=data, lines=[f"would run the experiment of {folder}: {', '.join(data['steps'])}"])
    outcome = _run(Experiment(lab, retrain=retrain))
    return _experiment_result(outcome, errors=[*_interrupted(outcome), *verdict_errors(outcome.judgement)])


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo's lab; a rerun goes on in it.")] = Path("dpcam-demo"),
    seed: Annotated[int, typer.Option(help="Seed of all randomness.", min=0, max=2**32 - 1)] = 1,
    steps: Annotated[int, typer.Option(help="Training steps for each patch.", min=1)] = 150,
    dry_run: DryRunOption = False,
) -> Result:
    """All of dpcam in a simulated lab: patches trained on real recognizers, captured, localized, scored, reported."""
    from pipeline.experiment import Experiment
    from pipeline.lab import create_lab

    if dry_run:
        return Result(data={"lab": str(out)}, lines=[f"would run the demo in {out}"])
    create_lab(out, seed=seed)
    outcome = _run(Experiment(enter_lab(out, {"lab.seed": seed, "train.steps": steps}), retrain=True))
    # The demo shows the chain; that a small patch does not pass is an answer of it, not its failure.
    return _experiment_result(outcome, errors=_interrupted(outcome))


def _run(experiment: Experiment) -> Outcome:
    from capture.stop import stop_flag

    with progress_bar("dpcam") as bar, stop_flag() as stop:
        return experiment.run(ask=Asking(stop), stop=stop, say=note, progress=bar)


def _interrupted(outcome: Outcome) -> list[DpcamError]:
    if outcome.exit_code == 0:
        return []
    return [Interrupted("interrupted; what was finished is kept", exit_code=outcome.exit_code, hint="run again")]


def _experiment_result(outcome: Outcome, errors: list[DpcamError]) -> Result:
    data = {
        "lab": str(outcome.lab),
        "patches": [str(path) for path in outcome.patches],
        "session": str(outcome.session) if outcome.session else None,
        "report": str(outcome.report) if outcome.report else None,
        "verdict": outcome.judgement.verdict if outcome.judgement else None,
        "sentence": outcome.judgement.sentence if outcome.judgement else None,
        "rows": [asdict(row) for row in outcome.rows],
        "seconds": outcome.seconds,
    }
    report = [f"report: {outcome.report}"] if outcome.report else []
    lines = [*count_lines(outcome.rows), *verdict_lines(outcome.judgement), *report] if outcome.rows else []
    return Result(data=data, tables=[score_table(outcome.rows)] if outcome.rows else [], lines=lines, errors=errors)
