"""The curve gain over area: the same bench with frames of several sizes, and what came of all of them in one table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from calibration.errors import BadUsage
from calibration.files import in_file_name, write_bytes, write_json, write_text
from pipeline.patch_bench.command import Asked, ask_for, frame_named
from pipeline.patch_bench.datasets import frames_of
from pipeline.patch_bench.figure import as_png, reach
from pipeline.patch_bench.files import as_csv, interval, markdown_table, side, write_tables
from pipeline.patch_bench.plan import BenchPlan
from pipeline.patch_bench.run import Progress, outlook, run_bench
from pipeline.patch_bench.tables import CLEAN, CORRUPTIONS, Gain, Tables, make_tables
from pipeline.result import Result, Table

FORMAT = {"format": "dpcam.bench-patches-area", "version": 1}
NOISES = (CLEAN, CORRUPTIONS, "pgd10-4")
LEAST, MOST = 0.02, 0.9
ASIDE = 0.25
"""How far apart methods are drawn at the same area, so that no interval hides another, % of the picture."""


@dataclass(frozen=True, slots=True)
class AreaPlan:
    """A run of the bench with frames that cover the share ``area`` of the picture."""

    area: float
    plan: BenchPlan


@dataclass(frozen=True, slots=True)
class AreaGain(Gain):
    """A trained method over bare, in points, with a frame of this area."""

    area: float


@dataclass(frozen=True, slots=True)
class WrittenCurve:
    """The files of a curve."""

    json: Path
    csv: Path
    markdown: Path
    figure: Path


# ---- Before the run


def ask_for_curve(asked: Asked, areas: Sequence[str], *, data_folder: str | None, where: Path) -> tuple[AreaPlan, ...]:
    """A plan for each area, from the smallest on.

    :class:`BadUsage` for what is no share; :class:`BadInput` where an object has no room for such a frame.
    """
    if asked.area is not None:
        raise BadUsage("--area and --areas say the same; one is expected")
    shares = sorted({_share(word) for word in areas or [""]})
    first = ask_for(replace(asked, area=shares[0]), data_folder=data_folder, where=where)
    return tuple(AreaPlan(share, _framed(first, asked, share)) for share in shares)


def _share(word: str) -> float:
    try:
        share = round(float(word), 4)
    except ValueError:
        share = 0.0
    if not LEAST <= share <= MOST:
        raise BadUsage(f"--areas {word}: shares of the picture from {LEAST} to {MOST} are expected, by commas")
    return share


def _framed(plan: BenchPlan, asked: Asked, area: float) -> BenchPlan:
    """The same plan with other frames."""
    return replace(plan, frames=frames_of(plan.dataset, plan.classes, frame_named(asked.frame), area, plan.side_px))


def curve_outlook(plans: Sequence[AreaPlan]) -> Result:
    """How much there is to do for all areas together."""
    found = [outlook(each.plan) for each in plans]
    patches, kept, arms = (sum(getattr(each, name) for each in found) for name in ("patches", "patches_kept", "arms"))
    data = {**_asked_for(plans), "patches": patches, "patches_kept": kept, "arms": arms}
    line = f"would train {patches - kept} of {patches} patches, judge {arms} arms, for {len(plans)} areas"
    return Result(data={**data, "work": str(plans[0].plan.work)}, lines=[line])


def _asked_for(plans: Sequence[AreaPlan]) -> dict[str, Any]:
    plan = plans[0].plan
    return {
        "dataset": plan.dataset.name,
        "classes": list(plan.classes),
        "effort": plan.effort.name,
        "areas": [each.area for each in plans],
        "seed": plan.seed,
    }


# ---- The run


def curve_result(plans: Sequence[AreaPlan], out: Path, *, jobs: int, progress: Progress) -> Result:
    """Run the bench for each area, write its files and those of the curve, and answer with the curve."""
    gains: list[AreaGain] = []
    runs: dict[str, Path] = {}
    for number, each in enumerate(plans):
        tables = make_tables(run_bench(each.plan, jobs=jobs, progress=_part(progress, plans, number)))
        gains += area_gains(each, tables)
        name = f"area-{each.area:g}"
        runs[name] = write_tables(each.plan, tables, out / name).json
    written = write_curve(gains, runs, out)
    files = {**asdict(written), **runs}
    return Result(
        data={
            **_asked_for(plans),
            "curve": [asdict(each) for each in gains],
            "files": {name: str(path) for name, path in files.items()},
        },
        lines=[str(path) for path in asdict(written).values()],
        tables=_for_people(gains),
    )


def _part(progress: Progress, plans: Sequence[AreaPlan], number: int) -> Progress:
    """What one area reports, as progress of all."""
    return lambda share, text: progress((number + share) / len(plans), f"area {plans[number].area:g}: {text}")


def area_gains(of: AreaPlan, tables: Tables) -> Iterator[AreaGain]:
    """The gains of what was trained, under the noises of the curve."""
    trained = {each.name for each in of.plan.variants}
    for each in tables.gains:
        if each.method in trained and each.noise in NOISES:
            yield AreaGain(**asdict(each), area=of.area)


# ---- Files


def write_curve(gains: Sequence[AreaGain], runs: dict[str, Path], out: Path) -> WrittenCurve:
    """Write all four as ``area-<dataset>.*``; ``runs``: the files with the numbers behind each area, below ``out``."""
    dataset = gains[0].dataset
    stem = f"area-{in_file_name(dataset)}"
    written = WrittenCurve(*(out / f"{stem}.{suffix}" for suffix in ("json", "csv", "md", "png")))
    behind = {name: path.relative_to(out).as_posix() for name, path in runs.items()}
    write_json(written.json, {**FORMAT, "curve": [asdict(each) for each in gains], "runs": behind})
    write_text(written.csv, as_csv(gains, AreaGain))
    write_text(written.markdown, _as_markdown(gains, written.figure.name))
    write_bytes(written.figure, curve_figure(gains, dataset))
    return written


def _as_markdown(gains: Sequence[AreaGain], figure: str) -> str:
    lines = [
        f"# Gain over area on {gains[0].dataset}",
        "",
        "Percentage points over the bare picture, mean over recognizers, classes and seeds, with 95 % intervals, by "
        "the share of the picture that the frame covers.",
        "",
        f"![Gain over area]({figure})",
    ]
    for held_out in _sides(gains):
        lines += ["", f"## {side(held_out).capitalize()}", *markdown_table(_heads(gains), _cells(gains, held_out))]
    return "\n".join(lines) + "\n"


def _for_people(gains: Sequence[AreaGain]) -> list[Table]:
    return [
        Table(f"Points over bare by area, {side(held_out)}", _heads(gains), tuple(_cells(gains, held_out)))
        for held_out in _sides(gains)
    ]


def _heads(gains: Iterable[AreaGain]) -> tuple[str, ...]:
    return ("method", "noise", *(f"{100 * area:g} %" for area in dict.fromkeys(each.area for each in gains)))


def _cells(gains: Sequence[AreaGain], held_out: bool) -> Iterator[tuple[str, ...]]:
    """A row for each method and noise, a cell for each area."""
    for method, noise in dict.fromkeys((each.method, each.noise) for each in gains):
        values = (interval(each.points, each.low, each.high) for each in _run(gains, method, noise, held_out))
        yield (method, noise, *values)


def _sides(gains: Sequence[AreaGain]) -> list[bool]:
    """Held-out recognizers first."""
    return sorted({each.held_out for each in gains}, reverse=True)


def _run(gains: Sequence[AreaGain], method: str, noise: str, held_out: bool) -> list[AreaGain]:
    """One curve, in the order of the area."""
    return [each for each in gains if (each.method, each.noise, each.held_out) == (method, noise, held_out)]


def curve_figure(gains: Sequence[AreaGain], title: str) -> bytes:
    """PNG: a panel for each noise, held-out recognizers above surrogates, a curve for each method."""
    from matplotlib.figure import Figure

    noises, sides = list(dict.fromkeys(each.noise for each in gains)), _sides(gains)
    figure = Figure(figsize=(1 + 3.2 * len(noises), 0.8 + 3 * len(sides)), dpi=120, layout="constrained")
    grid = figure.subplots(len(sides), len(noises), squeeze=False, sharex=True, sharey="row")
    for row, held_out in zip(grid, sides, strict=True):
        row[0].set_ylabel(f"points over bare, {side(held_out)}")
        for axes, noise in zip(row, noises, strict=True):
            _draw(axes, gains, noise, held_out)
            axes.set_title(f"{title}, {noise}", fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("frame, % of the picture")
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", fontsize=7, ncols=min(len(names), 6))
    return as_png(figure)


def _draw(axes: Any, gains: Sequence[AreaGain], noise: str, held_out: bool) -> None:
    methods = list(dict.fromkeys(each.method for each in gains))
    for number, method in enumerate(methods):
        run = _run(gains, method, noise, held_out)
        bars = reach((each.points, each.low, each.high) for each in run)
        aside = ASIDE * (number - (len(methods) - 1) / 2)
        areas, points = [100 * each.area + aside for each in run], [each.points for each in run]
        axes.errorbar(areas, points, yerr=bars, label=method, marker="o", ms=3, lw=1.2, elinewidth=0.8)
    axes.axhline(0, color="black", lw=0.6)
