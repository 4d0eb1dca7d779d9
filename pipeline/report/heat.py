"""Accuracy over distance and yaw, a map for each arm and recognizer, holes left as holes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.report.content import ShotView
from pipeline.report.digest import in_order
from pipeline.report.hearing import Heard

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


@dataclass(frozen=True, slots=True)
class MapSet:
    """A map for each arm, of one recognizer, or of all of a kind together (``recognizer`` is empty)."""

    recognizer: str
    held_out: bool
    maps: tuple[HeatMap, ...]


def heat_maps(shots: Sequence[ShotView], heard: Heard) -> list[MapSet]:
    """Maps of the held-out recognizers together (of the surrogates, where none is held out), then of each recognizer.

    All maps have the same axes. Empty without known conditions, or without judged answers.
    """
    placed = [shot for shot in shots if shot.distance_mm is not None and shot.yaw_deg is not None]
    models = sorted({(not said.held_out, said.model) for _, said in heard.said})
    if not placed or not models:
        return []
    distances = make_axis([shot.distance_mm for shot in placed if shot.distance_mm is not None], " mm")
    yaws = make_axis([shot.yaw_deg for shot in placed if shot.yaw_deg is not None], "°")
    arms = in_order(shot.arm for shot in placed)
    taken = np.zeros((len(arms), len(distances.bounds), len(yaws.bounds)), dtype=int)
    judged = np.zeros((len(models), *taken.shape, 2), dtype=int)
    number = {model: i for i, model in enumerate(models)}
    for shot in placed:
        place = _place(shot, arms, distances, yaws)
        taken[place] += 1
        for said in heard.shots[shot.name].said if shot.name in heard.shots else ():
            judged[(number[not said.held_out, said.model], *place)] += (said.correct, 1)

    def maps(counts: NDArray[np.int_]) -> tuple[HeatMap, ...]:
        return tuple(_map(arm, distances, yaws, taken[i], counts[i]) for i, arm in enumerate(arms))

    together = [i for i, (surrogate, _) in enumerate(models) if surrogate == models[0][0]]
    return [
        MapSet("", not models[0][0], maps(judged[together].sum(axis=0))),
        *(MapSet(model, not surrogate, maps(judged[i])) for i, (surrogate, model) in enumerate(models)),
    ]


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


def _map(arm: str, distances: Axis, yaws: Axis, taken: NDArray[np.int_], judged: NDArray[np.int_]) -> HeatMap:
    cells = tuple(
        tuple(HeatCell(int(shots), int(correct), int(count)) for shots, (correct, count) in zip(*row, strict=True))
        for row in zip(taken, judged, strict=True)
    )
    return HeatMap(arm, distances.labels, yaws.labels, cells)


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")
