"""The control of a running capture: somebody asks from any thread, the capture does it between and during shots.

What is asked is only noted (:mod:`capture.requests`); the capture's own thread acts on it here, because it alone writes
the session.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from calibration.errors import NotNow
from capture.capture_state import Phase, Step
from capture.coverage import ShotOutcome
from capture.frame import Clock
from capture.plan import Plan, Shot
from capture.requests import ALL_OVER, Requests
from capture.rigs.base import Again, Ended, Failed
from capture.stop import StopFlag, never

if TYPE_CHECKING:
    from capture.recorder import SessionWriter
    from capture.runner import Progress

STEP_S = 0.05
"""While it waits, a capture looks so often whether something was asked."""


class Control(Requests):
    """Between those who steer a capture and the capture itself, which calls what is here from its own thread.

    ``hold``: where a person arranges the scene, the capture does not end without their word, so that the last shot,
    too, can be taken again.
    """

    def __init__(self, clock: Clock | None = None, *, hold: bool = False) -> None:
        super().__init__()
        self._clock = clock or Clock()
        self._hold = hold
        self._ask: Callable[[str], str] | None = None
        self._asked_before = False
        self._signals: StopFlag = never

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

    def begin(self, session: SessionWriter, plan: Plan | None, limit: int | None, *, retakable: bool) -> None:
        """From now on this capture is steered. ``retakable``: its cameras can take a shot again."""
        with self._changing():
            self._session, self._plan, self._limit = session, plan, limit
            self._retakable = plan is not None and retakable
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

    def _enter(self, phase: Phase, shot: Shot | None = None) -> None:
        with self._changing():
            if phase == "arranging":
                self._ready = False
            if shot is not None and shot != self._shot:
                self._shot, self._skip = shot, None
            self._phase = phase

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
