"""How much a score moves when nothing was changed: repeats of a shot against each other, one half against the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.statistics.columns import Codes, Columns, Counts, Mask, totals
from pipeline.statistics.paired import Effect, effect_of

LIMIT = 1.96 * math.sqrt(2)
"""Two results alike differ by less than so many of their standard deviations in 95 of 100 cases (ISO 5725-6, 4.1.4)."""


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Of one arm on one kind of recognizers, over the ``cells`` that have two shots or more.

    ``halves``: every other shot against those between, as if they were two arms: an A/A comparison. ``sd_points``:
    standard deviation of the arm's rate by its repeats alone. ``limit_points``: two sessions alike differ by less in 95
    of 100 cases. ``changed``: share of pairs of repeats to which a recognizer gave one right and one wrong answer. All
    None, with a ``reason``, when nothing was repeated.
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


def repeatability(columns: Columns, arm: str, *, held_out: bool, seed: int, alpha: float = 0.05) -> Repeatability:
    """Measure it on the shots (clusters) of an arm under the same condition."""
    mask = columns.where(arm=arm, held_out=held_out)
    shots = columns.by_cluster(mask)
    per_cell = np.bincount(columns.cluster_cell[shots.n > 0], minlength=len(columns.cells))
    repeated = per_cell > 1
    taken = (shots.n > 0) & repeated[columns.cluster_cell]
    cells = int(repeated.sum())
    if not cells:
        return Repeatability(arm, held_out, 0, 0, None, None, None, None, "no shot was repeated under its condition")
    sd = math.sqrt(_variance_of_mean(columns, shots, taken))
    return Repeatability(
        arm=arm,
        held_out=held_out,
        cells=cells,
        shots=int(taken.sum()),
        halves=_halves(columns, shots, taken, seed, alpha),
        sd_points=100 * sd,
        limit_points=100 * LIMIT * sd,
        changed=_changed(columns, mask, taken),
        reason="",
    )


def _variance_of_mean(columns: Columns, shots: Counts, taken: Mask) -> float:
    """Of the mean over cells of the mean over shots, by what the shots of a cell differ."""
    cell = columns.cluster_cell[taken]
    rates = shots.right[taken] / shots.n[taken]
    count, total, square = (totals(cell, each) for each in (np.ones_like(rates), rates, rates**2))
    of = count > 1
    within = (square[of] - total[of] ** 2 / count[of]) / (count[of] - 1)
    return max(0.0, float((within / count[of]).sum()) / int(of.sum()) ** 2)


def _halves(columns: Columns, shots: Counts, taken: Mask, seed: int, alpha: float) -> Effect | None:
    """Shots count up within their cell in the order of their names."""
    places = np.flatnonzero(taken)
    ordered = places[np.argsort(columns.cluster_cell[places], kind="stable")]
    cell = columns.cluster_cell[ordered]
    number = np.arange(len(ordered)) - np.searchsorted(cell, cell)
    halves = [_in_cells(columns, shots, ordered[number % 2 == half]) for half in (0, 1)]
    return effect_of(*halves, seed=seed, alpha=alpha)


def _in_cells(columns: Columns, shots: Counts, chosen: Codes) -> Counts:
    cell, length = columns.cluster_cell[chosen], len(columns.cells)
    return Counts(*(totals(cell, each[chosen], length) for each in (shots.right, shots.n)))


def _changed(columns: Columns, mask: Mask, taken: Mask) -> float | None:
    """Over all recognizers and cells; of a burst, its share of right answers stands for it."""
    different = pairs = 0.0
    for model in np.flatnonzero(np.bincount(columns.model[mask], minlength=len(columns.models))):
        shots = columns.by_cluster(mask & (columns.model == model))
        seen = taken & (shots.n > 0)
        rates, cell = shots.right[seen] / shots.n[seen], columns.cluster_cell[seen]
        count, total, square = (totals(cell, each) for each in (np.ones_like(rates), rates, rates**2))
        different += float((total * (count - 1) - total**2 + square).sum())
        pairs += float((count * (count - 1) / 2).sum())
    return different / pairs if pairs else None
