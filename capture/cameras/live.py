"""Live cameras: a thread that always holds the newest picture of a connection that may break."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from calibration.camera import CameraModel
from calibration.errors import BadImage, BadInput, CameraGone, DpcamError
from capture.cameras.settings import Ability, Adjustable, Setting, apply_settings, with_asked
from capture.cameras.watch import Arrived, BackOff, CameraEvent, Fault, Kind, Pace, Timing, Watchdog
from capture.frame import Clock, Frame

Answer = TypeVar("Answer")
SHOW_NS = 50_000_000
"""A picture is decoded for the eye alone at most so often."""

AFTER_SHOW_NS = 10_000_000
"""So long nothing is decoded for the eye after the last was: what had queued up is passed over."""


class Connection(Arrived, Protocol):
    """An open device or stream, used by one thread only; one with settings is :class:`Adjustable`, too."""

    def grab(self) -> None:
        """Wait until the next picture has arrived; :class:`CameraGone` when none will."""
        ...

    def close(self) -> None:
        """Give the device back; safe to call twice."""
        ...


class LiveCamera:
    """The newest picture of a connection, never a stale one.

    The thread takes every picture off the connection, so that nothing queues up, and looks only at what :meth:`read`
    waits for. A connection that breaks, stalls, freezes, tears its pictures or changes their size is opened again, with
    growing pauses, until ``timing.reconnect_s`` has passed for somebody who waits. ``settings`` are set and read back
    each time that it is opened (:class:`calibration.errors.BadConfig` when they are not taken).
    """

    def __init__(
        self,
        identity: str,
        connect: Callable[[], Connection],
        clock: Clock,
        timing: Timing,
        settings: Mapping[str, Setting] | None = None,
        warning: str = "",
    ) -> None:
        self._identity = identity
        self._connect = connect
        self._clock = clock
        self._timing = timing
        self._asked = dict(settings or {})
        self._watchdog = Watchdog(identity, timing, clock)
        self._pace = Pace(timing.late_s)
        self._back_off = BackOff()
        self._news = threading.Condition()
        self._events: list[CameraEvent] = []
        self._listener: Callable[[CameraEvent], None] | None = None
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[Connection], Any]]] = SimpleQueue()
        self._latest: Frame | None = None
        self._called_ns: int | None = None
        self._too_early = self._unsettled = 0
        self._trouble_ns: int | None = None
        self._broken = self._gone = ""
        self._viewer: Callable[[Frame], None] = lambda _: None
        self._wanted: Callable[[], bool] = lambda: False
        self._show_ns = self._shown_ns = 0
        self._closing = threading.Event()
        if warning:
            self._tell("warning", warning)
        self._connection = self._connected()
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

    @property
    def arrived(self) -> int:
        """How many pictures have come so far, wanted or not."""
        return self._pace.arrived

    def __enter__(self) -> LiveCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def report_to(self, listener: Callable[[CameraEvent], None]) -> None:
        """Tell ``listener`` what happens to the camera, and what has happened so far.

        It is called by :meth:`read`, in the thread of that, also while that waits.
        """
        self._listener = listener
        self._deliver()

    def show_to(self, viewer: Callable[[Frame], None], wanted: Callable[[], bool]) -> None:
        """Let ``viewer`` see pictures that nobody takes, while they are ``wanted``."""
        self._viewer, self._wanted = viewer, wanted

    def read(self) -> Frame:
        """The first good picture taken after this call; :class:`CameraGone` when none comes."""
        ceiling_s = self._timing.latency_s + self._timing.read_s + self._timing.reconnect_s + self._timing.open_s
        now_ns = self._clock.mono_ns()
        with self._news:
            self._latest = None
            self._called_ns = now_ns
            self._too_early = self._timing.latency_frames
        try:
            return self._awaited(now_ns + round(ceiling_s * 1e9))
        finally:
            self._called_ns = None
            self._deliver()

    def abilities(self) -> tuple[Ability, ...]:
        """What can be set, with the values of now; nothing for streams."""
        return self._on_thread(lambda device: device.abilities() if isinstance(device, Adjustable) else ())

    def adjust(self, asked: Mapping[str, Setting]) -> None:
        """Set more settings; :class:`calibration.errors.BadConfig` when the camera does not take them."""
        self._on_thread(lambda device: self._adjusted(device, asked))

    def close(self) -> None:
        """Stop the thread and give the device back."""
        self._closing.set()
        self._reader.join(self._timing.open_s + self._timing.read_s)

    # In the caller's thread

    def _awaited(self, end_ns: int) -> Frame:
        while not (self._latest or self._gone) and (left_ns := end_ns - self._clock.mono_ns()) > 0:
            self._deliver()
            with self._news:
                if not (self._latest or self._gone or (self._events and self._listener)):
                    self._news.wait(left_ns / 1e9)
        if self._latest:
            return self._latest
        raise self._lost()

    def _deliver(self) -> None:
        if self._listener is None:
            return
        with self._news:
            events, self._events = self._events, []
        for event in events:
            self._listener(event)

    def _on_thread(self, job: Callable[[Connection], Answer]) -> Answer:
        """Let the thread that owns the connection do something."""
        future: Future[Answer] = Future()
        self._jobs.put((future, job))
        if self._gone:
            raise self._lost()
        try:
            return future.result(self._timing.read_s + self._timing.open_s)
        except TimeoutError as error:
            raise self._lost() from error

    def _lost(self) -> CameraGone:
        reason = f" ({self._gone or self._broken})" if self._gone or self._broken else ""
        return CameraGone(
            f"{self._identity} gives no picture{reason}; {self._watchdog.last_good}",
            hint="look at its power, cable and network, then run the same command again: it resumes",
            where=self._identity,
        )

    # In the camera's thread

    def _follow(self) -> None:
        try:
            while not self._closing.is_set() and (self._served() or self._reconnected()):
                pass
        finally:
            self._connection.close()
            self._give_up(self._gone or "it was closed")

    def _connected(self) -> Connection:
        connection = self._connect()
        try:
            self._adjusted(connection, self._asked)
        except DpcamError:
            connection.close()
            raise
        return connection

    def _adjusted(self, device: Connection, asked: Mapping[str, Setting]) -> None:
        if not asked:
            return
        self._watchdog.expect_any_size()
        self._unsettled = self._timing.settle_frames
        apply_settings(device, asked, self._identity)
        self._asked = {**self._asked, **asked}

    def _served(self) -> bool:
        """Take one picture off the connection; False when that is to be opened again."""
        try:
            self._do_jobs()
            self._connection.grab()
        except CameraGone as error:
            return self._fail("lost", error.message)
        mono_ns, wall_ns = self._clock.mono_ns(), self._clock.wall_ns()
        if (late_s := self._pace.arrive(mono_ns)) and self._called_ns is not None:
            self._tell("late", f"{self._identity}: a picture came {late_s:.1f} s after the one before")
        if not self._is_looked_at(mono_ns):
            if self._called_ns is None:
                self._watchdog.passed(mono_ns, wall_ns)
                self._show(mono_ns, wall_ns)
            return True
        found = self._watchdog.judge(self._connection, mono_ns, wall_ns)
        return self._refused(found) if isinstance(found, Fault) else self._published(found)

    def _do_jobs(self) -> None:
        while not self._jobs.empty():
            future, job = self._jobs.get()
            try:
                future.set_result(job(self._connection))
            except DpcamError as error:
                future.set_exception(error)

    def _is_looked_at(self, mono_ns: int) -> bool:
        """Whether this picture matters: somebody waits for it, or it may be the end of a trouble."""
        if self._unsettled > 0:
            self._unsettled -= 1
            return False
        called_ns = self._called_ns
        # While a picture was decoded for the eye others may have queued up: they are no newer than that.
        if called_ns is None or mono_ns < max(called_ns, self._shown_ns) + round(self._timing.latency_s * 1e9):
            return self._trouble_ns is not None
        self._too_early -= 1
        if self._too_early < 0 or self._trouble_ns is not None:
            return True
        if self._too_early == 0:
            self._watchdog.glance(self._connection)
        return False

    def _show(self, mono_ns: int, wall_ns: int) -> None:
        """For the eye: a damaged picture is not shown, and says nothing of the camera that a read would not say."""
        due_ns = max(self._show_ns + SHOW_NS, self._shown_ns + AFTER_SHOW_NS)
        if mono_ns < due_ns or not self._wanted():
            return
        self._show_ns = mono_ns
        with suppress(BadImage):
            self._viewer(self._connection.frame(mono_ns, wall_ns))
        self._shown_ns = self._clock.mono_ns()

    def _refused(self, fault: Fault) -> bool:
        if fault.broken and fault.kind:
            return self._fail(fault.kind, fault.text)
        if fault.kind:
            self._tell(fault.kind, f"{fault.text}; {self._watchdog.last_good}")
        return True

    def _published(self, frame: Frame) -> bool:
        self._trouble_ns = None
        self._broken = ""
        self._back_off.reset()
        with self._news:
            if self._called_ns is not None and self._too_early < 0:
                self._latest = replace(frame, settings=with_asked(frame.settings, self._asked))
                self._called_ns = None
                self._news.notify_all()
        return True

    def _fail(self, kind: Kind, why: str) -> bool:
        self._connection.close()
        self._pace.interrupt()
        self._broken = why
        if self._trouble_ns is None or self._called_ns is not None:
            self._tell(kind, f"{why}; {self._watchdog.last_good}")
        self._trouble_ns = self._trouble_ns or self._clock.mono_ns()
        return False

    def _reconnected(self) -> bool:
        """Open the connection again; False when somebody has waited for too long, or the camera is being closed."""
        attempts = 0
        while not self._closing.wait(self._back_off.next_s()):
            if self._waited_too_long():
                self._gone = self._broken
                return False
            attempts += 1
            try:
                self._connection = self._connected()
            except (CameraGone, BadInput) as error:
                self._broken = error.message
                if self._called_ns is not None:
                    self._tell("attempt", f"attempt {attempts}: {error.message}; {self._watchdog.last_good}")
            else:
                self._tell("back", f"{self._identity} answers again, at attempt {attempts}; {self._watchdog.last_good}")
                return True
        return False

    def _waited_too_long(self) -> bool:
        called_ns = self._called_ns
        if called_ns is None or self._trouble_ns is None:
            return False
        return self._clock.mono_ns() > max(called_ns, self._trouble_ns) + round(self._timing.reconnect_s * 1e9)

    def _tell(self, kind: Kind, text: str) -> None:
        with self._news:
            self._events.append(CameraEvent(kind, text, self._clock.wall_ns()))
            self._news.notify_all()

    def _give_up(self, reason: str) -> None:
        with self._news:
            self._gone = reason
            self._news.notify_all()
