"""Why a printed patch does less than the screen promised, in one figure: a waterfall for each kind of recognizer."""

from __future__ import annotations

import io
from typing import Any

from pipeline.twin import RUNGS, Ladder, Measures, Step, Twins

SETTINGS: Any = {"font.family": ["DejaVu Sans"], "font.size": 9.0, "text.parse_math": False}
WHOLE, LOSS, GAIN, LINE, BASE = "#4878b0", "#c0504d", "#5a9367", "#999999", "#b8b8b8"
TITLES = {True: "held-out recognizers", False: "surrogates"}
WORDS = {"base": "without\npatch", "screen": "screen", "real": "real\nsticker"}
FACTOR_WORDS = {"geometry": "geometry", "light": "light", "print": "print", "blur": "blur", "noise": "noise"}


def twin_png(twins: Twins) -> bytes:
    """A PNG: true probability and accuracy, from the screen down, or up, to the real sticker."""
    # Loaded only here: whoever draws nothing need not wait for it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    pooled = [ladder for ladder in twins.ladders if ladder.recognizer is None]
    with rc_context(SETTINGS):
        figure = Figure(figsize=(10, 0.9 + 3.1 * len(pooled)), dpi=110, layout="constrained")
        rows = figure.subplots(len(pooled), 2, squeeze=False, sharey=True)
        for axes, ladder in zip(rows, pooled, strict=True):
            _waterfall(axes[0], ladder, "probability")
            _waterfall(axes[1], ladder, "accuracy")
        figure.suptitle(_title(twins), fontsize=9, wrap=True)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _waterfall(axes: Any, ladder: Ladder, what: str) -> None:
    levels = [getattr(level, what) for level in ladder.levels]
    _whole(axes, 0, getattr(ladder.base, what), BASE)
    _whole(axes, 1, levels[0], WHOLE)
    for i, step in enumerate(ladder.steps):
        _step(axes, i + 2, levels[i], step, what)
    _whole(axes, len(RUNGS) + 1, levels[-1], WHOLE)
    _variance(axes, ladder, levels[-2], what)
    axes.set(xlim=(-0.6, len(RUNGS) + 1.6), ylim=(0, 108))
    axes.set_xticks(range(len(RUNGS) + 2), _names(), fontsize=8)
    axes.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axes.grid(axis="y", lw=0.4, color=LINE)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    shown = "true probability" if what == "probability" else "accuracy"
    axes.set_title(f"{TITLES[ladder.held_out]}: {shown}, {ladder.cells} conditions", fontsize=9)


def _names() -> list[str]:
    steps = [FACTOR_WORDS.get(rung, "un-\nexplained") for rung in RUNGS[1:]]
    return [WORDS["base"], WORDS["screen"], *steps, WORDS["real"]]


def _whole(axes: Any, at: int, level: float, color: str) -> None:
    axes.bar(at, level, 0.7, color=color)
    axes.annotate(f"{level:.1f}", (at, level), (0, 2), textcoords="offset points", ha="center", fontsize=8)


def _step(axes: Any, at: int, before: float, step: Step, what: str) -> None:
    change = getattr(step, what)
    after = before + change.points
    axes.bar(at, change.points, 0.7, bottom=before, color=GAIN if change.points >= 0 else LOSS)
    axes.plot([at - 1.35, at + 0.35], [before, before], color=LINE, lw=0.7)
    if change.low is not None and change.high is not None:
        axes.plot([at, at], [before + change.low, before + change.high], color="black", lw=1)
    top = max(before, after, before + (change.high or 0.0))
    axes.annotate(f"{change.points:+.1f}", (at, top), (0, 2), textcoords="offset points", ha="center", fontsize=8)


def _variance(axes: Any, ladder: Ladder, twin: float, what: str) -> None:
    """A band about the whole twin: where the real sticker is expected when nothing but chance is between them."""
    if ladder.spread is None:
        return
    half = 1.96 * getattr(ladder.spread, f"mean_{what}")
    right = len(RUNGS) + 1.5
    axes.fill_between([len(RUNGS) + 0.5, right], twin - half, twin + half, color="black", alpha=0.18, lw=0)


def _title(twins: Twins) -> str:
    return (
        f"Patch {twins.arm}: from the screen to the real sticker, in points, one property after the other. "
        f"Twins stand in {' and '.join(twins.bases)} shots; lines: 95 % intervals over conditions; "
        f"gray band: what repeats alone would move.\n{measures_text(twins.measures)}"
    )


def measures_text(measures: Measures) -> str:
    """What was measured, in a line."""
    parts = [
        _said("geometry {:.2f} px", measures.offset_px),
        _said("({:.2f} mm)", measures.offset_mm),
        _said("color ΔE {:.1f} to the twin,", measures.delta_e),
        _said("{:.1f} to the screen", measures.delta_e_screen),
        _said("blur {:.2f} px", measures.blur_px),
        _said("(real {:.2f})", measures.blur_px_real),
        _said("noise {:.1f} levels", measures.noise_levels),
        _said("(real {:.1f})", measures.noise_levels_real),
    ]
    return " ".join(filter(None, parts))


def _said(words: str, value: float | None) -> str:
    return "" if value is None else words.format(value)
