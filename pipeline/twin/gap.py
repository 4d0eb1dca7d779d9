"""From what recognizers said to twins and stickers to ladders: levels, steps, factors, with intervals over cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.geometry import Array
from pipeline.statistics import PairedTest
from pipeline.twin.ladder import (
    FACTOR_OF,
    PROMISED,
    RUNGS,
    TWIN,
    Change,
    Factor,
    Ladder,
    Level,
    Rung,
    Spread,
    Step,
    TwinAnswer,
)

FACTORS: tuple[Factor, ...] = ("geometry", "color", "blur and noise", "unexplained")
REAL = RUNGS[-1]


@dataclass(frozen=True, slots=True)
class _Rates:
    """Mean true probability and accuracy by cell, rung by rung: ``(C, R)`` shares; ``base`` ``(C,)`` each.

    ``answers``: how many of them the rung with the fewest stands on.
    """

    probability: Array
    accuracy: Array
    base_probability: Array
    base_accuracy: Array
    answers: float


def ladders(answers: Sequence[TwinAnswer], *, seed: int, alpha: float = 0.05) -> tuple[Ladder, ...]:
    """For held-out recognizers, then for surrogates: all together, then one by one."""
    found = []
    for held_out in (True, False):
        mine = [answer for answer in answers if answer.held_out == held_out]
        names = sorted({answer.model for answer in mine})
        for name in (None, *names) if names else ():
            own = [answer for answer in mine if name in (None, answer.model)]
            found.append(_ladder(name, held_out, own, seed, alpha))
    return tuple(found)


def _ladder(name: str | None, held_out: bool, answers: Sequence[TwinAnswer], seed: int, alpha: float) -> Ladder:
    cells = sorted({answer.cell for answer in answers})
    rates = _rates(answers, cells)
    change = _changes(rates, seed, alpha)
    return Ladder(
        recognizer=name,
        held_out=held_out,
        cells=len(cells),
        # The shot as it was is no rung: it has the name of the first one, which is rendered into it.
        base=Level(PROMISED, 100 * float(rates.base_probability.mean()), 100 * float(rates.base_accuracy.mean())),
        levels=tuple(
            Level(rung, 100 * float(rates.probability[:, i].mean()), 100 * float(rates.accuracy[:, i].mean()))
            for i, rung in enumerate(RUNGS)
        ),
        steps=tuple(change(rung, [rung]) for rung in RUNGS[1:]),
        factors=tuple(change(factor, [rung for rung in RUNGS[1:] if FACTOR_OF[rung] == factor]) for factor in FACTORS),
        lost=change("real against screen", RUNGS[1:]),
        gap=change("real against twin", [REAL]),
        spread=_spread(answers, cells),
    )


def _rates(answers: Iterable[TwinAnswer], cells: Sequence[str]) -> _Rates:
    sums: dict[tuple[str, Rung | None], list[tuple[float, bool]]] = {}
    for answer in answers:
        sums.setdefault((answer.cell, answer.rung), []).append((answer.true_probability, answer.correct))

    def mean(part: int, rung: Rung | None) -> Array:
        return np.array([np.mean([values[part] for values in sums[cell, rung]]) for cell in cells])

    return _Rates(
        probability=np.column_stack([mean(0, rung) for rung in RUNGS]),
        accuracy=np.column_stack([mean(1, rung) for rung in RUNGS]),
        base_probability=mean(0, None),
        base_accuracy=mean(1, None),
        answers=float(min(sum(len(sums[cell, rung]) for cell in cells) for rung in RUNGS)),
    )


def _changes(rates: _Rates, seed: int, alpha: float) -> Callable[[str, Sequence[Rung]], Step]:
    """A function that says what the steps to some rungs, which follow each other, changed together."""
    test = PairedTest(len(rates.probability), seed=seed, alpha=alpha) if len(rates.probability) > 1 else None

    def change(values: Array, rungs: Sequence[Rung]) -> Change:
        first, last = RUNGS.index(rungs[0]) - 1, RUNGS.index(rungs[-1])
        pair = values[:, [last, first]]
        if test is None:
            return Change(100 * float(pair[0, 0] - pair[0, 1]))
        effect = test.effects(pair[None], [rates.answers, rates.answers])[0]
        return Change(effect.points, effect.low, effect.high)

    return lambda name, rungs: Step(name, change(rates.probability, rungs), change(rates.accuracy, rungs))


def _spread(answers: Sequence[TwinAnswer], cells: Sequence[str]) -> Spread | None:
    """From shots of one condition: real ones among each other, and whole twins, whatever sheet they stand in."""
    probability = _repeated(answers, cells, lambda answer: answer.true_probability)
    accuracy = _repeated(answers, cells, lambda answer: float(answer.correct))
    if probability is None or accuracy is None:
        return None
    return Spread(
        cell_probability=probability[0],
        cell_accuracy=accuracy[0],
        mean_probability=probability[1],
        mean_accuracy=accuracy[1],
        cells=probability[2],
    )


def _repeated(
    answers: Sequence[TwinAnswer], cells: Sequence[str], value: Callable[[TwinAnswer], float]
) -> tuple[float, float, int] | None:
    """Standard deviation of a cell's gap and of the mean gap, in points, and how many cells have repeats."""
    shots: dict[tuple[str, Rung | None], dict[str, list[float]]] = {}
    for answer in answers:
        if answer.rung in (TWIN, REAL):
            shots.setdefault((answer.cell, answer.rung), {}).setdefault(answer.cluster, []).append(value(answer))
    means = {key: np.array([np.mean(values) for values in by_shot.values()]) for key, by_shot in shots.items()}
    pooled = [_pooled([each for (_, of), each in means.items() if of == rung]) for rung in (TWIN, REAL)]
    known = [variance for variance in pooled if variance is not None]
    if not known:
        return None
    # Where only one of the two has repeats, the other is taken to move as much.
    variances = [known[0] if variance is None else variance for variance in pooled]
    gap_variances = [
        sum(variance / len(means[cell, rung]) for rung, variance in zip((TWIN, REAL), variances, strict=True))
        for cell in cells
    ]
    repeated = {cell for (cell, _), each in means.items() if len(each) > 1}
    mean_variance = sum(gap_variances) / len(cells) ** 2
    return 100 * float(np.sqrt(np.mean(gap_variances))), 100 * float(np.sqrt(mean_variance)), len(repeated)


def _pooled(groups: Sequence[Array]) -> float | None:
    """Variance within groups; None where none has two members."""
    freedom = sum(len(group) - 1 for group in groups)
    return sum(float(np.square(group - group.mean()).sum()) for group in groups) / freedom if freedom else None
