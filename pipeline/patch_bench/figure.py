"""The figure of the bench: gains of every method over bare on held-out recognizers, with intervals."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from patches.attacks import attack_named
from pipeline.patch_bench.tables import CLEAN, CORRUPTIONS, Gain, Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUP_WIDTH = 0.8


def gains_figure(tables: Tables, methods: Sequence[str], title: str) -> bytes:
    """PNG: noises side by side, a bar for each method; surrogates below, where there are held-out recognizers above."""
    from matplotlib.figure import Figure

    noises = [noise for noise in tables.noises if _is_drawn(noise)]
    sides = sorted({gain.held_out for gain in tables.gains}, reverse=True)
    figure = Figure(figsize=(2 + 1.1 * len(noises), 3.4 * len(sides)), dpi=120, layout="constrained")
    rows = figure.subplots(len(sides), 1, squeeze=False)[:, 0]
    for axes, held_out in zip(rows, sides, strict=True):
        _draw(axes, [gain for gain in tables.gains if gain.held_out == held_out], methods, noises)
        axes.set_title(f"{title}, {'held-out recognizers' if held_out else 'surrogates'}", fontsize=10)
    figure.legend(
        *rows[0].get_legend_handles_labels(), loc="outside upper center", fontsize=7, ncols=min(len(methods), 6)
    )
    return as_png(figure)


def as_png(figure: Figure) -> bytes:
    """The figure as a file."""
    stream = io.BytesIO()
    # Without the version of the library in it, the same numbers are the same bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def reach(values: Iterable[tuple[float, float, float]]) -> tuple[list[float], list[float]]:
    """How far the intervals of (value, low, high) go down and up from the value, as matplotlib takes them."""
    # An interval of resampled means need not hold the mean itself.
    below, above = zip(*((max(0.0, value - low), max(0.0, high - value)) for value, low, high in values), strict=True)
    return list(below), list(above)


def _is_drawn(noise: str) -> bool:
    """Attacks that are confined to a region are left to the tables."""
    return noise in (CLEAN, CORRUPTIONS) or attack_named(noise).region == "everywhere" or noise == "sticker"


def _draw(axes: Any, gains: Sequence[Gain], methods: Sequence[str], noises: Sequence[str]) -> None:
    found = {(gain.method, gain.noise): gain for gain in gains}
    width = GROUP_WIDTH / len(methods)
    for number, method in enumerate(methods):
        own = [found[method, noise] for noise in noises]
        places = [place + (number + 0.5) * width - GROUP_WIDTH / 2 for place in range(len(noises))]
        bars = reach([(each.points, each.low, each.high) for each in own])
        axes.bar(places, [each.points for each in own], width, yerr=bars, label=method, error_kw={"lw": 0.8})
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xticks(range(len(noises)), noises, rotation=30, ha="right", fontsize=8)
    axes.set_ylabel("points over bare")
