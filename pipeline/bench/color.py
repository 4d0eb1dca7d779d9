"""What a measured color response is worth: patches trained with it and without, in the simulator's prints.

For each printer a chart is photographed by the simulated camera, and its response goes into the transforms of a lab.
Both patches are then printed by the printer itself, not by its measured response, and judged in views that no training
drew, by recognizers that no patch was trained on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.color import ColorResponse
from calibration.files import write_bytes
from calibration.sheet import Sheet
from capture.cameras.sim import SimCamera, SimOptions
from capture.cameras.sim_print import PRINTERS, printed
from capture.picture import encode_png
from capture.plan import Condition, Shot
from patches.chart import ChartOrder
from pipeline.calibrating.color import FROM_PRINT_TO_PRINT, measure_color, print_spec, write_chart
from pipeline.lab import Lab, create_lab, open_lab
from pipeline.result import Result, Table
from pipeline.statistics import Points, Stratum, stratified_mean
from pipeline.training.bench import convertible, loaded, training_bench
from pipeline.training.order import Wish, train_order
from pipeline.training.run import JUDGE_SEED_OFFSET, Progress

if TYPE_CHECKING:
    from patches.order import TrainOrder
    from patches.surrogates import Surrogate

Pixels = NDArray[np.uint8]

CLASSES = ("general-caution", "stop", "priority-road", "speed-limit-50")
CHART_SEEN = (
    Condition(distance_mm=480, yaw_deg=8),
    Condition(distance_mm=480, yaw_deg=-12, pitch_deg=6),
    Condition(distance_mm=560),
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is trained and judged: every class with every seed, each judged in ``draws`` times 64 views."""

    printers: tuple[str, ...]
    classes: tuple[str, ...]
    seeds: int
    steps: int
    draws: int


FULL = Effort(tuple(PRINTERS), CLASSES, seeds=3, steps=200, draws=8)
QUICK = Effort(("published",), CLASSES[:1], seeds=1, steps=25, draws=2)
AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """Held-out recognizers on the prints of one printer: shares of right answers, mean over recognizers and classes.

    ``gain``: with the response less without, in points, paired by view.
    """

    printer: str
    delta_e_after: float
    without: float
    measured: float
    gain: Points


def bench_color(effort: Effort, seed: int, progress: Progress) -> list[Verdict]:
    """Every printer's verdict. What is trained without a response is trained once, and printed by all of them."""
    with tempfile.TemporaryDirectory() as folder:
        responses = {printer: photographed_response(Path(folder) / printer, printer) for printer in effort.printers}
        lab = _lab(Path(folder) / "lab", effort, seed)
        bench = training_bench(lab, effort.classes)
        orders = [
            replace(train_order(lab, Wish.of(label), bench.known), seed=seed + run)
            for label in effort.classes
            for run in range(effort.seeds)
        ]
    surrogates, judges = loaded(bench.surrogates), loaded(convertible(bench.held_out))
    total, done = len(orders) * (1 + len(responses)), count(1)

    def trained(response: ColorResponse | None) -> list[Pixels]:
        textures = []
        for order in orders:
            textures.append(_trained(order, response, surrogates))
            number = next(done)
            progress(number / total, f"patch {number} of {total}")
        return textures

    plain = trained(None)
    return [
        _verdict(printer, response, orders, judges, plain, trained(response), effort)
        for printer, response in responses.items()
    ]


def photographed_response(folder: Path, printer: str) -> ColorResponse:
    """The response of one of the simulator's printers, from photographs of a chart that is written to ``folder``."""
    made = write_chart(folder, ChartOrder())
    for number, condition in enumerate(CHART_SEEN):
        pixels = photograph_chart(folder, made.chart, printer, condition)
        write_bytes(folder / "photos" / f"{number}.png", encode_png(pixels))
    return measure_color([folder / "photos"], made.chart, "sim").response


def photograph_chart(folder: Path, chart: Sheet, printer: str, condition: Condition) -> Pixels:
    """``(720, 1280, 3)`` uint8 RGB of a chart in ``folder``, printed by ``printer``."""
    with SimCamera(SimOptions(printer=printer, seed=1), folder) as camera:
        camera.stage(Shot(index=0, arm=chart.arm, sheet=chart.id, condition=condition), chart)
        return camera.read().pixels


def _lab(folder: Path, effort: Effort, seed: int) -> Lab:
    """A fresh one, as `dpcam init` makes it."""
    create_lab(folder, seed=seed)
    return open_lab(folder, environ={}, user_file=None, flags={"train.steps": effort.steps})


def _trained(order: TrainOrder, response: ColorResponse | None, surrogates: Sequence[Surrogate]) -> Pixels:
    from patches.train import train_patch

    spec = print_spec(response, order.spec) if response else order.spec
    return train_patch(replace(order, spec=spec), surrogates, ()).texture


def _verdict(
    printer: str,
    response: ColorResponse,
    orders: Sequence[TrainOrder],
    judges: Sequence[Surrogate],
    plain: Sequence[Pixels],
    known: Sequence[Pixels],
    effort: Effort,
) -> Verdict:
    """``(runs, draws)`` shares of right answers for both, and what lies between them."""
    without, measured = (
        np.array(
            [
                _judged(each, judges, printed(ink, 1.0, printer), effort.draws)
                for each, ink in zip(orders, inks, strict=True)
            ]
        )
        for inks in (plain, known)
    )
    sizes = np.full(effort.draws, float(AT_ONCE))
    by_class = (AT_ONCE * (measured - without)).reshape(len(effort.classes), effort.seeds, effort.draws)
    gain = stratified_mean([Stratum(totals, sizes) for totals in by_class], seed=0)
    return Verdict(printer, response.fit.delta_e_after, float(without.mean()), float(measured.mean()), gain)


def _judged(order: TrainOrder, judges: Sequence[Surrogate], seen: Pixels, draws: int) -> list[float]:
    """Shares of right answers, mean over the judges, for each draw of views; ``seen``: the texture as printed."""
    from patches.train import accuracy, mean

    spec, first = order.spec.model_copy(update=FROM_PRINT_TO_PRINT), order.seed + JUDGE_SEED_OFFSET
    order = replace(order, spec=spec)
    return [mean(accuracy(seen, order, judges, seed=first + number, count=AT_ONCE)) or 0.0 for number in range(draws)]


def color_result(verdicts: Sequence[Verdict], effort: Effort) -> Result:
    """As a table, and with a row for each printer in ``printers``."""
    found = [
        {
            "printer": each.printer,
            "delta_e_after": each.delta_e_after,
            "without": each.without,
            "measured": each.measured,
            "points": each.gain.points,
            "low": each.gain.low,
            "high": each.gain.high,
        }
        for each in verdicts
    ]
    rows = tuple(
        (
            each.printer,
            f"{each.delta_e_after:.2f}",
            f"{100 * each.without:.1f} %",
            f"{100 * each.measured:.1f} %",
            f"{each.gain.points:+.1f} ({each.gain.low:+.1f} to {each.gain.high:+.1f})",
        )
        for each in verdicts
    )
    columns = ("printer", "CIEDE2000", "trained without", "with its response", "points")
    return Result(
        {"printers": found, "settings": asdict(effort)}, [], [Table("Held-out recognizers, on prints", columns, rows)]
    )
