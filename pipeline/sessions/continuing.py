"""How a capture goes on where others ended: what of a plan is taken, and where the next session begins.

A session keeps the plan that it was begun with. When the lab's plan was extended since, an unfinished session goes on
by its own; what was added is taken by a session of its own, whose plan is that stretch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import BadUsage
from calibration.files import read_document
from capture.plan import Plan
from capture.session import HEADER, SEAL, SessionHeader, session_folders, session_plan


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a new session begins in its plan. ``follows``: the sealed session that took the shots before."""

    first_shot: int = 0
    follows: Path | None = None


AT_FIRST = Beginning()


def next_beginning(sessions: Path, plan: Plan) -> Beginning:
    """After the shots that sealed sessions have of an extended plan; at its first shot when they have none, or all."""
    begin = AT_FIRST
    if len(plan.parts) < 2:
        return begin
    folders = [folder for folder in session_folders(sessions) if (folder / SEAL).is_file()]
    taken = [(found, folder) for folder in folders if (found := session_plan(folder)) and plan.holds(found)]
    for found, folder in sorted(taken, key=lambda each: each[0].first):
        if found.first <= begin.first_shot < found.end:
            begin = Beginning(found.end, folder)
    return AT_FIRST if begin.first_shot == plan.end else begin


def shots_left(sessions: Path, path: Path) -> int:
    """How many shots were added to the plan at ``path`` since sealed sessions took those before."""
    plan = read_document(path, Plan)
    begin = next_beginning(sessions, plan)
    return plan.end - begin.first_shot if begin.follows else 0


def plan_to_take(path: Path, first_shot: int, resume: Path | None) -> Plan:
    """The plan of a capture: the stretch of that at ``path`` from a shot on, or a session's own that lies in it."""
    plan = read_document(path, Plan)
    begun = session_plan(resume) if resume else None
    if begun and plan.holds(begun):
        return begun
    return plan.since(first_shot) if first_shot else plan


def refuse_other_cameras_than(follows: Path, identities: Sequence[str]) -> None:
    """The added shots belong to the same comparison: :class:`BadUsage` unless they are taken with the same cameras."""
    header = read_document(follows / HEADER, SessionHeader)
    if [camera.identity for camera in header.cameras] != list(identities):
        before = f"the shots before those that were added were taken with the camera {header.camera_words}"
        raise BadUsage(
            f"{before}, not {', '.join(identities)}",
            hint="take that camera, or begin a new session of the whole plan: --new",
            where=str(follows),
        )
