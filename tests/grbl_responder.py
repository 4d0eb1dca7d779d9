"""A GRBL 1.1 controller on a pseudo-terminal, in a thread: it homes, moves, reports, and misbehaves when told to.

with responder(Habits(alarm_at=2)) as controller:
    SerialLine(controller.port, 115200)

Moves are counted from 0. Work coordinates differ from machine coordinates, and the difference is told in every third
report only, as by the real one.
"""

from __future__ import annotations

import os
import re
import select
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OFFSET = {"X": -400.0, "Y": 0.0, "Z": 0.0, "A": 15.0}
REALTIME = b"?!~\x18"


@dataclass(frozen=True)
class Habits:
    """What goes how, and at which move what goes wrong."""

    move_s: float = 0.03
    delay_s: float = 0.0
    garbage: bytes = b""
    limit_switches: bool = True
    letters: str = "XYZA"
    lies: dict[int, float] = field(default_factory=dict)
    alarm_at: int | None = None
    refuse_at: int | None = None
    lose_ok_at: int | None = None
    restart_at: int | None = None
    hang_at: int | None = None
    never_there_at: int | None = None
    damaged_reports: int = 0


class Controller:
    """``heard``: lines and real-time characters as they came, ``?`` left out."""

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self.heard: list[str] = []
        self.moves = -1
        self.unplugged = threading.Event()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._line = bytearray()
        self._at = dict.fromkeys(habits.letters, 0.0)
        self._still_at = 0.0
        self._locked = habits.limit_switches
        self._silent = False
        self._reports = 0
        self._damaged = habits.damaged_reports

    @property
    def positions(self) -> dict[str, float]:
        """Where the axes really are, in work coordinates."""
        return dict(self._at)

    def serve(self) -> None:
        while not self.unplugged.is_set():
            if select.select([self._master], [], [], 0.02)[0]:
                for byte in os.read(self._master, 1024):
                    self._take(bytes([byte]))
        for descriptor in (self._master, self._slave):
            with suppress(OSError):
                os.close(descriptor)

    def _take(self, byte: bytes) -> None:
        if byte in REALTIME:
            self._realtime(byte)
        elif byte != b"\n":
            self._line += byte
        elif line := self._line.decode().strip():
            self._line.clear()
            self.heard.append(line)
            self._obey(line)

    def _realtime(self, byte: bytes) -> None:
        if byte == b"?":
            self._report()
            return
        self.heard.append(byte.decode())
        if byte == b"\x18":
            self._reset()

    def _reset(self) -> None:
        self._silent = False
        self._line.clear()
        self._reports = 0
        if self._moving:
            self._still_at = 0.0
            self._locked = True
            self._say("ALARM:3")
        self._say("")
        self._say("Grbl 1.1h ['$' for help]")
        if self._locked:
            self._say("[MSG:'$H'|'$X' to unlock]")

    @property
    def _moving(self) -> bool:
        return time.monotonic() < self._still_at

    def _obey(self, line: str) -> None:
        if line == "$H":
            self._home()
        elif self._locked:
            self._say("error:9")
        elif line.startswith(("G0 ", "G1 ")):
            self._move(line)
        else:
            self._say("ok" if line in ("G21", "G90", "G94") else "error:20")

    def _home(self) -> None:
        if not self.habits.limit_switches:
            self._say("error:5")
            return
        time.sleep(self.habits.move_s)
        self._at = dict.fromkeys(self._at, 0.0)
        self._locked = False
        self._say("ok")

    def _move(self, line: str) -> None:
        self.moves += 1
        habits, number = self.habits, self.moves
        targets = {letter: float(value) for letter, value in re.findall(r"([XYZA])(-?[\d.]+)", line)}
        if number == habits.refuse_at or targets.keys() - self._at.keys():
            self._say("error:20")
            return
        self._at |= {letter: value + habits.lies.get(number, 0.0) for letter, value in targets.items()}
        self._still_at = time.monotonic() + (600 if number == habits.never_there_at else habits.move_s)
        self._silent = number == habits.hang_at
        if number == habits.alarm_at:
            self._locked = True
            self._still_at = 0.0
            self._say("ok")
            self._say("ALARM:1")
            self._say("[MSG:Reset to continue]")
        elif number == habits.restart_at:
            self._say("Grbl 1.1h ['$' for help]")
        elif number != habits.lose_ok_at:
            self._say("ok")

    def _report(self) -> None:
        state = "Run" if self._moving else "Alarm" if self._locked else "Idle"
        machine = {letter: at + OFFSET[letter] for letter, at in self._at.items()}
        where = ",".join(f"{at:.3f}" for at in machine.values())
        offset = "|WCO:" + ",".join(f"{OFFSET[letter]:.3f}" for letter in self._at) if self._reports % 3 == 0 else ""
        self._reports += 1
        if self._damaged:
            self._damaged -= 1
            self._reports = 0
            self._say(f"<{state}|MPos:{where[:-4]}\xfe")
            return
        self._say(f"<{state}|MPos:{where}|FS:0,0{offset}>")

    def _say(self, line: str) -> None:
        if not self._silent:
            time.sleep(self.habits.delay_s)
            os.write(self._master, self.habits.garbage + line.encode("latin-1") + b"\r\n")


@contextmanager
def responder(habits: Habits | None = None) -> Iterator[Controller]:
    """A controller that is switched on."""
    controller = Controller(habits or Habits())
    serving = threading.Thread(target=controller.serve)
    serving.start()
    try:
        yield controller
    finally:
        controller.unplugged.set()
        serving.join()
