"""Where units are worked on: in this process, or in others, each of which loads the recognizers once."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.errors import NotReady
from pipeline.patch_bench.datasets import Part
from pipeline.patch_bench.judging import judge_arm
from pipeline.patch_bench.plan import BenchPlan
from pipeline.patch_bench.units import (
    JudgedArm,
    JudgeUnit,
    TrainedPatch,
    TrainUnit,
    encoded,
    interval,
    judge_path,
    once,
    train_path,
)

if TYPE_CHECKING:
    from patches.order import Picture, TrainOrder
    from patches.surrogates import Surrogate

Unit = TrainUnit | JudgeUnit


class Bench:
    """The recognizers of a plan, loaded when they are first needed."""

    def __init__(self, plan: BenchPlan) -> None:
        self.plan = plan
        self._loaded: list[Surrogate] | None = None

    @property
    def recognizers(self) -> list[Surrogate]:
        """All of them, by name."""
        from patches.surrogates import SurrogateSource
        from patches.trial import load_on

        if self._loaded is None:
            sources = [SurrogateSource(each.contract, each.onnx) for each in self.plan.recognizers]
            self._loaded = load_on(self.plan.device, sources)
        return self._loaded

    def do(self, unit: Unit) -> TrainedPatch | JudgedArm:
        """Work on a unit, unless it is done; its result is kept."""
        if isinstance(unit, TrainUnit):
            path = train_path(self.plan, unit)
            return once(path, TrainedPatch, lambda: self._train(unit, path.with_suffix(".pt")))
        path = judge_path(self.plan, unit)
        return once(path, JudgedArm, lambda: judge_arm(self.plan, unit, self.recognizers))

    def _train(self, unit: TrainUnit, checkpoint: Path) -> TrainedPatch:
        from patches.train import train_patch

        order = train_order(self.plan, unit)
        surrogates = [each for each in self.recognizers if not each.contract.held_out]
        resumed, started = checkpoint.exists(), time.perf_counter()
        found = train_patch(order, surrogates, checkpoint=checkpoint)
        seconds = None if resumed else round(time.perf_counter() - started, 3)
        trained = TrainedPatch(
            dataset=self.plan.dataset.name,
            label=unit.label,
            method=unit.variant.name,
            seed=unit.seed,
            steps=found.steps,
            seconds=seconds,
            warning=found.warning,
            texture_png=encoded(found.texture),
        )
        checkpoint.unlink(missing_ok=True)
        return trained


def train_order(plan: BenchPlan, unit: TrainUnit) -> TrainOrder:
    """The order of one training."""
    from patches.order import TrainOrder

    effort = plan.effort
    geometry = plan.frames[unit.label]
    others = [label for label in plan.classes if label != unit.label]
    return TrainOrder(
        label=unit.label,
        pictures=_opaque(plan, unit.label, "training", effort.training),
        others=[each for label in others for each in _opaque(plan, label, "training", effort.strangers)],
        judged=_opaque(plan, unit.label, "validation", effort.validation),
        geometry=geometry,
        picture_mm=geometry.outer_mm,
        method=unit.variant.method,
        terms=unit.variant.terms(),
        spec=plan.spec,
        seed=unit.seed,
        steps=effort.steps,
        batch=effort.batch,
        interval=interval(effort.steps),
        validation=effort.views,
        device=plan.device,
        precision=plan.precision,
    )


def _opaque(plan: BenchPlan, label: str, part: Part, limit: int) -> list[Picture]:
    """Pictures of a class as training takes them: nothing of the crop is see-through."""
    from patches.order import Picture

    found = plan.dataset.pictures(label, part, plan.side_px, limit).pixels
    alpha = np.full((*found.shape[:3], 1), 255, np.uint8)
    return [Picture(label, pixels) for pixels in np.concatenate([found, alpha], axis=3)]


# ---- Several processes

_bench: Bench | None = None


def _open_bench(plan: BenchPlan) -> None:
    """In a worker: Ctrl-C is the parent's to handle."""
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _bench = Bench(plan)


def _do(unit: Unit) -> TrainedPatch | JudgedArm:
    if _bench is None:
        raise NotReady("this process was not prepared for work")
    return _bench.do(unit)


Work = Callable[[Sequence[Unit]], Iterator[tuple[int, TrainedPatch | JudgedArm]]]


@contextmanager
def workers(plan: BenchPlan, jobs: int) -> Iterator[Work]:
    """Yields a function that works on units and gives (number of the unit, result) in the order of completion.

    When the block is left early, processes are ended at once: what they were at is lost but for its checkpoint.
    """
    if jobs < 2:
        bench = Bench(plan)
        yield lambda units: ((number, bench.do(unit)) for number, unit in enumerate(units))
        return
    pool = ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_open_bench, initargs=(plan,)
    )
    try:
        yield lambda units: _completed({pool.submit(_do, unit): number for number, unit in enumerate(units)})
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    pool.shutdown()


def _completed(
    running: dict[Future[TrainedPatch | JudgedArm], int],
) -> Iterator[tuple[int, TrainedPatch | JudgedArm]]:
    while running:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            try:
                yield running.pop(future), future.result()
            except BrokenProcessPool as error:
                raise NotReady(
                    "a worker process was killed (out of memory?)",
                    hint="run again: it goes on where it was; fewer --jobs need less memory",
                ) from error
