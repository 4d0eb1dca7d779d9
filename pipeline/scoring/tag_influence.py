"""What the tags do to the answers: pictures as they are against the same without any mark but the sticker.

A recognizer may be led astray, or helped, by what stands around the sticker for the camera's sake. That is measured,
not assumed: the view ``natural`` against ``untagged``, paired picture by picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.scoring.score import Answer
from pipeline.statistics import Effect, by_cell, paired_effect

WITH, WITHOUT = "natural", "untagged"


@dataclass(frozen=True, slots=True)
class TagInfluence:
    """Of one recognizer: ``effect`` is the rate with the marks minus that without them, in points.

    ``pictures`` were judged in both views; of these, ``helped`` were right only with the marks, ``harmed`` only
    without them. The effect's cells are clusters of pictures; None where no picture was judged in both.
    """

    model: str
    held_out: bool
    pictures: int
    helped: int
    harmed: int
    effect: Effect | None


@dataclass(frozen=True, slots=True)
class _Pair:
    """Whether the same picture was answered rightly with the marks and without them."""

    cluster: str
    marked: bool
    unmarked: bool


def tag_influence(answers: Iterable[Answer], *, seed: int, alpha: float = 0.05) -> list[TagInfluence]:
    """The influence on each recognizer, surrogates before held-out ones; nothing without answers to both views.

    Jitters and noised pictures are left out. Interval (level 1 - alpha) and p-value are those of
    :func:`pipeline.statistics.paired_effect` over clusters.
    """
    found: dict[tuple[bool, str], dict[str, dict[str, Answer]]] = defaultdict(lambda: defaultdict(dict))
    for answer in answers:
        if answer.view in (WITH, WITHOUT) and (answer.repeat, answer.noise) == (0, "none"):
            found[answer.held_out, answer.model][answer.sample][answer.view] = answer
    return [
        _influence(model, held_out, _pairs(found[held_out, model].values()), seed, alpha)
        for held_out, model in sorted(found)
        if any(WITHOUT in shown for shown in found[held_out, model].values())
    ]


def _pairs(pictures: Iterable[dict[str, Answer]]) -> list[_Pair]:
    judged = ((shown[WITH], shown[WITHOUT]) for shown in pictures if len(shown) == 2)
    return [
        _Pair(marked.cluster or marked.sample, marked.correct, unmarked.correct)
        for marked, unmarked in judged
        if marked.correct is not None and unmarked.correct is not None
    ]


def _influence(model: str, held_out: bool, pairs: Sequence[_Pair], seed: int, alpha: float) -> TagInfluence:
    marked, unmarked = (
        by_cell([(pair.cluster, right) for pair, right in zip(pairs, answers, strict=True)])
        for answers in ([pair.marked for pair in pairs], [pair.unmarked for pair in pairs])
    )
    return TagInfluence(
        model=model,
        held_out=held_out,
        pictures=len(pairs),
        helped=sum(pair.marked and not pair.unmarked for pair in pairs),
        harmed=sum(pair.unmarked and not pair.marked for pair in pairs),
        effect=paired_effect(marked, unmarked, seed=seed, alpha=alpha),
    )
