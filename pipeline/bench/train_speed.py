"""How fast training is: beside the bare networks, and beside another tool on the same network, batch and machine.

All that is compared takes turns, never at the same time, on one thread. Ratios are medians over turns of processor
time: wall time on a shared machine is the neighbors' as well.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.errors import BadInput, Incomplete
from patches.artwork import artwork, render
from patches.patch import PatchGeometry
from pipeline.bench.rival import TOOL, Rival, rival_environment, start_rival
from pipeline.recognizers import Recognizer, load_recognizers, zoo_folder
from pipeline.result import Result

if TYPE_CHECKING:
    from patches.order import TrainOrder
    from patches.speed import Course, Spent

LABEL = "stop"
ARTWORK_PX = 192
WARM_UP = 2
FEWEST = 3
RIVAL_STEPS = 2


@dataclass(frozen=True, slots=True)
class Effort:
    """At most so many turns, no new one after so many seconds, and so long for installing what is compared with."""

    turns: int
    seconds: float
    install_s: float


QUICK = Effort(turns=12, seconds=10.0, install_s=25.0)
FULL = Effort(turns=40, seconds=120.0, install_s=1800.0)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: networks alone, a training step on all of them, one on ``model`` alone, and the other tool's."""

    bare: Spent
    step: Spent
    single: Spent
    rival: Spent | None


@dataclass(frozen=True, slots=True)
class TrainSpeed:
    """All turns after warming up, what they were taken on, and what was missing for a comparison."""

    turns: tuple[Turn, ...]
    batch: int
    surrogates: tuple[str, ...]
    model: str
    missing: Incomplete | None = None

    def median(self, of: Callable[[Turn], float]) -> float:
        """The median over the turns."""
        return statistics.median(map(of, self.turns))

    def ratio_to_bare(self, clock: str = "cpu_ms") -> float:
        """A training step's time over that of forward and backward through its surrogates."""
        return self.median(lambda turn: getattr(turn.step, clock) / getattr(turn.bare, clock))

    def ratio_to_art(self, clock: str = "cpu_ms") -> float | None:
        """Pictures in a time over those of the other tool; None without it."""
        if self.missing:
            return None
        return self.median(lambda turn: getattr(turn.rival, clock) / getattr(turn.single, clock))

    def images_per_s(self, of: Callable[[Turn], float]) -> float:
        """Pictures a second for a time in ms."""
        return 1000 * self.batch / self.median(of)


def bench_train(*, art: Path, effort: Effort, seed: int, models: Path | None = None) -> TrainSpeed:
    """Turns of training on the surrogates in ``models``, the zoo's by default.

    ``art`` is the folder of the other tool's environment. Raises :class:`BadInput` for a folder without surrogates.
    """
    from patches.speed import load, make_course
    from patches.surrogates import SurrogateSource

    folder = models or zoo_folder()
    recognizers = [each for each in load_recognizers([folder]) if not each.contract.held_out]
    if not recognizers:
        raise BadInput(f"{folder}: no recognizer there may be trained on; at least one is needed", where=str(folder))
    label = a_class_of(recognizers)
    surrogates = load([SurrogateSource(each.contract, each.onnx) for each in recognizers])
    order = train_order(label, seed)
    course, single = make_course(order, surrogates), make_course(order, surrogates[:1])
    with ExitStack() as stack:
        rival, missing = None, None
        try:
            rival = stack.enter_context(rival_on(recognizers[0], label, single, art, effort))
        except Incomplete as error:
            missing = error
        turns = tuple(take_turns(course, single, rival, effort))
    return TrainSpeed(turns, order.batch, tuple(each.name for each in recognizers), recognizers[0].name, missing)


