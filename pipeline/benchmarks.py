"""How fast the parts are, side by side in one run: the machines that run this are noisy, ratios are less so."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from calibration.sheet import Sheet
from calibration.tags import detect_full, to_gray
from capture.cameras.sim import SimCamera, parse_sim_uri
from capture.frame import Frame
from capture.localize import localize
from capture.plan import Plan
from pipeline.lab import create_lab, open_lab, read_sheets
from pipeline.lab_plan import make_lab_plan

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class LocalizeSpeed:
    """Median milliseconds a frame of both ways, their ratio, and the median corner error in px."""

    localize_ms: float
    detector_ms: float
    speedup: float
    corner_error_px: float


@dataclass(frozen=True, slots=True)
class Stage:
    """A fresh lab's plan, its sheets by id, and a simulated camera that can see them."""

    plan: Plan
    sheets: dict[str, Sheet]
    camera: SimCamera

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


def bench_localize(*, frames: int, seed: int) -> LocalizeSpeed:
    """Localization beside one undecimated pass of the bare detector over the same frames, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        stage = stage_lab(Path(folder), 1280, 720, seed)
        measured = [_measure(stage, number) for number in range(frames)]
    ours, bare, errors = (np.array(column) for column in zip(*measured, strict=True))
    found = errors[np.isfinite(errors)]
    error = float(np.median(found)) if len(found) else float("nan")
    medians = float(np.median(ours)), float(np.median(bare))
    return LocalizeSpeed(medians[0], medians[1], medians[1] / medians[0], error)


def _measure(stage: Stage, number: int) -> tuple[float, float, float]:
    """Milliseconds of localization and of the bare detector, and the corner error (infinite when not found)."""
    frame, sheet = stage.shoot(number)
    found, ours = _timed(lambda: localize(frame.pixels, [sheet], stage.camera.model, sheet))
    _, bare = _timed(lambda: detect_full(to_gray(frame.pixels)))
    if not found.found or frame.truth is None:
        return ours, bare, float("inf")
    truth = np.array(frame.truth["frame_corners_px"])
    return ours, bare, float(np.linalg.norm(found.to_image(sheet.frame.corners_mm) - truth, axis=1).mean())


def _timed(call: Callable[[], Found]) -> tuple[Found, float]:
    started = time.perf_counter()
    result = call()
    return result, 1000 * (time.perf_counter() - started)


def stage_lab(folder: Path, width: int, height: int, seed: int) -> Stage:
    """A fresh lab in ``folder`` before a simulated camera of that size."""
    create_lab(folder, seed=seed)
    lab = open_lab(folder, environ={}, user_file=None)
    plan = make_lab_plan(lab, write=True).plan
    options = parse_sim_uri(f"sim:?width={width}&height={height}&seed={seed}")
    return Stage(plan, {sheet.id: sheet for sheet in read_sheets(lab.sheets)}, SimCamera(options, lab.sheets))


def _warm_up(stage: Stage) -> None:
    """See each sheet once: reading its PDF is done once a session, not once a frame."""
    seen: set[str] = set()
    for number, shot in enumerate(stage.plan.shots):
        if shot.sheet not in seen:
            stage.shoot(number)
            seen.add(shot.sheet)
