"""Whether an effect grows or falls with distance and angle: a logistic model with errors by cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.statistics.paired import Effect

Factor = Literal["distance", "angle"]


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the camera stood in a cell: its distance, and the angle between its axis and the sheet's normal."""

    distance_mm: float
    angle_deg: float


@dataclass(frozen=True, slots=True)
class Slope:
    """The interaction of arm and factor: by how much the arm's log odds ratio changes ``per`` so much of the factor.

    ``p_adjusted`` is Holm's over the factors. All numbers are None, with a ``reason``, when the data hold no answer.
    """

    factor: Factor
    per: str
    log_odds: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_adjusted: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Level:
    """The effect at one distance, or at one angle: over the cells that have it. ``value`` is in mm, or degrees."""

    factor: Factor
    value: float
    effect: Effect


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """The rule's comparison on the held-out recognizers, by distance and by angle."""

    arm: str
    baseline: str
    slopes: tuple[Slope, ...]
    levels: tuple[Level, ...]
