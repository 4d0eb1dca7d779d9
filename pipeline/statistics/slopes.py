"""Whether an effect grows or falls with distance and angle: a logistic model with errors by cluster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline.statistics.columns import Columns, totals
from pipeline.statistics.contrasts import holm
from pipeline.statistics.intervals import Floats
from pipeline.statistics.paired import Effect, effect_of

Factor = Literal["distance", "angle"]
FACTORS: tuple[Factor, ...] = ("distance", "angle")
PER: Mapping[Factor, str] = {"distance": "doubling of the distance", "angle": "10 degrees"}
MIN_CELLS = 10
"""Errors by cluster rest on the number of clusters; of fewer they are far too small."""
MAX_LEVELS = 12
RECOGNIZER = "recognizer "


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the camera stood in a cell: its distance, and the angle between its axis and the sheet's normal."""

    distance_mm: float
    angle_deg: float

    @classmethod
    def of(cls, distance_mm: float, yaw_deg: float, pitch_deg: float) -> Setting:
        """From yaw and pitch."""
        straight = math.cos(math.radians(yaw_deg)) * math.cos(math.radians(pitch_deg))
        return cls(distance_mm, round(math.degrees(math.acos(min(1.0, straight))), 3))

    def value(self, factor: Factor) -> float:
        """In mm, or degrees."""
        return self.distance_mm if factor == "distance" else self.angle_deg

    def step(self, factor: Factor) -> float:
        """In the units of :data:`PER`."""
        return math.log2(self.distance_mm) if factor == "distance" else self.angle_deg / 10


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


@dataclass(frozen=True, slots=True)
class _Rows:
    """Right and wrong answers ``(R,)`` of each (cell, arm, recognizer), with ``(R, K)`` regressors of these names."""

    right: Floats
    wrong: Floats
    regressors: Floats
    names: tuple[str, ...]
    cell: np.ndarray


def heterogeneity(
    columns: Columns, arm: str, baseline: str, settings: Mapping[str, Setting], *, seed: int, alpha: float = 0.05
) -> Heterogeneity:
    """Arm against baseline on the held-out recognizers, in the cells whose setting is known."""
    levels = tuple(
        level for factor in FACTORS for level in _levels(columns, (arm, baseline), settings, factor, seed, alpha)
    )
    return Heterogeneity(arm, baseline, _slopes(columns, (arm, baseline), settings, alpha), levels)


def _levels(
    columns: Columns, arms: tuple[str, str], settings: Mapping[str, Setting], factor: Factor, seed: int, alpha: float
) -> list[Level]:
    """The effect at each value that there is; none where there is but one, or no two cells share any."""
    values = np.array([settings[c].value(factor) if c in settings else np.nan for c in columns.cells])
    distinct = [float(each) for each in np.unique(values[~np.isnan(values)])]
    if not 1 < len(distinct) <= MAX_LEVELS:
        return []
    counts = [columns.by_cell(columns.where(arm=each, held_out=True)) for each in arms]
    effects = [
        (value, effect_of(*(each.only(values == value) for each in counts), seed=seed, alpha=alpha))
        for value in distinct
    ]
    return [Level(factor, value, effect) for value, effect in effects if effect]


def _slopes(
    columns: Columns, arms: tuple[str, str], settings: Mapping[str, Setting], alpha: float
) -> tuple[Slope, ...]:
    rows = _rows(columns, arms, settings)
    reason = _refused(rows)
    if reason:
        return tuple(_unknown(factor, reason) for factor in FACTORS)
    found = _fitted(rows, alpha)
    known = [factor for factor in FACTORS if factor in found]
    adjusted = dict(zip(known, holm([found[each].p_value or 0.0 for each in known]), strict=True))
    missing = "it was the same under all conditions"
    return tuple(
        replace(found[each], p_adjusted=adjusted[each]) if each in found else _unknown(each, missing)
        for each in FACTORS
    )


