"""The smallest effect that a session like the captured one would have shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detectable:
    """``points``: the true effect that gives PASS in a share ``power`` of sessions as variable as this one; None: none.

    ``error_points`` is the standard error of the effect, ``reason`` says why there are no points, or what to heed.
    """

    points: float | None
    power: float
    error_points: float | None
    cells: int
    reason: str
