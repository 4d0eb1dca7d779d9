"""The report as PDF, drawn by ReportLab: no browser is needed. Words, tables, the accuracy figures and the pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pipeline.report.content import Section
from pipeline.report.digest import is_patch
from pipeline.report.figures import paper_svg
from pipeline.report.findings import Findings
from pipeline.report.outline import outline
from pipeline.report.pictures import show
from pipeline.report.signs import one_line
from pipeline.result import Table
from pipeline.scoring.score import Row

FONT, BOLD = "DejaVuSans", "DejaVuSans-Bold"
MARGIN_PT = 45.0
WIDTH_PT = 595.0 - 2 * MARGIN_PT
MAX_LINES = 400
IN_ROW = 3
MAX_DRAWN = 40
MAX_FIGURES = 24
ACCENT, LINE, SOFT = "#0a5ea8", "#bbbbbb", "#f0f2f4"


def pdf(found: Findings) -> bytes:
    """A PDF on A4; the same findings give the same bytes."""
    from reportlab.platypus import PageBreak, SimpleDocTemplate

    _embed_fonts()
    stream = io.BytesIO()
    title = one_line(found.report.title)
    page = SimpleDocTemplate(
        stream,
        pagesize=(595.0, 842.0),
        leftMargin=MARGIN_PT,
        rightMargin=MARGIN_PT,
        topMargin=MARGIN_PT,
        bottomMargin=MARGIN_PT,
        title=title,
        author="dpcam",
        invariant=1,
        initialFontName=FONT,
    )
    story = [_words(title, 16, bold=True)]
    for section in outline(found):
        story += _section(section)
        story += _figures(found) if section.key == "accuracy" else []
    story += [PageBreak(), *_pictures(found)] if found.examples else []
    page.build(story, onFirstPage=_number, onLaterPages=_number)
    return stream.getvalue()


def _embed_fonts() -> None:
    import matplotlib as mpl
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    for name in (FONT, BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(Path(mpl.get_data_path(), "fonts", "ttf", f"{name}.ttf"))))


def _section(section: Section) -> Iterator[Any]:
    yield _words(section.title, 12, bold=True, before=14)
    for words in section.words:
        yield _words(words, 8.5, after=4)
    for figure in section.figures:
        if figure.png:
            yield _image(figure.png, WIDTH_PT)
        yield _words(f"{figure.title}: {figure.words}", 7.5, after=3)
    for table in section.tables:
        yield from _table(table)


def _table(table: Table) -> Iterator[Any]:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import LongTable, Spacer

    if table.title:
        yield _words(table.title, 8.5, bold=True, before=6, after=3)
    heads = [_words(head, 6.5, bold=True) for head in table.columns]
    rows = [[_cell(table, row, i) for i in range(len(row))] for row in table.rows[:MAX_LINES]]
    style = [
        ("LINEBELOW", (0, 0), (-1, 0), 0.8, HexColor("#555555")),
        ("LINEBELOW", (0, 1), (-1, -1), 0.3, HexColor(LINE)),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
    yield LongTable([heads, *rows], colWidths=_widths(table), repeatRows=1, style=style, hAlign="LEFT")
    if len(table.rows) > MAX_LINES:
        yield _words(f"{len(table.rows) - MAX_LINES} more rows are left out here.", 7.5)
    yield Spacer(1, 4)


def _cell(table: Table, row: tuple[str, ...], column: int) -> Any:
    patch = column == 0 and table.columns[0] == "Arm" and is_patch(row[0])
    return _words(row[column], 6.5, bold=patch, color=ACCENT if patch else "#000000")


def _widths(table: Table) -> list[float]:
    """As wide as the longest cell asks for, within bounds, then stretched or shrunk to the page together."""
    longest = [
        max([len(head), *(len(row[i]) for row in table.rows[:MAX_LINES])]) for i, head in enumerate(table.columns)
    ]
    wanted = [min(max(length, 6), 32 if i == 0 else 70) for i, length in enumerate(longest)]
    return [WIDTH_PT * min(1.0, sum(wanted) / 100) * each / sum(wanted) for each in wanted]


def _words(
    text: str, size_pt: float, *, bold: bool = False, before: float = 0, after: float = 2, color: str = "#000000"
) -> Any:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    style = ParagraphStyle(
        "words",
        fontName=BOLD if bold else FONT,
        fontSize=size_pt,
        leading=1.3 * size_pt,
        spaceBefore=before,
        spaceAfter=after,
        textColor=color,
        splitLongWords=1,
        keepWithNext=bold and size_pt > 8,
    )
    return Paragraph(escape(one_line(text)), style)


def _figures(found: Findings) -> Iterator[Any]:
    """The dots with whiskers of each recognizer, side by side."""
    from reportlab.platypus import Table as Grid

    cells = []
    for one in found.benches:
        for name, rows in list(zip(one.recognizers, zip(*(r for _, r in one.lines), strict=True), strict=True)):
            kind = "held out" if one.held_out else "surrogate"
            drawn = _drawing([row for row in rows[:MAX_DRAWN] if row is not None])
            cells.append([_words(f"{name} ({kind})", 7.5, bold=True), drawn])
    cells = cells[:MAX_FIGURES]
    if cells:
        yield _grid(cells, Grid)


def _drawing(rows: Sequence[Row]) -> Any:
    from svglib.svglib import svg2rlg

    drawing: Any = svg2rlg(io.BytesIO(paper_svg(rows).encode()))
    scale = (WIDTH_PT / IN_ROW - 10) / drawing.width
    drawing.width, drawing.height = drawing.width * scale, drawing.height * scale
    drawing.scale(scale, scale)
    return drawing


def _image(data: bytes, side_pt: float) -> Any:
    """A picture whose longest side is ``side_pt``."""
    from reportlab.platypus import Image

    image = Image(io.BytesIO(data))
    scale = side_pt / max(image.imageWidth, image.imageHeight)
    image.drawWidth, image.drawHeight = image.imageWidth * scale, image.imageHeight * scale
    return image


def _grid(cells: list[Any], grid: Any) -> Any:
    rows: list[list[Any]] = [cells[i : i + IN_ROW] for i in range(0, len(cells), IN_ROW)]
    rows[-1] += [""] * (IN_ROW - len(rows[-1]))
    return grid(rows, colWidths=[WIDTH_PT / IN_ROW] * IN_ROW, style=[("VALIGN", (0, 0), (-1, -1), "TOP")])


def _pictures(found: Findings) -> Iterator[Any]:
    from reportlab.platypus import Table as Grid

    yield _words("Examples", 12, bold=True)
    side = WIDTH_PT / IN_ROW - 8
    cells = []
    for one in found.examples:
        made = show(one.shot)
        words = _words(f"{one.shot.arm}, {one.kind}: {one.shot.condition}; shot {one.shot.name}. {made.problem}", 6.5)
        if not made.uri:
            cells.append([words])
            continue
        cells.append([_image(base64.b64decode(made.uri.partition(",")[2]), side), words])
    yield _grid(cells, Grid)


def _number(canvas: Any, page: Any) -> None:
    canvas.setFont(FONT, 7)
    canvas.drawRightString(595.0 - MARGIN_PT, 26, f"page {page.page}")
