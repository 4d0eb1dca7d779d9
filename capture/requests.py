"""What is asked of a running capture, from any thread: taken down where it fits what the capture is doing, or refused.

:class:`capture.control.Control` is how the capture answers to it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from calibration.errors import BadUsage, NotNow
from capture.capture_state import CaptureState, Phase, Step, Verb
from capture.coverage import Coverage, ShotOutcome, coverage_of
from capture.plan import Plan, Shot
from capture.rigs.base import in_words
from capture.stop import StopRequest

if TYPE_CHECKING:
    from capture.recorder import SessionWriter

MOST_WAITING = 20
"""So much may wait to be put on record; whoever asks faster than the disk is slowed down, not the capture."""

ALL_OVER = "all shots are over"


class Requests:
    """What was asked and not done yet, and what must be known of the capture to tell whether it fits.

    What people ask returns at once; :class:`NotNow` when it does not fit what the capture is doing,
    :class:`BadUsage` for a shot that is not in the plan.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._revision = 0
        self._session: SessionWriter | None = None
        self._plan: Plan | None = None
        self._limit: int | None = None
        self._phase: Phase = "starting"
        self._shot: Shot | None = None
        self._before: Shot | None = None
        self._last: Step | None = None
        self._taken: set[int] = set()
        self._outcomes: dict[int, ShotOutcome] = {}
        self._retakable = self._shut = self._closed = False
        self._end = ""
        # What was asked.
        self._stop: StopRequest | None = None
        self._pausing = self._ready = False
        self._skip: str | None = None
        self._retakes: dict[int, str] = {}
        self._to_write: list[tuple[Literal["note", "pause", "resume"], str]] = []

    def state(self) -> CaptureState:
        """Where the capture stands now."""
        with self._lock:
            session = self._session
            return CaptureState(
                revision=self._revision,
                phase=self._phase,
                pausing=self._pausing,
                stopping=self._stop is not None,
                session=session.header.id if session else "",
                camera=session.header.camera_words if session else "",
                shot=self._shot,
                words=self._words(),
                done=session.over if session else 0,
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

    # Whether it fits

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

    def _words(self) -> tuple[str, ...]:
        if self._shot is not None:
            return tuple(in_words(self._shot.condition).split(", "))
        return (ALL_OVER,) if self._phase == "asking" else ()
