"""Waiting for a rig: never longer than was said, and never deaf to a request to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from capture.frame import Clock
from capture.stop import StopFlag, StopRequest, never

T = TypeVar("T")
STEP_S = 0.05
"""The longest that a request to stop goes unheard."""


class StopAsked(Exception):
    """Somebody asked for the end while a rig was waited for; a rig makes it an :class:`~capture.rigs.base.Ended`."""

    def __init__(self, request: StopRequest) -> None:
        super().__init__(request.reason)
        self.reason = request.reason


@dataclass(frozen=True, slots=True)
class Waiting:
    """Waits for things of all kinds, by the clock of the session."""

    stop: StopFlag = never
    clock: Clock = field(default_factory=Clock)

    def until(self, news: Callable[[], T | None], seconds: float) -> T | None:
        """The first that ``news`` says; None when ``seconds`` have passed. ``news`` itself waits a moment at most.

        :class:`StopAsked` when somebody asks for the end meanwhile.
        """
        end = self.clock.mono_ns() + int(seconds * 1e9)
        while True:
            if request := self.stop():
                raise StopAsked(request)
            if (found := news()) is not None:
                return found
            if self.clock.mono_ns() >= end:
                return None

    def rest(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.until(lambda: time.sleep(min(STEP_S, seconds)), seconds)
