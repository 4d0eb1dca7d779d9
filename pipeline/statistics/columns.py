"""Answers that are right or wrong, as columns: what all of the analysis counts in."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer: what was shown, where, who answered, and whether it was right.

    ``cluster`` names what hangs together within the cell: the shot, or the burst that it is of.
    """

    arm: str
    model: str
    held_out: bool
    cell: str
    cluster: str
    right: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """Right answers and answers ``(C,)`` of each cell (or cluster)."""

    right: NDArray[np.float64]
    n: NDArray[np.float64]

    def only(self, mask: Mask) -> Counts:
        """Of these cells."""
        return Counts(self.right[mask], self.n[mask])


@dataclass(frozen=True, slots=True)
class Columns:
    """All answers: of each the number of its arm, recognizer, cell and cluster, and whether it was right.

    Names are sorted by what they look like. A cluster belongs to one arm and one cell: ``cluster_arm``,
    ``cluster_cell``.
    """

    arms: tuple[str, ...]
    models: tuple[str, ...]
    cells: tuple[str, ...]
    arm: Codes
    model: Codes
    cell: Codes
    cluster: Codes
    right: Mask
    held_out: Mask
    cluster_arm: Codes
    cluster_cell: Codes

    @classmethod
    def of(cls, answers: Iterable[Judged]) -> Columns:
        """Columns of answers in any order."""
        every = list(answers)
        arms, arm = _coded([each.arm for each in every])
        models, model = _coded([each.model for each in every])
        cells, cell = _coded([each.cell for each in every])
        clusters, cluster = _coded([(each.arm, each.cell, each.cluster) for each in every])
        held_out = np.zeros(len(models), dtype=bool)
        held_out[model] = [each.held_out for each in every]
        arm_number = {name: number for number, name in enumerate(arms)}
        cell_number = {name: number for number, name in enumerate(cells)}
        return cls(
            arms=arms,
            models=models,
            cells=cells,
            arm=arm,
            model=model,
            cell=cell,
            cluster=cluster,
            right=np.array([each.right for each in every], dtype=bool),
            held_out=held_out,
            cluster_arm=np.array([arm_number[name] for name, _, _ in clusters], dtype=np.int64),
            cluster_cell=np.array([cell_number[name] for _, name, _ in clusters], dtype=np.int64),
        )

    def where(self, *, arm: str | None = None, model: str | None = None, held_out: bool | None = None) -> Mask:
        """Which answers are of that arm, recognizer, kind of recognizer."""
        mask = np.ones(len(self.right), dtype=bool)
        if arm is not None:
            mask &= self.arm == _place(self.arms, arm)
        if model is not None:
            mask &= self.model == _place(self.models, model)
        return mask if held_out is None else mask & (self.held_out[self.model] == held_out)

    def by_cell(self, mask: Mask) -> Counts:
        """Counts of these answers in each of ``cells``."""
        return self._counts(self.cell, mask, len(self.cells))

    def by_cluster(self, mask: Mask) -> Counts:
        """Counts of these answers in each cluster."""
        return self._counts(self.cluster, mask, len(self.cluster_arm))

    def _counts(self, codes: Codes, mask: Mask, length: int) -> Counts:
        chosen = codes[mask]
        right = self.right[mask].astype(np.float64)
        return Counts(totals(chosen, right, length), totals(chosen, np.ones_like(right), length))


def totals(codes: Codes, values: NDArray[np.float64], length: int = 0) -> NDArray[np.float64]:
    """Sum of the values of each code, from 0 to ``length`` or the largest that there is."""
    return np.asarray(np.bincount(codes, weights=values, minlength=length), dtype=np.float64)


def _coded(names: Sequence[Hashable]) -> tuple[tuple, Codes]:  # type: ignore[type-arg]
    """Distinct names, in the order that :func:`pipeline.statistics.paired.paired_effect` has, and each one's number."""
    distinct = tuple(sorted(set(names), key=repr))
    number = {name: place for place, name in enumerate(distinct)}
    return distinct, np.array([number[name] for name in names], dtype=np.int64)


def _place(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1
