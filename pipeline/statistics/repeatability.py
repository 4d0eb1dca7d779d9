"""How much a score moves when nothing was changed: repeats of a shot against each other, one half against the other."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.statistics.paired import Effect


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Of one arm on one kind of recognizers, over the ``cells`` that have two shots or more.

    ``halves``: every other shot against those between, as if they were two arms: an A/A comparison. ``sd_points``:
    standard deviation of the arm's rate by its repeats alone. ``limit_points``: two sessions alike differ by less in 95
    of 100 cases (ISO 5725-2). ``changed``: share of pairs of repeats to which a recognizer gave one right and one wrong
    answer. All None, with a ``reason``, when nothing was repeated.
    """

    arm: str
    held_out: bool
    cells: int
    shots: int
    halves: Effect | None
    sd_points: float | None
    limit_points: float | None
    changed: float | None
    reason: str
