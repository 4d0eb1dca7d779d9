"""The watchdog of a live camera: its limits, its judgement of arriving pictures, and the words for what happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from calibration.errors import BadImage
from capture.frame import Clock, Frame

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0
LATE_BY = 3.0
"""A picture is late when it takes so many times as long as pictures have taken so far, and ``Timing.late_s``."""

Kind = Literal["warning", "lost", "attempt", "back", "frozen", "torn", "resized", "late"]


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """Something that happened to a camera, in words, with the wall clock (ns since 1970)."""

    kind: Kind
    text: str
    t_wall_ns: int


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait for a live camera, and what is too much.

    ``open_s``: for it to answer. ``read_s``: the longest silence. ``reconnect_s``: in all, for a camera in trouble to
    give a good picture again, counted from when somebody waits for one. What arrives right after a call may show the
    scene from before it: pictures of the first ``latency_s`` are not used, nor are the ``latency_frames`` after these
    (one was being exposed, others are inside a decoder); nor the ``settle_frames`` after a change of settings.

    A stream that gives the same picture ``frozen_frames`` times in a row is frozen (the noise of a sensor makes that
    impossible; 0 for sources without noise); one with ``torn_frames`` damaged ones in a row is broken. A picture that
    comes ``late_s`` after the one before is late.
    """

    open_s: float = 10.0
    read_s: float = 5.0
    reconnect_s: float = 90.0
    latency_s: float = 0.05
    latency_frames: int = 1
    settle_frames: int = 5
    frozen_frames: int = 15
    torn_frames: int = 10
    late_s: float = 1.0


class Arrived(Protocol):
    """The picture that arrived last."""

    def evidence(self) -> bytes:
        """Bytes that are the same only when the picture is; :class:`BadImage` when it is seen to be damaged."""
        ...

    def frame(self, t_mono_ns: int, t_wall_ns: int) -> Frame:
        """The picture, decoded; :class:`BadImage` when it is damaged."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a picture is not used. ``broken``: the connection must be opened anew. A repeated one has no ``kind``."""

    kind: Kind | None
    text: str
    broken: bool


class Watchdog:
    """Judges pictures in the order of their arrival, and knows when the last good one came."""

    def __init__(self, name: str, timing: Timing, clock: Clock) -> None:
        self._name = name
        self._timing = timing
        self._clock = clock
        self._before = b""
        self._same = 0
        self._torn = 0
        self._size: tuple[int, ...] | None = None
        self._good: tuple[int, int] | None = None

    @property
    def last_good(self) -> str:
        """When the last good picture came, in words."""
        if self._good is None:
            return "no good picture has come yet"
        mono_ns, wall_ns = self._good
        at = datetime.fromtimestamp(wall_ns / 1e9, UTC)
        ago_s = (self._clock.mono_ns() - mono_ns) / 1e9
        return f"the last good one came {ago_s:.1f} s ago, at {at:%Y-%m-%d %H:%M:%S} UTC"

    def expect_any_size(self) -> None:
        """The next picture may have another size: somebody has changed the settings."""
        self._size = None

    def passed(self, mono_ns: int, wall_ns: int) -> None:
        """A picture came that nobody wanted and nobody looked at."""
        self._good = (mono_ns, wall_ns)

    def glance(self, picture: Arrived) -> None:
        """Remember a picture that is not used, so that the next can be told from it."""
        if not self._timing.frozen_frames:
            return
        try:
            self._compare(picture.evidence())
        except BadImage:
            # It is not used, and the next is judged by itself.
            return

    def judge(self, picture: Arrived, mono_ns: int, wall_ns: int) -> Frame | Fault:
        """The picture when it is new, whole and of the size of the others; else what is wrong with it."""
        try:
            if self._timing.frozen_frames and self._compare(picture.evidence()):
                return self._repeated()
            frame = picture.frame(mono_ns, wall_ns)
        except BadImage as error:
            return self._damaged(error)
        return self._resized(frame) or self._accepted(frame)

    def _compare(self, evidence: bytes) -> bool:
        same = evidence == self._before
        self._same = self._same + 1 if same else 0
        self._before = evidence
        return same

    def _repeated(self) -> Fault:
        if self._same < self._timing.frozen_frames:
            return Fault(None, "it repeats the one before", broken=False)
        text = f"{self._name} is frozen: the same picture came {self._same + 1} times"
        self._same = 0
        return Fault("frozen", text, broken=True)

    def _damaged(self, error: BadImage) -> Fault:
        self._torn += 1
        broken = self._torn >= self._timing.torn_frames
        text = f"{self._torn} torn pictures in a row, the last: " if self._torn > 1 else "torn picture: "
        self._torn = 0 if broken else self._torn
        return Fault("torn", f"{text}{error.message}", broken)

    def _resized(self, frame: Frame) -> Fault | None:
        size = frame.pixels.shape[1::-1]
        if self._size in (None, size):
            return None
        width, height = self._size or size
        text = f"{self._name} sends {size[0]}x{size[1]} now, it was opened at {width}x{height}"
        return Fault("resized", text, broken=True)

    def _accepted(self, frame: Frame) -> Frame:
        self._size = frame.pixels.shape[1::-1]
        self._torn = 0
        self._good = (frame.t_mono_ns, frame.t_wall_ns)
        return frame


class Pace:
    """How fast pictures arrive: how many came, how long they take as a rule, and which one is late."""

    def __init__(self, late_s: float) -> None:
        self.arrived = 0
        self._late_s = late_s
        self._last_ns: int | None = None
        self._usual_s = 0.0

    def arrive(self, mono_ns: int) -> float:
        """Count a picture → how long it took in seconds if that was too long, else 0."""
        self.arrived += 1
        gap_s = (mono_ns - self._last_ns) / 1e9 if self._last_ns is not None else 0.0
        self._last_ns = mono_ns
        late = self._usual_s > 0 and gap_s > max(self._late_s, LATE_BY * self._usual_s)
        if not late:
            self._usual_s += (gap_s - self._usual_s) * (0.1 if self._usual_s else 1.0)
        return gap_s if late else 0.0

    def interrupt(self) -> None:
        """The connection broke: what comes next is not late but back."""
        self._last_ns = None


class BackOff:
    """Pauses between attempts: each twice as long as the one before, up to a limit."""

    def __init__(self) -> None:
        self._pauses = _pauses()

    def next_s(self) -> float:
        """The pause before the next attempt, in seconds."""
        return next(self._pauses)

    def reset(self) -> None:
        """All is well again: begin with the shortest."""
        self._pauses = _pauses()


def _pauses() -> Iterator[float]:
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
