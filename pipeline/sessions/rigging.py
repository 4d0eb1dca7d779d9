"""Which rig arranges the scene: as lab.toml says, before the camera that is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from calibration.errors import BadConfig
from calibration.files import read_document
from capture.cameras.base import Camera, FiniteCamera, StagedCamera
from capture.plan import Plan
from capture.rigs.axes import Axis, Move, moves_of, not_followed
from capture.rigs.base import FixedRig, Rig, RigsInTurn, StagedRig
from capture.rigs.checked import CheckedRig
from capture.rigs.command import CommandRig
from capture.rigs.http import HttpRig
from capture.rigs.operator import OperatorRig
from capture.rigs.waiting import Waiting
from capture.stop import StopFlag
from pipeline.rig_config import RigSection, SerialSection

Ask = Callable[[str], str]


@contextmanager
def open_rig(
    section: RigSection, cameras: Sequence[Camera], plan: Plan | None, *, folder: Path, ask: Ask, stop: StopFlag
) -> Iterator[Rig]:
    """The rig of a capture; what it holds is given back at the end, and what moves is stopped.

    Commands run in ``folder``. Cameras that stage themselves do so after the rig has settled. Without a plan there is
    nothing to arrange. :class:`BadConfig` where nobody would arrange what the plan varies,
    :class:`calibration.errors.RigGone` where the rig is not there.
    """
    if plan is None:
        yield FixedRig()
        return
    staged = [StagedRig(camera) for camera in cameras if isinstance(camera, StagedCamera)]
    kind = _kind(section, cameras)
    operator = OperatorRig(ask, len(plan.shots))
    if kind == "serial" and not (staged or section.ask_first):
        _refuse_forgotten(section.serial, plan)
    with ExitStack() as held:
        asked: list[Rig] = [operator] if section.ask_first or kind == "operator" else []
        driver = _driver(kind, section, folder, Waiting(stop), held)
        yield RigsInTurn(*asked, *driver, *staged)


def planned_moves(section: RigSection, plan: Path) -> list[Move]:
    """What a rig of axes would move for a plan; nothing for other rigs, which decide by themselves."""
    return moves_of(_axes(section.serial), read_document(plan, Plan)) if section.kind == "serial" else []


def _kind(section: RigSection, cameras: Sequence[Camera]) -> str:
    """The simulator arranges itself; pictures on disk are taken as they are; before a live camera stands a person."""
    if section.kind != "auto":
        return section.kind
    return "none" if all(isinstance(each, StagedCamera | FiniteCamera) for each in cameras) else "operator"


def _driver(kind: str, section: RigSection, folder: Path, waiting: Waiting, held: ExitStack) -> list[Rig]:
    if kind == "exec":
        rig: Rig = CommandRig(_argv(section.exec.command, folder), folder, section.exec.timeout_s, waiting)
    elif kind == "http":
        rig = HttpRig(section.http.url, section.http.timeout_s, waiting)
    elif kind == "serial":
        rig = _gcode(section.serial, waiting, held)
    else:
        return []
    return [CheckedRig(rig, section.tolerances, give_up_after=section.give_up_after)]


def _gcode(section: SerialSection, waiting: Waiting, held: ExitStack) -> Rig:
    from capture.rigs.gcode import GcodeRig, Machine
    from capture.rigs.grbl import Patience

    machine = Machine(
        port=section.port,
        axes=_axes(section),
        baud=section.baud,
        home=section.home,
        feed=section.feed_per_min,
        settle_s=section.settle_s,
        recoveries=section.recoveries,
        patience=Patience(section.wake_s, section.answer_s, section.move_s),
    )
    return held.enter_context(GcodeRig(machine, waiting))


def _axes(section: SerialSection) -> dict[str, Axis]:
    return {str(letter): axis for letter, axis in section.axes.items()}


def _argv(command: list[str], folder: Path) -> list[str]:
    """The command with its program found: on the path, or from ``folder`` when it names one."""
    program, *words = command
    found = shutil.which(str(folder.resolve() / program) if "/" in program else program)
    if found is None:
        raise BadConfig(f"the rig's command {program!r} is no program that can be run", where="rig.exec.command")
    return [found, *words]


def _refuse_forgotten(section: SerialSection, plan: Plan) -> None:
    forgotten = not_followed(_axes(section), plan)
    if forgotten:
        raise BadConfig(
            f"the plan varies {', '.join(forgotten)}, and no axis of the rig follows {forgotten[0]}",
            hint="add an axis, or let an operator arrange the rest: rig.ask_first = true",
            where="rig.serial.axes",
        )
