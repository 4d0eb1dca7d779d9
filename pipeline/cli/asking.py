"""Asking whoever sits at the terminal: single keys where it is one, lines where it is a pipe or a plain connection."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.cli.output import note

if TYPE_CHECKING:
    from capture.stop import StopFlag

STEP_S = 0.1
END_OF_INPUT = b"\x04"
QUIT = "q"


class Asking:
    """Called with a question, it returns the answer; ``q`` when ``stop`` is raised meanwhile.

    The question goes to stderr: stdout is for the answer of the command alone. :class:`EOFError` when the input ends.
    """

    def __init__(self, stop: StopFlag) -> None:
        self._stop = stop
        self._unread = b""

    def __call__(self, question: str) -> str:
        """Ask; a single key is the answer in a terminal, a line elsewhere."""
        if sys.stdin is None or sys.stdin.closed:
            raise EOFError
        descriptor = sys.stdin.fileno()
        if not os.isatty(descriptor):
            _show(question)
            return self._line(descriptor)
        with _single_keys(descriptor):
            _show(question)
            answer = self._key(descriptor)
        note(answer)
        return answer

    def _key(self, descriptor: int) -> str:
        """A key as text; one that sends several bytes, such as an arrow, is no answer that anybody expects."""
        pressed = self._read(descriptor)
        if pressed is None:
            return QUIT
        if pressed[:1] == END_OF_INPUT:
            raise EOFError
        return pressed.decode("utf-8", "replace").strip()

    def _line(self, descriptor: int) -> str:
        while b"\n" not in self._unread:
            more = self._read(descriptor)
            if more is None:
                return QUIT
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _read(self, descriptor: int) -> bytes | None:
        """What is typed next, None when asked to stop."""
        while not self._stop():
            if select.select([descriptor], [], [], STEP_S)[0]:
                read = os.read(descriptor, 1024)
                if not read:
                    raise EOFError
                return read
        return None


def _show(question: str) -> None:
    sys.stderr.write(question)
    sys.stderr.flush()


@contextmanager
def _single_keys(descriptor: int) -> Iterator[None]:
    """Within: every key counts at once, without Enter; what was typed before the question is thrown away."""
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
