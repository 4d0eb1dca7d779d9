"""Simulated sessions whose true rates are known, to hold the statistics against; written apart from `plan power`.

An answer is right where a normal variable lies below the quantile of its arm's rate; condition, arm, picture and the
answer itself each bring a part of it. Or (``copied``) an answer is, with some probability, nothing but a copy of what
all answers of its condition, or of its picture, are: the same correlations, far from normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.planning.power import Likeness, latent_correlation

Answers = NDArray[np.bool_]
"""``(S, C, 2, K, F, M)``: session, cell, arm (treated, baseline), shot, frame of the burst, recognizer → right?"""

INDEPENDENT = Likeness(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Design:
    """Sessions of one kind. ``rate``: of the baseline; ``effect_points``: what the arm truly adds.

    ``likeness``: correlations of right and wrong within a cell. ``frames`` of one shot are alike by ``burst``.
    ``spread``: instead of drawing conditions anew for each session, all sessions have the same ones, whose normal
    quantiles lie evenly over that range about the rate's.
    """

    name: str
    cells: int
    repeats: int
    recognizers: int
    rate: float
    effect_points: float = 0.0
    likeness: Likeness = INDEPENDENT
    frames: int = 1
    burst: float = 0.0
    spread: float = 0.0
    copied: bool = False

    @property
    def rates(self) -> tuple[float, float]:
        """Of the arm and of the baseline."""
        return self.rate + self.effect_points / 100, self.rate

    @property
    def truth(self) -> tuple[float, float]:
        """The share of right answers over endless sessions, of the arm and of the baseline."""
        from scipy.special import ndtr

        found = ndtr(_quantiles(self)).mean(axis=0)
        return float(found[0]), float(found[1])


def simulate(design: Design, sessions: int, random: np.random.Generator) -> Answers:
    """Draw all answers of so many sessions."""
    return _copied(design, sessions, random) if design.copied else _normal(design, sessions, random)


def _quantiles(design: Design) -> NDArray[np.float64]:
    """``(C, 2)`` quantiles of the rates of both arms in each cell."""
    from scipy.special import ndtri

    offsets = design.spread * (np.linspace(-0.5, 0.5, design.cells) if design.cells > 1 else np.zeros(1))
    return np.asarray(ndtri(design.rates)[None, :] + offsets[:, None], dtype=np.float64)


def _normal(design: Design, sessions: int, random: np.random.Generator) -> Answers:
    like, rate = design.likeness, design.rate
    repeats, between, across, picture, burst = (
        latent_correlation(rate, each)
        for each in (like.repeats, like.recognizers, like.arms, like.pictures, design.burst)
    )
    s, c, k, f, m = sessions, design.cells, design.repeats, design.frames, design.recognizers
    common = across / repeats if repeats else 0.0
    shot = min(max(picture - between, 0.0), 1 - repeats) if m > 1 else 0.0
    own = max(burst - repeats - shot, 0.0) if f > 1 else 0.0
    latent = np.zeros((s, c, 2, k, f, m))
    for variance, shape in (
        (common * between, (s, c, 1, 1, 1, 1)),
        ((1 - common) * between, (s, c, 2, 1, 1, 1)),
        (common * (repeats - between), (s, c, 1, 1, 1, m)),
        ((1 - common) * (repeats - between), (s, c, 2, 1, 1, m)),
        (shot, (s, c, 2, k, 1, 1)),
        (own, (s, c, 2, k, 1, m)),
        (1 - repeats - shot - own, latent.shape),
    ):
        latent += math.sqrt(max(variance, 0.0)) * random.standard_normal(shape)
    return np.asarray(latent < _quantiles(design)[:, :, None, None, None])


def _copied(design: Design, sessions: int, random: np.random.Generator) -> Answers:
    """Two answers of a cell are both copies of one, and so the same, with the probability that is their correlation.

    The roots of what repeats and pictures share must not add up to more than 1.
    """
    like = design.likeness
    s, c, k, f, m = sessions, design.cells, design.repeats, design.frames, design.recognizers
    rates = np.array(design.rates)[:, None, None, None]
    of_cell, of_shot, own = (
        random.uniform(size=shape) < rates for shape in ((s, c, 2, 1, 1, 1), (s, c, 2, k, 1, 1), (s, c, 2, k, f, m))
    )
    which = random.uniform(size=own.shape)
    cell, shot = math.sqrt(like.repeats), math.sqrt(max(like.pictures - like.repeats, 0.0))
    return np.where(which < cell, of_cell, np.where(which < cell + shot, of_shot, own))
