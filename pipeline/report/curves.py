"""Accuracy under noises, and in other views: from the rows, with nothing pooled but recognizers of one kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.report.content import Section
from pipeline.report.digest import in_order
from pipeline.report.hearing import is_plain
from pipeline.result import Table
from pipeline.scoring.score import Row

ALL_NOISES = "mean of these noises"


@dataclass(frozen=True, slots=True)
class Curve:
    """One arm: (severity, mean rate over recognizers), severity 0 being no noise."""

    arm: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class NoiseCurves:
    """The curves of one noise, a line for each arm; of recognizers of one kind."""

    noise: str
    held_out: bool
    curves: tuple[Curve, ...]


def noise_curves(rows: Sequence[Row]) -> list[NoiseCurves]:
    """For each noise that was there in two severities or more; the mean over them first, where there are several.

    Of the held-out recognizers; of the surrogates only where none is held out.
    """
    natural = [row for row in rows if row.view == "natural" and row.rate is not None]
    held_out = any(row.held_out for row in natural)
    rates: dict[tuple[str, str, int], list[float]] = {}
    for row in natural:
        if row.held_out == held_out and row.rate is not None:
            rates.setdefault((row.arm, row.noise, row.severity), []).append(row.rate)
    mean = {key: sum(found) / len(found) for key, found in rates.items()}
    severities = {
        noise: sorted({severity for _, other, severity in mean if other == noise})
        for noise in sorted({noise for _, noise, _ in mean} - {"none"})
    }
    graded = [noise for noise, found in severities.items() if len(found) > 1]
    if len(graded) > 1:
        _add_mean(mean, graded)
        severities[ALL_NOISES] = sorted({severity for _, noise, severity in mean if noise == ALL_NOISES})
        graded = [ALL_NOISES, *graded]
    arms = in_order(arm for arm, _, _ in mean)
    made = [
        NoiseCurves(noise, held_out, tuple(_curve(mean, arm, noise, severities[noise]) for arm in arms))
        for noise in graded
    ]
    return [NoiseCurves(each.noise, held_out, tuple(c for c in each.curves if c.points)) for each in made]


def noise_section(rows: Sequence[Row]) -> Section | None:
    """The section of noises, without its curves: a table for each recognizer. None where there was no noise."""
    noised = [row for row in rows if row.view == "natural" and row.noise != "none"]
    tables = tuple(_noise_table(name, held_out, noised, rows) for held_out, name in _recognizers(noised))
    kind = "held-out recognizers" if any(row.held_out for row in noised) else "surrogates"
    words = (
        "Corruptions and attacks were put between the captured pictures and the recognizers. Curves are the mean rate "
        f"over the {kind} by severity, of noises in more than one; the tables have every recognizer.",
    )
    return Section("noises", "Accuracy under noises", words, tables) if tables else None


def view_section(rows: Sequence[Row]) -> Section | None:
    """The section of views; None where there is the natural one only."""
    table = _view_table(rows)
    words = (
        "The same pictures, cut in other ways. By what untagged differs from natural, the tags and marks of the sheet "
        "have an influence of their own. What frame scores, its window filled with gray, is said without any object to "
        "look at. object is the window alone, rectified the frame as a square seen from the front.",
    )
    return Section("views", "Views of the same pictures", words, (table,)) if table else None


def _view_table(rows: Sequence[Row]) -> Table | None:
    """Arms and recognizers down, views across."""
    plain = [row for row in rows if row.noise == "none"]
    views = list(dict.fromkeys(["natural", *sorted({row.view for row in plain})]))
    if len(views) < 2:
        return None
    by_place = {(row.arm, row.model, row.view): row for row in plain}
    lines = [
        (
            arm,
            name,
            "held out" if held_out else "surrogate",
            *(_rate(by_place.get((arm, name, view))) for view in views),
        )
        for held_out, name in _recognizers(plain)
        for arm in in_order(row.arm for row in plain if row.model == name and row.view != "natural")
    ]
    return Table(
        "Right answers in % by view, of the pictures without noise.",
        ("Arm", "Recognizer", "Kind", *views),
        tuple(lines),
    )


def _add_mean(mean: dict[tuple[str, str, int], float], noises: Sequence[str]) -> None:
    """The mean over noises, at each severity at which an arm has all of them."""
    for arm, severity in {(arm, severity) for arm, noise, severity in mean if noise in noises}:
        found = [mean[arm, noise, severity] for noise in noises if (arm, noise, severity) in mean]
        if len(found) == len(noises):
            mean[arm, ALL_NOISES, severity] = sum(found) / len(found)


def _curve(mean: dict[tuple[str, str, int], float], arm: str, noise: str, severities: Iterable[int]) -> Curve:
    at = [(0, mean[arm, "none", 0])] if (arm, "none", 0) in mean else []
    at += [(severity, mean[arm, noise, severity]) for severity in severities if (arm, noise, severity) in mean]
    return Curve(arm, tuple(at))


def _noise_table(name: str, held_out: bool, noised: Sequence[Row], rows: Sequence[Row]) -> Table:
    mine = [row for row in noised if row.model == name]
    clean = {row.arm: row for row in rows if row.model == name and is_plain(row)}
    by_place = {(row.arm, row.noise, row.severity): row for row in mine}
    severities = sorted({row.severity for row in mine})
    lines = [
        (noise, arm, _rate(clean.get(arm)), *(_rate(by_place.get((arm, noise, severity))) for severity in severities))
        for noise in sorted({row.noise for row in mine})
        for arm in in_order(row.arm for row in mine if row.noise == noise)
    ]
    kind = "held out" if held_out else "surrogate"
    heads = ("Noise", "Arm", "No noise", *(f"Severity {severity}" if severity else "Noise" for severity in severities))
    return Table(f"{name} ({kind}): right answers in % under noises.", heads, tuple(lines))


def _recognizers(rows: Iterable[Row]) -> list[tuple[bool, str]]:
    """(held out, name), the held-out ones first."""
    return [(not surrogate, name) for surrogate, name in sorted({(not row.held_out, row.model) for row in rows})]


def _rate(row: Row | None) -> str:
    return "–" if row is None or row.rate is None else f"{100 * row.rate:.1f}"
