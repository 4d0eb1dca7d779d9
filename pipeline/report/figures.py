"""Figures as SVG that lives inside the page: accuracy as dots with whiskers, curves over severity.

Colors are names of the page's own style (``var(--...)``), so that light, dark and print each show their own. Text
stays text, in the page's fonts. The same rows give the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.report.content import Panel
from pipeline.report.curves import Curve
from pipeline.report.digest import is_patch
from pipeline.scoring.score import Row

STAND_INS = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--line)",
    "#040404": "var(--control)",
    "#050505": "var(--accent)",
    "#060606": "var(--surface)",
}
"""Colors that matplotlib is told, and what the page makes of them."""

INK, MUTED, LINE, CONTROL, ACCENT, SURFACE = STAND_INS

SETTINGS: Any = {
    "svg.hashsalt": "dpcam",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 10.0,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
}
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
WIDTH_IN = 4.0
LABEL_CHARACTERS = 16


LINES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Lines are told apart without color."""


PAPER = {INK: "#000000", MUTED: "#444444", LINE: "#bbbbbb", CONTROL: "#555555", ACCENT: "#0a5ea8", SURFACE: "#ffffff"}


def panel(recognizer: str, rows: Sequence[Row], key: str) -> Panel:
    """A recognizer's accuracy by arm: ``rows`` (one per arm, top to bottom); ``key`` makes the SVG's ids unique."""
    return Panel(recognizer, _inline(_accuracy(rows), key), "; ".join(_words(row) for row in rows))


def paper_svg(rows: Sequence[Row]) -> str:
    """The same as an SVG document of its own, its letters as shapes, in the colors of paper."""
    svg = _accuracy(rows, fonttype="path")
    for stand_in, color in PAPER.items():
        svg = svg.replace(stand_in, color)
    return svg


def _accuracy(rows: Sequence[Row], fonttype: str = "none") -> str:
    with _settings(fonttype):
        height_in = 0.5 + 0.26 * max(len(rows), 1)
        figure, axes = _new_figure(height_in, (0.31, 0.36 / height_in, 0.62, 1 - 0.42 / height_in))
        _frame(axes, rows)
        for y, row in enumerate(rows):
            _mark(axes, y, row)
        return _svg(figure)


def curve_panel(title: str, curves: Sequence[Curve], key: str) -> Panel:
    """Accuracy over severity, a line for each arm."""
    with _settings():
        legend_in = 0.19 * -(-len(curves) // 2)
        height_in = 2.3 + legend_in
        figure, axes = _new_figure(height_in, (0.12, (0.55 + legend_in) / height_in, 0.85, 1.65 / height_in))
        for number, curve in enumerate(curves):
            _line(axes, number, curve)
        axes.set_ylim(-3, 103)
        axes.set_yticks([0, 50, 100], ["0", "50", "100 %"])
        severities = sorted({severity for curve in curves for severity, _ in curve.points})
        axes.set_xticks(severities, ["none" if severity == 0 else str(severity) for severity in severities])
        axes.set_xlabel("severity", color=MUTED)
        axes.tick_params(length=0, pad=4)
        axes.grid(axis="y", color=LINE, linewidth=0.7)
        axes.spines[:].set_visible(False)
        figure.legend(loc="lower left", bbox_to_anchor=(0.08, 0.0), ncols=2, frameon=False, borderaxespad=0.0)
        return Panel(title, _inline(_svg(figure), key), "; ".join(_said(curve) for curve in curves))


@contextmanager
def _settings(fonttype: str = "none") -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context(SETTINGS | {"svg.fonttype": fonttype}), warnings.catch_warnings():
        # The browser finds a font for every script; only the layout here is measured with matplotlib's own.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _new_figure(height_in: float, place: tuple[float, float, float, float]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in))
    figure.patch.set_visible(False)
    return figure, figure.add_axes(place)


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata=NO_METADATA)
    return text.getvalue()


def _line(axes: Any, number: int, curve: Curve) -> None:
    x, y = zip(*((severity, 100 * rate) for severity, rate in curve.points), strict=True)
    color = ACCENT if is_patch(curve.arm) else INK if curve.arm == "bare" else CONTROL
    axes.plot(
        x,
        y,
        color=color,
        linewidth=2 if is_patch(curve.arm) else 1.3,
        linestyle=_style(number, curve.arm),
        marker=MARKERS[number % len(MARKERS)],
        markersize=5,
        markerfacecolor=color if is_patch(curve.arm) else SURFACE,
        label=_label(curve.arm),
        clip_on=False,
    )


def _style(number: int, arm: str) -> Any:
    if is_patch(arm):
        return LINES[0]
    return LINES[1] if arm == "bare" else LINES[2 + number % 2]


def _said(curve: Curve) -> str:
    points = ", ".join(f"{100 * rate:.0f} % at {severity or 'none'}" for severity, rate in curve.points)
    return f"{curve.arm}: {points}"


def _frame(axes: Any, rows: Sequence[Row]) -> None:
    axes.set_xlim(-2, 102)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axes.set_yticks(range(len(rows)), [_label(row.arm) for row in rows])
    axes.tick_params(length=0, pad=5)
    axes.grid(axis="x", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    for row in rows:
        if row.arm == "bare" and row.rate is not None:
            axes.axvline(100 * row.rate, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)


def _mark(axes: Any, y: int, row: Row) -> None:
    if row.rate is None or row.low is None or row.high is None:
        axes.text(0, y, "no score", color=MUTED, va="center", style="italic")
        return
    color = ACCENT if is_patch(row.arm) else CONTROL
    axes.plot([100 * row.low, 100 * row.high], [y, y], color=color, linewidth=2, solid_capstyle="butt", zorder=2)
    face = color if is_patch(row.arm) else SURFACE
    axes.plot([100 * row.rate], [y], "o", markersize=6, color=color, markerfacecolor=face, markeredgewidth=1.6)


def _label(arm: str) -> str:
    shown = "".join(letter if letter.isprintable() else "�" for letter in arm)
    return shown if len(shown) <= LABEL_CHARACTERS else shown[: LABEL_CHARACTERS - 1] + "…"


def _words(row: Row) -> str:
    if row.rate is None or row.low is None or row.high is None:
        return f"{row.arm} no score"
    return f"{row.arm} {100 * row.rate:.1f} % ({100 * row.low:.1f} to {100 * row.high:.1f})"


def _inline(svg: str, key: str) -> str:
    """A document → an element of an HTML page: no prologue, no namespaces, ids of its own, the page's colors."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r"<defs>\s*<style.*?</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for stand_in, name in STAND_INS.items():
        svg = svg.replace(stand_in, name)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip()
