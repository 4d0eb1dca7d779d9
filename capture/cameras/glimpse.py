"""Looking through a camera between its pictures, where it has no thread of its own that could do so."""

from __future__ import annotations

import threading
from collections.abc import Callable

from capture.frame import Frame

LOOK_S = 0.05
"""So long it rests after each look."""


class Glimpses:
    """A thread that looks while somebody wants to see; see :class:`capture.cameras.base.ShowingCamera`."""

    def __init__(self, peek: Callable[[], Frame], name: str) -> None:
        """``peek`` gives a picture of now, for the eye alone; it is called in the thread."""
        self._peek = peek
        self._name = name
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def show_to(self, viewer: Callable[[Frame], None], wanted: Callable[[], bool]) -> None:
        """Give ``viewer`` what is seen from now on, while it is ``wanted``; once only."""
        self._thread = threading.Thread(target=self._look, args=(viewer, wanted), name=self._name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more; safe to call twice."""
        self._closing.set()
        if self._thread:
            self._thread.join()

    def _look(self, viewer: Callable[[Frame], None], wanted: Callable[[], bool]) -> None:
        while not self._closing.wait(LOOK_S):
            if wanted():
                viewer(self._peek())
