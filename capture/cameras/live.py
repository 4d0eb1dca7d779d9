"""Live cameras: a thread that always holds the newest picture of a connection that may break."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from calibration.camera import CameraModel
from calibration.errors import BadImage, CameraGone, DpcamError
from capture.frame import Clock, Frame

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0


class Connection(Protocol):
    """An open device or stream, used by one thread only."""

    def grab(self) -> None:
        """Wait until the next picture has arrived; :class:`CameraGone` when none will."""
        ...

    def frame(self, t_mono_ns: int, t_wall_ns: int) -> Frame:
        """Decode the picture that arrived last; :class:`BadImage` when it is damaged."""
        ...

    def close(self) -> None:
        """Give the device back; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait for a live camera.

    ``open_s``: for it to answer. ``read_s``: the longest silence. ``reconnect_s``: in all, for a broken connection to
    come back. What arrives right after a call may show the scene from before it: pictures of the first ``latency_s``
    are not used, nor are the ``latency_frames`` after these (one was being exposed, others are inside a decoder).
    """

    open_s: float = 10.0
    read_s: float = 5.0
    reconnect_s: float = 20.0
    latency_s: float = 0.05
    latency_frames: int = 1


class LiveCamera:
    """The newest picture of a connection, never a stale one.

    The thread takes every picture off the connection, so that nothing queues up, and decodes only what
    :meth:`read` waits for. A broken connection is opened again, with growing pauses, for ``timing.reconnect_s``.
    """

    def __init__(self, identity: str, connect: Callable[[], Connection], clock: Clock, timing: Timing) -> None:
        self._identity = identity
        self._connect = connect
        self._clock = clock
        self._timing = timing
        self._news = threading.Condition()
        self._latest: Frame | DpcamError | None = None
        self._wanted_ns: int | None = None
        self._too_early = 0
        self._broken = self._gone = ""
        self._closing = threading.Event()
        self._connection = connect()
        self._last_good_ns = clock.mono_ns()
        self._reader = threading.Thread(target=self._follow, name=f"camera {identity}", daemon=True)
        self._reader.start()

    @property
    def identity(self) -> str:
        """Scheme and address, without a password."""
        return self._identity

    @property
    def model(self) -> CameraModel | None:
        """None: such cameras do not know their intrinsics."""
        return None

    def __enter__(self) -> LiveCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> Frame:
        """The first picture taken after this call; :class:`CameraGone` after too long a silence."""
        with self._news:
            self._latest = None
            self._wanted_ns = self._clock.mono_ns() + round(self._timing.latency_s * 1e9)
            self._too_early = self._timing.latency_frames
            while self._latest is None and not self._gone and self._news.wait(self._timing.read_s):
                pass
            self._wanted_ns = None
            latest = self._latest
        if isinstance(latest, Frame):
            return latest
        raise latest or self._lost()

    def close(self) -> None:
        """Stop the thread and give the device back."""
        self._closing.set()
        self._reader.join(self._timing.open_s + self._timing.read_s)

    def _lost(self) -> CameraGone:
        silent_s = (self._clock.mono_ns() - self._last_good_ns) / 1e9
        reason = f" ({self._gone})" if self._gone else ""
        return CameraGone(
            f"{self._identity} gives no picture{reason}; the last one came {silent_s:.1f} s ago",
            hint="look at its power, cable and network, then run the same command again: it resumes",
            where=self._identity,
        )

    def _follow(self) -> None:
        try:
            while not self._closing.is_set() and (self._grabbed() or self._reconnected()):
                pass
        finally:
            self._connection.close()
            self._give_up(self._gone or "it was closed")

    def _grabbed(self) -> bool:
        """Wait for a picture and hand it out; False when the connection broke."""
        try:
            self._connection.grab()
        except CameraGone as error:
            self._connection.close()
            self._broken = error.message
            return False
        self._publish()
        return True

    def _publish(self) -> None:
        mono_ns, wall_ns = self._clock.mono_ns(), self._clock.wall_ns()
        self._last_good_ns = mono_ns
        with self._news:
            self._news.notify_all()
            if self._wanted_ns is None or mono_ns < self._wanted_ns:
                return
            self._too_early -= 1
            if self._too_early < 0:
                self._latest = self._decoded(mono_ns, wall_ns)
                self._wanted_ns = None

    def _decoded(self, mono_ns: int, wall_ns: int) -> Frame | BadImage:
        try:
            return self._connection.frame(mono_ns, wall_ns)
        except BadImage as error:
            return error

    def _reconnected(self) -> bool:
        """Open the connection again; False when it stayed away for too long, or the camera is being closed."""
        give_up_ns = self._clock.mono_ns() + round(self._timing.reconnect_s * 1e9)
        pause_s = FIRST_PAUSE_S
        while not self._closing.wait(pause_s) and self._clock.mono_ns() < give_up_ns:
            try:
                self._connection = self._connect()
            except CameraGone as error:
                self._broken = error.message
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                return True
        self._gone = self._broken
        return False

    def _give_up(self, reason: str) -> None:
        with self._news:
            self._gone = reason
            self._news.notify_all()
