"""``dpcam capture``, ``localize``, ``score`` and ``report``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calibration.errors import BadUsage, DpcamError, Incomplete, Interrupted, LimitNotMet
from pipeline.cli.asking import Asking
from pipeline.cli.command import DryRunOption, LabOption, SeedOption, command
from pipeline.cli.context import enter_lab
from pipeline.cli.output import note, progress_bar
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from capture.runner import Progress
    from pipeline.capturing import CaptureOrder, Live
    from pipeline.score import Row
    from pipeline.scoring import Scores
    from pipeline.statistics import Judgement

SessionArgument = Annotated[Path, typer.Argument(help="The session folder.", metavar="SESSION")]
ModelsOption = Annotated[
    list[str] | None, typer.Option("--models", help="Only these recognizers; repeat, or separate by commas.")
]
SERVE_AT = "127.0.0.1:8765"
ServeOption = Annotated[
    str | None,
    typer.Option(help=f"Serve the live page and the control API; at {SERVE_AT} by default.", metavar="[HOST:PORT]"),
]
CamerasOption = Annotated[
    list[str] | None,
    typer.Option(help="sim:, rtsp://, http://, v4l2:, number, file or folder; repeat for several at once."),
]
RigOption = Annotated[
    Literal["auto", "operator", "exec", "serial", "http", "none"] | None,
    typer.Option(help="What arranges the scene; set up under [rig] in lab.toml."),
]
ProviderOption = Annotated[Literal["cpu", "cuda"], typer.Option(help="Execution provider, enforced.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "capture", bare={"--serve": SERVE_AT})(capture)
    command(app, "localize")(localize)
    command(app, "score")(score)
    command(app, "report")(report)


def capture(
    camera: CamerasOption = None,
    frames: Annotated[int | None, typer.Option(help="Take so many frames.", min=1)] = None,
    plan: Annotated[Path | None, typer.Option(help="Plan file; the lab's plan.json by default.")] = None,
    no_plan: Annotated[bool, typer.Option("--no-plan", help="Take the pictures as they come.")] = False,
    resume: Annotated[Path | None, typer.Option(help="Go on with this session.", metavar="SESSION")] = None,
    new: Annotated[bool, typer.Option("--new", help="Begin a new session, even if one is unfinished.")] = False,
    no_gate: Annotated[bool, typer.Option("--no-gate", help="Take every picture, without localization.")] = False,
    rig: RigOption = None,
    serve: ServeOption = None,
    operator: Annotated[str, typer.Option(help="Who stands at the rig; kept with the session.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of sessions; the lab's by default.")] = None,
    lab: LabOption = Path(),
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
) -> Result:
    """Capture a session: prepare, take, localize, judge, store. A rerun resumes what was not finished."""
    from capture.control import Control
    from capture.stop import stop_flag
    from pipeline.capturing import Live
    from pipeline.capturing import capture as run
    from pipeline.continuing import shots_left
    from pipeline.steps import capture_order

    order = capture_order(
        enter_lab(lab, {**_cameras(camera), "lab.seed": seed, "rig.kind": rig}, required=False),
        frames=frames,
        plan=plan,
        use_plan=not no_plan,
        resume=resume,
        new=new,
        gate=not no_gate,
        operator=operator,
        out=out,
    )
    if dry_run:
        return _would_capture(order)
    if order.resume and not resume:
        note(f"resuming {order.resume}")
    if order.begin.follows:
        note(f"from shot {order.begin.first_shot} on, which was added to the plan; those before: {order.begin.follows}")
    live = Live(Control(hold=serve is not None))
    with _served(serve, live), stop_flag() as signals, progress_bar("capturing") as bar:
        stop = live.control.heeding(signals)
        ask = Asking(stop, live.control.answer, alone=serve is None)
        outcome = run(order, ask=ask, stop=stop, progress=lambda step: _show(step, bar), live=live)
    data = {
        "session": str(outcome.session),
        "frames": outcome.frames,
        "skipped": outcome.skipped,
        "taken": outcome.taken,
        "complete": outcome.complete,
    }
    lines = [f"{outcome.frames} frames, {outcome.skipped} skipped", str(outcome.session)]
    errors: list[DpcamError] = []
    if outcome.interrupted:
        errors.append(
            Interrupted(
                f"interrupted ({outcome.interrupted.reason}) after {outcome.frames} frames; the session is consistent",
                exit_code=outcome.interrupted.exit_code,
                hint="run again to resume",
                where=str(outcome.session),
            )
        )
    if outcome.skipped:
        errors.append(_incomplete(f"{outcome.skipped} shots were skipped", str(outcome.session)))
    if outcome.complete and order.plan and (left := shots_left(order.sessions, order.plan)):
        hint = "dpcam capture takes them, in a session of their own"
        errors.append(Incomplete(f"{left} shots that were added to the plan are not taken", hint=hint))
    return Result(data=data, lines=lines, errors=errors)


def _cameras(addresses: list[str] | None) -> dict[str, object]:
    """As settings; whoever names cameras means these and no others."""
    if not addresses:
        return {}
    return {"camera.uri": addresses[0], "camera.others": [{"uri": each} for each in addresses[1:]]}


@contextmanager
def _served(address: str | None, live: Live) -> Iterator[None]:
    """Within: the live page answers, when it was asked for; its address is taken before anything begins."""
    if address is None:
        yield
        return
    from capture.live.server import listening, parse_address, serving

    with listening(parse_address(address)) as at, serving(at, live.control, live.preview):
        note(f"live page: {at.url}")
        yield


def _would_capture(order: CaptureOrder) -> Result:
    from pipeline.rigging import planned_moves

    moves = planned_moves(order.rig, order.plan) if order.plan else []
    what = f"the plan {order.plan}" if order.plan else f"{order.frames or 'all'} frames"
    would = {
        "camera": order.uri,
        "cameras": [camera.uri for camera in order.cameras],
        "plan": str(order.plan) if order.plan else None,
        "sessions": str(order.sessions),
        "rig": order.rig.kind,
        "moves": [asdict(move) for move in moves],
    }
    cameras = ", ".join(camera.uri for camera in order.cameras)
    lines = [f"would capture {what} with {cameras} into {order.sessions}"]
    return Result(data=would, lines=lines + [str(move) for move in moves])


def localize(session: SessionArgument, lab: LabOption = Path()) -> Result:
    """Find the sheets in all frames of a session; with ground truth (simulated cameras), say how exactly."""
    from capture.session import read_session
    from pipeline.localizing import localize_session, summarize_errors

    opened = read_session(session)
    with progress_bar("localizing") as bar:
        path, found = localize_session(opened, lambda done: bar(done / max(len(opened.frames), 1), str(done)))
    errors = summarize_errors(found)
    count = sum(each.status == "found" for each in found)
    failed = [each for each in found if each.status == "failed"]
    data = {
        "frames": len(found),
        "found": count,
        "corner_error_px": asdict(errors) if errors.median is not None else None,
        "missed": [{"frame": each.index, "reason": each.reason} for each in found if each.status != "found"],
        "localizations": str(path),
    }
    lines = [f"{count} of {len(found)} frames localized"]
    if errors.median is not None:
        lines.append(f"corner error: median {errors.median:.3f} px, 95 % {errors.p95:.3f} px, max {errors.max:.3f} px")
    problems = [_incomplete(f"{len(failed)} frames cannot be read", str(session))] if failed else []
    return Result(data=data, lines=lines, errors=problems)


def score(
    session: Annotated[Path | None, typer.Argument(help="The session folder.", metavar="[SESSION]")] = None,
    images: Annotated[Path | None, typer.Option(help="Score this folder of pictures instead of a session.")] = None,
    class_from_folder: Annotated[
        bool, typer.Option("--class-from-folder", help="A picture's class is its folder's name: label or index.")
    ] = False,
    label: Annotated[str | None, typer.Option(help="The class that all pictures of --images show.")] = None,
    models: ModelsOption = None,
    provider: ProviderOption = "cpu",
    out: Annotated[Path | None, typer.Option(help="With --images: keep the answers in this folder.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Score a session, or a folder of pictures, with every recognizer of the bench."""
    from capture.session import read_session
    from pipeline.lab import select_recognizers
    from pipeline.recognizers import require_provider
    from pipeline.scoring import score_folder, score_session
    from pipeline.sources import list_folder

    if (session is None) == (images is None):
        raise BadUsage("give either a SESSION or --images FOLDER")
    if session and (class_from_folder or label or out):
        raise BadUsage("--class-from-folder, --label and --out go with --images: a session knows its classes")
    if class_from_folder and label:
        raise BadUsage("--class-from-folder and --label exclude each other")
    require_provider(provider)
    recognizers = select_recognizers(enter_lab(lab, required=False).recognizers(), _names(models))
    with progress_bar("scoring") as bar:
        if images is not None:
            folder = list_folder(images, class_from_folder=class_from_folder, label=label)
            total = len(folder.files)
            scores = score_folder(folder, recognizers, provider, out, lambda n: bar(n / total, str(n)))
        else:
            opened = read_session(session or Path())
            total = max(len(opened.frames), 1)
            scores = score_session(opened, recognizers, provider, lambda n: bar(n / total, str(n)))
    return _score_result(scores)


