"""Capture as the program runs it: which plan, which sheets, which camera, where the session goes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from calibration.camera import CameraModel
from calibration.errors import BadConfig, BadImage, BadInput, BadUsage
from calibration.files import read_bytes, read_document
from calibration.sheet import Sheet
from capture.binding import refuse_other_camera, refuse_other_mode
from capture.cameras.base import Camera, FiniteCamera, ReportingCamera, ShowingCamera
from capture.cameras.open import open_camera, safe_address
from capture.cameras.settings import Setting
from capture.cameras.watch import Timing
from capture.control import Control
from capture.frame import Clock, Frame
from capture.gate import SheetGate
from capture.live.preview import Preview
from capture.new_session import Input, folder_names, sheet_inputs, this_machine
from capture.plan import Plan, Shot
from capture.quality import Limits, Verdict
from capture.recorder import SessionWriter
from capture.runner import CaptureOutcome, Progress, outcome_of, run_capture
from capture.session import SEAL, Session, read_session, session_folders
from capture.stop import StopFlag
from capture.storage import PNG, Storage
from capture.taking import Station
from capture.tracking import Tracker
from pipeline.rig_config import RigSection
from pipeline.sessions.continuing import AT_FIRST, Beginning, plan_to_take, refuse_other_cameras_than
from pipeline.sessions.localizing import session_cameras
from pipeline.sessions.rigging import open_rig


@dataclass(frozen=True, slots=True)
class CameraOrder:
    """A camera's address, the file of its calibration, and what is to be set."""

    uri: str
    calibration: Path | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaptureOrder:
    """What to capture. ``sheets``: JSON files of the sheets that may be seen; ``lab_file`` is kept with the session.

    Without ``plan`` the camera's pictures are taken as they come, ``frames`` of them (all, when it comes to an end).
    ``begin``: where a new session begins in the plan. ``others``: cameras that take every shot together with the one at
    ``uri``.
    """

    uri: str
    sessions: Path
    sheets: tuple[Path, ...]
    plan: Path | None
    calibration: Path | None = None
    lab_file: Path | None = None
    resume: Path | None = None
    frames: int | None = None
    gate: bool = True
    limits: Limits = field(default_factory=Limits)
    retries: int = 2
    operator: str = ""
    seed: int = 0
    rig: RigSection = field(default_factory=RigSection)
    timing: Timing = field(default_factory=Timing)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    begin: Beginning = AT_FIRST
    storage: Storage = PNG
    others: tuple[CameraOrder, ...] = ()

    @property
    def cameras(self) -> tuple[CameraOrder, ...]:
        """All of them."""
        return (CameraOrder(self.uri, self.calibration, self.settings), *self.others)


@dataclass(frozen=True, slots=True)
class _Seat:
    """An open camera, with its calibration: the one that was named (``bound``), or what it says itself."""

    camera: Camera
    model: CameraModel | None
    bound: bool


@dataclass(frozen=True, slots=True)
class Live:
    """What others hold of a running capture: they steer it, and see what the camera sees."""

    control: Control = field(default_factory=Control)
    preview: Preview = field(default_factory=Preview)


def capture(
    order: CaptureOrder,
    *,
    ask: Callable[[str], str],
    stop: StopFlag,
    progress: Callable[[Progress], None],
    live: Live | None = None,
) -> CaptureOutcome:
    """Run the capture; a sealed session that is to be resumed is done already.

    ``live``: somebody steers and watches; ``stop`` heeds its control, too.
    """
    if order.resume and (order.resume / SEAL).is_file():
        return outcome_of(read_session(order.resume))
    clock = Clock()
    folder = order.sheets[0].parent if order.sheets else order.sessions
    with ExitStack() as held:
        cameras = [held.enter_context(_opened(each, order.timing, folder, clock)) for each in order.cameras]
        return _capture_with(cameras, order, folder, clock, ask=ask, stop=stop, progress=progress, live=live or Live())


def _opened(order: CameraOrder, timing: Timing, folder: Path, clock: Clock) -> Camera:
    return open_camera(order.uri, sheet_folder=folder, clock=clock, timing=timing, settings=order.settings)


