"""What a measured color response is worth: patches trained with it and without, in the simulator's prints.

For each printer a chart is photographed by the simulated camera, and its response goes into the transforms of a lab.
Both patches are then printed by the printer itself, not by its measured response, and judged in views that no training
drew, by recognizers that no patch was trained on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
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
from pipeline.coloring import FROM_PRINT_TO_PRINT, measure_color, print_spec, write_chart
from pipeline.lab import create_lab, open_lab
from pipeline.result import Result, Table
from pipeline.statistics import Points, Stratum, stratified_mean
from pipeline.training import JUDGE_SEED_OFFSET
from pipeline.training_bench import convertible, loaded, training_bench
from pipeline.training_order import Wish, train_order

if TYPE_CHECKING:
    from patches.order import TrainOrder
    from patches.surrogates import Surrogate

Pixels = NDArray[np.uint8]
Progress = Callable[[float, str], None]

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
class Course:
    """A training before anything is known of the printer, and who takes part in it."""

    order: TrainOrder
    surrogates: Sequence[Surrogate]
    judges: Sequence[Surrogate]


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
        courses = [_course(Path(folder) / "lab", label, effort, seed + k) for label, k in _cases(effort)]
    specs = [None, *(response for response in responses.values())]
    textures = []
    for number, (response, course) in enumerate((spec, course) for spec in specs for course in courses):
        textures.append(_trained(course, response))
        progress((number + 1) / (len(specs) * len(courses)), f"patch {number + 1} of {len(specs) * len(courses)}")
    rows = [textures[start : start + len(courses)] for start in range(0, len(textures), len(courses))]
    return [
        _verdict(printer, response, courses, rows[0], row, effort)
        for (printer, response), row in zip(responses.items(), rows[1:], strict=True)
    ]


def _cases(effort: Effort) -> list[tuple[str, int]]:
    return [(label, run) for label in effort.classes for run in range(effort.seeds)]


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


def _course(folder: Path, label: str, effort: Effort, seed: int) -> Course:
    """What `dpcam train` would do in a fresh lab."""
    create_lab(folder, seed=seed)
    lab = open_lab(folder, environ={}, user_file=None, flags={"lab.seed": seed, "train.steps": effort.steps})
    bench = training_bench(lab, [label])
    order = train_order(lab, Wish.of(label), bench.known)
    return Course(order, loaded(bench.surrogates), loaded(convertible(bench.held_out)))


def _trained(course: Course, response: ColorResponse | None) -> Pixels:
    from patches.train import train_patch

    spec = print_spec(response, course.order.spec) if response else course.order.spec
    return train_patch(replace(course.order, spec=spec), course.surrogates, ()).texture


def _verdict(
    printer: str,
    response: ColorResponse,
    courses: Sequence[Course],
    plain: Sequence[Pixels],
    known: Sequence[Pixels],
    effort: Effort,
) -> Verdict:
    """``(runs, draws)`` shares of right answers for both, and what lies between them."""
    without, measured = (
        np.array(
            [_judged(each, printed(ink, 1.0, printer), effort.draws) for each, ink in zip(courses, inks, strict=True)]
        )
        for inks in (plain, known)
    )
    sizes = np.full(effort.draws, float(AT_ONCE))
    by_class = (AT_ONCE * (measured - without)).reshape(len(effort.classes), effort.seeds, effort.draws)
    gain = stratified_mean([Stratum(totals, sizes) for totals in by_class], seed=0)
    return Verdict(printer, response.fit.delta_e_after, float(without.mean()), float(measured.mean()), gain)


def _judged(course: Course, seen: Pixels, draws: int) -> list[float]:
    """Shares of right answers, mean over the judges, for each draw of views; ``seen``: the texture as printed."""
    from patches.train import accuracy, mean

    spec = course.order.spec.model_copy(update=FROM_PRINT_TO_PRINT)
    order, first = replace(course.order, spec=spec), course.order.seed + JUDGE_SEED_OFFSET
    return [
        mean(accuracy(seen, order, course.judges, seed=first + number, count=AT_ONCE)) or 0.0 for number in range(draws)
    ]


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
