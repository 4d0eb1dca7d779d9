"""The plan of a lab: made, extended, and never replaced behind the back of a session that was taken by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibration.errors import BadConfig, BadInput, BadUsage, MissingFile
from calibration.files import read_document, write_document
from capture.plan import Condition, Plan
from capture.planning import extend_plan, make_plan
from capture.session import session_folders, session_plan
from pipeline.lab import Lab
from pipeline.paper.sheets import make_lab_sheets
from pipeline.sessions.capturing import plan_sheets


@dataclass(frozen=True, slots=True)
class MadePlan:
    """A plan and its file. ``added``: how many of its shots, the last ones, were not in the file before."""

    plan: Plan
    path: Path
    added: int


Replace = Literal["untaken", "other", "any"]
"""Which plan.json may be replaced: another that no session was taken by, any other, or even this very one, extended."""


def make_lab_plan(lab: Lab, *, write: bool, replace: Replace = "untaken") -> MadePlan:
    """Make the lab's sheets where they are missing, cross arms with conditions, write plan.json.

    A plan.json that is this plan already, extended perhaps, stays. :class:`BadUsage` when it is another one that a
    session of the lab was taken by, unless it may be replaced.
    """
    config = lab.config
    sheets = make_lab_sheets(lab, write=write)
    plan = make_plan(
        target=config.target.label,
        sheets={arm: sheet.id for arm, sheet in sheets.items()},
        conditions=lab.conditions(),
        repeats=config.plan.repeats,
        seed=config.lab.seed,
        primary_arm=lab.patch_arm,
        alpha=config.verdict.alpha,
        min_effect_points=config.verdict.min_effect_points,
        block=config.plan.block,
    )
    former = _former(lab.plan) if lab.plan.is_file() and replace != "any" else None
    if former and _begins_with(former, plan):
        return MadePlan(former, lab.plan, 0)
    if former and replace == "untaken":
        _refuse_if_taken(lab, former)
    if write:
        write_document(lab.plan, plan)
    return MadePlan(plan, lab.plan, len(plan.shots))


def extend_lab_plan(lab: Lab, *, conditions: Sequence[Condition], repeats: int, write: bool) -> MadePlan:
    """Add shots at the end of plan.json: with its own arms and sheets, under its own conditions where none are given.

    :class:`MissingFile` without a plan or without one of its sheets, :class:`BadConfig` as from
    :func:`capture.planning.extend_plan`.
    """
    if not lab.plan.is_file():
        raise MissingFile(f"there is no plan {lab.plan} to extend", hint="dpcam plan", where=str(lab.plan))
    former = _former(lab.plan)
    plan_sheets(lab.plan, lab.sheets)
    config = lab.config
    plan = extend_plan(former, repeats=repeats, seed=config.lab.seed, conditions=conditions, block=config.plan.block)
    if write:
        write_document(lab.plan, plan)
    return MadePlan(plan, lab.plan, len(plan.shots) - len(former.shots))


def _former(path: Path) -> Plan:
    try:
        return read_document(path, Plan)
    except BadConfig as error:
        raise BadConfig(error.message, hint="to replace it: dpcam plan --new", where=error.where) from error


def _begins_with(former: Plan, plan: Plan) -> bool:
    """Whether ``former`` is ``plan``, or that plan extended. One with more repeats from the start is another plan."""
    begun_with = former.parts[0].shots if former.parts else former.end
    return begun_with == plan.end and former.holds(plan)


def _refuse_if_taken(lab: Lab, former: Plan) -> None:
    """:class:`BadUsage` when a session in the lab's folder of sessions was taken by this plan, or may have been."""
    hint = "dpcam plan --extend adds shots to it; dpcam plan --new replaces it"
    for folder in session_folders(lab.sessions):
        try:
            taken = session_plan(folder)
        except BadInput as error:
            raise BadConfig(f"a session is damaged: {error.message}", hint=hint, where=error.where) from error
        if taken and former.holds(taken):
            raise BadUsage(
                f"{lab.plan} is the plan of the session {folder.name}, and what is asked for is another plan",
                hint=hint,
                where=str(lab.plan),
            )
