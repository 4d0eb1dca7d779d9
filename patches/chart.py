"""The color chart: a sheet whose strip fills the page, in random order, with blank paper among it to see the light.

Steps through the whole RGB cube, more grays, and colors between the steps, so that forms which only pass through the
steps are found out. Where a color is, is drawn from the seed: light that falls off shall not look like a response.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from calibration.errors import BadConfig, BadInput
from calibration.files import sha256_bytes
from calibration.geometry import Array, Box
from calibration.sheet import TAG_COUNT, Sheet, Swatch, Tag, Target, paper_size_mm
from patches.canvas import new_canvas, new_page, rectangle, text
from patches.marks import draw_ruler, draw_serial
from patches.pdf import draw_tag

ARM = "chart"
LABEL = "color chart"
WHITE = (255, 255, 255)
LEVELS = (0, 64, 128, 191, 255)
GRAYS = (16, 32, 48, 80, 96, 112, 144, 160, 176, 208, 224, 240)
BETWEEN = 14
"""Colors between the steps."""

COLUMNS, ROWS = 12, 15
BLANK_EVERY = 6
"""One field in six is blank paper, on a slanting lattice."""

MARGIN_MM, TAG_MM, QUIET_MM = 6.0, 24.0, 3.0
GAP_MM = 4.0
"""Between the tags' white border and the fields."""

RULERS_MM = (100.0, 50.0)
MIN_FIELD_MM = 7.0
FIRST_TAG_ID = TAG_COUNT - 4
"""The last ids of the family: sheets count from the first."""


@dataclass(frozen=True, slots=True)
class ChartOrder:
    """What a chart is printed on, its first tag's id, and the seed of where the colors are."""

    paper: str = "A4"
    first_tag_id: int = FIRST_TAG_ID
    seed: int = 0
    date: str | None = None
    operator: str | None = None


def chart_colors(seed: int) -> list[tuple[int, int, int]]:
    """The colors of a chart in its order, row by row, :data:`WHITE` where it is blank."""
    rng = np.random.default_rng([seed, 1])
    steps = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS, indexing="ij"), axis=-1).reshape(-1, 3)[:-1]
    grays = np.repeat(np.array(GRAYS)[:, None], 3, axis=1)
    inked = rng.permutation(np.concatenate([steps, grays, rng.integers(8, 248, (BETWEEN, 3))])).tolist()
    row, column = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
    blank = (column + 2 * row) % BLANK_EVERY == 0
    return [WHITE if empty else tuple(inked.pop()) for empty in blank]


def lay_out_chart(order: ChartOrder) -> Sheet:
    """The chart as a sheet: all fields are its strip, a tag in each corner, nothing to cut out.

    :class:`BadConfig` when the paper is unknown or too small; :class:`BadInput` for tag ids that the family lacks.
    """
    last = order.first_tag_id + 3
    if order.first_tag_id < 0 or last >= TAG_COUNT:
        raise BadInput(f"the tag ids {order.first_tag_id} to {last} are asked for, the family has 0 to {TAG_COUNT - 1}")
    width, height = sorted(paper_size_mm(order.paper))
    area = _area(order.paper, width, height)
    nowhere = Box(x_mm=width / 2, y_mm=height / 2, width_mm=0, height_mm=0)
    draft = Sheet(
        id="draft",
        arm=ARM,
        paper=order.paper,
        width_mm=width,
        height_mm=height,
        target=Target(label=LABEL, outline="rectangle", box=area),
        frame=area,
        inner=nowhere,
        window=nowhere,
        tags=_tags(order.first_tag_id, width, height),
        ruler=_ruler(width),
        strip=_fields(area, order.seed),
        pdf="draft.pdf",
        seed=order.seed,
        date=order.date,
        operator=order.operator,
    )
    name = f"{ARM}-{sha256_bytes(draft.model_dump_json().encode())[:8]}"
    return draft.model_copy(update={"id": name, "pdf": f"{name}.pdf"})


def chart_pdf(chart: Sheet) -> bytes:
    """One page of exactly the chart's size, the same bytes for the same chart."""
    stream = io.BytesIO()
    canvas = new_canvas(stream, f"dpcam sheet {chart.id}")
    new_page(canvas, chart.width_mm, chart.height_mm)
    for tag in chart.tags:
        draw_tag(canvas, tag)
    for field in chart.strip:
        if field.srgb != WHITE:
            canvas.setFillColorRGB(*(channel / 255 for channel in field.srgb))
            rectangle(canvas, field.box, stroke=0, fill=1)
    draw_ruler(canvas, chart.ruler)
    draw_serial(canvas, chart)
    words = (
        f"dpcam {chart.id}",
        f"{LABEL}, {len(chart.strip)} fields, tags {chart.tags[0].id} to {chart.tags[-1].id}",
        f"{chart.paper}: print at 100 %, photograph flat in even light, without flash",
    )
    top = chart.frame.y_mm + chart.frame.height_mm
    for i, line in enumerate(words):
        text(canvas, line, chart.width_mm / 2, top + 10 + 5 * i, size_mm=3, longest_mm=_between_tags(chart.width_mm))
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def _area(paper: str, width: float, height: float) -> Box:
    """Where the fields are: all between the upper tags and the lower ones."""
    top = MARGIN_MM + TAG_MM + 2 * QUIET_MM + GAP_MM
    area = Box(x_mm=MARGIN_MM, y_mm=top, width_mm=width - 2 * MARGIN_MM, height_mm=height - 2 * top)
    field = min(area.width_mm / COLUMNS, area.height_mm / ROWS)
    if field < MIN_FIELD_MM or _between_tags(width) < RULERS_MM[-1]:
        raise BadConfig(
            f"{paper} ({width:g} x {height:g} mm) is too small for a color chart of {COLUMNS} x {ROWS} fields",
            hint="take A4, Letter or larger",
        )
    return area


def _between_tags(width: float) -> float:
    return width - 2 * (MARGIN_MM + 2 * QUIET_MM + TAG_MM) - 4


def _ruler(width: float) -> Box:
    length = next(length for length in RULERS_MM if length <= _between_tags(width))
    return Box(x_mm=(width - length) / 2, y_mm=MARGIN_MM + TAG_MM, width_mm=length, height_mm=6)


def _tags(first: int, width: float, height: float) -> list[Tag]:
    """One in each corner, clockwise."""
    near = MARGIN_MM + QUIET_MM
    right, bottom = width - near - TAG_MM, height - near - TAG_MM
    corners = ((near, near), (right, near), (right, bottom), (near, bottom))
    return [
        Tag(id=first + i, square=Box(x_mm=x, y_mm=y, width_mm=TAG_MM, height_mm=TAG_MM))
        for i, (x, y) in enumerate(corners)
    ]


def _fields(area: Box, seed: int) -> list[Swatch]:
    """Row by row; numbers rounded, so that they are written the same everywhere."""
    size: Array = np.array([area.width_mm / COLUMNS, area.height_mm / ROWS])
    corners = [
        (area.corners_mm[0] + [column, row] * size).round(4).tolist()
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]
    width, height = size.round(4).tolist()
    return [
        Swatch(srgb=color, box=Box(x_mm=x, y_mm=y, width_mm=width, height_mm=height))
        for color, (x, y) in zip(chart_colors(seed), corners, strict=True)
    ]
