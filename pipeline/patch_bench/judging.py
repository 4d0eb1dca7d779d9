"""Judging one arm: its pictures are made once and shown to all recognizers, clean, corrupted and attacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.noises import corrupt
from pipeline.patch_bench.datasets import Pictures, together
from pipeline.patch_bench.frames import coverage, object_mask, wearing
from pipeline.patch_bench.plan import BenchPlan
from pipeline.patch_bench.units import JudgedArm, JudgeUnit, Panel, Score

if TYPE_CHECKING:
    from patches.surrogates import Surrogate

Pixels = NDArray[np.uint8]
GRAY = 128
SPOOF = "spoof"


def judge_arm(plan: BenchPlan, unit: JudgeUnit, recognizers: Sequence[Surrogate]) -> JudgedArm:
    """All noises of the effort on the test pictures of the unit's class; its patch on those of other classes.

    A patch alone is not attacked: there is no answer to defend.
    """
    shown = _own_pictures(plan, unit)
    worn = Pictures(wearing(shown.pixels, unit.texture, plan.frames[unit.worn]), shown.clusters)
    own = [_plain_panel(plan, unit, worn, recognizers)]
    if plan.effort.attacks and not unit.alone:
        own.append(_attacked_panel(plan, unit, worn.few(plan.effort.attacked), recognizers))
    return JudgedArm(own=own, strange=[_strange_panel(plan, unit, worn, recognizers)])


def _own_pictures(plan: BenchPlan, unit: JudgeUnit) -> Pictures:
    """The class's test pictures; a single gray one for a patch alone."""
    if unit.alone:
        return Pictures(np.full((1, plan.side_px, plan.side_px, 3), GRAY, np.uint8), np.zeros(1, np.int64))
    return plan.dataset.pictures(unit.label, "test", plan.side_px, plan.effort.pictures)


def _plain_panel(plan: BenchPlan, unit: JudgeUnit, shown: Pictures, recognizers: Sequence[Surrogate]) -> Panel:
    """Clean, and each type of corruption over all severities."""
    kinds = [("clean", [shown.pixels])] + [
        (kind, _corrupted(plan, unit, shown.pixels, kind)) for kind in plan.effort.corruptions
    ]
    scores = [score for noise, sets in kinds for score in _scores(noise, list(sets), unit.label, recognizers)]
    return Panel(clusters=shown.clusters.tolist(), scores=scores)


def _corrupted(plan: BenchPlan, unit: JudgeUnit, pixels: Pixels, kind: str) -> Iterator[Pixels]:
    for severity in plan.effort.severities:
        yield corrupt(pixels, kind, severity, seed=plan.noise_seed(unit.label), table=plan.table)


def _scores(noise: str, sets: Sequence[Pixels], label: str, recognizers: Sequence[Surrogate]) -> Iterator[Score]:
    """Each recognizer over all versions of the same pictures."""
    from patches.trial import answers

    for each in recognizers:
        truth = each.index(label)
        right = sum(((answers(each, pixels) == truth).astype(np.int64) for pixels in sets), np.int64(0))
        yield Score(model=each.name, noise=noise, of=len(sets), right=np.asarray(right).tolist())


def _attacked_panel(plan: BenchPlan, unit: JudgeUnit, shown: Pictures, recognizers: Sequence[Surrogate]) -> Panel:
    """Each attack on each recognizer in turn. A bare picture is attacked where one with the patch would be."""
    attacked = _attacker(plan, unit, shown.pixels)
    scores = [
        Score(model=each.name, noise=attack, of=1, right=attacked(each, attack))
        for attack in plan.effort.attacks
        for each in recognizers
    ]
    return Panel(clusters=shown.clusters.tolist(), scores=scores)


def _attacker(plan: BenchPlan, unit: JudgeUnit, pixels: Pixels) -> Callable[[Surrogate, str], list[int]]:
    from patches.trial import attack_answers

    sticker = coverage(plan.frames[unit.worn], plan.side_px) >= 0.5
    target = object_mask(plan.dataset.object_share, plan.side_px)

    def attacked(recognizer: Surrogate, attack: str) -> list[int]:
        truth = recognizer.index(unit.label)
        seed = plan.noise_seed(unit.label)
        found = attack_answers(recognizer, pixels, truth, attack, sticker_mask=sticker, object_mask=target, seed=seed)
        right: list[int] = (found == truth).astype(int).tolist()
        return right

    return attacked


def _strange_panel(plan: BenchPlan, unit: JudgeUnit, worn: Pictures, recognizers: Sequence[Surrogate]) -> Panel:
    """How often pictures of other classes are taken for the class whose patch they wear.

    With the patch of another class on, these are the unit's own pictures; nothing is asked of a patch alone.
    """
    if unit.alone:
        return Panel(clusters=[], scores=[])
    shown = worn if unit.worn != unit.label else _others(plan, unit)
    return Panel(clusters=shown.clusters.tolist(), scores=list(_scores(SPOOF, [shown.pixels], unit.worn, recognizers)))


def _others(plan: BenchPlan, unit: JudgeUnit) -> Pictures:
    """Test pictures of all other classes with the unit's texture on."""
    found = together(
        plan.dataset.pictures(label, "test", plan.side_px, plan.effort.spoofed)
        for label in plan.classes
        if label != unit.label
    )
    return Pictures(wearing(found.pixels, unit.texture, plan.frames[unit.worn]), found.clusters)
