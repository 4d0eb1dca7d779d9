"""Confusion changes: what an arm turned the answers into, against the baseline under the same condition."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.report.hearing import Heard, HeardShot, Said

Counts = tuple[tuple[str, int], ...]
ByCell = Mapping[str, Sequence[HeardShot]]


@dataclass(frozen=True, slots=True)
class Turned:
    """One recognizer's answers to an arm beside those to the baseline, in ``pairs`` of shots of one condition.

    ``fixed``: wrong labels that became the right one. ``broken``: labels that the right one became. ``swapped``: one
    wrong label for another, as ``a → b``. Each with counts, most frequent first.
    """

    arm: str
    model: str
    held_out: bool
    pairs: int
    stayed_right: int
    stayed_wrong: int
    fixed: Counts
    broken: Counts
    swapped: Counts


def turned(heard: Heard, arms: Sequence[str], baseline: str) -> list[Turned]:
    """For each arm but the baseline and each recognizer, held out first; what has no pair is left out.

    The n-th shot of an arm under a condition is paired with the n-th of the baseline under the same.
    """
    by_arm: defaultdict[str, defaultdict[str, list[HeardShot]]] = defaultdict(lambda: defaultdict(list))
    # Answers come recognizer by recognizer, not shot by shot; names of shots count up.
    for _, shot in sorted(heard.shots.items()):
        by_arm[shot.arm][shot.cell].append(shot)
    found = []
    for arm in arms:
        if arm != baseline:
            found += _of_arm(arm, by_arm[baseline], by_arm[arm])
    return found


def _of_arm(arm: str, before: ByCell, after: ByCell) -> list[Turned]:
    changes: defaultdict[tuple[bool, str], Counter[tuple[Said, Said]]] = defaultdict(Counter)
    for one, other in _pairs(before, after):
        there = {(said.model, said.held_out): said for said in other.said}
        for said in one.said:
            answer = there.get((said.model, said.held_out))
            if answer:
                changes[not said.held_out, said.model][said, answer] += 1
    return [_summed(arm, model, not surrogate, pairs) for (surrogate, model), pairs in sorted(changes.items())]


def _pairs(before: ByCell, after: ByCell) -> Iterator[tuple[HeardShot, HeardShot]]:
    for cell in before:
        yield from zip(before[cell], after.get(cell, ()), strict=False)


def _summed(arm: str, model: str, held_out: bool, pairs: Counter[tuple[Said, Said]]) -> Turned:
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (one, other), count in pairs.items():
        kind, label = _change(one, other)
        sums[kind][label] += count
    counts = {kind: tuple(sorted(found.items(), key=lambda item: (-item[1], item[0]))) for kind, found in sums.items()}
    return Turned(
        arm=arm,
        model=model,
        held_out=held_out,
        pairs=pairs.total(),
        stayed_right=sums["right"].total(),
        stayed_wrong=sums["wrong"].total(),
        fixed=counts.get("fixed", ()),
        broken=counts.get("broken", ()),
        swapped=counts.get("swapped", ()),
    )


def _change(one: Said, other: Said) -> tuple[str, str]:
    if one.correct:
        return ("right", "") if other.correct else ("broken", other.predicted)
    if other.correct:
        return "fixed", one.predicted
    if one.predicted == other.predicted:
        return "wrong", ""
    return "swapped", f"{one.predicted} → {other.predicted}"
