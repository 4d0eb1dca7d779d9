"""What a rig is: whatever arranges the scene for a shot, and says when it stands, or why it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from calibration.errors import BadInput
from calibration.sheet import Sheet
from capture.cameras.base import StagedCamera
from capture.plan import Condition, Shot

Value = str | float


@dataclass(frozen=True, slots=True)
class Settled:
    """The scene stands as the shot wants it. ``reached``: what the rig says it reached, units in the names."""

    reached: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """This shot cannot be arranged; the capture goes on with the next."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Whoever arranges the scene wants no more shots now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Again:
    """The shot before is to be taken again first, or what else was asked for meanwhile."""


Prepared = Settled | Failed | Ended | Again


class Rig(Protocol):
    """Arranges the scene for one shot after the other."""

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """Put ``sheet`` under the condition of ``shot`` and wait until nothing moves.

        :class:`calibration.errors.RigGone` when the rig itself is broken: no shot is given up for that.
        """
        ...


class FixedRig:
    """Nothing is arranged: pictures that were taken in the order of the plan, or a scene that stays."""

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """Settled, always."""
        return Settled()


class StagedRig:
    """The camera arranges its own scene: the simulator, or an old session."""

    def __init__(self, camera: StagedCamera) -> None:
        self._camera = camera

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """Stage the shot; an input that the camera refuses fails this shot only."""
        try:
            self._camera.stage(shot, sheet)
        except BadInput as error:
            return Failed(error.message)
        return Settled()


class RigsInTurn:
    """Several rigs that arrange a scene together: a person changes the sheet, then a slide moves."""

    def __init__(self, *rigs: Rig) -> None:
        self._rigs = rigs

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """One after the other, up to the first that does not settle; what they reached, together."""
        reached: dict[str, Value] = {}
        for rig in self._rigs:
            prepared = rig.prepare(shot, sheet)
            if not isinstance(prepared, Settled):
                return prepared
            reached |= prepared.reached
        return Settled(reached)


def asked_of(shot: Shot) -> dict[str, Value]:
    """All that a shot asks for, by name: its condition with what is extra, its arm and its sheet."""
    condition = {name: value for name, value in shot.condition if isinstance(value, str | float | int)}
    return {**condition, **shot.condition.extra, "arm": shot.arm, "sheet": shot.sheet}


def in_words(condition: Condition) -> str:
    """A condition as an operator reads it: ``at 2.50 m, yaw +30°, light dusk``; angles of zero are left out."""
    angles = {"yaw": condition.yaw_deg, "pitch": condition.pitch_deg, "roll": condition.roll_deg}
    parts = [f"at {condition.distance_mm / 1000:.2f} m"]
    parts += [f"{name} {angle:+g}°" for name, angle in angles.items() if angle]
    parts += [f"light {condition.light}"]
    parts += [f"{name} {value}" for name, value in condition.extra.items()]
    return ", ".join(parts)
