"""The tables as files: JSON with everything, CSV with all rows, Markdown for people, a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from calibration.files import in_file_name, write_bytes, write_json, write_text
from pipeline.patch_bench.figure import gains_figure
from pipeline.patch_bench.plan import BenchPlan
from pipeline.patch_bench.provenance import judging_code, training_code, versions
from pipeline.patch_bench.tables import CLEAN, CORRUPTIONS, Gain, Row, Spoof, Tables, Versus
from pipeline.patch_bench.trade_off import trade_off_figure

FORMAT = {"format": "dpcam.bench-patches", "version": 1}
SPOOF_HEADS = ("method", "recognizers", "spoof rate beyond bare, %")


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a run."""

    json: Path
    csv: Path
    markdown: Path
    figure: Path
    trade_off: Path


def write_tables(plan: BenchPlan, tables: Tables, out: Path) -> Written:
    """Write all five as ``patches-<dataset>.*``."""
    stem = f"patches-{in_file_name(plan.dataset.name)}"
    written = Written(
        json=out / f"{stem}.json",
        csv=out / f"{stem}.csv",
        markdown=out / f"{stem}.md",
        figure=out / f"{stem}.png",
        trade_off=out / f"{stem}-spoof.png",
    )
    write_json(written.json, {**FORMAT, **as_data(plan, tables), "settings": settings(plan)})
    write_text(written.csv, as_csv(tables.rows))
    write_text(written.markdown, as_markdown(plan, tables, written.figure.name, written.trade_off.name))
    methods = [each.name for each in plan.variants]
    share = f"{100 * plan.area:.1f} % of the picture"
    title = f"{plan.dataset.name}, frame on {share}"
    write_bytes(written.figure, gains_figure(tables, methods, title))
    write_bytes(written.trade_off, trade_off_figure(tables, plan.variants, title))
    return written


def as_data(plan: BenchPlan, tables: Tables) -> dict[str, Any]:
    """The keys that scripts rely on. Single types of corruption are left to the CSV."""
    rows = [each for each in tables.rows if each.noise not in plan.effort.corruptions]
    parts: dict[str, Sequence[Row | Gain | Versus | Spoof]] = {
        "rows": rows,
        "gains": tables.gains,
        "versus": tables.versus,
        "spoof": tables.spoof,
    }
    return {
        **{name: [asdict(each) for each in listed] for name, listed in parts.items()},
        "training": [asdict(each) for each in tables.training],
    }


def settings(plan: BenchPlan) -> dict[str, Any]:
    """What the numbers were made with."""
    frames = {label: frame.model_dump(mode="json") for label, frame in plan.frames.items()}
    return {
        "dataset": {"name": plan.dataset.name, "sha256": plan.dataset.digest, "classes": list(plan.classes)},
        "effort": asdict(plan.effort),
        "methods": [{"name": each.name, "terms": asdict(each.terms())} for each in plan.variants],
        "controls": list(plan.controls),
        "constants": plan.table,
        "seed": plan.seed,
        "device": plan.device,
        "precision": plan.precision,
        "frames": frames,
        "area": round(plan.area, 6),
        "side_px": plan.side_px,
        "spec": plan.spec.model_dump(mode="json"),
        "models": [
            {
                "name": each.name,
                "family": each.contract.family,
                "held_out": each.contract.held_out,
                "sha256": each.contract.sha256,
            }
            for each in plan.recognizers
        ],
        "code": {
            "judging": judging_code(),
            **{each.method: training_code(each.method) for each in plan.variants},
        },
        "versions": versions(),
    }


