"""What is put on the pictures: trained patches, and the controls that say what a frame does without training."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from patches.artwork import Artwork
from patches.controls import control_texture
from pipeline.patch_bench.plan import BARE, BenchPlan
from pipeline.patch_bench.units import JudgeUnit

Pixels = NDArray[np.uint8]
COLOR_STEP = 32
"""Colors nearer than this are one when the main color is looked for."""

Textures = Mapping[tuple[str, str, int], Pixels]
"""Trained textures by method, class and seed."""


@dataclass(frozen=True, slots=True)
class ArmUnit:
    """A judgement with its place in the tables."""

    arm: str
    label: str
    seed: int
    unit: JudgeUnit


def arm_units(plan: BenchPlan, textures: Textures) -> Iterator[ArmUnit]:
    """Everything that is to be judged, by class, arm and seed."""
    for label in plan.classes:
        for arm in plan.arms:
            for seed in plan.seeds_of(arm):
                yield ArmUnit(arm, label, seed, _unit(plan, textures, label, arm, seed))


def arm_count(plan: BenchPlan) -> int:
    """How many judgements there are."""
    return len(plan.classes) * sum(len(plan.seeds_of(arm)) for arm in plan.arms)


def _unit(plan: BenchPlan, textures: Textures, label: str, arm: str, seed: int) -> JudgeUnit:
    first = plan.variants[0].name
    if arm == "wrong-class":
        other = next_class(plan, label)
        return JudgeUnit(label, other, textures[first, other, seed])
    if arm == "alone":
        return JudgeUnit(label, label, textures[first, label, seed], alone=True)
    if arm == BARE:
        return JudgeUnit(label, label, None)
    trained = textures.get((arm, label, seed))
    return JudgeUnit(label, label, control(plan, label, arm, seed) if trained is None else trained)


def next_class(plan: BenchPlan, label: str) -> str:
    """The class whose patch is the wrong one."""
    return plan.classes[(plan.classes.index(label) + 1) % len(plan.classes)]


def control(plan: BenchPlan, label: str, arm: str, seed: int) -> Pixels:
    """The texture of a control that no training made: white, one color, noise, or small pictures of the class."""
    pictures = plan.dataset.pictures(label, "training", plan.side_px, plan.effort.training).pixels
    size = plan.frames[label].texels
    if arm == "flat":
        return np.broadcast_to(main_color(pictures), (size, size, 3)).copy()
    found = control_texture(arm, plan.frames[label], as_artwork(pictures[len(pictures) // 2], label), seed=seed)
    return np.zeros((size, size, 3), np.uint8) if found is None else found


def main_color(pictures: Pixels) -> NDArray[np.uint8]:
    """``(3,)``: the color that the mean of ``(B, H, W, 3)`` has most of; the most colorful of equals."""
    mean = pictures.reshape(len(pictures), -1, 3).mean(axis=0)
    cells, place, count = np.unique((mean / COLOR_STEP).astype(int), axis=0, return_inverse=True, return_counts=True)
    most = max(range(len(cells)), key=lambda number: (count[number], np.ptp(cells[number])))
    return np.asarray(mean[place.reshape(-1) == most].mean(axis=0).round(), dtype=np.uint8)


def as_artwork(picture: Pixels, label: str) -> Artwork:
    """A picture ``(S, S, 3)`` as artwork, opaque."""
    stream = io.BytesIO()
    Image.fromarray(picture).convert("RGBA").save(stream, format="PNG")
    return Artwork(label, "square", 1.0, png=stream.getvalue())