def a_class_of(recognizers: Sequence[Recognizer]) -> str:
    """The drawn target's class, where all know it, or else the first that all know; which one makes no difference."""
    first, *others = (each.contract.labels for each in recognizers)
    shared = [label for label in first if all(label in labels for labels in others)]
    if not shared:
        raise BadInput("there is no class that all surrogates know; one is needed to train a patch for")
    return LABEL if LABEL in shared else shared[0]


def train_order(label: str, seed: int) -> TrainOrder:
    """Training as a fresh lab does it: the default batch, frame and transforms."""
    from patches.order import Picture, TrainOrder

    return TrainOrder(label, [Picture(label, render(artwork(LABEL), ARTWORK_PX))], PatchGeometry(), seed=seed)


@contextmanager
def rival_on(recognizer: Recognizer, label: str, course: Course, art: Path, effort: Effort) -> Iterator[Rival]:
    """The other tool, ready to train a patch of as many texels on this network and the course's batch.

    Raises :class:`Incomplete` where it cannot be installed or does not run.
    """
    python = rival_environment(art, timeout_s=effort.install_s)
    with tempfile.TemporaryDirectory() as folder, start_rival(python) as rival:
        pictures = Path(folder) / "pictures.npy"
        np.save(pictures, course.photographs())
        rival.ask(
            {
                "contract": str(recognizer.folder / f"{recognizer.name}.json"),
                "onnx": str(recognizer.onnx),
                "pictures": str(pictures),
                "label": label,
                "texels": course.bench.order.geometry.texels,
            }
        )
        yield rival


def take_turns(course: Course, single: Course, rival: Rival | None, effort: Effort) -> Iterator[Turn]:
    """Turns until there are enough, or the time is up; the first few warm up and do not count."""
    for _ in range(WARM_UP):
        _turn(course, single, rival)
    started = time.perf_counter()
    for number in range(effort.turns):
        if number >= FEWEST and time.perf_counter() - started > effort.seconds:
            return
        yield _turn(course, single, rival)


def _turn(course: Course, single: Course, rival: Rival | None) -> Turn:
    return Turn(course.bare(), course.step(), single.step(), rival_step(rival) if rival else None)


def rival_step(rival: Rival) -> Spent:
    """The mean of a few steps of the other tool."""
    from patches.speed import Spent

    taken = [Spent(**each) for each in rival.ask(RIVAL_STEPS)]
    return Spent(*(statistics.fmean(column) for column in zip(*(asdict(each).values() for each in taken), strict=True)))


def speed_result(speed: TrainSpeed) -> Result:
    """The answer of the command."""
    step, bare = speed.median(lambda turn: turn.step.cpu_ms), speed.median(lambda turn: turn.bare.cpu_ms)
    ours = speed.images_per_s(lambda turn: turn.single.cpu_ms)
    theirs = None if speed.missing else speed.images_per_s(lambda turn: turn.rival.cpu_ms if turn.rival else math.nan)
    ratio = speed.ratio_to_art()
    lines = [
        f"a training step takes {step:.1f} ms, its {len(speed.surrogates)} surrogates alone {bare:.1f} ms: "
        f"{speed.ratio_to_bare():.2f} x (batch of {speed.batch}, {len(speed.turns)} turns, processor time)",
        f"{ours:.0f} pictures/s on {speed.model} alone",
    ]
    if ratio is not None:
        lines[1] += f", {TOOL} {theirs:.0f}: {ratio:.2f} x"
    return Result(
        data={
            "ratio_to_bare": speed.ratio_to_bare(),
            "ratio_to_art": ratio,
            "step_ms": step,
            "bare_ms": bare,
            "images_per_s": ours,
            "art_images_per_s": theirs,
            "batch": speed.batch,
            "surrogates": list(speed.surrogates),
            "model": speed.model,
            "turns": len(speed.turns),
            "wall": {"ratio_to_bare": speed.ratio_to_bare("wall_ms"), "ratio_to_art": speed.ratio_to_art("wall_ms")},
        },
        lines=lines,
        errors=[speed.missing] if speed.missing else [],
    )
