"""The smallest effect that a session like the captured one would have shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.statistics.columns import Counts
from pipeline.statistics.paired import Rule, effect_of, least_p_value

POWER = 0.8


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


def detectable(treated: Counts, baseline: Counts, rule: Rule, *, seed: int, power: float = POWER) -> Detectable:
    """From the variance between the cells of a session: by how much its differences vary, whatever their mean is.

    The power is that of a t-test over the cells, which the permutation test comes close to.
    """
    effect = effect_of(treated, baseline, seed=seed, alpha=rule.alpha, null_points=rule.min_effect_points)
    cells = effect.cells if effect else 0
    if effect is None or least_p_value(cells) >= rule.alpha:
        return Detectable(
            None, power, None, cells, f"{cells} conditions with both arms: none gives p < {rule.alpha:g}, however large"
        )
    both = (treated.n > 0) & (baseline.n > 0)
    differences = 100 * (treated.right[both] / treated.n[both] - baseline.right[both] / baseline.n[both])
    critical = _critical(cells, rule.alpha)
    error = float(differences.std(ddof=1)) / math.sqrt(cells)
    reason = ""
    if not error:
        error = (effect.high - effect.low) / (2 * critical)
        reason = "no condition differs from another: the error is that of the interval"
    points = rule.min_effect_points + error * _noncentrality(cells, critical, power)
    room = 100 - 100 * float(np.mean(baseline.right[both] / baseline.n[both]))
    if points > room:
        reason = f"the baseline leaves {room:.0f} points to gain: no arm can show so large an effect"
    return Detectable(points, power, error, cells, reason)


def _critical(cells: int, alpha: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(cells - 1, 1 - alpha / 2))


def _noncentrality(cells: int, critical: float, power: float) -> float:
    """By how many standard errors the mean has to lie off, for a t-value beyond the critical one with that power."""
    from scipy.optimize import brentq
    from scipy.special import nctdtr

    return float(brentq(lambda off: 1 - nctdtr(cells - 1, off, critical) - power, 0, 10 * critical + 10))
