"""``dpcam capture`` and ``localize``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calibration.errors import DpcamError, Incomplete, Interrupted, LimitNotMet
from pipeline.cli.asking import Asking
from pipeline.cli.command import DryRunOption, LabOption, SeedOption, command
from pipeline.cli.context import enter_lab
from pipeline.cli.output import note, progress_bar
from pipeline.result import Result

if TYPE_CHECKING:
    from capture.runner import Progress
    from pipeline.sessions.capturing import CaptureOrder, Live
    from pipeline.statistics import Judgement

SessionArgument = Annotated[Path, typer.Argument(help="The session folder.", metavar="SESSION")]
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


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "capture", bare={"--serve": SERVE_AT})(capture)
    command(app, "localize")(localize)


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
    from pipeline.sessions.capturing import Live
    from pipeline.sessions.capturing import capture as run
    from pipeline.sessions.continuing import shots_left
    from pipeline.sessions.steps import capture_order

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
    from pipeline.sessions.rigging import planned_moves

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
    from pipeline.sessions.localizing import localize_session, summarize_errors

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


def verdict_lines(judgement: Judgement | None) -> list[str]:
    """The verdict in words."""
    return [f"{judgement.verdict}: {judgement.sentence}"] if judgement else ["no plan, so no rule and no verdict"]


def verdict_errors(judgement: Judgement | None) -> list[DpcamError]:
    """A verdict that is not PASS is a limit that was not met."""
    if judgement is None or judgement.verdict == "PASS":
        return []
    return [LimitNotMet(f"verdict {judgement.verdict}: {judgement.sentence}")]


def _show(step: Progress, bar: Callable[[float, str], None]) -> None:
    if step.kind != "frame" and step.shot is not None:
        note(f"{step.kind} shot {step.shot.index} ({step.shot.arm}): {step.reason}")
    elif step.kind != "frame":
        note(f"{step.kind}: {step.reason}")
    bar(step.done / step.total if step.total else 0.0, str(step.done))


def _incomplete(message: str, where: str) -> Incomplete:
    return Incomplete(message, where=where)
