"""How alike the answers in a scored session are: what `dpcam plan power` needs to know of a rig and its recognizers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput
from capture.session import Session
from pipeline.scoring.run import plan_rule
from pipeline.scoring.score import Answer

MIN_CELLS = 4
"""Over fewer conditions a correlation is a guess."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a session's held-out recognizers show: rate of the baseline arm, correlations as in :class:`Likeness`.

    None: the session cannot tell, such as the likeness of repeats when nothing was repeated. ``cells`` conditions.
    """

    baseline_rate: float | None
    repeats: float | None
    recognizers: float | None
    arms: float | None
    pictures: float | None
    cells: int


@dataclass(frozen=True, slots=True)
class _Column:
    arm: str
    model: str
    repeat: int


def measure(session: Session, answers: Sequence[Answer]) -> Measured:
    """Measure over all conditions of a session; :class:`BadInput` when it has no plan or too few answers.

    The correlations are ratios of covariances over conditions, unbiased since each arm, recognizer and repeat has its
    own mean; those of all arms are averaged.
    """
    if session.plan is None:
        raise BadInput(f"the session {session.folder} has no plan, so its shots have no conditions")
    repeat_of = {f"{frame.index:06d}": frame.shot.repeat for frame in session.frames if frame.shot}
    held_out = [each for each in answers if each.held_out and each.correct is not None]
    baseline = [bool(each.correct) for each in held_out if each.arm == plan_rule(session.plan).baseline]
    cells = sorted({each.cell for each in held_out})
    if len(cells) < MIN_CELLS or not baseline:
        raise BadInput(
            f"the session {session.folder} has answers of held-out recognizers under {len(cells)} conditions, "
            f"{len(baseline)} of the baseline arm; at least {MIN_CELLS} conditions are needed",
            where=str(session.folder),
        )
    columns = sorted({(each.arm, each.model, repeat_of[each.sample]) for each in held_out})
    table = np.full((len(cells), len(columns)), np.nan)
    place = {column: number for number, column in enumerate(columns)}
    row = {cell: number for number, cell in enumerate(cells)}
    for each in held_out:
        table[row[each.cell], place[each.arm, each.model, repeat_of[each.sample]]] = bool(each.correct)
    covariance = _covariance(table)
    named = [_Column(*column) for column in columns]
    return Measured(
        baseline_rate=float(np.mean(baseline)),
        repeats=_ratio(covariance, named, lambda a, b: (a.arm, a.model) == (b.arm, b.model)),
        recognizers=_ratio(
            covariance, named, lambda a, b: a.arm == b.arm and a.model != b.model and a.repeat != b.repeat
        ),
        arms=_ratio(covariance, named, lambda a, b: a.arm != b.arm and a.model == b.model),
        pictures=_ratio(covariance, named, lambda a, b: (a.arm, a.repeat) == (b.arm, b.repeat) and a.model != b.model),
        cells=len(cells),
    )


def _covariance(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(K, K)`` covariances of the columns of ``(C, K)``, each over the rows where both are no NaN."""
    known = ~np.isnan(table)
    centered = np.where(known, table - np.nanmean(table, axis=0), 0.0)
    counts = known.astype(np.float64).T @ known
    return np.where(counts > 1, centered.T @ centered / np.maximum(counts - 1, 1), 0.0)


def _ratio(
    covariance: NDArray[np.float64], columns: Sequence[_Column], pair: Callable[[_Column, _Column], bool]
) -> float | None:
    """Covariances of these pairs of columns over what they would be if both were always the same; None without any."""
    deviations = np.sqrt(np.diag(covariance))
    pairs = [(i, j) for i, one in enumerate(columns) for j, other in enumerate(columns[:i]) if pair(one, other)]
    whole = sum(deviations[i] * deviations[j] for i, j in pairs)
    return float(np.clip(sum(covariance[i, j] for i, j in pairs) / whole, 0, 1)) if whole else None
