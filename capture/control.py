"""The control of a running capture: somebody asks from any thread, the capture does it between and during shots.

What is asked is only noted here; the capture's own thread acts on it, because it alone writes the session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from calibration.errors import BadUsage, NotNow
from calibration.files import Document
from capture.cameras.base import FiniteCamera
from capture.coverage import Coverage, ShotOutcome, coverage_of
from capture.frame import Clock
from capture.plan import Plan, Shot
from capture.rigs.base import Again, Ended, Failed, in_words
from capture.stop import StopFlag, StopRequest, never

if TYPE_CHECKING:
    from capture.cameras.base import Camera
    from capture.recorder import SessionWriter
    from capture.runner import Progress

STEP_S = 0.05
"""While it waits, a capture looks so often whether something was asked."""

MOST_WAITING = 20
"""So much may wait to be put on record; whoever asks faster than the disk is slowed down, not the capture."""

ALL_OVER = "all shots are over"

Phase = Literal["starting", "arranging", "asking", "taking", "paused", "over"]
Verb = Literal["ready", "pause", "resume", "retake", "skip", "stop", "note"]


class Step(Document):
    """What the capture did last: a frame, a retry or a skip, with the reason; ``t_wall_ns`` says when."""

    kind: Literal["frame", "retry", "skip"]
    shot: Shot | None
    reason: str
    t_wall_ns: int


class CaptureState(Document):
    """Where a capture stands.

    ``phase``: ``arranging`` (a rig moves), ``asking`` (it waits for "ready"), ``taking``, ``paused``, ``over``.
    ``pausing`` and ``stopping``: that was asked for. ``shot`` is the one in hand and ``words`` its condition, part by
    part. ``done`` of ``total`` shots are over (None when unknown), ``skipped`` of them without a frame. ``can``: what
    may be asked now. ``end``: why it is over. ``revision`` grows with every change.
    """

    revision: int
    phase: Phase
    pausing: bool
    stopping: bool
    session: str
    camera: str
    shot: Shot | None
    words: tuple[str, ...]
    done: int
    total: int | None
    skipped: int
    last: Step | None
    can: tuple[Verb, ...]
    end: str


class Control:
    """Between those who steer a capture and the capture itself.

    What people ask returns at once; :class:`NotNow` when it does not fit what the capture is doing,
    :class:`BadUsage` for a shot that is not in the plan. ``hold``: where a person arranges the scene, the capture does
    not end without their word, so that the last shot, too, can be taken again.
    """

    def __init__(self, clock: Clock | None = None, *, hold: bool = False) -> None:
        self._clock = clock or Clock()
        self._hold = hold
        self._ask: Callable[[str], str] | None = None
        self._lock = threading.RLock()
        self._stop: StopRequest | None = None
        self._signals: StopFlag = never
        self._session: SessionWriter | None = None
        self._plan: Plan | None = None
        self._limit: int | None = None
        self._retakable = False
        self._outcomes: dict[int, ShotOutcome] = {}
        self._taken: set[int] = set()
        self._phase: Phase = "starting"
        self._shot: Shot | None = None
        self._last: Step | None = None
        self._before: Shot | None = None
        self._end = ""
        self._pausing = False
        self._ready = False
        self._skip: str | None = None
        self._retakes: dict[int, str] = {}
        self._to_write: list[tuple[Literal["note", "pause", "resume"], str]] = []
        self._revision = 0
        self._asked_before = self._shut = self._closed = False

    # For those who steer, in any thread

    def state(self) -> CaptureState:
        """Where the capture stands now."""
        with self._lock:
            session = self._session
            done = session.frames + session.skipped if session else 0
            return CaptureState(
                revision=self._revision,
                phase=self._phase,
                pausing=self._pausing,
                stopping=self._stop is not None,
                session=session.header.id if session else "",
                camera=session.header.camera if session else "",
                shot=self._shot,
                words=self._words(),
                done=done,
                total=len(self._plan.shots) if self._plan else self._limit,
                skipped=session.skipped if session else 0,
                last=self._last,
                can=tuple(self._can()),
                end=self._end,
            )

    def coverage(self) -> Coverage:
        """What of the plan is done, missing or failed."""
        with self._lock:
            outcomes = dict(self._outcomes)
        return coverage_of(self._plan, outcomes)

    def ready(self, shot: int | None = None) -> None:
        """The scene stands as the shot in hand wants it (or, named, that shot only)."""
        with self._asked("ready"):
            self._require_in_hand(shot)
            self._ready = True

    def pause(self, reason: str = "") -> None:
        """Nothing more is arranged or taken from now on, but for a picture that is being taken."""
        with self._asked("pause"):
            self._pausing = True
            self._to_write.append(("pause", reason))

    def resume(self) -> None:
        """Go on after a pause."""
        with self._asked("resume"):
            self._pausing = False
            self._to_write.append(("resume", ""))

    def retake(self, shot: int | None = None, reason: str = "") -> None:
        """Take a shot again that has a frame or was skipped, the last one unless it is named; it is the next."""
        with self._asked("retake"):
            number = shot if shot is not None else self._before.index if self._before else None
            if number is None:
                raise NotNow("no shot was taken yet that could be taken again")
            self._require_planned(number)
            if number not in self._taken:
                raise NotNow(f"shot {number} was not taken yet")
            self._retakes[number] = reason or "asked for"

    def skip(self, shot: int | None = None, reason: str = "") -> None:
        """Give the shot in hand up (or, named, that shot only); it is on record as skipped."""
        with self._asked("skip"):
            self._require_in_hand(shot)
            self._skip = reason or "skipped by the operator"

    def stop(self, reason: str = "") -> None:
        """End after the shot in hand; the session can be resumed."""
        with self._asked("stop"):
            self._stop = StopRequest(reason or "operator")

    def note(self, text: str) -> None:
        """Put a remark on record."""
        with self._asked("note"):
            self._to_write.append(("note", text))

    @property
    def closed(self) -> bool:
        """Whether the capture has ended and left its session."""
        return self._closed

    @property
    def revision(self) -> int:
        """Grows with every change of the state."""
        return self._revision

    @property
    def session(self) -> SessionWriter | None:
        """The session, once there is one; not to be written by others than the capture."""
        return self._session

    # For the capture, in its own thread

    def heeding(self, signals: StopFlag) -> StopFlag:
        """``signals``, and what is asked here, as one."""
        self._signals = lambda: signals() or self._stop
        return self._signals

    def heard(self, ask: Callable[[str], str]) -> Callable[[str], str]:
        """``ask``, known here as a moment at which "ready" may be said."""
        self._ask = ask

        def asked(question: str) -> str:
            self._asked_before = True
            self._enter("asking")
            try:
                answer = ask(question)
            finally:
                self._enter("arranging")
            self._rest()
            return answer

        return asked

    def answer(self) -> str | None:
        """What was said meanwhile to the question that is being asked, as :class:`OperatorRig` takes it."""
        self._write_down()
        with self._lock:
            if self._skip is not None:
                return "s"
            if self._retakes:
                return "r"
            said, self._ready = self._ready, False
        return "" if said else None

    def begin(self, session: SessionWriter, plan: Plan | None, camera: Camera, limit: int | None) -> None:
        """From now on this capture is steered."""
        with self._changing():
            self._session, self._plan, self._limit = session, plan, limit
            self._retakable = plan is not None and not isinstance(camera, FiniteCamera)
            for shot in plan.shots if plan else ():
                if session.is_done(shot):
                    self._taken.add(shot.index)
                    self._finished(shot, "" if session.has_frame(shot) else "skipped before")

    def before_shot(self, shot: Shot | None) -> bool:
        """Rest while paused; False when another shot is to be taken again first."""
        self._enter("arranging", shot)
        self._rest()
        return not self._taken_back()

    def before_picture(self, shot: Shot | None) -> Failed | Ended | None:
        """Rest while paused; what is to be done instead of taking a picture, if anything."""
        self._enter("taking", shot)
        rested = self._rest()
        if self.skipping:
            return self.skipping
        if rested and (request := self._signals()):
            return Ended(request.reason)
        return None

    @property
    def skipping(self) -> Failed | None:
        """That the shot in hand is to be given up, when that was asked for."""
        return None if self._skip is None else Failed(self._skip)

    def before_end(self) -> Again | Ended | None:
        """All shots are over: what a person says to that, where one arranges the scene.

        None to finish; from then on nothing is accepted.
        """
        if self._taken_back():
            return Again()
        if self._hold and self._plan is not None and self._ask is not None and self._asked_before:
            said = self._asked_at_end(self._ask)
            if said is not None:
                return said
        with self._changing():
            self._shut = not self._retakes
        return None if self._shut else Again()

    def _asked_at_end(self, ask: Callable[[str], str]) -> Again | Ended | None:
        with self._changing():
            self._shot = None
        answer = self.heard(ask)(f"\n  {ALL_OVER}\n  [Enter: finish    r: the last one again    q: stop] ")
        if answer == "r":
            self.again_first()
        if (request := self._signals()) or answer == "q":
            return Ended(request.reason if request else "operator")
        return Again() if self._taken_back() or answer not in ("", "s") else None

    def _taken_back(self) -> bool:
        """Put on record which shots are to be taken again; whether there are any.

        Their frames are on disk before, and are told of before; the lock is not held while this thread waits for the
        one that writes, which takes it in :meth:`tell`.
        """
        if not self._retakes:
            return False
        session = self._session_there()
        session.settle()
        with self._changing():
            retakes, self._retakes = self._retakes, {}
            self._taken -= set(retakes)
            for number in retakes:
                self._outcomes.pop(number, None)
        for number, reason in retakes.items():
            if shot := self._planned(number):
                session.retake(shot, reason)
        return True

    def again_first(self) -> None:
        """Whoever arranges the scene wants the shot before to be taken again, if nothing else was said here."""
        with self._changing():
            if not self._retakes and self._before and self._retakable:
                self._retakes[self._before.index] = "asked for"

    def over(self, shot: Shot | None) -> Failed | None:
        """The shot in hand is to be put on record now; that it is to be given up, when that was asked for meanwhile."""
        with self._changing():
            skipped, self._skip = self.skipping, None
            if shot is not None:
                self._before = shot
                self._taken.add(shot.index)
        return skipped

    def tell(self, step: Progress) -> None:
        """Something was done; a frame is told of by the thread that wrote it, so nothing here waits for that."""
        with self._changing():
            self._last = Step(kind=step.kind, shot=step.shot, reason=step.reason, t_wall_ns=self._clock.wall_ns())
            if step.kind != "retry" and step.shot is not None:
                self._finished(step.shot, step.reason if step.kind == "skip" else "")

    def end(self, reason: str) -> None:
        """Nothing is accepted any more; what was, is put on record."""
        with self._changing():
            self._phase, self._end = "over", reason
        self._taken_back()
        self._write_down()

    def close(self) -> None:
        """The capture has left its session: whoever watches has seen all that there is."""
        with self._changing():
            if self._phase != "over":
                self._phase, self._end = "over", "it ended before it began"
            self._closed = True

    # Both

    def _can(self) -> Iterator[Verb]:
        if self._shut or self._phase in ("starting", "over"):
            return
        if self._phase == "asking" and not self._pausing:
            yield "ready"
        yield "resume" if self._pausing else "pause"
        if self._retakable and self._taken:
            yield "retake"
        if self._plan is None or (self._shot is not None and self._shot.index not in self._taken):
            yield "skip"
        yield "stop"
        yield "note"

    @contextmanager
    def _asked(self, verb: Verb) -> Iterator[None]:
        with self._lock:
            if verb not in self._can():
                doing = f"{self._phase}, pausing" if self._pausing else self._phase
                can = ", ".join(self._can()) or "nothing"
                raise NotNow(f"{verb} does not fit what the capture is doing ({doing}); it takes {can} now")
            if len(self._to_write) >= MOST_WAITING:
                raise NotNow(f"{len(self._to_write)} requests are still to be put on record; ask again")
            yield
            self._revision += 1

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            yield
            self._revision += 1

    def _require_in_hand(self, number: int | None) -> None:
        if number is None:
            return
        self._require_planned(number)
        if self._shot is None or self._shot.index != number:
            raise NotNow(f"shot {number} is not in hand; it is {self._shot.index if self._shot else 'none'}")

    def _require_planned(self, number: int) -> None:
        if self._planned(number) is None:
            raise BadUsage(f"there is no shot {number} in the plan of this capture", where="shot")

    def _planned(self, number: int) -> Shot | None:
        return self._plan.shot(number) if self._plan else None

    def _enter(self, phase: Phase, shot: Shot | None = None) -> None:
        with self._changing():
            if phase == "arranging":
                self._ready = False
            if shot is not None and shot != self._shot:
                self._shot, self._skip = shot, None
            self._phase = phase

    def _words(self) -> tuple[str, ...]:
        if self._shot is not None:
            return tuple(in_words(self._shot.condition).split(", "))
        return (ALL_OVER,) if self._phase == "asking" else ()

    def _finished(self, shot: Shot, reason: str) -> None:
        outcome = ShotOutcome(
            shot=shot.index, repeat=shot.repeat, outcome="failed" if reason else "done", reason=reason
        )
        self._outcomes[shot.index] = outcome

    def _rest(self) -> bool:
        """Wait until it may go on; whether it had to."""
        self._write_down()
        if not self._pausing:
            return False
        before = self._phase
        self._enter("paused")
        while self._pausing and not self._signals():
            time.sleep(STEP_S)
            self._write_down()
        self._enter(before)
        return True

    def _write_down(self) -> None:
        """Put on record what was asked, in the thread that may write."""
        with self._lock:
            due, self._to_write = self._to_write, []
        session = self._session_there()
        write: dict[str, Callable[[str], None]] = {
            "note": session.note,
            "pause": session.pause,
            "resume": session.unpause,
        }
        for kind, text in due:
            write[kind](text)

    def _session_there(self) -> SessionWriter:
        if self._session is None:
            raise NotNow("there is no session yet")
        return self._session
