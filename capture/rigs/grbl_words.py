"""What a GRBL 1.1 controller says, line by line.

Source: https://github.com/gnea/grbl/wiki/Grbl-v1.1-Interface (answers, push messages, status reports).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from capture.rigs.axes import LETTERS

ALARMS = {
    1: "hard limit reached, position lost",
    2: "target beyond the controller's own soft limits",
    3: "reset while moving, position lost",
    4: "probe not in its initial state",
    5: "probe found nothing",
    6: "reset while homing",
    7: "safety door opened while homing",
    8: "homing: pull-off did not clear the limit switch",
    9: "homing: limit switch not found",
}
ERRORS = {
    1: "a word begins with no letter",
    2: "a value is no number",
    3: "this $ command is not known",
    5: "homing is not enabled ($22)",
    8: "not possible unless idle",
    9: "locked in alarm: homing is needed",
    15: "target beyond the controller's own limits",
    20: "this G-code command is not known",
    22: "no feed rate is set",
    33: "this target is invalid",
}


@dataclass(frozen=True, slots=True)
class Ok:
    """A line was taken."""


@dataclass(frozen=True, slots=True)
class Refused:
    """``error:N``: a line was not taken."""

    number: int

    def __str__(self) -> str:
        return _explained("error", self.number, ERRORS)


@dataclass(frozen=True, slots=True)
class Alarm:
    """``ALARM:N``: the controller has stopped, and is locked."""

    number: int

    def __str__(self) -> str:
        return _explained("ALARM", self.number, ALARMS)


@dataclass(frozen=True, slots=True)
class Banner:
    """The controller has just started."""

    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """``<Idle|MPos:…|WCO:…>``. Positions by letter: of the machine, or of the work where ``is_work``.

    ``offset``: work coordinate offset, in some reports only.
    """

    state: str
    positions: Mapping[str, float]
    is_work: bool
    offset: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Remark:
    """``[MSG:…]``, and whatever is no answer: noise on the line, lines of other firmware."""

    text: str


Word = Ok | Refused | Alarm | Banner | Status | Remark
_NUMBERED = re.compile(r"(error|ALARM):(\d{1,3})")
_STATUS = re.compile(r"<([A-Za-z]+(?::\d+)?)((?:\|[^|<>]*)*)>")


def heard(line: str) -> Word:
    """The meaning of a line; damaged ones are remarks."""
    line = line.strip()
    if line == "ok":
        return Ok()
    if numbered := _NUMBERED.fullmatch(line):
        return (Alarm if numbered[1] == "ALARM" else Refused)(int(numbered[2]))
    if line.lower().startswith("grbl"):
        return Banner(line)
    return _status(line) or Remark(line)


def _status(line: str) -> Status | None:
    match = _STATUS.fullmatch(line)
    if match is None:
        return None
    fields = dict(part.split(":", 1) for part in match[2].split("|") if ":" in part)
    is_work = "WPos" in fields
    try:
        positions = _by_letter(fields["WPos" if is_work else "MPos"])
        offset = _by_letter(fields["WCO"]) if "WCO" in fields else {}
    except (KeyError, ValueError):
        return None
    return Status(match[1], positions, is_work, offset)


def _by_letter(numbers: str) -> dict[str, float]:
    values = [float(number) for number in numbers.split(",")]
    if len(values) > len(LETTERS):
        raise ValueError(numbers)
    return dict(zip(LETTERS, values, strict=False))


def _explained(kind: str, number: int, table: Mapping[int, str]) -> str:
    return f"{kind}:{number} ({table[number]})" if number in table else f"{kind}:{number}"
