"""The page of ``dpcam compare``: what differs between sessions, their accuracy side by side, the differences."""

from __future__ import annotations

from pathlib import Path

from calibration.files import write_text
from pipeline.report.comparing import Comparison, Line, difference_text, rate_text
from pipeline.report.content import Section
from pipeline.report.page import fill
from pipeline.result import Table


def write_comparison(found: Comparison, path: Path) -> int:
    """Write the page durably to ``path``; its size in bytes."""
    html = render_comparison(found)
    write_text(path, html)
    return len(html.encode())


def render_comparison(found: Comparison) -> str:
    """The page as text; the same comparison gives the same text."""
    sections = [_facts(found), *(_accuracy(found, held_out) for held_out in (True, False))]
    shown = [section for section in sections if section]
    contents = [(section.key, section.title) for section in shown]
    return fill("comparison.html", found=found, sections=shown, contents=contents)


def _facts(found: Comparison) -> Section:
    columns = ("What", *found.letters)
    differing = tuple((fact.name, *fact.values) for fact in found.facts if fact.differs)
    same = tuple((fact.name, fact.values[0]) for fact in found.facts if not fact.differs)
    tables = (Table("What differs.", columns, differing), Table("What is the same.", ("What", "In all"), same))
    words = () if differing else ("Nothing that the sessions record differs between them.",)
    return Section("differs", "What differs between the sessions", words, tuple(t for t in tables if t.rows))


def _accuracy(found: Comparison, held_out: bool) -> Section | None:
    lines = [line for line in found.lines if line.held_out == held_out]
    if not lines:
        return None
    columns = ("Arm", "Recognizer", *found.letters, *found.against)
    kind = "held-out recognizers" if held_out else "surrogates"
    table = Table(
        "Right answers in % with 95 % interval, and differences in points.", columns, tuple(map(_cells, lines))
    )
    words = (
        "A difference is the mean over the conditions that both sessions took, its interval over these. With "
        "* there were fewer than two: then the two rates stand for themselves, and what else differs is in the "
        "difference, too. Intervals are of one line each; over many lines some miss 0 by chance.",
    )
    return Section("held-out" if held_out else "surrogates", f"Accuracy: {kind}", words, (table,))


def _cells(line: Line) -> tuple[str, ...]:
    return (line.arm, line.model, *map(rate_text, line.rows), *map(difference_text, line.differences))
