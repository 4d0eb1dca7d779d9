"""Asking whoever sits at the terminal: single keys where it is one, lines where it is a pipe or a plain connection."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from pipeline.cli.output import note

if TYPE_CHECKING:
    from capture.stop import StopFlag

STEP_S = 0.05
END_OF_INPUT = b"\x04"
QUIT = "q"


class Asking:
    """Called with a question, it returns the answer; ``q`` when ``stop`` is raised meanwhile.

    The question goes to stderr: stdout is for the answer of the command alone. ``elsewhere``: what was
    answered over there, None while nothing was. :class:`EOFError` when the input ends, unless others may answer
    (``alone`` is off).
    """

    def __init__(
        self, stop: StopFlag, elsewhere: Callable[[], str | None] = lambda: None, *, alone: bool = True
    ) -> None:
        self._stop = stop
        self._elsewhere = elsewhere
        self._alone = alone
        self._deaf = False
        self._unread = b""

    def __call__(self, question: str) -> str:
        """Ask; a single key is the answer in a terminal, a line elsewhere."""
        try:
            return self._asked(question)
        except _Answered as other:
            note(f"({other.answer or 'ready'})")
            return other.answer

    def _asked(self, question: str) -> str:
        try:
            return self._here(question)
        except EOFError:
            if self._alone:
                raise
            self._deaf = True
            return self._from_elsewhere()

    def _here(self, question: str) -> str:
        if self._deaf or sys.stdin is None or sys.stdin.closed:
            if not self._alone:
                _show(question)
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

    def _from_elsewhere(self) -> NoReturn:
        """Nobody types."""
        while True:
            self._look_elsewhere()
            time.sleep(STEP_S)

    def _look_elsewhere(self) -> None:
        if self._stop():
            raise _Answered(QUIT)
        if (answer := self._elsewhere()) is not None:
            raise _Answered(answer)

    def _key(self, descriptor: int) -> str:
        """A key as text; one that sends several bytes, such as an arrow, is no answer that anybody expects."""
        pressed = self._read(descriptor)
        if pressed[:1] == END_OF_INPUT:
            raise EOFError
        return pressed.decode("utf-8", "replace").strip()

    def _line(self, descriptor: int) -> str:
        while b"\n" not in self._unread:
            self._unread += self._read(descriptor)
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _read(self, descriptor: int) -> bytes:
        """What is typed next."""
        while True:
            self._look_elsewhere()
            if select.select([descriptor], [], [], STEP_S)[0]:
                read = os.read(descriptor, 1024)
                if not read:
                    raise EOFError
                return read


class _Answered(Exception):
    """The answer came without a word here: from elsewhere, or because somebody asked for the end."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.answer = answer


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
