"""The plan: a randomized list of shots, frozen data that one iterates. :mod:`capture.planning` makes it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, model_validator

from calibration.files import Document
from calibration.geometry import View

DistanceMm = Annotated[float, Field(gt=0, le=100_000)]
TiltDeg = Annotated[float, Field(ge=-89, le=89)]


class Condition(Document):
    """What the rig sets or the operator arranges for a shot.

    Distance is from the camera to the target's center; angles as in :class:`calibration.geometry.View`. ``light`` is a
    named lighting (the simulator knows its own names); ``extra`` holds anything else that a rig understands.
    """

    distance_mm: DistanceMm
    yaw_deg: TiltDeg = 0.0
    pitch_deg: TiltDeg = 0.0
    roll_deg: float = Field(default=0.0, ge=-180, le=180)
    light: str = "day"
    extra: dict[str, float | str] = Field(default_factory=dict)

    @property
    def view(self) -> View:
        """Distance and angles."""
        return View(self.distance_mm, self.yaw_deg, self.pitch_deg, self.roll_deg)


OWN_FACTORS = ("distance_mm", "yaw_deg", "pitch_deg", "roll_deg", "light")
"""What every condition has; everything else is in its ``extra``."""


class Shot(Document):
    """One entry of the plan: which arm's sheet is up, under which condition, which repeat."""

    index: int = Field(ge=0)
    arm: str
    sheet: str
    condition: Condition
    repeat: int = Field(default=0, ge=0)


class Part(Document):
    """What was planned at one time: each of these arms under each of these conditions, ``repeats`` times.

    ``seed`` and ``block`` (factors, the outermost first) made the order; ``shots`` is how many there are.
    """

    seed: int
    repeats: int = Field(ge=1)
    block: tuple[str, ...] = ("repeat",)
    arms: tuple[str, ...] = Field(min_length=1)
    conditions: tuple[Condition, ...] = Field(min_length=1)
    shots: int = Field(ge=1)


class Plan(Document):
    """All shots in the order they are taken, and the rule by which the result will be judged, stated beforehand.

    ``parts`` says what the shots were made from: the plan as it was first, then each extension. The shots of a plan
    count from 0; those of a stretch of it, which a session of its own takes, go on from where the stretch begins.
    """

    format: Literal["dpcam.plan"] = "dpcam.plan"
    version: Literal[1] = 1
    seed: int
    target: str
    primary_arm: str
    baseline_arm: str = "bare"
    alpha: float = Field(default=0.05, gt=0, lt=1)
    min_effect_points: float = Field(default=0.0, ge=0)
    parts: tuple[Part, ...] = ()
    shots: tuple[Shot, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _indices_count_up(self) -> Plan:
        if [shot.index for shot in self.shots] != list(range(self.first, self.end)):
            raise ValueError("shots must be numbered 0, 1, 2, ... in their order")
        return self

    @model_validator(mode="after")
    def _parts_tell_the_shots(self) -> Plan:
        ends = list(itertools.accumulate(part.shots for part in self.parts))
        if self.first not in (0, *ends[:-1]):
            raise ValueError("shots must be numbered 0, 1, 2, ... in their order")
        if ends and ends[-1] != self.end:
            raise ValueError(f"the parts have {ends[-1]} shots, the plan has {self.end}")
        for number, (part, end) in enumerate(zip(self.parts, ends, strict=True)):
            shots = self.shots[max(end - part.shots - self.first, 0) : max(end - self.first, 0)]
            if shots and _counts(part) != Counter(_key(shot.arm, shot.condition) for shot in shots):
                raise ValueError(f"the shots of part {number} are not those that its arms, conditions and repeats make")
        return self

    @property
    def first(self) -> int:
        """Number of the first shot: 0 but for a stretch of a plan."""
        return self.shots[0].index

    @property
    def end(self) -> int:
        """One more than the number of the last shot."""
        return self.first + len(self.shots)

    @property
    def arms(self) -> list[str]:
        """Arm names in order of first appearance in sorted order."""
        return sorted({shot.arm for shot in self.shots})

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The different conditions, in the order in which they were planned."""
        planned = [condition for part in self.parts for condition in part.conditions]
        shots = [shot.condition for shot in self.shots]
        return tuple({condition.model_dump_json(): condition for condition in planned or shots}.values())

    def shot(self, number: int) -> Shot | None:
        """The shot of that number, None when it is not in this plan."""
        return self.shots[number - self.first] if self.first <= number < self.end else None

    def holds(self, other: Plan) -> bool:
        """Whether ``other`` is this plan, this plan before it was extended, or one or some of its parts.

        Then it has the same rule and the same shots under the same numbers.
        """
        borders = {self.first, self.end, 0, *itertools.accumulate(part.shots for part in self.parts)}
        if not self.first <= other.first < other.end <= self.end or not {other.first, other.end} <= borders:
            return False
        start = other.first - self.first
        return _rule(self) == _rule(other) and self.shots[start : start + len(other.shots)] == other.shots

    def since(self, number: int) -> Plan:
        """The stretch from shot ``number`` on."""
        return self.model_copy(update={"shots": self.shots[number - self.first :]})


def _counts(part: Part) -> Counter[tuple[str, str]]:
    return Counter({_key(arm, condition): part.repeats for arm in part.arms for condition in part.conditions})


def _key(arm: str, condition: Condition) -> tuple[str, str]:
    return arm, condition.model_dump_json()


def _rule(plan: Plan) -> tuple[object, ...]:
    return plan.seed, plan.target, plan.primary_arm, plan.baseline_arm, plan.alpha, plan.min_effect_points