def unfinished_session(sessions: Path, plan: Path) -> Path | None:
    """The newest session of this plan that ended before its time (killed, interrupted, disk full), or None.

    Its own plan is this one, or what this one was before it was extended.
    """
    wanted = read_document(plan, Plan)
    for folder in reversed(session_folders(sessions)):
        if (folder / SEAL).exists():
            continue
        try:
            session = read_session(folder)
        except BadInput as error:
            hint = "to leave it as it is, begin a new session: --new"
            raise BadConfig(
                f"an unfinished session is damaged: {error.message}", hint=hint, where=error.where
            ) from error
        if session.plan and wanted.holds(session.plan) and session.stopped != "limit":
            return folder
    return None


def _capture_with(
    cameras: Sequence[Camera],
    order: CaptureOrder,
    folder: Path,
    clock: Clock,
    *,
    ask: Callable[[str], str],
    stop: StopFlag,
    progress: Callable[[Progress], None],
    live: Live,
) -> CaptureOutcome:
    plan = plan_to_take(order.plan, order.begin.first_shot, order.resume) if order.plan else None
    sheets = [read_document(path, Sheet) for path in order.sheets]
    seats = [_seat(each, camera, folder, clock) for each, camera in zip(order.cameras, cameras, strict=True)]
    lab = order.lab_file.parent if order.lab_file else Path()
    with (
        open_rig(order.rig, cameras, plan, folder=lab, ask=live.control.heard(ask), stop=stop) as rig,
        _open_session(order, plan, seats, clock) as session,
    ):
        first, *others = [
            _station(seat, order, sheets, session, live.preview if not n else None, judged=plan is not None)
            for n, seat in enumerate(seats)
        ]
        if isinstance(first.camera, ShowingCamera):
            first.camera.show_to(live.preview.show, live.preview.wanted)
        live.preview.locate_with(Tracker(sheets, seats[0].model).localize)
        return run_capture(
            plan=plan,
            sheets={sheet.id: sheet for sheet in sheets},
            camera=first.camera,
            rig=rig,
            session=session,
            gate=first.gate,
            check=first.check,
            stop=stop,
            progress=progress,
            retakes=order.retries,
            limit=order.frames,
            control=live.control,
            others=others,
        )


def _station(
    seat: _Seat,
    order: CaptureOrder,
    sheets: Sequence[Sheet],
    session: SessionWriter,
    preview: Preview | None,
    *,
    judged: bool,
) -> Station:
    """A camera with its gate (where pictures are ``judged``); what happens to it goes on record."""
    camera = seat.camera
    if isinstance(camera, ReportingCamera):
        camera.report_to(lambda event: session.note(f"camera {event.kind}: {event.text}"))
    refuse = partial(refuse_other_mode, seat.model) if seat.bound and seat.model else None
    gate = sheet_gate(list(sheets), seat.model, _limits(order, camera)) if order.gate and judged else None
    check = partial(_look_at, None if gate else preview, refuse)
    return Station(camera, partial(_judge, gate, preview) if gate and preview else gate, check)


def _look_at(preview: Preview | None, refuse: Callable[[Frame], None] | None, frame: Frame) -> None:
    """Show a picture that no gate will look at; refuse it when the camera is not as it was calibrated."""
    if preview is not None:
        preview.show(frame)
    if refuse is not None:
        refuse(frame)


def _judge(gate: SheetGate, preview: Preview, frame: Frame, shot: Shot | None) -> Verdict:
    """Let others see what the gate saw: the sheet is not searched for twice."""
    verdict = gate(frame, shot)
    preview.show(frame, gate.localization)
    return verdict


def _seat(order: CameraOrder, camera: Camera, folder: Path, clock: Clock) -> _Seat:
    """With the calibration that was named, held against the camera before a session begins; else what it says."""
    if order.calibration is None:
        return _Seat(camera, camera.model, bound=False)
    model = read_document(order.calibration, CameraModel)
    refuse_other_camera(model, camera, safe_address(order.uri))
    with suppress(BadImage):  # the runner puts it on record, in its turn
        refuse_other_mode(model, _first_look(order.uri, camera, folder, clock))
    return _Seat(camera, model, bound=True)


