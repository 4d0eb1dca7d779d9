"""The report as Markdown, for a repository, a lab book or a mail: words and tables of the page, without its figures."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.report.content import Section
from pipeline.report.findings import Findings
from pipeline.report.outline import outline
from pipeline.report.signs import one_line
from pipeline.result import Table

MEANINGFUL = re.compile(r"([\\`*_{}\[\]<>#|~&!])")
"""Signs that Markdown, or the HTML in it, takes for its own."""


def markdown(found: Findings) -> str:
    """The whole report; the same findings give the same text."""
    lines = [f"# {_text(found.report.title)}", ""]
    for section in outline(found):
        lines += _section(section)
    return "\n".join(lines)


def _section(section: Section) -> Iterator[str]:
    yield f"## {_text(section.title)}"
    yield ""
    for words in section.words:
        yield _text(words)
        yield ""
    for figure in section.figures:
        yield f"{_text(figure.title)}: {_text(figure.words)}"
        yield ""
    for table in section.tables:
        yield from _table(table)
        yield ""


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"**{_text(table.title)}**"
        yield ""
    yield _row(table.columns)
    yield _row(["---"] * len(table.columns), plain=True)
    yield from (_row(row) for row in table.rows)


def _row(cells: tuple[str, ...] | list[str], *, plain: bool = False) -> str:
    return "| " + " | ".join(cell if plain else _text(cell) for cell in cells) + " |"


def _text(words: str) -> str:
    return MEANINGFUL.sub(r"\\\1", one_line(words))
