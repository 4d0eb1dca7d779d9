"""The bench from plan to answers: train what is not trained yet, judge what is not judged yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.patch_bench.arms import arm_count, arm_units
from pipeline.patch_bench.plan import BenchPlan
from pipeline.patch_bench.units import JudgedArm, TrainedPatch, TrainUnit, kept, train_path
from pipeline.patch_bench.workshop import Unit, Work, workers

Progress = Callable[[float, str], None]
TRAINING_SHARE = 0.5
"""Part of the progress that training is taken for; which of the two takes longer depends on the effort."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was judged, by arm, class and seed, and the trainings behind it."""

    plan: BenchPlan
    judged: dict[tuple[str, str, int], JudgedArm]
    trained: tuple[TrainedPatch, ...]


@dataclass(frozen=True, slots=True)
class Outlook:
    """How much there is to do: patches to train, of which some are there; arms to judge."""

    patches: int
    patches_kept: int
    arms: int


def outlook(plan: BenchPlan) -> Outlook:
    """What a run would do."""
    units = train_units(plan)
    there = sum(kept(train_path(plan, unit), TrainedPatch) is not None for unit in units)
    return Outlook(len(units), there, arm_count(plan))


def run_bench(plan: BenchPlan, *, jobs: int = 1, progress: Progress = lambda share, text: None) -> Verdicts:
    """Work on everything that the plan asks for and that ``plan.work`` does not have yet.

    It may be killed at any time: the next run of the same plan goes on.
    """
    units = train_units(plan)
    with workers(plan, jobs) as work:
        trained = _all_of(work, units, lambda share, text: progress(TRAINING_SHARE * share, f"trained {text}"))
        patches = [each for each in trained if isinstance(each, TrainedPatch)]
        textures = {
            (unit.variant.name, unit.label, unit.seed): each.texture for unit, each in zip(units, patches, strict=True)
        }
        arms = list(arm_units(plan, textures))
        judged = _all_of(
            work,
            [each.unit for each in arms],
            lambda share, text: progress(TRAINING_SHARE + (1 - TRAINING_SHARE) * share, f"judged {text}"),
        )
    found = {
        (arm.arm, arm.label, arm.seed): each
        for arm, each in zip(arms, judged, strict=True)
        if isinstance(each, JudgedArm)
    }
    return Verdicts(plan, found, tuple(patches))


def train_units(plan: BenchPlan) -> list[TrainUnit]:
    """One patch for each class, variant and seed."""
    return [
        TrainUnit(label, variant, seed) for label in plan.classes for variant in plan.variants for seed in plan.seeds
    ]


def _all_of(work: Work, units: Sequence[Unit], progress: Progress) -> list[TrainedPatch | JudgedArm]:
    """The results in the order of the units."""
    found: dict[int, TrainedPatch | JudgedArm] = {}
    for number, result in work(units):
        found[number] = result
        progress(len(found) / len(units), f"{len(found)} of {len(units)}")
    return [found[number] for number in range(len(units))]
