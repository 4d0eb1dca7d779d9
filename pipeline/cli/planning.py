"""``dpcam plan`` and ``plan power``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calibration.errors import BadUsage
from pipeline.cli.command import DryRunOption, LabOption, SeedOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from pipeline.lab import Lab
    from pipeline.planning.lab_plan import MadePlan
    from pipeline.planning.lab_power import PowerOrder
    from pipeline.planning.power import Bench, Finding, Power

group = new_group("The plan: how many shots show which effect.")
TABLE_REPEATS = (1, 2, 3, 4, 6, 8, 12, 16)
EFFECT_POINTS = 10.0
SEARCH = 10
"""How many times as long as a place of the table the search for the smallest numbers takes, about."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "plan", below=group)(plan)


def plan(
    conditions: Annotated[
        Path | None, typer.Option(help="File of conditions (TOML, JSON, CSV) instead of the lab's.", metavar="FILE")
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Shots of each arm under each condition.", min=1)] = None,
    block: Annotated[
        list[str] | None, typer.Option(help="What changes seldom: light, distance_mm, ...; repeat, outermost first.")
    ] = None,
    extend: Annotated[bool, typer.Option("--extend", help="Add repeats or conditions at the end of the plan.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Replace a plan even if a session was taken by it.")] = False,
    lab: LabOption = Path(),
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
) -> Result:
    """Make the plan: shots x conditions x control arms in random order, with the sheets that it needs."""
    from pipeline.planning.lab_plan import make_lab_plan

    if extend and new:
        raise BadUsage("--extend keeps what is planned, --new replaces it: give one of them")
    flags: dict[str, Any] = {"lab.seed": seed, "plan.block": block, "plan.repeats": repeats}
    if extend:
        return _plan_result(_extended(enter_lab(lab, flags), conditions, repeats, write=not dry_run), write=not dry_run)
    flags["plan.conditions"] = str(conditions.resolve()) if conditions else None
    made = make_lab_plan(enter_lab(lab, flags), write=not dry_run, replace="any" if new else "untaken")
    return _plan_result(made, write=not dry_run)


def _extended(lab: Lab, conditions: Path | None, repeats: int | None, *, write: bool) -> MadePlan:
    from capture.conditions import read_conditions
    from pipeline.planning.lab_plan import extend_lab_plan

    if conditions is None and repeats is None:
        raise BadUsage("--extend adds --repeats N of what is planned, or new --conditions FILE: say which")
    added = read_conditions(conditions) if conditions else ()
    return extend_lab_plan(lab, conditions=added, repeats=repeats or lab.config.plan.repeats, write=write)


def _plan_result(made: MadePlan, *, write: bool) -> Result:
    from capture.planning import changes, changing_factors

    plan = made.plan
    counts = {factor: changes(plan.shots, factor) for factor in changing_factors(plan.shots)}
    data = {
        "plan": str(made.path),
        "shots": len(plan.shots),
        "added": made.added,
        "conditions": len(plan.conditions),
        "arms": plan.arms,
        "seed": plan.seed,
        "parts": [
            {"shots": part.shots, "repeats": part.repeats, "conditions": len(part.conditions), "seed": part.seed}
            for part in plan.parts
        ],
        "changes": counts,
        "sheets": sorted({shot.sheet for shot in plan.shots}),
    }
    verb = "wrote" if write else "would write"
    did = f"{verb} {made.path}: " if made.added else f"{made.path} is that plan already: "
    before = len(plan.shots) - made.added
    more = f", {made.added} of them new" if made.added and before else ""
    lines = [f"{did}{len(plan.shots)} shots{more}, arms {', '.join(plan.arms)}"]
    changed = ", ".join(f"{factor} {count}" for factor, count in counts.items())
    return Result(data=data, lines=[*lines, f"changes from shot to shot: {changed}"])


@command(group, "power")
def power(
    effect: Annotated[
        list[float] | None, typer.Option(help="Effect in points; repeat for several.", min=-100, max=100)
    ] = None,
    wished: Annotated[float, typer.Option("--power", help="Share of sessions that shall show it.", min=0, max=1)] = 0.8,
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="Measure rate and correlations in this scored session.", metavar="SESSION"),
    ] = None,
    baseline: Annotated[float | None, typer.Option(help="Share right without the patch, 0 to 1.", min=0, max=1)] = None,
    correlation: Annotated[
        float | None, typer.Option(help="Of one recognizer's answers to repeats of a shot.", min=0, max=1)
    ] = None,
    between_recognizers: Annotated[
        float | None,
        typer.Option(help="Correlation of two recognizers in one condition, on two pictures.", min=0, max=1),
    ] = None,
    between_arms: Annotated[
        float | None, typer.Option(help="Correlation of both arms in one condition.", min=0, max=1)
    ] = None,
    same_picture: Annotated[
        float | None, typer.Option(help="Correlation of two recognizers on one picture.", min=0, max=1)
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Instead of the plan's.", min=1, max=200)] = None,
    cells: Annotated[int | None, typer.Option(help="Conditions, instead of the plan's.", min=2, max=500)] = None,
    recognizers: Annotated[int | None, typer.Option(help="Held out, instead of the bench's.", min=1, max=100)] = None,
    sessions: Annotated[int, typer.Option(help="Sessions to simulate.", min=100, max=100_000)] = 2000,
    lab: LabOption = Path(),
    seed: SeedOption = None,
) -> Result:
    """Say how many shots show which effect: sessions simulated, and judged by the plan's own rule."""
    from pipeline.planning.lab_power import Wish, power_order
    from pipeline.planning.power import Bench

    opened = enter_lab(lab, {"lab.seed": seed}, required=False)
    wish = Wish(baseline, correlation, between_recognizers, between_arms, same_picture, repeats, cells, recognizers)
    effects = list(dict.fromkeys(effect or [EFFECT_POINTS]))
    with progress_bar("simulating") as bar:
        order = power_order(opened, wish, from_, sessions, bar)
        return _power_result(order, Bench(order.question), effects, wished, bar)


