"""Talking to a GRBL 1.1 controller: wake it, home it, move it, ask it where it is, stop it.

Source: https://github.com/gnea/grbl/wiki/Grbl-v1.1-Interface and Grbl-v1.1-Commands.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from calibration.errors import RigGone
from capture.rigs.grbl_words import Alarm, Banner, Ok, Refused, Remark, Status, Word, heard
from capture.rigs.serial_line import SerialLine
from capture.rigs.waiting import Waiting

T = TypeVar("T")
FEED_HOLD = b"!"
SOFT_RESET = b"\x18"
SLOWING_DOWN_S = 0.25
"""From feed hold to reset: a heavy slide is not stopped by its motor's teeth."""

QUIET_S = 0.1
ASKED_AGAIN = 2


class Silence(RigGone):
    """The controller did not answer in time."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a controller may take: to wake up, to answer, to end a move or homing; how often it is asked."""

    wake_s: float = 10.0
    answer_s: float = 5.0
    move_s: float = 120.0
    poll_s: float = 0.1


class Grbl:
    """A controller at the other end of ``line``. Whatever goes wrong is a :class:`RigGone` that says what.

    ``moving`` until a move is known to have ended; then :meth:`halt` is due when nobody waits for it any more.
    """

    def __init__(self, line: SerialLine, patience: Patience, waiting: Waiting) -> None:
        self.moving = False
        self._line = line
        self._patience = patience
        self._waiting = waiting
        self._remarks: deque[str] = deque(maxlen=3)
        self._offset: dict[str, float] = {}

    def wake(self) -> None:
        """Reset it, so that it says who it is, whether or not opening the port has already done so."""
        self._offset.clear()
        self._line.write(SOFT_RESET)
        self._expect(_banner, self._patience.wake_s, "no greeting", woken=True)
        if self._waiting.until(self._quiet, self._patience.wake_s) is None:
            raise RigGone(f"the controller does not stop talking{self._said()}")

    def home(self) -> None:
        """Run the homing cycle; the axes move."""
        self.moving = True
        self._command("$H", self._patience.move_s)
        self.moving = False

    def move(self, targets: Mapping[str, float], feed: float | None) -> Mapping[str, float]:
        """Go to ``targets`` (mm or degrees, work coordinates) and return where the axes are when all is still.

        ``feed``: units a minute; None: as fast as the controller goes.
        """
        for code in ("G21", "G90", "G94"):
            self._command(code, self._patience.answer_s)
        words = " ".join(f"{letter}{position:.3f}" for letter, position in targets.items())
        self.moving = True
        self._command(f"G0 {words}" if feed is None else f"G1 {words} F{feed:g}", self._patience.answer_s)
        reached = self._still()
        self.moving = False
        missing = [letter for letter in targets if letter not in reached]
        if missing:
            raise RigGone(f"the controller has no axis {missing[0]}; it reports {', '.join(reached)}")
        return reached

    def halt(self) -> None:
        """Emergency stop: feed hold, then soft reset, which loses the position. Errors are those of the line."""
        self.moving = False
        try:
            self._line.write(FEED_HOLD)
            time.sleep(SLOWING_DOWN_S)
        finally:
            self._line.write(SOFT_RESET)

    def _still(self) -> Mapping[str, float]:
        """Where it is once it has been idle at one place in two reports: the first may be from before the start."""
        reports: deque[Mapping[str, float]] = deque(maxlen=2)
        last = Status("?", {}, is_work=False)

        def stands() -> Mapping[str, float] | None:
            nonlocal last
            self._waiting.rest(self._patience.poll_s)
            last = self._status()
            if last.state != "Idle":
                reports.clear()
                return None
            reports.append(self._work(last))
            return reports[0] if len(reports) == 2 and reports[0] == reports[1] else None

        reached = self._waiting.until(stands, self._patience.move_s)
        if reached is None:
            raise RigGone(f"the move did not end within {self._patience.move_s:g} s; the controller says {last.state}")
        return reached

    def _quiet(self) -> bool | None:
        return None if self._waiting.until(self._line.line, QUIET_S) is not None else True

    def _status(self) -> Status:
        status = self._asked(ASKED_AGAIN)
        if status.state == "Alarm":
            hint = "home it (rig.serial.home), or unlock it with $X where you know its position"
            raise RigGone(f"the controller is locked in alarm{self._said()}", hint=hint)
        self._offset.update(status.offset)
        return status

    def _asked(self, again: int) -> Status:
        """A question costs nothing: a damaged report is asked for again."""
        self._line.write(b"?")
        try:
            return self._expect(_status, self._patience.answer_s / (1 + ASKED_AGAIN), "no answer to ?")
        except Silence:
            if not again:
                raise
            return self._asked(again - 1)

    def _work(self, status: Status) -> dict[str, float]:
        if status.is_work:
            return dict(status.positions)
        return {letter: round(at - self._offset.get(letter, 0.0), 4) for letter, at in status.positions.items()}

    def _command(self, text: str, seconds: float) -> None:
        self._line.write(text.encode("ascii") + b"\n")
        answer = self._expect(_answer, seconds, f"no ok to {text!r}")
        if isinstance(answer, Refused):
            raise RigGone(f"the controller refuses {text!r}: {answer}{self._said()}")

    def _expect(self, wanted: Callable[[Word], T | None], seconds: float, silence: str, *, woken: bool = False) -> T:
        """The first word that is ``wanted``; an alarm or a restart in between ends the waiting."""
        self._remarks.clear()

        def next_wanted() -> T | None:
            line = self._line.line()
            word = heard(line) if line else None
            self._refuse_trouble(word, woken)
            return wanted(word) if word else None

        found = self._waiting.until(next_wanted, seconds)
        if found is None:
            raise Silence(f"{silence} from the controller within {seconds:g} s{self._said()}")
        return found

    def _refuse_trouble(self, word: Word | None, woken: bool) -> None:
        if isinstance(word, Remark):
            self._remarks.append(word.text[:120])
        if isinstance(word, Alarm) and not woken:
            raise RigGone(f"the controller has stopped: {word}{self._said()}", hint="see what is in the way")
        if isinstance(word, Banner) and not woken:
            raise RigGone(f"the controller has restarted ({word.text}), its position is lost")

    def _said(self) -> str:
        return f"; it said {', '.join(map(repr, self._remarks))}" if self._remarks else ""


def _banner(word: Word) -> Banner | None:
    return word if isinstance(word, Banner) else None


def _status(word: Word) -> Status | None:
    return word if isinstance(word, Status) else None


def _answer(word: Word) -> Ok | Refused | None:
    return word if isinstance(word, Ok | Refused) else None
