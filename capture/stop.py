"""Ending a capture by signal: the first is a request, the second leaves at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Somebody wants the capture to end after the current shot. ``exit_code`` is what a process ends with then."""

    reason: str
    exit_code: int = 130


StopFlag = Callable[[], StopRequest | None]


def never() -> StopRequest | None:
    """The flag that is never raised."""
    return None


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Within: SIGINT and SIGTERM raise the flag that this yields; a second one raises :class:`KeyboardInterrupt`.

    For the main thread only. The handlers that were there before come back at the end.
    """
    requests: list[StopRequest] = []

    def note(number: int, _: FrameType | None) -> None:
        if requests:
            raise KeyboardInterrupt
        requests.append(StopRequest(signal.Signals(number).name, 128 + number))

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: requests[0] if requests else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