def _rows(columns: Columns, arms: tuple[str, str], settings: Mapping[str, Setting]) -> _Rows:
    """Answers to both arms of held-out recognizers; factors that do not vary are left out."""
    known = np.array([cell in settings for cell in columns.cells], dtype=bool)
    mask = columns.where(held_out=True) & known[columns.cell]
    numbers = [columns.arms.index(each) if each in columns.arms else -1 for each in arms]
    mask &= np.isin(columns.arm, numbers)
    key = np.stack([columns.cell[mask], columns.arm[mask] == numbers[0], columns.model[mask]], axis=1)
    groups, place = np.unique(key, axis=0, return_inverse=True)
    answered = columns.right[mask].astype(np.float64)
    right, wrong = (totals(place.ravel(), each, len(groups)) for each in (answered, 1 - answered))
    names, regressors = _regressors(groups, columns, settings)
    return _Rows(right, wrong, regressors, names, groups[:, 0])


def _regressors(
    groups: np.ndarray, columns: Columns, settings: Mapping[str, Setting]
) -> tuple[tuple[str, ...], Floats]:
    """Intercept, arm, factors about their mean, arm x factors, and a column for each further recognizer."""
    treated = groups[:, 1].astype(np.float64)
    found: dict[str, Floats] = {"": np.ones(len(groups)), "arm": treated}
    for factor in FACTORS:
        steps = np.array([settings[columns.cells[cell]].step(factor) for cell in groups[:, 0]], dtype=np.float64)
        if len(steps) and np.ptp(steps) > 0:
            found[f"{factor} alone"] = steps - steps.mean()
            found[factor] = treated * (steps - steps.mean())
    for model in np.unique(groups[:, 2])[1:]:
        found[f"{RECOGNIZER}{model}"] = (groups[:, 2] == model).astype(np.float64)
    return tuple(found), np.stack(list(found.values()), axis=1)


def _refused(rows: _Rows) -> str:
    """Why these data hold no answer; empty when they do."""
    cells = len(np.unique(rows.cell))
    if cells < MIN_CELLS:
        return f"{cells} conditions; a model with errors by condition needs {MIN_CELLS}"
    if not {"distance", "angle"} & set(rows.names):
        return "distance and angle were the same under all conditions"
    if not rows.right.any() or not rows.wrong.any():
        return f"all answers are {'right' if rows.right.any() else 'wrong'}"
    if np.linalg.matrix_rank(rows.regressors) < rows.regressors.shape[1]:
        return "arm, distance, angle and recognizer did not vary independently of each other"
    return (
        "some combination of arm, distance and angle tells right from wrong without a miss" if separated(rows) else ""
    )


def separated(rows: _Rows) -> bool:
    """Whether the likelihood has no maximum (Albert and Anderson 1984): by a linear program, as Konis (2007) does."""
    from scipy.optimize import linprog

    sides = np.concatenate([rows.regressors[rows.right > 0], -rows.regressors[rows.wrong > 0]])
    found = linprog(-sides.sum(axis=0), A_ub=-sides, b_ub=np.zeros(len(sides)), bounds=(-1, 1))
    return bool(-found.fun > 1e-6)


def _fitted(rows: _Rows, alpha: float) -> dict[Factor, Slope]:
    """A binomial regression with errors by cluster (cell).

    Of few clusters these are too sure of themselves; t has as many degrees of freedom as there are more cells than
    parameters that cells could tell (Cameron and Miller 2015, doi 10.3368/jhr.50.2.317, section VI).
    """
    from scipy.special import stdtr, stdtrit
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    model = GLM(np.stack([rows.right, rows.wrong], axis=1), rows.regressors, family=Binomial())
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": rows.cell})
    freedom = len(np.unique(rows.cell)) - sum(not name.startswith(RECOGNIZER) for name in rows.names)
    reach = float(stdtrit(freedom, 1 - alpha / 2))

    def slope(factor: Factor, place: int) -> Slope:
        at, error = float(fit.params[place]), float(fit.bse[place])
        p_value = 2 * float(stdtr(freedom, -abs(at) / error))
        return Slope(factor, PER[factor], at, at - reach * error, at + reach * error, p_value, None, "")

    return {factor: slope(factor, rows.names.index(factor)) for factor in FACTORS if factor in rows.names}


def _unknown(factor: Factor, reason: str) -> Slope:
    return Slope(factor, PER[factor], None, None, None, None, None, reason)
