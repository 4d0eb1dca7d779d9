"""The report: one HTML file that stands alone, offline, on paper, and before a reviewer."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.files import write_text
from pipeline.report.content import Panel, ReportInput, Section, ShotView, Skip
from pipeline.report.curves import noise_section, view_section
from pipeline.report.digest import Bench, is_patch, rows_by_arm
from pipeline.report.figures import curve_panel, panel
from pipeline.report.findings import Findings, find
from pipeline.report.heat import MapSet
from pipeline.report.pictures import Example, Picture, show
from pipeline.report.signs import shown
from pipeline.report.turning import Turned

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["ReportInput", "ShotView", "Skip", "render", "write_report"]

MAX_PANELS = 24
MAX_DRAWN = 40
MAX_ROWS = 2000
MAX_LISTED = 60
MAX_MAPS = 24
MAX_CELLS = 12_000
MAX_LINES = 400
MAX_SAID = 3
FOLD_FROM = 15
MAX_TEXT = 300
"""Bounds that keep the page readable, and under 15 MB; what is left out is counted on the page."""

BOUNDS = {
    "max_panels": MAX_PANELS,
    "max_drawn": MAX_DRAWN,
    "max_rows": MAX_ROWS,
    "max_listed": MAX_LISTED,
    "max_maps": MAX_MAPS,
    "max_lines": MAX_LINES,
    "max_said": MAX_SAID,
    "fold_from": FOLD_FROM,
}

NUMBER = re.compile(r"[+−-]?[\d.,]+( (%|points?|px|ms))?( to [+−-]?[\d.]+)?$")


@dataclass(frozen=True, slots=True)
class Shown:
    """An example with its picture."""

    example: Example
    picture: Picture


@dataclass(frozen=True, slots=True)
class BenchView:
    """The accuracy section of one kind of recognizer."""

    bench: Bench
    panels: tuple[Panel, ...]


def write_report(report: ReportInput, path: Path) -> int:
    """Write the page durably to ``path``; its size in bytes. Raises as :func:`calibration.files.write_text`."""
    html = render(find(report))
    write_text(path, html)
    return len(html.encode())


def render(found: Findings) -> str:
    """The page as text that encodes as UTF-8; the same findings give the same text."""
    noises, views = _noises(found), view_section(found.report.rows)
    return fill(
        "report.html",
        found=found,
        report=found.report,
        coverage=found.coverage,
        benches=[BenchView(one, _panels(one)) for one in found.benches],
        counts=rows_by_arm(found.rows[:MAX_ROWS]),
        map_sets=_map_sets(found.maps[1:]),
        turned=_turned(found.turned[:MAX_LINES]),
        noises=noises,
        views=views,
        contents=_contents(found.report, noises, views),
        examples=[Shown(one, show(one.shot)) for one in found.examples],
    )


def fill(template: str, **values: object) -> str:
    """A page from its template, without the signs that no page may hold."""
    return shown(_environment().get_template(template).render(**BOUNDS, **values))


def _contents(report: ReportInput, *more: Section | None) -> list[tuple[str, str]]:
    """(anchor, title) of the page's sections."""
    own = {
        "tested": "What was tested",
        "accuracy": "Accuracy",
        "maps": "Distance and yaw",
        "turned": "What answers turned into",
        "leak": "Label leak",
        "coverage": "Coverage",
        "examples": "Examples",
        "skipped": "Skipped and missed",
        "provenance": "Provenance",
    }
    handed_in = {one.key: one.title for one in (report.statistics, *more, report.twin) if one}
    order = ("tested", "accuracy", "maps", "statistics", "noises", "views", "turned", "leak", "twin")
    titles = own | handed_in
    return [(key, titles[key]) for key in (*order, "coverage", "examples", "skipped", "provenance") if key in titles]


def _map_sets(sets: Sequence[MapSet]) -> list[MapSet]:
    """As many as keep the page within :data:`MAX_CELLS` cells."""
    cells = 0
    within = []
    for one in sets:
        cells += sum(len(row) for each in one.maps[:MAX_MAPS] for row in each.cells)
        if cells <= MAX_CELLS:
            within.append(one)
    return within


def _turned(lines: Sequence[Turned]) -> list[tuple[str, list[tuple[str, list[Turned]]]]]:
    """Under a title each, by arm: the patches, and the arm that tells whether a sticker can mislead; the rest."""
    by_arm = [(arm, list(group)) for arm, group in groupby(lines, key=lambda one: one.arm)]
    first = [each for each in by_arm if is_patch(each[0]) or each[0] == "wrong-class"]
    rest = [each for each in by_arm if each not in first]
    return [("Patches, and the patch of another class", first), ("Other controls", rest)]


def _noises(found: Findings) -> Section | None:
    section = noise_section(found.report.rows)
    if section is None:
        return None
    panels = [curve_panel(one.noise, one.curves, f"noise{i}") for i, one in enumerate(found.curves[:MAX_PANELS])]
    return replace(section, figures=tuple(panels))


def _panels(one: Bench) -> tuple[Panel, ...]:
    kind = "held" if one.held_out else "surrogate"
    columns = zip(*(rows for _, rows in one.lines[:MAX_DRAWN]), strict=True)
    drawn = list(zip(one.recognizers, columns, strict=True))[:MAX_PANELS]
    return tuple(
        panel(name, [row for row in rows if row is not None], f"{kind}{i}") for i, (name, rows) in enumerate(drawn)
    )


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent, number=_number, points=_points, clip=_clip, numeric=_numeric, base64=_base64
    )
    environment.tests.update(patch=is_patch)
    return environment


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _number(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _points(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _numeric(rows: Sequence[Sequence[str]], column: int) -> bool:
    """Whether a column of a table holds numbers, and stands flush right."""
    cells = [row[column] for row in rows if row[column] not in ("", "–")]
    return bool(cells) and all(NUMBER.match(cell) for cell in cells)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _clip(text: str, most: int = MAX_TEXT) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
