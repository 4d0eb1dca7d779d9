"""The report: one HTML file that stands alone, offline, on paper, and before a reviewer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.files import write_text
from pipeline.report.content import ReportInput, ShotView, Skip
from pipeline.report.digest import (
    Bench,
    all_arms,
    bench,
    coverage,
    is_patch,
    leak_lines,
    reasons,
    rows_by_arm,
    unanswered,
    wrong_counts,
)
from pipeline.report.figures import Panel, panel
from pipeline.report.heat import heat_maps
from pipeline.report.pictures import Example, Picture, choose, show

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["ReportInput", "ShotView", "Skip", "render", "write_report"]

MAX_PANELS = 24
MAX_DRAWN = 40
MAX_ROWS = 2000
MAX_LISTED = 60
MAX_MAPS = 24
MAX_TEXT = 300
"""Bounds that keep the page readable, and under 15 MB; what is left out is counted on the page."""

NOT_SHOWN = dict.fromkeys([0, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "�")
"""NUL, which is no character of HTML, and the signs that turn the direction of all text after them."""


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
    html = render(report)
    write_text(path, html)
    return len(html.encode())


def render(report: ReportInput) -> str:
    """The page as text that encodes as UTF-8; the same input gives the same text."""
    on_bench = [bench(report.rows, held_out) for held_out in (True, False)]
    maps_held_out = any(row.held_out for row in report.rows)
    html = (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            arms=all_arms(report),
            benches=[BenchView(one, _panels(one)) for one in on_bench if one.recognizers],
            counts=rows_by_arm(report.rows[:MAX_ROWS]),
            wrong=wrong_counts(report.answers),
            leak=leak_lines(report.answers),
            maps=heat_maps(report.shots, report.answers, maps_held_out),
            maps_held_out=maps_held_out,
            coverage=coverage(report),
            unanswered=unanswered(report.answers),
            skip_reasons=reasons(skip.reason for skip in report.skips),
            missed_reasons=reasons(shot.reason for shot in report.shots if not shot.found),
            examples=[Shown(one, show(one.shot)) for one in choose(report.shots, report.answers)],
            max_rows=MAX_ROWS,
            max_listed=MAX_LISTED,
            max_panels=MAX_PANELS,
            max_drawn=MAX_DRAWN,
            max_maps=MAX_MAPS,
        )
    )
    # Names of files may hold bytes that are no text.
    return html.translate(NOT_SHOWN).encode("utf-8", "replace").decode()


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
    environment.filters.update(percent=_percent, number=_number, points=_points, clip=_clip)
    environment.tests.update(patch=is_patch)
    return environment


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _number(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _points(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _clip(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
