"""Small things to capture with: sheets, plans, pictures that say their number, a camera that stages itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from calibration.errors import BadInput
from calibration.geometry import Box
from calibration.sheet import Sheet, Tag, Target
from capture.frame import Clock, Frame
from capture.new_session import Input, this_machine
from capture.plan import Condition, Plan, Shot
from capture.recorder import SessionWriter

CLOCK = Clock()
MACHINE = this_machine()


def sheet(arm: str, first_tag: int) -> Sheet:
    frame = Box(x_mm=50, y_mm=50, width_mm=100, height_mm=100)
    return Sheet(
        id=f"sheet-{arm}",
        arm=arm,
        paper="A4",
        width_mm=210,
        height_mm=297,
        target=Target(label="stop", box=frame.grown(-20)),
        frame=frame,
        inner=frame.grown(-15),
        window=frame.grown(-15),
        tags=[Tag(id=first_tag, square=Box(x_mm=10, y_mm=10, width_mm=30, height_mm=30))],
        ruler=Box(x_mm=20, y_mm=270, width_mm=100, height_mm=5),
        pdf=f"sheet-{arm}.pdf",
    )


SHEETS = {one.id: one for one in (sheet("bare", 0), sheet("blank", 1), sheet("patch", 2))}


def plan(shots: int = 6) -> Plan:
    ids = list(SHEETS)
    return Plan(
        seed=1,
        target="stop",
        primary_arm="patch",
        shots=[
            Shot(
                index=i,
                arm=SHEETS[ids[i % 3]].arm,
                sheet=ids[i % 3],
                condition=Condition(distance_mm=1000 + i, yaw_deg=i),
            )
            for i in range(shots)
        ],
    )


def plan_input(of: Plan) -> Input:
    return Input("plan", "plan.json", of.model_dump_json().encode())


def picture(number: int) -> np.ndarray:
    """``(24, 32, 3)`` whose every pixel is ``number``, with some texture below."""
    pixels = np.full((24, 32, 3), number, np.uint8)
    pixels[12:] = np.arange(32, dtype=np.uint8)[None, :, None]
    return pixels


def frame(number: int, **more) -> Frame:
    return Frame(picture(number), CLOCK.mono_ns(), CLOCK.wall_ns(), **more)


def begin(root: Path, of: Plan | None = None, camera: str = "staged:test") -> SessionWriter:
    inputs = [plan_input(of)] if of else []
    return SessionWriter.create(root, camera=camera, machine=MACHINE, clock=CLOCK, inputs=inputs, seed=7)


def again(folder: Path) -> SessionWriter:
    return SessionWriter.resume(folder, machine=MACHINE, clock=CLOCK)


class StagedTestCamera:
    """Shows the number of the staged shot; ``before_read`` may raise, wait, or send signals."""

    identity = "staged:test"
    model = None

    def __init__(
        self, before_read: Callable[[int], None] = lambda _: None, refuses: frozenset[int] = frozenset()
    ) -> None:
        self.reads = itertools.count()
        self.shot = -1
        self.refuses = refuses
        self.before_read = before_read

    def stage(self, shot: Shot, sheet: Sheet) -> None:
        if shot.index in self.refuses:
            raise BadInput(f"no such light for shot {shot.index}")
        self.shot = shot.index

    def read(self) -> Frame:
        number = next(self.reads)
        self.before_read(number)
        return frame(max(self.shot, 0), truth={"shot": self.shot}, settings={"read": number, "exposure_ms": 4.5})

    def close(self) -> None:
        return
