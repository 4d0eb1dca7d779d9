"""The report as JSON: all numbers of the page, without its pictures, with nothing left out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import JsonValue

from pipeline.report.content import Section
from pipeline.report.findings import Findings
from pipeline.report.signs import sound

FORMAT, VERSION = "dpcam.report", 1


def as_json(found: Findings) -> str:
    """The document as text; the same findings give the same text."""
    return json.dumps(document(found), indent=1, allow_nan=False) + "\n"


def document(found: Findings) -> dict[str, Any]:
    """What the JSON form holds; ``docs/report.md`` lists its keys."""
    report = found.report
    judgement = report.judgement
    held: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "title": report.title,
        "target": report.target,
        "simulated": report.simulated,
        "verdict": judgement.verdict if judgement else None,
        "sentence": judgement.sentence if judgement else None,
        "effect": judgement.effect if judgement else None,
        "rule": report.rule,
        "baseline": report.baseline,
        "answers": found.answers,
        "rows": report.rows,
        "maps": found.maps,
        "curves": found.curves,
        "turned": found.turned,
        "leak": found.leak,
        "coverage": found.coverage,
        "unanswered": [
            {"status": status, "reason": reason, "answers": count, "other_views_and_noises": others}
            for status, reason, count, others in found.unanswered
        ],
        "skipped": report.skips,
        "not_located": [{"reason": reason, "shots": count} for reason, count in found.missed_reasons],
        "examples": [{"shot": one.shot.name, "arm": one.shot.arm, "kind": one.kind} for one in found.examples],
        "statistics": _section(report.statistics),
        "twin": _section(report.twin),
        "not_asked": found.not_asked,
        "provenance": dict(report.provenance),
        "command": report.command,
    }
    made: dict[str, Any] = _plain(held)
    return made


def _plain(value: Any) -> Any:
    """Values of dataclasses, and text of any kind, as JSON has them; not a number is null."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {sound(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return sound(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _section(section: Section | None) -> JsonValue:
    if section is None:
        return None
    if section.data is not None:
        return section.data
    tables: list[JsonValue] = [
        {"title": t.title, "columns": list(t.columns), "rows": [list(r) for r in t.rows]} for t in section.tables
    ]
    return {"words": list(section.words), "tables": tables}
