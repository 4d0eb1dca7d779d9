"""The forms of a report: one page, a PDF, Markdown, JSON, or every answer as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, get_args

from calibration.files import write_bytes, write_text
from pipeline.report.content import ReportInput, ShotView
from pipeline.report.document import as_json
from pipeline.report.findings import Findings, find
from pipeline.report.markdown import markdown
from pipeline.report.page import render
from pipeline.report.paper import pdf
from pipeline.report.signs import sound
from pipeline.scoring.score import Answer
from pipeline.sessions.exporting import Kind, write_table, written_aside
from pipeline.sessions.exporting import Row as Line

Form = Literal["html", "json", "csv", "parquet", "markdown", "pdf"]
FORMS: tuple[Form, ...] = get_args(Form)
SUFFIXES: dict[Form, str] = {form: f".{form}" for form in FORMS} | {"markdown": ".md"}

COLUMNS: dict[str, Kind] = {
    "sample": "VARCHAR",
    "arm": "VARCHAR",
    "distance_mm": "DOUBLE",
    "yaw_deg": "DOUBLE",
    "pitch_deg": "DOUBLE",
    "light": "VARCHAR",
    "cell": "VARCHAR",
    "cluster": "VARCHAR",
    "model": "VARCHAR",
    "held_out": "BOOLEAN",
    "view": "VARCHAR",
    "repeat": "BIGINT",
    "noise": "VARCHAR",
    "severity": "BIGINT",
    "status": "VARCHAR",
    "reason": "VARCHAR",
    "truth": "VARCHAR",
    "predicted": "VARCHAR",
    "probability": "DOUBLE",
    "correct": "BOOLEAN",
    "true_probability": "DOUBLE",
    "margin": "DOUBLE",
    "entropy": "DOUBLE",
}
"""Of the table of answers: one line for each, with the condition of its shot."""

_OF_SHOT = ("distance_mm", "yaw_deg", "pitch_deg", "light")

_TEXTS: dict[str, Callable[[Findings], str]] = {"html": render, "json": as_json, "markdown": markdown}


def form_of(path: Path | None) -> Form:
    """The form that a file's name asks for; a page when it asks for none."""
    return next((form for form, suffix in SUFFIXES.items() if path and path.suffix.lower() == suffix), "html")


def write_form(report: ReportInput, path: Path, form: Form) -> int:
    """Write the report durably to ``path``; its size in bytes.

    Raises as :func:`calibration.files.write_bytes`, and :class:`calibration.errors.BadUsage` for Parquet when what
    writes it is not installed.
    """
    if form == "csv" or form == "parquet":
        with written_aside(path) as aside:
            write_table(_lines(report), COLUMNS, aside, form)
    elif form == "pdf":
        write_bytes(path, pdf(find(report)))
    else:
        write_text(path, _TEXTS[form](find(report)))
    return path.stat().st_size


def _lines(report: ReportInput) -> Iterator[Line]:
    shots = {shot.name: shot for shot in report.shots}
    for answer in report.answers:
        yield _line(answer, shots.get(answer.sample))


def _line(answer: Answer, shot: ShotView | None) -> Line:
    condition: Line = {name: getattr(shot, name) if shot else None for name in _OF_SHOT}
    values = {name: condition[name] if name in condition else getattr(answer, name) for name in COLUMNS}
    return {name: sound(value) if isinstance(value, str) else value for name, value in values.items()}
