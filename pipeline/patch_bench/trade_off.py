"""The figure of what a gain costs: how much more often others are taken for the patch's class, for every method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pipeline.patch_bench.figure import as_png, reach
from pipeline.patch_bench.tables import CLEAN, CORRUPTIONS, Tables
from pipeline.patch_bench.variants import Variant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOT_IN, MARGIN_IN = (5.0, 3.6), (0.8, 0.6)
"""Width and height of the axes at least, and what is left and below them, inches."""

LETTER_IN, LINE_IN = 0.075, 0.18
"""Room for a letter of a name, and for its line, inches."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A trained variant: spoof rate beyond bare in %, gain in points, both as value, lower and upper end."""

    variant: Variant
    spoof: tuple[float, float, float]
    gain: tuple[float, float, float]


def trade_off_figure(tables: Tables, variants: Sequence[Variant], title: str) -> bytes:
    """PNG: gain over bare under corruptions over the spoof rate, on held-out recognizers where there are such.

    Dots of one method that differ in the value of one term are joined, so that they are a curve.
    """
    held_out = any(gain.held_out for gain in tables.gains)
    noise = CORRUPTIONS if CORRUPTIONS in tables.noises else CLEAN
    dots = _dots(tables, variants, noise, held_out=held_out)
    figure, axes = _room_for(dots)
    methods = list(dict.fromkeys(each.method for each in variants))
    colors = {method: f"C{number}" for number, method in enumerate(methods)}
    for run in curves(dots):
        values = [(dot.spoof[0], dot.gain[0]) for dot in run]
        axes.plot(*zip(*values, strict=True), color=colors[run[0].variant.method], lw=1, alpha=0.6)
    for dot in dots:
        _draw(axes, dot, colors[dot.variant.method])
    axes.axhline(0, color="black", lw=0.6)
    axes.axvline(0, color="black", lw=0.6)
    axes.set_xlabel("others taken for the patch's class, beyond bare, %")
    axes.set_ylabel(f"points over bare, {noise}")
    axes.set_title(f"{title}, {'held-out recognizers' if held_out else 'surrogates'}", fontsize=10)
    _write_names(axes, dots, colors)
    return as_png(figure)


def _room_for(dots: Sequence[Dot]) -> tuple[Figure, Any]:
    """A figure with axes in it that leave room for the names, all of them and the longest."""
    from matplotlib.figure import Figure

    left, below = MARGIN_IN
    plot_width, plot_height = PLOT_IN[0], max(PLOT_IN[1], 1.2 * LINE_IN * len(dots))
    width = left + plot_width + 0.4 + LETTER_IN * max(len(dot.variant.name) for dot in dots)
    height = below + plot_height + 0.4
    figure = Figure(figsize=(width, height), dpi=120)
    return figure, figure.add_axes((left / width, below / height, plot_width / width, plot_height / height))


def _dots(tables: Tables, variants: Sequence[Variant], noise: str, *, held_out: bool) -> list[Dot]:
    spoof = {each.method: each for each in tables.spoof if each.held_out == held_out}
    gains = {each.method: each for each in tables.gains if (each.held_out, each.noise) == (held_out, noise)}
    return [
        Dot(each, (100 * cost.rate, 100 * cost.low, 100 * cost.high), (gain.points, gain.low, gain.high))
        for each, cost, gain in ((each, spoof[each.name], gains[each.name]) for each in variants)
    ]


def curves(dots: Sequence[Dot]) -> Iterator[list[Dot]]:
    """Those of one method that differ in one term only, in the order of its value; a single one is no curve."""
    terms = {dot.variant: dot.variant.terms() for dot in dots}
    for term in (each.name for each in fields(next(iter(terms.values())))) if dots else ():
        alike: dict[tuple[object, ...], list[Dot]] = {}
        for dot in dots:
            rest = astuple(replace(terms[dot.variant], **{term: 0}))
            alike.setdefault((dot.variant.method, rest), []).append(dot)
        for group in alike.values():
            if len({getattr(terms[dot.variant], term) for dot in group}) > 1:
                yield sorted(group, key=lambda dot: getattr(terms[dot.variant], term))


def _draw(axes: Any, dot: Dot, color: str) -> None:
    axes.errorbar(
        dot.spoof[0], dot.gain[0], xerr=reach([dot.spoof]), yerr=reach([dot.gain]), color=color, fmt="o", ms=5, lw=0.7
    )


def _write_names(axes: Any, dots: Sequence[Dot], colors: dict[str, str]) -> None:
    """Names in a column beside the axes, as high as their dots where there is room, each with a thin line to it."""
    ordered = sorted(dots, key=lambda dot: dot.gain[0])
    low, high = axes.get_ylim()
    step = LINE_IN / (axes.get_position().height * axes.figure.get_figheight())
    heights = apart([(dot.gain[0] - low) / (high - low) for dot in ordered], step)
    for dot, height in zip(ordered, heights, strict=True):
        axes.annotate(
            dot.variant.name,
            xy=(dot.spoof[0], dot.gain[0]),
            xytext=(1.04, height),
            textcoords="axes fraction",
            color=colors[dot.variant.method],
            fontsize=8,
            va="center",
            arrowprops={"arrowstyle": "-", "color": "0.75", "lw": 0.6, "relpos": (0, 0.5)},
        )


def apart(heights: Sequence[float], step: float) -> list[float]:
    """Ascending heights, moved up and then down so that neighbours are ``step`` apart and none is above 1."""
    found = list(heights)
    for number in range(1, len(found)):
        found[number] = max(found[number], found[number - 1] + step)
    ceiling = 1.0
    for number in reversed(range(len(found))):
        found[number] = min(found[number], ceiling)
        ceiling = found[number] - step
    return found