def _power_result(
    order: PowerOrder, bench: Bench, effects: list[float], wished: float, bar: Callable[[float, str], None]
) -> Result:
    asked = [(points, repeats) for repeats in TABLE_REPEATS for points in effects]
    steps = len(asked) + SEARCH * len(effects)
    rows = []
    for number, (points, repeats) in enumerate(asked):
        bar(number / steps, f"{repeats} repeats")
        rows.append(bench.power(points, repeats))
    findings = []
    for number, points in enumerate(effects):
        bar((len(asked) + SEARCH * number) / steps, f"{points:g} points")
        findings.append(bench.find(points, order.repeats, wished))
    question = order.question
    data = {
        "answers": [asdict(each) for each in findings],
        "table": [asdict(each) for each in rows],
        "assumptions": [asdict(each) for each in order.assumptions],
        "cells": question.cells,
        "repeats": list(order.repeats),
        "recognizers": question.recognizers,
        "arms": question.arms,
        "rule": asdict(question.rule),
        "wished_power": wished,
        "sessions": question.sessions,
        "seed": question.seed,
    }
    lines = [line for each in findings for line in _finding_lines(each, order, wished)]
    return Result(data=data, tables=[_power_table(rows, effects)], lines=[*lines, *_assumed(order)])


def _power_table(rows: list[Power], effects: list[float]) -> Table:
    by_place = {(row.repeats, row.effect_points): row for row in rows}
    cells = tuple(
        (str(repeats), str(by_place[repeats, effects[0]].shots), *(_share(by_place[repeats, each]) for each in effects))
        for repeats in TABLE_REPEATS
    )
    heads = ("repeats", "shots", *(f"{each:+g} points" for each in effects))
    return Table("Sessions that show the effect, %, with 95 % interval", heads, cells)


def _finding_lines(found: Finding, order: PowerOrder, wished: float) -> list[str]:
    now, wish = found.now, f"{100 * wished:g} %"
    few, many = min(order.repeats), max(order.repeats)
    repeats = f"{few}" if few == many else f"{few} to {many}"
    lines = [
        f"with {now.shots} shots ({now.cells} conditions x {order.question.arms} arms x {repeats} repeats) an effect "
        f"of {now.effect_points:+g} points is seen in {_share(now)} % of sessions"
    ]
    if found.enough:
        best = found.enough
        lines.append(f"smallest number of repeats for {wish}: {best.repeats} ({best.shots} shots; {_share(best)} %)")
    else:
        lines.append(
            f"no number of repeats gives {wish}: endless ones {_share(found.endless)} %; add conditions instead"
        )
    if found.wider and found.wider.cells > now.cells:
        more = found.wider
        lines.append(
            f"smallest number of conditions for {wish}, {many} repeats of each: "
            f"{more.cells} ({more.shots} shots; {_share(more)} %)"
        )
    return lines


def _assumed(order: PowerOrder) -> list[str]:
    said = ", ".join(f"{each.name} {each.value:.2f} ({each.source})" for each in order.assumptions)
    rule = order.question.rule
    return [
        f"assumed: {said}; {order.question.recognizers} held-out recognizers",
        f"seen is a verdict PASS: {rule.arm} against {rule.baseline} by more than {rule.min_effect_points:g} points, "
        f"alpha {rule.alpha:g}; {order.question.sessions} simulated sessions",
    ]


def _share(power: Power) -> str:
    return f"{100 * power.power:.0f} ({100 * power.low:.0f}–{100 * power.high:.0f})"
