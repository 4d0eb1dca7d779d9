"""Not believing a rig: what it says it reached is held against what was asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from calibration.errors import RigGone
from calibration.sheet import Sheet
from capture.plan import Shot
from capture.rigs.base import Failed, Prepared, Rig, Settled, Value, asked_of

RESUME = "see to the rig, then run again to resume"


class CheckedRig:
    """Another rig, held to its word.

    ``tolerances``: name → how far off a value may be, in the unit of the name; angles (``_deg``) go around. Words
    must be the same. What was not asked, or has no tolerance, is taken as it is.
    """

    def __init__(self, rig: Rig, tolerances: Mapping[str, float], *, give_up_after: int) -> None:
        self._rig = rig
        self._tolerances = tolerances
        self._give_up_after = give_up_after
        self._failures = 0

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """As the rig says, but :class:`Failed` with the numbers where it misses.

        :class:`RigGone` at the last of ``give_up_after`` failures in a row: something is broken, and the plan is not
        to be given up shot by shot.
        """
        prepared = self._checked(self._prepared(shot, sheet), shot)
        self._failures = self._failures + 1 if isinstance(prepared, Failed) else 0
        if isinstance(prepared, Failed) and self._failures >= self._give_up_after:
            raise RigGone(
                f"the rig failed {self._failures} shots in a row, at last shot {shot.index}: {prepared.reason}",
                hint=RESUME,
                where="rig.give_up_after",
            )
        return prepared

    def _prepared(self, shot: Shot, sheet: Sheet) -> Prepared:
        try:
            return self._rig.prepare(shot, sheet)
        except RigGone as error:
            raise RigGone(error.message, hint=error.hint or RESUME, where=error.where) from error

    def _checked(self, prepared: Prepared, shot: Shot) -> Prepared:
        if not isinstance(prepared, Settled):
            return prepared
        misses = list(self._misses(asked_of(shot), prepared.reached))
        return Failed("the rig missed: " + "; ".join(misses)) if misses else prepared

    def _misses(self, asked: Mapping[str, Value], reached: Mapping[str, Value]) -> Iterator[str]:
        for name in reached.keys() & asked.keys():
            want, got = asked[name], reached[name]
            if isinstance(want, str) or isinstance(got, str):
                if want != got:
                    yield f"{name} is {got}, asked for {want}"
            elif name in self._tolerances and not abs(_apart(name, want, got)) <= self._tolerances[name]:
                yield f"{name} is {got:g}, asked for {want:g} within {self._tolerances[name]:g}"


def _apart(name: str, want: float, got: float) -> float:
    return math.remainder(got - want, 360.0) if name.endswith("_deg") else got - want
