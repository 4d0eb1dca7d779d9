"""The forward model of a color response: every form is tried, and cross-validation over the colors chooses.

The simplest form within one standard error of the best is taken (Breiman et al. 1984; Hastie, Tibshirani, Friedman
2009, 7.10): what a form wins beyond that may as well be luck.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from calibration.color import (
    TABLE_SIDE,
    Candidate,
    ColorFit,
    ColorModel,
    ColorSwatch,
    Kind,
    asked_of,
    delta_e,
    features,
    linear,
    seen_of,
)
from calibration.errors import BadInput
from calibration.geometry import Array

FOLDS = 10
MIN_COLORS = 40
"""Fewer different colors do not tell the forms apart."""

FORMS: tuple[tuple[Kind, float], ...] = (
    ("channels", 0.0),
    ("matrix", 0.0),
    ("quadratic", 0.0),
    ("polynomial-2", 0.0),
    ("curves", 0.0),
    ("polynomial-3", 0.0),
    ("polynomial-4", 0.0),
    ("table", 0.3),
    ("table", 0.03),
)
"""From the simplest on; with each table, how much its roughness weighs."""

RIDGE = 1e-6
"""Holds terms that the colors do not tell at zero."""


def fit_color(swatches: Sequence[ColorSwatch], seed: int = 0) -> ColorFit:
    """Fit a model to what was seen of a chart; clipped colors are left out, ``seed`` deals the folds.

    :class:`BadInput` with fewer than :data:`MIN_COLORS` different colors.
    """
    whole = [each for each in swatches if not each.clipped]
    if len({each.asked for each in whole}) < MIN_COLORS:
        raise BadInput(
            f"{len(whole)} colors that are not cut off, at least {MIN_COLORS} different ones are needed",
            hint="take the photograph again, with another exposure",
        )
    asked, seen = asked_of(whole), seen_of(whole)
    folds = _folds(whole, seed)
    tried = [_tried(form, asked, seen, folds) for form in FORMS]
    chosen = choose([candidate for candidate, _ in tried])
    candidate, held_out = tried[chosen]
    after = delta_e(held_out, seen)
    return ColorFit(
        model=fit_form(candidate.kind, candidate.smoothing, asked, seen),
        candidates=[each for each, _ in tried],
        delta_e_before=float(delta_e(asked, seen).mean()),
        delta_e_after=float(after.mean()),
        delta_e_after_p95=float(np.quantile(after, 0.95)),
    )


def choose(candidates: Sequence[Candidate]) -> int:
    """The place of the first, that is the simplest, within one standard error of the best."""
    best = min(candidates, key=lambda each: each.delta_e)
    return next(i for i, each in enumerate(candidates) if each.delta_e <= best.delta_e + best.delta_e_se)


def fit_form(kind: Kind, smoothing: float, asked: Array, seen: Array) -> ColorModel:
    """Least squares of one form; a table is as smooth as ``smoothing`` wants it between the colors."""
    goal = linear(seen) if kind == "matrix" else seen
    terms = features(kind, asked)
    calm = np.sqrt(smoothing) * _roughness() if kind == "table" else np.zeros((1, terms.shape[1]))
    found = np.zeros((terms.shape[1], 3))
    for used, outputs in _parts(kind, terms.shape[1]):
        own = terms[:, used]
        normal = own.T @ own + (calm.T @ calm)[np.ix_(used, used)] + RIDGE * np.eye(len(used))
        found[np.ix_(used, outputs)] = np.linalg.solve(normal, own.T @ goal[:, outputs])
    coefficients = [(red, green, blue) for red, green, blue in found.round(7).tolist()]
    return ColorModel(kind=kind, smoothing=smoothing, coefficients=coefficients)


def _parts(kind: Kind, terms: int) -> list[tuple[list[int], list[int]]]:
    """Which terms tell which of red, green and blue."""
    if kind == "channels":
        return [([0, *range(1 + channel, terms, 3)], [channel]) for channel in range(3)]
    return [(list(range(terms)), [0, 1, 2])]


def _parameters(kind: Kind) -> int:
    terms = features(kind, np.zeros((1, 3))).shape[1]
    return sum(len(used) * len(outputs) for used, outputs in _parts(kind, terms))


def _tried(form: tuple[Kind, float], asked: Array, seen: Array, folds: Array) -> tuple[Candidate, Array]:
    """A form's score, and what it predicts for colors that it has not seen."""
    kind, smoothing = form
    held_out = np.empty_like(seen)
    for fold in range(FOLDS):
        out = folds == fold
        held_out[out] = fit_form(kind, smoothing, asked[~out], seen[~out]).predict(asked[out])
    off = delta_e(held_out, seen)
    means = [float(off[folds == fold].mean()) for fold in range(FOLDS)]
    candidate = Candidate(
        kind=kind,
        parameters=_parameters(kind),
        smoothing=smoothing,
        delta_e=float(off.mean()),
        delta_e_se=float(np.std(means, ddof=1) / np.sqrt(FOLDS)),
    )
    return candidate, held_out


def _folds(swatches: Sequence[ColorSwatch], seed: int) -> Array:
    """``(N,)`` which fold holds each color out; equal colors are in one fold."""
    colors = sorted({each.asked for each in swatches})
    shuffled = np.random.default_rng(seed).permutation(len(colors)) % FOLDS
    fold = dict(zip(colors, shuffled.tolist(), strict=True))
    return np.array([fold[each.asked] for each in swatches])


def _roughness() -> Array:
    """``(rows, TABLE_SIDE³)`` second differences along each axis of the table."""
    second = np.diff(np.eye(TABLE_SIDE), n=2, axis=0)
    return np.vstack(list(_along_each_axis(second)))


def _along_each_axis(second: Array) -> Iterator[Array]:
    same = np.eye(TABLE_SIDE)
    for axis in range(3):
        parts = [second if axis == other else same for other in range(3)]
        yield np.kron(np.kron(parts[0], parts[1]), parts[2])
