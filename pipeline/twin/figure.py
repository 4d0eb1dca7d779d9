"""Why a printed patch does less than the screen promised, in one figure: a waterfall for each kind of recognizer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

from pipeline.twin.ladder import RUNGS, TWIN, Change, Ladder, Measures, Twins

SETTINGS: Any = {"font.family": ["DejaVu Sans"], "font.size": 9.0, "text.parse_math": False}
WHOLE, LOSS, GAIN, LINE, BASE = "#2f5f95", "#c0504d", "#3f8a56", "#999999", "#777777"
TITLES = {True: "held-out recognizers", False: "surrogates"}
SHOWN = {"probability": "true probability", "accuracy": "accuracy"}
NAMES = ("no patch", "screen", *RUNGS[1:-1], "un-\nexplained", "real\nsticker")
LEAST_SPAN = 10.0
"""Points that the axis shows at least: small steps shall look small."""

What = Literal["probability", "accuracy"]


def twin_png(twins: Twins) -> bytes:
    """A PNG: true probability and accuracy, step by step from the screen to the real sticker."""
    # Loaded only here: whoever draws nothing need not wait for it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    pooled = [ladder for ladder in twins.ladders if ladder.recognizer is None]
    with rc_context(SETTINGS):
        figure = Figure(figsize=(11, 1.0 + 2.9 * len(pooled)), dpi=110, layout="constrained")
        rows = figure.subplots(len(pooled), 2, squeeze=False)
        for axes, ladder in zip(rows, pooled, strict=True):
            _waterfall(axes[0], ladder, "probability")
            _waterfall(axes[1], ladder, "accuracy")
        figure.suptitle(_title(twins), fontsize=9)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _waterfall(axes: Any, ladder: Ladder, what: What) -> None:
    base, levels = getattr(ladder.base, what), [getattr(level, what) for level in ladder.levels]
    changes: list[Change] = [getattr(step, what) for step in ladder.steps]
    _variance(axes, ladder, what)
    _level(axes, 0, base, BASE)
    _level(axes, 1, levels[0], WHOLE)
    for i, change in enumerate(changes):
        _step(axes, i + 2, levels[i], change)
    _level(axes, len(changes) + 2, levels[-1], WHOLE)
    axes.set_xlim(-0.6, len(NAMES) - 0.4)
    axes.set_ylim(*_limits([base, *levels], changes))
    axes.set_xticks(range(len(NAMES)), NAMES, fontsize=8)
    axes.grid(axis="y", lw=0.4, color=LINE)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel("%")
    axes.set_title(f"{TITLES[ladder.held_out]}: {SHOWN[what]}, {ladder.cells} conditions", fontsize=9)


def _limits(levels: Sequence[float], changes: Sequence[Change]) -> tuple[float, float]:
    """The part of the scale where something happens, with room for the words."""
    reach = [
        levels[i + 1] + end for i, change in enumerate(changes) for end in (change.low, change.high) if end is not None
    ]
    low, high = min(*levels, *reach), max(*levels, *reach)
    span = max(high - low, LEAST_SPAN)
    low = min((low + high - span) / 2, 100 - span)
    return low - 0.08 * span, low + 1.14 * span


def _level(axes: Any, at: int, level: float, color: str) -> None:
    """A mark, not a bar: the scale does not begin at zero."""
    axes.plot([at - 0.38, at + 0.38], [level, level], color=color, lw=3, solid_capstyle="butt")
    axes.annotate(f"{level:.1f}", (at, level), (0, 4), textcoords="offset points", ha="center", weight="bold")


def _step(axes: Any, at: int, before: float, change: Change) -> None:
    color = GAIN if change.points >= 0 else LOSS
    axes.plot([at - 1.38, at + 0.38], [before, before], color=LINE, lw=0.7)
    axes.bar(at, change.points, 0.7, bottom=before, color=color, edgecolor=color, lw=0.8)
    ends = (change.low, change.high)
    if change.low is not None and change.high is not None:
        axes.plot([at, at], [before + change.low, before + change.high], color="black", lw=1)
    top = before + max(0.0, change.points, *(end for end in ends if end is not None))
    axes.annotate(f"{change.points:+.1f}", (at, top), (0, 4), textcoords="offset points", ha="center", fontsize=8)


def _variance(axes: Any, ladder: Ladder, what: What) -> None:
    """A band about the whole twin: where the real sticker is expected when nothing but chance is between them."""
    if ladder.spread is None:
        return
    twin = getattr(ladder.levels[RUNGS.index(TWIN)], what)
    half = 1.96 * getattr(ladder.spread, f"mean_{what}")
    axes.axhspan(twin - half, twin + half, xmin=0.78, color="black", alpha=0.13, lw=0)


def _title(twins: Twins) -> str:
    return (
        f"Patch {twins.arm}: from the screen to the real sticker, one measured property after the other "
        f"(twins in {' and '.join(twins.bases)} shots)\n"
        "black lines: 95 % intervals over conditions; gray band: where repeats alone would put the real sticker\n"
        f"{measures_text(twins.measures)}"
    )


def measures_text(measures: Measures) -> str:
    """What was measured, in a line."""
    parts = [
        _said(
            "sticker off by {:.2f} px ({:.2f} ± {:.2f} mm)",
            measures.offset_px,
            measures.offset_mm,
            measures.offset_error_mm,
        ),
        _said("real against twin {:.1f} ΔE2000", measures.delta_e),
        _said("against screen {:.1f}", measures.delta_e_screen),
        _said("by noise alone {:.1f}", measures.delta_e_noise),
        _said("blur {:.2f} px, real {:.2f}", measures.blur_px, measures.blur_px_real),
        _said("noise {:.1f} levels, real {:.1f}", measures.noise_levels, measures.noise_levels_real),
    ]
    return " · ".join(filter(None, parts))


def _said(words: str, *values: float | None) -> str:
    return "" if None in values else words.format(*values)
