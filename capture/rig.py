"""Who arranges the scene for a shot: the simulator, an operator, or nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from calibration.errors import BadInput, NotReady
from calibration.sheet import Sheet
from capture.cameras.base import StagedCamera
from capture.plan import Condition, Shot


@dataclass(frozen=True, slots=True)
class Settled:
    """The scene stands as the shot wants it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """This shot cannot be arranged; the capture goes on with the next."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Whoever arranges the scene wants no more shots now."""

    reason: str


Prepared = Settled | Failed | Ended


class Rig(Protocol):
    """Arranges the scene for one shot after the other."""

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """Put ``sheet`` under the condition of ``shot`` and wait until nothing moves."""
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


class OperatorRig:
    """A person arranges the scene. ``ask`` shows a line and returns the answer."""

    def __init__(self, ask: Callable[[str], str]) -> None:
        self._ask = ask

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """Say what to arrange and wait for the word; Enter: it stands, ``s``: skip this shot, ``q``: stop here.

        :class:`NotReady` when nobody answers (the input has ended).
        """
        question = f"shot {shot.index}: {shot.arm} (sheet {sheet.id}) {in_words(shot.condition)}"
        try:
            answer = self._ask(f"{question} [Enter: ready, s: skip, q: stop] ").strip().lower()
        except EOFError as error:
            raise NotReady(
                f"nobody answers for shot {shot.index}: the input has ended", hint="run it in a terminal"
            ) from error
        return self._meant(answer) or self.prepare(shot, sheet)

    @staticmethod
    def _meant(answer: str) -> Prepared | None:
        known: dict[str, Prepared] = {"": Settled(), "s": Failed("skipped by the operator"), "q": Ended("operator")}
        return known.get(answer)


def in_words(condition: Condition) -> str:
    """A condition as an operator reads it: ``at 2.50 m, yaw +30°, light dusk``; angles of zero are left out."""
    angles = {"yaw": condition.yaw_deg, "pitch": condition.pitch_deg, "roll": condition.roll_deg}
    parts = [f"at {condition.distance_mm / 1000:.2f} m"]
    parts += [f"{name} {angle:+g}°" for name, angle in angles.items() if angle]
    parts += [f"light {condition.light}"]
    parts += [f"{name} {value}" for name, value in condition.extra.items()]
    return ", ".join(parts)
