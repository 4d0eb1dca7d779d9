"""A run of the bench as data: what is trained, what is judged, on which recognizers."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from calibration.errors import BadInput, BadUsage
from patches.patch import PatchGeometry
from patches.spec import TransformSpec
from pipeline.noises import Table
from pipeline.patch_bench.datasets import Dataset, Shape, chosen_classes, frames_of
from pipeline.patch_bench.effort import CONTROLS, Effort, pictures_spec, pixels_spec
from pipeline.patch_bench.variants import Variant
from pipeline.recognizers import Recognizer

Precision = Literal["float32", "bfloat16"]
BARE = "bare"
SEEDED_CONTROLS = frozenset({"noise", "wrong-class", "alone"})
"""Controls that are another thing for each seed."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """All that determines the tables, but for ``work``, the folder that keeps finished pieces.

    ``frames`` has that of each class. ``device`` is where networks are computed, ``precision`` that of the surrogates
    in training; judging is exact. The first of ``variants`` is the one that the others are held against, and that
    ``wrong-class`` and ``alone`` show.
    """

    dataset: Dataset
    classes: tuple[str, ...]
    recognizers: tuple[Recognizer, ...]
    variants: tuple[Variant, ...]
    controls: tuple[str, ...]
    effort: Effort
    frames: Mapping[str, PatchGeometry]
    side_px: int
    seed: int
    work: Path
    device: str = "cpu"
    precision: Precision = "float32"

    @property
    def spec(self) -> TransformSpec:
        """What training expects between patch and recognizer."""
        expected = pixels_spec if self.dataset.digital else pictures_spec
        return expected(next(iter(self.frames.values())), self.side_px)

    @property
    def area(self) -> float:
        """The share of the picture that the frame covers, mean over classes."""
        return sum(each.share for each in self.frames.values()) / len(self.frames)

    @property
    def surrogates(self) -> tuple[Recognizer, ...]:
        """Those that patches are trained on, in the order of their names."""
        return tuple(each for each in self.recognizers if not each.contract.held_out)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the trainings."""
        return tuple(self.seed + number for number in range(self.effort.seeds))

    @property
    def table(self) -> Table:
        """The constants of corruptions: CIFAR-10's own ones on its 32 px, elsewhere those of ImageNet-C.

        Signs of 48 px are hardly hurt by the constants that were made for 32 px.
        """
        return "cifar" if self.dataset.digital else "imagenet"

    def noise_seed(self, label: str) -> int:
        """The seed of corruptions and attacks: that of the class, the same for all arms, so that they are paired."""
        return (self.seed << 32) + zlib.crc32(label.encode())

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """The seeds that an arm is judged with: one for what is no product of chance."""
        trained = {each.name for each in self.variants}
        return self.seeds if arm in trained or arm in SEEDED_CONTROLS else self.seeds[:1]

    @property
    def arms(self) -> tuple[str, ...]:
        """Everything that is judged."""
        return (BARE, *(each.name for each in self.variants), *self.controls)


def make_plan(
    dataset: Dataset,
    recognizers: Sequence[Recognizer],
    variants: tuple[Variant, ...],
    controls: Sequence[str],
    effort: Effort,
    *,
    shape: Shape | None = None,
    area: float | None,
    seed: int,
    work: Path,
    device: str = "cpu",
    precision: Precision = "float32",
    held_out: Sequence[str] = (),
) -> BenchPlan:
    """Check what is asked for. :class:`BadUsage` or :class:`BadInput` when it makes no sense or cannot be had.

    ``held_out``: recognizers, or families of them, that no patch is trained on; as contracts say where none is named.
    """
    check_controls(controls)
    classes = chosen_classes(dataset, effort.classes)
    usable = _knowing(divided(recognizers, held_out), classes)
    side_px = max(max(each.contract.height, each.contract.width) for each in usable)
    return BenchPlan(
        dataset=dataset,
        classes=classes,
        recognizers=usable,
        variants=variants,
        controls=tuple(dict.fromkeys(controls)),
        effort=effort,
        frames=frames_of(dataset, classes, shape, area, side_px),
        side_px=side_px,
        seed=seed,
        work=work,
        device=device,
        precision=precision,
    )


def check_controls(controls: Sequence[str]) -> None:
    """:class:`BadUsage` for a control that there is not."""
    unknown = [name for name in controls if name not in CONTROLS]
    if unknown:
        raise BadUsage(f"no control {unknown[0]!r}; there are {', '.join(CONTROLS)}")


def divided(recognizers: Sequence[Recognizer], held_out: Sequence[str]) -> Sequence[Recognizer]:
    """The same, but those of these names or families are held out and no others; unchanged where none is named."""
    there = {word for each in recognizers for word in _words(each)}
    unknown = [name for name in held_out if name not in there]
    if unknown:
        raise BadUsage(f"--held-out {unknown[0]}: no recognizer or family of that name; there are {_listed(there)}")
    if not held_out:
        return recognizers
    return [
        replace(each, contract=each.contract.model_copy(update={"held_out": bool(_words(each) & set(held_out))}))
        for each in recognizers
    ]


def _words(recognizer: Recognizer) -> set[str]:
    return {recognizer.name, recognizer.contract.family}


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words)) or "none"


def _knowing(recognizers: Sequence[Recognizer], classes: Sequence[str]) -> tuple[Recognizer, ...]:
    """The recognizers by name, if there is one to train on and all know all classes."""
    for recognizer in recognizers:
        missing = [label for label in classes if label not in recognizer.contract.labels]
        if missing:
            raise BadInput(
                f"{recognizer.name} does not know the class {missing[0]!r}",
                hint="every recognizer must know all classes: name another folder with --models",
                where=str(recognizer.folder),
            )
    if all(each.contract.held_out for each in recognizers):
        raise BadInput(
            f"none of {len(recognizers)} recognizers may be trained on: all are held out, or there is none",
            hint="say with --models where recognizers are",
        )
    return tuple(sorted(recognizers, key=lambda each: each.name))
