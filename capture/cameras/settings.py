"""Settings of a camera: asked for by name, set, read back; what the camera has not taken is an error, not a guess."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

from calibration.errors import BadConfig

Setting = str | int | float

ASKED = "asked_"
"""What stands before the name of a setting that was asked for, beside what the camera reports under the name."""

TOLERANCE = 2e-3
"""Share by which a number that is read back may differ: 29.97 for 30 frames/s, exposures in the camera's own steps."""

_NUMBER = re.compile(r"(?:f/)?([0-9.]+(?:/[0-9.]+)?|-[0-9.]+)\s*s?")


@dataclass(frozen=True, slots=True)
class Ability:
    """A setting that can be set. ``choices``, or ``low`` to ``high``: what it takes, as far as the camera says."""

    name: str
    value: Setting
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def accepted(self) -> str:
        """What it takes, in words; empty when the camera does not say."""
        if self.choices:
            return ", ".join(self.choices)
        return f"{self.low:g} to {self.high:g}" if self.low is not None and self.high is not None else ""


@runtime_checkable
class Adjustable(Protocol):
    """Something with settings: an open device."""

    def abilities(self) -> tuple[Ability, ...]:
        """What can be set, with the values that the device reports now."""
        ...

    def set_value(self, name: str, value: Setting) -> None:
        """Ask the device for a value; whether it took it is seen by :meth:`abilities` only."""
        ...


def apply_settings(device: object, asked: Mapping[str, Setting], name: str) -> None:
    """Set all of ``asked`` and read them back; ``name`` is the camera's.

    :class:`BadConfig` names the setting that the device does not know, or the value that it did not take, what it has
    instead, and what it accepts.
    """
    if not asked:
        return
    if not isinstance(device, Adjustable):
        raise no_settings(name, asked)
    known = {ability.name: ability for ability in device.abilities()}
    for key in asked:
        if key not in known:
            raise _unknown(key, list(known), name)
    for key in sorted(asked, key=lambda key: not key.startswith("auto")):
        # What works automatically does not take values: the automatic is switched off first.
        device.set_value(key, asked[key])
    for ability in device.abilities():
        if ability.name in asked and not same_value(asked[ability.name], ability.value):
            raise not_taken(name, ability, asked[ability.name])


def no_settings(name: str, asked: Iterable[str]) -> BadConfig:
    """The error for settings that are asked of a camera that has none."""
    return BadConfig(
        f"{name} takes no settings from here, asked for: {', '.join(asked)}",
        hint="set them on the camera itself, and leave camera.settings empty",
        where="camera.settings",
    )


def not_taken(name: str, ability: Ability, asked: Setting) -> BadConfig:
    """The error for a value that a camera did not take."""
    accepted = f"; accepted: {ability.accepted}" if ability.accepted else ""
    return BadConfig(
        f"{name} does not take {ability.name} = {asked!r}, it has {ability.value!r}{accepted}",
        hint="choose a value that it has, or switch its automatic off",
        where="camera.settings",
    )


def _unknown(key: str, known: list[str], name: str) -> BadConfig:
    near = difflib.get_close_matches(key, known, n=1)
    return BadConfig(
        f"{name} has no setting {key!r}; it has {', '.join(known)}",
        hint=f"did you mean {near[0]!r}?" if near else "dpcam camera check shows all of them",
        where="camera.settings",
    )


def with_asked(reported: Mapping[str, Setting], asked: Mapping[str, Setting]) -> dict[str, Setting]:
    """What a frame says of its settings: what the camera reports, and beside it what was asked."""
    return {**reported, **{ASKED + name: value for name, value in asked.items()}}


def same_value(one: Setting, other: Setting) -> bool:
    """Whether two values mean the same: ``400`` and ``"400"``, ``"1/100"`` and ``"0.0100s"``, 5.6 and ``"f/5.6"``."""
    first, second = number_of(one), number_of(other)
    if first is not None and second is not None:
        return math.isclose(first, second, rel_tol=TOLERANCE, abs_tol=1e-9)
    return str(one).strip().casefold() == str(other).strip().casefold()


def number_of(value: Setting) -> float | None:
    """A value as a number; None for words."""
    if not isinstance(value, str):
        return float(value)
    match = _NUMBER.fullmatch(value.strip())
    try:
        return float(Fraction(match[1])) if match and "/" in match[1] else float(match[1]) if match else None
    except (ValueError, ZeroDivisionError):
        return None
