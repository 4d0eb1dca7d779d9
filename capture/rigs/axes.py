"""Where the axes of a machine go for a shot, and how far they may go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field, model_validator

from calibration.files import Document
from capture.plan import Plan, Shot
from capture.rigs.base import Value, asked_of

LETTERS = "XYZABC"
"""In the order in which controllers report positions."""


class Axis(Document):
    """What moves an axis: its position is ``follows`` · scale + offset, or what ``positions`` says for a word.

    ``follows``: a name of the condition, what is extra in it included, or ``arm``, ``sheet``. ``low`` and ``high`` are
    the soft limits, ``tolerance`` how far off a position may be when it is read back; all in the unit of the axis.
    """

    follows: str = Field(min_length=1)
    scale: float = Field(default=1.0, allow_inf_nan=False)
    offset: float = Field(default=0.0, allow_inf_nan=False)
    positions: dict[str, float] | None = None
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    tolerance: float = Field(default=0.1, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _makes_sense(self) -> Axis:
        if self.low > self.high:
            raise ValueError(f"the soft limits are the wrong way around: low {self.low:g}, high {self.high:g}")
        if self.scale == 0:
            raise ValueError("a scale of 0 moves nothing")
        return self

    def target(self, asked: Mapping[str, Value]) -> float:
        """The position for what is asked; :class:`OutOfReach` where there is none."""
        if self.follows not in asked:
            raise OutOfReach(f"the shot does not say {self.follows}")
        position = self._position(asked[self.follows])
        if not self.low <= position <= self.high:
            raise OutOfReach(
                f"{position:g} for {self.follows} {asked[self.follows]} is beyond {self.low:g} to {self.high:g}"
            )
        return position

    def _position(self, value: Value) -> float:
        if self.positions is not None:
            if str(value) not in self.positions:
                raise OutOfReach(f"it has no position for {self.follows} {value!r}")
            return self.positions[str(value)]
        if isinstance(value, str):
            raise OutOfReach(f"{self.follows} is {value!r}, which is no number")
        return value * self.scale + self.offset

    def reached(self, position: float) -> Value:
        """What a position means; a word where the axis follows words."""
        words = self.positions
        if words is None:
            return round((position - self.offset) / self.scale, 4)
        return min(words, key=lambda word: abs(words[word] - position))


class OutOfReach(Exception):
    """A shot that the machine cannot take; nothing has moved."""


def targets_of(axes: Mapping[str, Axis], shot: Shot) -> dict[str, float]:
    """Letter → position for a shot; :class:`OutOfReach` names the axis, the position and its limits."""
    asked = asked_of(shot)
    targets = {}
    for letter, axis in axes.items():
        try:
            targets[letter] = axis.target(asked)
        except OutOfReach as error:
            raise OutOfReach(f"axis {letter}: {error}") from error
    return targets


@dataclass(frozen=True, slots=True)
class Move:
    """Where a shot would send the axes, or why not."""

    shot: int
    targets: Mapping[str, float]
    refused: str = ""

    def __str__(self) -> str:
        where = " ".join(f"{letter}{position:g}" for letter, position in self.targets.items())
        return f"shot {self.shot}: {self.refused or where}"


def moves_of(axes: Mapping[str, Axis], plan: Plan) -> list[Move]:
    """What a whole plan would move."""
    return [_move(axes, shot) for shot in plan.shots]


def _move(axes: Mapping[str, Axis], shot: Shot) -> Move:
    try:
        return Move(shot.index, targets_of(axes, shot))
    except OutOfReach as error:
        return Move(shot.index, {}, str(error))


def not_followed(axes: Mapping[str, Axis], plan: Plan) -> list[str]:
    """What differs from shot to shot, and no axis follows: somebody else has to arrange it."""
    followed = {axis.follows for axis in axes.values()}
    asked = [asked_of(shot) for shot in plan.shots]
    names = dict.fromkeys(name for each in asked for name in each)
    varied = [name for name in names if len({each.get(name) for each in asked}) > 1]
    sheet_is_up = bool({"arm", "sheet"} & followed)
    return [name for name in varied if name not in followed and not (sheet_is_up and name in ("arm", "sheet"))]