def _first_look(uri: str, camera: Camera, folder: Path, clock: Clock) -> Frame:
    """A frame that the session does not miss: pictures on disk are opened once more."""
    if not isinstance(camera, FiniteCamera):
        return camera.read()
    with open_camera(uri, sheet_folder=folder, clock=clock) as again:
        return again.read()


def _open_session(order: CaptureOrder, plan: Plan | None, seats: Sequence[_Seat], clock: Clock) -> SessionWriter:
    if order.resume:
        _refuse_other_calibrations(read_session(order.resume), [seat.model for seat in seats])
        return SessionWriter.resume(order.resume, machine=this_machine(), clock=clock)
    inputs = [one for path in order.sheets for one in sheet_inputs(path)]
    inputs = list({one.name: one for one in inputs}.values())
    camera, *others = [seat.camera.identity for seat in seats]
    if order.begin.follows:
        refuse_other_cameras_than(order.begin.follows, [camera, *others])
    if plan and order.begin.first_shot:
        inputs.append(Input("plan", "plan.json", plan.model_dump_json(indent=1).encode()))
    elif order.plan:
        inputs.append(Input.from_file("plan", order.plan))
    if order.lab_file:
        inputs.append(_without_secrets(order.lab_file))
    return SessionWriter.create(
        order.sessions,
        camera=camera,
        machine=this_machine(),
        clock=clock,
        inputs=[*inputs, *_calibrations(seats)],
        operator=order.operator,
        seed=order.seed,
        storage=order.storage,
        others=others,
    )


def _calibrations(seats: Sequence[_Seat]) -> Iterator[Input]:
    """``camera.json``; of several cameras one each, called like the folder of its frames."""
    names = folder_names([seat.camera.identity for seat in seats])
    for name, seat in zip(names, seats, strict=True):
        if seat.model:
            path = f"cameras/{name}.json" if len(seats) > 1 else "camera.json"
            yield Input("camera", path, seat.model.model_dump_json(indent=1).encode())


def _refuse_other_calibrations(session: Session, models: Sequence[CameraModel | None]) -> None:
    """A session is localized with the camera calibrations that lie in it."""
    before = list(session_cameras(session).values())
    if len(before) == len(models) and before != list(models):
        raise BadUsage(
            f"the session {session.folder} was begun with another camera calibration",
            hint="take that calibration, or begin a new session: --new",
            where=str(session.folder),
        )


def _without_secrets(lab_file: Path) -> Input:
    """lab.toml verbatim, but for passwords and tokens in addresses: a session is given to others."""
    text = read_bytes(lab_file).decode("utf-8", "replace")
    safe = re.sub(r"\w+://[^\s\"']+", lambda address: safe_address(address[0]), text)
    return Input("lab", lab_file.name, safe.encode())


def sheet_gate(sheets: list[Sheet], model: CameraModel | None, limits: Limits | None = None) -> SheetGate:
    """The gate of a capture: localized, the sheet that its shot wants, good enough."""
    return SheetGate(sheets, model, limits)


def _limits(order: CaptureOrder, camera: Camera) -> Limits:
    """Those that mean something with this camera: pictures on disk are looked at once, some sources have no noise."""
    limits = order.limits
    if isinstance(camera, FiniteCamera):
        limits = replace(limits, still_px=None)
    return limits if order.timing.frozen_frames else replace(limits, duplicates=True)


def plan_sheets(plan: Path, folder: Path) -> tuple[Path, ...]:
    """The JSON files in ``folder`` of the sheets that a plan wants; :class:`BadConfig` names one that is not there."""
    wanted = {shot.sheet for shot in read_document(plan, Plan).shots}
    paths = {path.stem: path for path in sorted(folder.glob("*.json"))}
    missing = sorted(wanted - set(paths))
    if missing:
        raise BadConfig(
            f"{plan.name} wants the sheet {missing[0]}, which is not in {folder}", hint="dpcam plan", where=str(plan)
        )
    return tuple(paths[name] for name in sorted(wanted))
