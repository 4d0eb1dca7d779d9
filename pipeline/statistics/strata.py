"""Means over strata (classes) of clusters of pictures and of seeds of training, with an interval by bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Stratum:
    """A class: ``totals`` ``(K, C)`` sums over each cluster, for each seed; ``sizes`` ``(C,)`` pictures in it."""

    totals: NDArray[np.float64]
    sizes: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Points:
    """A value in percentage points with its interval."""

    points: float
    low: float
    high: float


def stratified_mean(strata: Sequence[Stratum], *, seed: int, alpha: float = 0.05) -> Points:
    """Mean over strata of the mean over pictures and seeds, in points, with a percentile bootstrap interval.

    Resampled together, within each stratum: its clusters, and its seeds. Strata themselves stand.
    """
    random = np.random.default_rng(seed)
    drawn = np.mean([_resampled(each, random) for each in strata], axis=0)
    mean = float(np.mean([each.totals.sum() / (len(each.totals) * each.sizes.sum()) for each in strata]))
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    return Points(100 * mean, 100 * float(low), 100 * float(high))


def _resampled(stratum: Stratum, random: np.random.Generator) -> NDArray[np.float64]:
    """``(RESAMPLES,)`` means."""
    seeds, clusters = stratum.totals.shape
    times = random.multinomial(clusters, np.full(clusters, 1 / clusters), RESAMPLES).astype(np.float64)
    weights = random.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    sums = ((weights @ stratum.totals) * times).sum(axis=1)
    return np.asarray(sums / (times @ stratum.sizes), dtype=np.float64)
