"""The plan: a randomized list of shots, frozen data that one iterates."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from calibration.errors import BadConfig
from calibration.files import Document
from calibration.geometry import View

MANDATORY_ARMS = ("bare", "blank")
"""Without these two controls no effect can be told from a change of surroundings."""


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


class Shot(Document):
    """One entry of the plan: which arm's sheet is up, under which condition, which repeat."""

    index: int = Field(ge=0)
    arm: str
    sheet: str
    condition: Condition
    repeat: int = Field(default=0, ge=0)


class Plan(Document):
    """All shots in the order they are taken, and the rule by which the result will be judged, stated beforehand."""

    format: Literal["dpcam.plan"] = "dpcam.plan"
    version: Literal[1] = 1
    seed: int
    target: str
    primary_arm: str
    baseline_arm: str = "bare"
    alpha: float = Field(default=0.05, gt=0, lt=1)
    min_effect_points: float = Field(default=0.0, ge=0)
    shots: list[Shot] = Field(min_length=1)

    @model_validator(mode="after")
    def _indices_count_up(self) -> Plan:
        if [shot.index for shot in self.shots] != list(range(len(self.shots))):
            raise ValueError("shots must be numbered 0, 1, 2, ... in their order")
        return self

    @property
    def arms(self) -> list[str]:
        """Arm names in order of first appearance in sorted order."""
        return sorted({shot.arm for shot in self.shots})


def make_plan(
    *,
    target: str,
    sheets: dict[str, str],
    conditions: Sequence[Condition],
    repeats: int,
    seed: int,
    primary_arm: str,
    alpha: float = 0.05,
    min_effect_points: float = 0.0,
) -> Plan:
    """Cross arms (name → sheet id) with conditions and repeats, blocked by repeat and shuffled within the block.

    :class:`BadConfig` when a mandatory control or the primary arm has no sheet.
    """
    missing = [arm for arm in (*MANDATORY_ARMS, primary_arm) if arm not in sheets]
    if missing:
        raise BadConfig(
            f"the plan has no sheet for the arm {missing[0]!r}; it has {', '.join(sorted(sheets)) or 'none'}",
            hint=f"dpcam sheet make --arm {missing[0]}",
        )
    if not conditions or repeats < 1:
        raise BadConfig(f"a plan needs conditions and repeats of at least 1, got {len(conditions)} and {repeats}")
    order = random.Random(seed)
    shots: list[Shot] = []
    for repeat in range(repeats):
        block = [(arm, condition) for condition in conditions for arm in sorted(sheets)]
        order.shuffle(block)
        shots += [
            Shot(index=len(shots) + i, arm=arm, sheet=sheets[arm], condition=condition, repeat=repeat)
            for i, (arm, condition) in enumerate(block)
        ]
    return Plan(
        seed=seed,
        target=target,
        primary_arm=primary_arm,
        alpha=alpha,
        min_effect_points=min_effect_points,
        shots=shots,
    )
