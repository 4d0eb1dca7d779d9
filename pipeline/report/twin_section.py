"""What the digital twin says, as a section: what the real sticker lost on the way from the screen, and to what."""

from __future__ import annotations

from pydantic import JsonValue, TypeAdapter

from pipeline.report.content import Panel, Section
from pipeline.result import Table
from pipeline.twin.figure import measures_text, twin_png
from pipeline.twin.ladder import Change, Ladder, LeftOut, Measures, Twins

_MEASURES: TypeAdapter[Measures] = TypeAdapter(Measures)
_LADDERS: TypeAdapter[tuple[Ladder, ...]] = TypeAdapter(tuple[Ladder, ...])
_LEFT_OUT: TypeAdapter[tuple[LeftOut, ...]] = TypeAdapter(tuple[LeftOut, ...])


def twin_section(twins: Twins) -> Section:
    """The figure, and a table for each kind of recognizers; the JSON form holds every step of the ladders."""
    tables = tuple(_table(twins, held_out) for held_out in (True, False))
    words = (
        f"The patch {twins.arm} was rendered into the shots of {' and '.join(twins.bases)}, and scored; then one "
        "property of print and camera after the other was given to it, as measured. What is left between this twin and "
        f"the real sticker is unexplained. Measured: {measures_text(twins.measures)}.",
        *(f"Left out: {each.name}, {each.reason}." for each in twins.left_out[:5]),
    )
    data: JsonValue = {
        "arm": twins.arm,
        "bases": list(twins.bases),
        "measures": _MEASURES.dump_python(twins.measures, mode="json"),
        "ladders": _LADDERS.dump_python(twins.ladders, mode="json"),
        "left_out": _LEFT_OUT.dump_python(twins.left_out, mode="json"),
    }
    figure = Panel("From the screen to the real sticker", "", _said(twins), png=twin_png(twins))
    return Section("twin", "Twin gap", words, tuple(t for t in tables if t.rows), (figure,), data)


def _table(twins: Twins, held_out: bool) -> Table:
    ladders = [ladder for ladder in twins.ladders if ladder.held_out == held_out]
    factors = tuple(factor.name for factor in ladders[0].factors) if ladders else ()
    return Table(
        f"{'Held-out recognizers' if held_out else 'Surrogates'}: true probability in %, steps in points.",
        ("Recognizer", "No patch", "Screen", *factors, "Real", "Repeats move"),
        tuple(_row(ladder) for ladder in ladders),
    )


def _row(ladder: Ladder) -> tuple[str, ...]:
    levels = (ladder.base, ladder.levels[0], ladder.levels[-1])
    base, screen, real = (f"{level.probability:.1f}" for level in levels)
    steps = (_change(factor.probability) for factor in ladder.factors)
    moved = f"±{ladder.spread.mean_probability:.1f}" if ladder.spread else "–"
    return (ladder.recognizer or "all", base, screen, *steps, real, moved)


def _change(change: Change) -> str:
    bounds = "" if change.low is None or change.high is None else f" ({change.low:+.1f} to {change.high:+.1f})"
    return f"{change.points:+.1f}{bounds}".replace("-", "−")


def _said(twins: Twins) -> str:
    """The figure in words."""
    return "; ".join(
        f"{'held-out recognizers' if ladder.held_out else 'surrogates'}: {ladder.base.probability:.0f} % without the "
        f"patch, {ladder.levels[0].probability:.0f} % on the screen, "
        + ", ".join(f"{factor.name} {_change(factor.probability)}" for factor in ladder.factors)
        + f", {ladder.levels[-1].probability:.0f} % with the real sticker"
        for ladder in twins.ladders
        if ladder.recognizer is None
    )
