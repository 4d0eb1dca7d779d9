"""Accuracy over distance and yaw, one map per arm, holes left as holes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from pipeline.report.content import ShotView
from pipeline.report.digest import in_order
from pipeline.score import Answer

MAX_LEVELS = 12
"""More distinct distances or angles than this are put into this many bins of equal width."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Levels of a condition: lower bounds, ascending, and what to write at each."""

    bounds: tuple[float, ...]
    labels: tuple[str, ...]

    def index(self, value: float) -> int:
        """The level that ``value`` belongs to."""
        return max(0, bisect_right(self.bounds, value) - 1)


@dataclass(frozen=True, slots=True)
class HeatCell:
    """Shots taken in a cell, and the judged answers to them."""

    shots: int = 0
    correct: int = 0
    judged: int = 0

    @property
    def state(self) -> Literal["hole", "unscored", "rate"]:
        """``hole``: no shot; ``unscored``: shots, but no judged answer; ``rate``: a number."""
        if self.judged:
            return "rate"
        return "unscored" if self.shots else "hole"

    @property
    def rate(self) -> float:
        """Share of correct answers; only where ``state`` is ``rate``."""
        return self.correct / self.judged

    @property
    def step(self) -> int:
        """Color step, 0 to 10."""
        return int(10 * self.rate + 1e-9)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One arm: cells by distance (rows) and yaw (columns)."""

    arm: str
    distances: tuple[str, ...]
    yaws: tuple[str, ...]
    cells: tuple[tuple[HeatCell, ...], ...]


def heat_maps(shots: Sequence[ShotView], answers: Iterable[Answer], held_out: bool) -> list[HeatMap]:
    """A map per arm over the recognizers of one kind; all maps have the same axes. Empty without known conditions."""
    placed = {s.name: s for s in shots if s.distance_mm is not None and s.yaw_deg is not None}
    if not placed:
        return []
    distances = make_axis([s.distance_mm for s in placed.values() if s.distance_mm is not None], " mm")
    yaws = make_axis([s.yaw_deg for s in placed.values() if s.yaw_deg is not None], "°")
    arms = in_order(shot.arm for shot in placed.values())
    counts = np.zeros((len(arms), len(distances.bounds), len(yaws.bounds), 3), dtype=int)
    where = {shot.name: _place(shot, arms, distances, yaws) for shot in placed.values()}
    for place in where.values():
        counts[place][0] += 1
    for answer in answers:
        if answer.held_out == held_out and answer.correct is not None and answer.sample in where:
            counts[where[answer.sample]] += (0, answer.correct, 1)
    return [_map(arm, distances, yaws, counts[i]) for i, arm in enumerate(arms)]


def make_axis(values: Sequence[float], unit: str) -> Axis:
    """The distinct values as levels, or equal bins when there are more than :data:`MAX_LEVELS`."""
    distinct = sorted(set(values))
    if len(distinct) <= MAX_LEVELS:
        return Axis(tuple(distinct), tuple(_number(value) + unit for value in distinct))
    edges = [float(edge) for edge in np.linspace(distinct[0], distinct[-1], MAX_LEVELS + 1)]
    labels = [f"{_number(a)} to {_number(b)}{unit}" for a, b in pairwise(edges)]
    return Axis(tuple(edges[:-1]), tuple(labels))


def _place(shot: ShotView, arms: list[str], distances: Axis, yaws: Axis) -> tuple[int, int, int]:
    return arms.index(shot.arm), distances.index(shot.distance_mm or 0.0), yaws.index(shot.yaw_deg or 0.0)


def _map(arm: str, distances: Axis, yaws: Axis, counts: np.ndarray) -> HeatMap:
    cells = tuple(tuple(HeatCell(*map(int, cell)) for cell in row) for row in counts)
    return HeatMap(arm, distances.labels, yaws.labels, cells)


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")