def report(
    session: SessionArgument,
    models: ModelsOption = None,
    provider: ProviderOption = "cpu",
    out: Annotated[Path | None, typer.Option(help="File to write; in the session's derived/ by default.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Write the report of a session: one HTML page with verdict, intervals, heat maps and pictures."""
    from capture.session import read_session
    from pipeline.lab import select_recognizers
    from pipeline.steps import report_session

    opened = read_session(session)
    recognizers = select_recognizers(enter_lab(lab, required=False).recognizers(), _names(models))
    with progress_bar("reporting") as bar:
        total = max(len(opened.frames), 1)
        done = report_session(opened, recognizers, provider, out, lambda n: bar(n / total, str(n)))
    return Result(
        data={
            "report": str(done.path),
            "verdict": done.judgement.verdict if done.judgement else None,
            "sentence": done.judgement.sentence if done.judgement else None,
            "bytes": done.size,
        },
        tables=[score_table(done.scores.rows)],
        lines=[*count_lines(done.scores.rows), *verdict_lines(done.judgement), str(done.path)],
        errors=verdict_errors(done.judgement),
    )


def score_table(rows: Sequence[Row]) -> Table:
    """Recognizers down, arms across: the share of right answers with its 95 % interval, in percent."""
    arms = list(dict.fromkeys(row.arm for row in rows))
    by_place = {(row.model, row.arm): row for row in rows}
    models = sorted({(row.held_out, row.model) for row in rows})
    cells = tuple(
        (f"{model}\n{'held out' if held_out else ''}", *(_cell(by_place.get((model, arm))) for arm in arms))
        for held_out, model in models
    )
    return Table("Right answers, %, with 95 % interval", ("recognizer", *arms), cells)


def count_lines(rows: Sequence[Row]) -> list[str]:
    """How many shots the rates stand on, and what is not in them, with its denominator."""
    counts = sorted({row.scored for row in rows})
    shots = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}" if counts else "no"
    lines = [f"each rate over {shots} scored pictures"]
    for name, key in (("missed", "missed"), ("not applicable", "not_applicable"), ("failed", "failed")):
        found = [f"{getattr(row, key)} of {row.n} ({row.arm}, {row.model})" for row in rows if getattr(row, key)]
        lines += [f"{name}: {', '.join(found[:6])}{' ...' if len(found) > 6 else ''}"] if found else []
    return lines


def verdict_lines(judgement: Judgement | None) -> list[str]:
    """The verdict in words."""
    return [f"{judgement.verdict}: {judgement.sentence}"] if judgement else ["no plan, so no rule and no verdict"]


def verdict_errors(judgement: Judgement | None) -> list[DpcamError]:
    """A verdict that is not PASS is a limit that was not met."""
    if judgement is None or judgement.verdict == "PASS":
        return []
    return [LimitNotMet(f"verdict {judgement.verdict}: {judgement.sentence}")]


def _score_result(scores: Scores) -> Result:
    failed = sum(row.failed for row in scores.rows)
    data = {
        "files": scores.files,
        "rows": [asdict(row) for row in scores.rows],
        "scores": str(scores.path) if scores.path else None,
    }
    reasons = sorted({answer.reason for answer in scores.answers if answer.status == "failed"})
    errors = [_incomplete(f"{failed} answers failed: {reasons[0]}", reasons[0])] if failed else []
    return Result(
        data=data,
        tables=[score_table(scores.rows)],
        lines=[f"{scores.files} pictures", *count_lines(scores.rows)],
        errors=errors,
    )


def _show(step: Progress, bar: Callable[[float, str], None]) -> None:
    if step.kind != "frame" and step.shot is not None:
        note(f"{step.kind} shot {step.shot.index} ({step.shot.arm}): {step.reason}")
    elif step.kind != "frame":
        note(f"{step.kind}: {step.reason}")
    bar(step.done / step.total if step.total else 0.0, str(step.done))


def _names(models: list[str] | None) -> list[str] | None:
    if models is None:
        return None
    names = [name.strip() for each in models for name in each.split(",") if name.strip()]
    if not names:
        raise BadUsage("--models names no recognizer", where="--models")
    return names


def _incomplete(message: str, where: str) -> Incomplete:
    return Incomplete(message, where=where)


def _cell(row: Row | None) -> str:
    if row is None or row.rate is None or row.low is None or row.high is None:
        return "–"
    return f"{100 * row.rate:.1f}\n{100 * row.low:.0f}–{100 * row.high:.0f}"