def as_csv(rows: Iterable[Any], kind: type = Row) -> str:
    """Rows that are dataclasses of this kind, under the names of its fields."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([each.name for each in fields(kind)])
    writer.writerows(
        [*(str(each).lower() if isinstance(each, bool) else each for each in asdict(row).values())] for row in rows
    )
    return stream.getvalue()


# ---- For people


def as_markdown(plan: BenchPlan, tables: Tables, figure: str, trade_off: str) -> str:
    """Gains first, then the first method against the others, spoof rates, rates by recognizer, what training costs."""
    dataset, effort = plan.dataset.name, plan.effort
    lines = [
        f"# Patches on {dataset}",
        "",
        f"{len(plan.classes)} classes, {effort.seeds} seed(s), effort `{effort.name}`: {effort.steps} steps of "
        f"{effort.batch} views; at most {effort.pictures} test pictures of each class, {effort.attacked} of them "
        f"attacked. The frame covers {100 * plan.area:.1f} % of the picture. Gains are in percentage points "
        "over the bare picture, mean over recognizers, classes and seeds, with 95 % intervals.",
        "",
        f"![Gains]({figure})",
        *_gain_tables(plan, tables),
        *_versus_table(tables),
        *_spoof_table(tables, trade_off),
        *_rate_tables(plan, tables),
        *_training_table(tables),
    ]
    return "\n".join(lines) + "\n"


def side(held_out: bool) -> str:
    """Whose numbers they are."""
    return "held out" if held_out else "surrogates"


def interval(points: float, low: float, high: float) -> str:
    """A value with its interval, as text."""
    return f"{points:+.1f} ({low:+.1f} to {high:+.1f})"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    ruled = ["---", *["---:"] * (len(heads) - 1)]
    return ["", *(f"| {' | '.join(cells)} |" for cells in (heads, ruled, *rows))]


def gains_by_method(gains: Sequence[Gain], noises: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A row for each arm, a cell for each noise."""
    found = {(each.method, each.noise): each for each in gains}
    for method in dict.fromkeys(each.method for each in gains):
        cells = (found[method, noise] for noise in noises)
        yield (method, *(interval(each.points, each.low, each.high) for each in cells))


def _gain_tables(plan: BenchPlan, tables: Tables) -> Iterator[str]:
    for held_out in sorted({each.held_out for each in tables.gains}, reverse=True):
        names = ", ".join(each.name for each in plan.recognizers if each.contract.held_out == held_out)
        yield from ("", f"## Gains over bare, {side(held_out)} ({names})")
        gains = [each for each in tables.gains if each.held_out == held_out]
        yield from markdown_table(("arm", *tables.noises), gains_by_method(gains, tables.noises))


def _versus_table(tables: Tables) -> Iterator[str]:
    if not tables.versus:
        return
    yield from ("", f"## `{tables.versus[0].method}` against the others")
    found = {(each.rival, each.held_out, each.noise): each for each in tables.versus}
    rows = dict.fromkeys((rival, held_out) for rival, held_out, _ in found)
    yield from markdown_table(
        ("against", "recognizers", *tables.noises),
        [
            (
                rival,
                side(held_out),
                *(
                    interval(each.points, each.low, each.high)
                    for each in (found[rival, held_out, noise] for noise in tables.noises)
                ),
            )
            for rival, held_out in rows
        ],
    )


def _spoof_table(tables: Tables, figure: str) -> Iterator[str]:
    yield from ("", "## Other objects that are taken for the class of the patch that they wear")
    yield from ("", f"![Gains over spoof rates]({figure})")
    yield from markdown_table(
        SPOOF_HEADS,
        [
            (each.method, side(each.held_out), interval(100 * each.rate, 100 * each.low, 100 * each.high))
            for each in tables.spoof
        ],
    )


def _rate_tables(plan: BenchPlan, tables: Tables) -> Iterator[str]:
    models = [each.name for each in plan.recognizers]
    heads = ("arm", *(f"{each.name}{' *' if each.contract.held_out else ''}" for each in plan.recognizers))
    found = {(each.method, each.model, each.noise): each for each in tables.rows}
    for noise in dict.fromkeys(each.noise for each in tables.rows if each.noise not in plan.effort.corruptions):
        yield from ("", f"## Rates in %, {noise}", "", "Held-out recognizers have a star.")
        arms = [arm for arm in plan.arms if (arm, models[0], noise) in found]
        yield from markdown_table(
            heads, [(arm, *(f"{100 * found[arm, model, noise].rate:.1f}" for model in models)) for arm in arms]
        )


def _training_table(tables: Tables) -> Iterator[str]:
    yield from ("", "## Training")
    yield from markdown_table(
        ("method", "seconds a patch", "steps"),
        [
            (each.method, "-" if each.seconds_per_patch is None else f"{each.seconds_per_patch:.1f}", str(each.steps))
            for each in tables.training
        ],
    )


def short_noises(tables: Tables) -> tuple[str, ...]:
    """The noises that fit on a screen: clean, corruptions, and a few attacks."""
    attacks = [noise for noise in tables.noises if noise not in (CLEAN, CORRUPTIONS)]
    known = [noise for noise in ("pgd10-2", "pgd10-4", "pgd10-8", "sticker") if noise in attacks]
    return tuple(noise for noise in (CLEAN, CORRUPTIONS) if noise in tables.noises) + tuple(known or attacks[:4])
