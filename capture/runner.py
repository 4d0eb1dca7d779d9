"""The capture itself: shot after shot, prepared, taken, judged, taken again, written or given up on record."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from calibration.errors import BadConfig, BadUsage, DpcamError, NotReady
from calibration.sheet import Sheet
from capture.cameras.base import Camera, FiniteCamera
from capture.control import Control
from capture.frame import Frame
from capture.plan import Plan, Shot
from capture.recorder import SessionWriter
from capture.rigs.base import Again, Ended, Failed, Rig, Settled
from capture.session import Session
from capture.stop import StopFlag, StopRequest, never
from capture.taking import Cameras, Gate, Refused, Station, Taken, measured_of


@dataclass(frozen=True, slots=True)
class Progress:
    """What just happened. ``done`` of ``total`` shots are over (total None when unknown)."""

    kind: Literal["frame", "retry", "skip"]
    shot: Shot | None
    done: int
    total: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CaptureOutcome:
    """How a capture ended. ``frames`` and ``skipped`` count the whole session, ``taken`` this call only.

    ``complete``: nothing is left to take; the session is sealed. ``interrupted``: who asked for the end.
    """

    session: Path
    frames: int
    skipped: int
    taken: int
    complete: bool
    interrupted: StopRequest | None = None


def outcome_of(session: Session) -> CaptureOutcome:
    """The outcome of a session that is already sealed: there is nothing left to take."""
    return CaptureOutcome(session.folder, len(session.frames), len(session.skips), 0, complete=session.sealed)


def run_capture(
    *,
    plan: Plan | None,
    sheets: Mapping[str, Sheet],
    camera: Camera,
    rig: Rig,
    session: SessionWriter,
    gate: Gate | None = None,
    check: Callable[[Frame], None] = lambda _: None,
    stop: StopFlag = never,
    progress: Callable[[Progress], None] = lambda _: None,
    retakes: int = 2,
    limit: int | None = None,
    control: Control | None = None,
    others: Sequence[Station] = (),
) -> CaptureOutcome:
    """Take every shot of ``plan`` (or, without one, every picture) that the session does not have yet.

    ``sheets``: id → sheet, for the plan. ``gate``: a picture that it rejects is taken again, at most ``retakes`` times
    (never from a finite camera, whose next picture is another one), then the shot is skipped with the reason; a
    rejected picture is no frame. ``check``: raises for a picture with which the capture cannot go on, such as of a
    camera that is not as it was calibrated. ``limit``: end when the session has so many shots (frames and skips); a
    live camera without a plan needs it. ``progress`` hears of a frame once it is on disk, in the thread
    that wrote it. ``control``: steers it from other threads; its own wish to stop comes through ``stop``
    (:meth:`capture.control.Control.heeding`). ``others``: cameras that take each shot of the plan together with
    ``camera``; one that fails is a reason to take the shot again with all of them.

    :class:`BadUsage`, :class:`BadConfig` before anything is taken. :class:`calibration.errors.CameraGone` and
    :class:`calibration.errors.DiskFull` (journaled where possible) leave a session that can be resumed.
    """
    stations = (Station(camera, gate, check), *others)
    _check(plan, sheets, [station.camera for station in stations], session, limit)
    control = control or Control()
    with Cameras(stations, [each.folder for each in session.header.cameras]) as cameras:
        control.begin(session, plan, limit, retakable=not cameras.finite)
        return _Capture(plan, sheets, cameras, rig, session, progress, retakes, limit, control).run(stop)


def _check(
    plan: Plan | None,
    sheets: Mapping[str, Sheet],
    cameras: Sequence[Camera],
    session: SessionWriter,
    limit: int | None,
) -> None:
    identities = [camera.identity for camera in cameras]
    if [camera.identity for camera in session.header.cameras] != identities:
        what = "camera" if len(session.header.cameras) == 1 else "cameras"
        begun = f"the session {session.folder} was begun with the {what} {session.header.camera_words}"
        raise BadUsage(
            f"{begun}, not {', '.join(identities)}",
            hint=f"take {'that' if what == 'camera' else 'those'} {what}, or begin a new session: --new",
        )
    if len(set(identities)) < len(identities):
        raise BadUsage(f"a camera is named twice: {', '.join(identities)}", where="--camera")
    if plan is None and len(cameras) > 1:
        raise BadUsage(
            "several cameras need a plan: only the shot says which of their pictures belong together",
            hint="dpcam plan, or one camera",
            where="--camera",
        )
    if plan != session.plan:
        raise BadUsage(
            f"the plan is not the one that the session {session.folder} was begun with",
            hint="take that plan, or begin a new session: --new",
        )
    if plan is None and limit is None and not isinstance(cameras[0], FiniteCamera):
        raise BadUsage(f"{identities[0]} has no end: without a plan, say how many frames to take", where="--frames")
    if limit is not None and limit < 1:
        raise BadUsage(f"the number of frames must be at least 1, got {limit}", where="--frames")
    for shot in plan.shots if plan else ():
        if shot.sheet not in sheets:
            known = ", ".join(sorted(sheets)) or "none"
            raise BadConfig(f"shot {shot.index} of the plan wants the sheet {shot.sheet!r}; there is {known}")


@dataclass(frozen=True, slots=True)
class _Capture:
    plan: Plan | None
    sheets: Mapping[str, Sheet]
    cameras: Cameras
    rig: Rig
    session: SessionWriter
    progress: Callable[[Progress], None]
    retakes: int
    limit: int | None
    control: Control

    def run(self, stop: StopFlag) -> CaptureOutcome:
        before = self.session.frames
        try:
            self.cameras.pass_over(self.session.over, staged=self.plan is not None)
            request = self._take_all(stop)
            self.session.settle()
        except DpcamError as error:
            self._journal_if_possible(error)
            raise
        complete = request is None and not self._left()
        reason = "complete" if complete else request.reason if request else "limit"
        self.control.end(reason)
        self.session.stop(reason)
        if complete:
            self.session.seal()
        session = self.session
        taken = session.frames - before
        return CaptureOutcome(session.folder, session.frames, session.skipped, taken, complete, request)

    def _take_all(self, stop: StopFlag) -> StopRequest | None:
        while True:
            request = self._take_left(stop)
            end = None if request else self.control.before_end()
            if not isinstance(end, Again):
                return request or (stop() or StopRequest(end.reason) if end else None)

    def _take_left(self, stop: StopFlag) -> StopRequest | None:
        for shot in self._shots():
            if not self.control.before_shot(shot):
                continue
            if request := stop():
                return request
            result = self._take(shot)
            if isinstance(result, Ended):
                return stop() or StopRequest(result.reason)
            if isinstance(result, Again):
                self.control.again_first()
            else:
                skipped = self.control.over(shot)
                self._record(shot, _after(result, skipped) if skipped else result)
        return None

    def _shots(self) -> Iterator[Shot | None]:
        """What is still to be taken; looked up anew each time, because a finite camera may end early."""
        while (left := self._left()) and not self._limit_reached():
            yield left[0]

    def _left(self) -> tuple[Shot | None, ...]:
        """The next thing to take, or nothing."""
        if self.plan:
            return next(((shot,) for shot in self.plan.shots if not self.session.is_done(shot)), ())
        if self.cameras.finite:
            return () if self.cameras.used_up else (None,)
        return () if self._limit_reached() else (None,)

    def _limit_reached(self) -> bool:
        return self.limit is not None and self.session.outcomes >= self.limit

    def _take(self, shot: Shot | None) -> Taken | Failed | Ended | Again:
        """Prepare once, then read until the gate is content or the retakes are used up."""
        prepared = Settled() if shot is None else self.rig.prepare(shot, self.sheets[shot.sheet])
        if not isinstance(prepared, Settled):
            return self.control.skipping or prepared
        refused: Failed | None = None
        for attempt in itertools.count(1):
            if instead := self.control.before_picture(shot):
                return _after(refused, instead) if isinstance(instead, Failed) else instead
            result = self.cameras.take(shot)
            if isinstance(result, Taken):
                return result.with_rig(prepared)
            if attempt > self._retakes():
                break
            self.session.retry(shot, attempt, result.reason, measured_of(result))
            self._tell("retry", shot, result.reason)
            refused = result
        return result

    def _retakes(self) -> int:
        return 0 if self.cameras.finite else self.retakes

    def _record(self, shot: Shot | None, result: Taken | Failed) -> None:
        if isinstance(result, Failed):
            self.session.skip(shot, result.reason, measured_of(result))
            self._tell("skip", shot, result.reason)
            return
        for camera, picture in enumerate(result.pictures):
            last = camera == len(result.pictures) - 1
            stored = partial(self._tell, "frame", shot) if last else _nothing
            self.session.submit_frame(picture.frame, shot, picture.verdict, stored, camera=camera)

    def _tell(self, kind: Literal["frame", "retry", "skip"], shot: Shot | None, reason: str = "") -> None:
        total = len(self.plan.shots) if self.plan else self.limit
        step = Progress(kind, shot, self.session.over, total, reason)
        self.control.tell(step)
        self.progress(step)

    def _journal_if_possible(self, error: DpcamError) -> None:
        # The disk itself may be what failed; the first error is the one to raise.
        with suppress(DpcamError):
            self.control.end(error.message)
        with suppress(NotReady):
            self.session.error(error)


def _nothing() -> None:
    """Nothing is told of a frame before all of its shot are on disk."""


def _after(before: Taken | Failed | None, skipped: Failed) -> Failed:
    """A shot that somebody gave up, with what was measured of the picture that was refused before, if one was."""
    return Refused(skipped.reason, measured_of(before)) if isinstance(before, Failed) else skipped
