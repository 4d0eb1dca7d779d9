"""How fast the simulated camera is, and the stage on which other parts are measured."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.sheet import Sheet
from capture.cameras.sim import SimCamera, SimOptions
from capture.frame import Frame
from capture.plan import Condition, Plan, Shot
from pipeline.lab import create_lab, open_lab, read_sheets
from pipeline.planning.lab_plan import make_lab_plan


@dataclass(frozen=True, slots=True)
class Stage:
    """A fresh lab's plan, its sheets by id, and a simulated camera that can see them; their PDFs lie in ``folder``."""

    plan: Plan
    sheets: dict[str, Sheet]
    options: SimOptions
    camera: SimCamera
    folder: Path

    def before(self, options: SimOptions) -> Stage:
        """The same lab before that camera; its own one has rasterized its sheets already."""
        if options == self.options:
            return self
        return replace(self, options=options, camera=SimCamera(options, self.folder))

    @property
    def primary(self) -> Sheet:
        """The sheet of the arm that the plan is about."""
        return next(self.sheets[shot.sheet] for shot in self.plan.shots if shot.arm == self.plan.primary_arm)

    def see(self, sheet: Sheet | None, condition: Condition, number: int = 0) -> Frame:
        """The frame of any sheet, or none, under any condition; another ``number`` has another jitter of the rig."""
        named = ("none", "none") if sheet is None else (sheet.arm, sheet.id)
        self.camera.stage(Shot(index=0, arm=named[0], sheet=named[1], condition=condition, repeat=number), sheet)
        return self.camera.read()

    def shoot(self, number: int) -> tuple[Frame, Sheet]:
        """The frame of a shot of the plan (counted round and round), and the sheet in it."""
        shot = self.plan.shots[number % len(self.plan.shots)]
        self.camera.stage(shot, self.sheets[shot.sheet])
        return self.camera.read(), self.sheets[shot.sheet]


def bench_sim(*, frames: int, width: int, height: int, seed: int) -> float:
    """Frames per second of the simulated camera over the shots of a fresh lab's plan, sheets being known already."""
    with tempfile.TemporaryDirectory() as folder:
        stage = stage_lab(Path(folder), width, height, seed)
        _warm_up(stage)
        started = time.perf_counter()
        for number in range(frames):
            stage.shoot(number)
        return frames / (time.perf_counter() - started)


def stage_lab(folder: Path, width: int, height: int, seed: int) -> Stage:
    """A fresh lab in ``folder`` before a simulated camera of that size."""
    create_lab(folder, seed=seed)
    lab = open_lab(folder, environ={}, user_file=None)
    plan = make_lab_plan(lab, write=True).plan
    options = SimOptions(width=width, height=height, seed=seed)
    sheets = {sheet.id: sheet for sheet in read_sheets(lab.sheets)}
    return Stage(plan, sheets, options, SimCamera(options, lab.sheets), lab.sheets)


def _warm_up(stage: Stage) -> None:
    """See each sheet once: reading its PDF is done once a session, not once a frame."""
    seen: set[str] = set()
    for number, shot in enumerate(stage.plan.shots):
        if shot.sheet not in seen:
            stage.shoot(number)
            seen.add(shot.sheet)
