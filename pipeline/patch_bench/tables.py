"""From answers to tables: rates of every arm, gains over bare, the first method against the others, spoof rates.

Surrogates and held-out recognizers are never in one number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.patch_bench.judging import SPOOF
from pipeline.patch_bench.plan import BARE, BenchPlan
from pipeline.patch_bench.run import Verdicts, train_units
from pipeline.patch_bench.units import JudgedArm, Panel, TrainedPatch
from pipeline.statistics import Points, Stratum, clustered_rate, stratified_mean

CLEAN, CORRUPTIONS = "clean", "corruptions"


@dataclass(frozen=True, slots=True)
class Row:
    """How often a recognizer is right (``spoof``: takes another object for the patch's class) with an arm."""

    dataset: str
    method: str
    model: str
    held_out: bool
    noise: str
    n: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gain:
    """An arm over bare, in points, mean over recognizers, classes and seeds."""

    dataset: str
    method: str
    noise: str
    held_out: bool
    points: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Versus:
    """The first method over another, in points."""

    dataset: str
    method: str
    rival: str
    noise: str
    held_out: bool
    points: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spoof:
    """Share of answers to other objects that become the class of the patch that they wear, beyond bare's."""

    dataset: str
    method: str
    held_out: bool
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Training:
    """What training a patch costs. ``seconds_per_patch`` None: none ran through without a break."""

    method: str
    seconds_per_patch: float | None
    steps: int


@dataclass(frozen=True, slots=True)
class Tables:
    """All of them. ``rows`` has each type of corruption, too; ``noises`` are those of the other tables."""

    rows: tuple[Row, ...]
    gains: tuple[Gain, ...]
    versus: tuple[Versus, ...]
    spoof: tuple[Spoof, ...]
    training: tuple[Training, ...]
    noises: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Answers of one recognizer to one arm of one class: ``right`` ``(K, P)`` by seed and picture, of ``of`` each."""

    right: NDArray[np.int64]
    of: int
    clusters: NDArray[np.int64]


Blocks = Mapping[tuple[str, str, str, str], Block]
"""By arm, class, recognizer and noise."""


def make_tables(verdicts: Verdicts) -> Tables:
    """Everything that the answers say."""
    plan = verdicts.plan
    blocks = blocks_of(verdicts)
    noises = (CLEAN, *([CORRUPTIONS] if plan.effort.corruptions else []), *plan.effort.attacks)
    comparing = Comparing(plan, blocks)
    return Tables(
        rows=tuple(_rows(plan, blocks, (*noises, *plan.effort.corruptions, SPOOF))),
        gains=tuple(comparing.gains(noises)),
        versus=tuple(comparing.versus(noises)),
        spoof=tuple(comparing.spoof()),
        training=tuple(_training(plan, verdicts.trained)),
        noises=noises,
    )


def blocks_of(verdicts: Verdicts) -> Blocks:
    """All answers, by what they are of."""
    plan = verdicts.plan
    found: dict[tuple[str, str, str, str], Block] = {}
    for arm in plan.arms:
        for label in plan.classes:
            judged = [verdicts.judged[arm, label, seed] for seed in plan.seeds_of(arm)]
            found |= {(arm, label, model, noise): block for (model, noise), block in _blocks(plan, judged)}
    return found


def _blocks(plan: BenchPlan, judged: Sequence[JudgedArm]) -> Iterator[tuple[tuple[str, str], Block]]:
    """The blocks of one arm on one class; of the types of corruption there is a sum, too."""
    plain: dict[tuple[str, str], Block] = {}
    for panels in zip(*[(*each.own, *each.strange) for each in judged], strict=True):
        plain |= dict(_by_score(panels))
    yield from plain.items()
    for model in dict.fromkeys(model for model, _ in plain):
        kinds = [plain[model, kind] for kind in plan.effort.corruptions]
        if kinds:
            total = np.sum([each.right for each in kinds], axis=0)
            yield (model, CORRUPTIONS), Block(total, sum(each.of for each in kinds), kinds[0].clusters)


def _by_score(panels: Sequence[Panel]) -> Iterator[tuple[tuple[str, str], Block]]:
    """The same panel with the textures of all seeds."""
    clusters = np.array(panels[0].clusters, np.int64)
    for scores in zip(*[panel.scores for panel in panels], strict=True):
        right = np.array([score.right for score in scores], np.int64)
        yield (scores[0].model, scores[0].noise), Block(right, scores[0].of, clusters)


def _rows(plan: BenchPlan, blocks: Blocks, noises: Iterable[str]) -> Iterator[Row]:
    for noise in noises:
        for arm in plan.arms:
            for recognizer in plan.recognizers:
                found = [blocks.get((arm, label, recognizer.name, noise)) for label in plan.classes]
                if all(found):
                    yield _row(plan, arm, recognizer.name, recognizer.contract.held_out, noise, _present(found))


def _present(found: Sequence[Block | None]) -> list[Block]:
    return [each for each in found if each is not None]


def _row(plan: BenchPlan, arm: str, model: str, held_out: bool, noise: str, blocks: Sequence[Block]) -> Row:
    totals = [by_cluster(block.right, block.clusters).sum(axis=0) for block in blocks]
    counts = [sizes_of(block.clusters) * block.of * len(block.right) for block in blocks]
    rate = clustered_rate(np.concatenate(totals), np.concatenate(counts))
    values = (float(each if each is not None else np.nan) for each in (rate.rate, rate.low, rate.high))
    return Row(plan.dataset.name, arm, model, held_out, noise, rate.n, *(round(each, 6) for each in values))


def by_cluster(values: NDArray[np.float64] | NDArray[np.int64], clusters: NDArray[np.int64]) -> NDArray[np.float64]:
    """``(K, P)`` by picture → ``(K, C)``: the sums over each cluster."""
    _, place = np.unique(clusters, return_inverse=True)
    member = np.eye(int(place.max()) + 1)[place]
    return np.asarray(values @ member, dtype=np.float64)


def sizes_of(clusters: NDArray[np.int64]) -> NDArray[np.float64]:
    """``(C,)``: pictures of each cluster."""
    return np.unique(clusters, return_counts=True)[1].astype(np.float64)


@dataclass(frozen=True, slots=True)
class Comparing:
    """Arms against each other, paired by picture (and by seed, where both have several)."""

    plan: BenchPlan
    blocks: Blocks

    def gains(self, noises: Iterable[str]) -> Iterator[Gain]:
        """Every arm that shows pictures over bare."""
        for noise in noises:
            for arm in self.plan.arms:
                for held_out in self.sides() if arm not in (BARE, "alone") else ():
                    found = self.difference(arm, BARE, noise, held_out)
                    yield Gain(self.plan.dataset.name, arm, noise, held_out, *_rounded(found))

    def versus(self, noises: Iterable[str]) -> Iterator[Versus]:
        """The first method over each other one."""
        first, *rivals = (each.name for each in self.plan.variants)
        for noise in noises:
            for rival in rivals:
                for held_out in self.sides():
                    found = self.difference(first, rival, noise, held_out)
                    yield Versus(self.plan.dataset.name, first, rival, noise, held_out, *_rounded(found))

    def spoof(self) -> Iterator[Spoof]:
        """Every arm that is worn by other objects, over bare."""
        for arm in self.plan.arms:
            for held_out in self.sides() if arm not in (BARE, "alone", "wrong-class") else ():
                found = self.difference(arm, BARE, SPOOF, held_out)
                shares = (round(value / 100, 6) for value in (found.points, found.low, found.high))
                yield Spoof(self.plan.dataset.name, arm, held_out, *shares)

    def sides(self) -> list[bool]:
        """Surrogates, then held-out recognizers, where there are such."""
        return sorted({each.contract.held_out for each in self.plan.recognizers})

    def difference(self, arm: str, rival: str, noise: str, held_out: bool) -> Points:
        """``arm`` minus ``rival``, in points."""
        models = [each.name for each in self.plan.recognizers if each.contract.held_out == held_out]
        strata = [self._stratum(arm, rival, noise, label, models) for label in self.plan.classes]
        return stratified_mean(strata, seed=self.plan.seed)

    def _stratum(self, arm: str, rival: str, noise: str, label: str, models: Sequence[str]) -> Stratum:
        pairs = [(self.blocks[arm, label, each, noise], self.blocks[rival, label, each, noise]) for each in models]
        shares = np.mean([own.right / own.of - other.right / other.of for own, other in pairs], axis=0)
        clusters = pairs[0][0].clusters
        return Stratum(by_cluster(shares, clusters), sizes_of(clusters))


def _rounded(found: Points) -> tuple[float, float, float]:
    return round(found.points, 4), round(found.low, 4), round(found.high, 4)


def _training(plan: BenchPlan, trained: Sequence[TrainedPatch]) -> Iterator[Training]:
    units = train_units(plan)
    for variant in plan.variants:
        # Not by the name that is kept with it: the same training may have been asked for by another.
        own = [each for unit, each in zip(units, trained, strict=True) if unit.variant == variant]
        seconds = [each.seconds for each in own if each.seconds is not None]
        mean = round(float(np.mean(seconds)), 3) if seconds else None
        yield Training(variant.name, mean, round(float(np.mean([each.steps for each in own]))))
