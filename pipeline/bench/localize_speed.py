"""How fast a moving sheet is localized, beside the bare detector on the same frames, one after the other.

The machines that run this are noisy, ratios are less so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sin
from typing import TypeVar

import numpy as np

from calibration.tags import detect_full, to_gray
from capture.cameras.sim import SimOptions
from capture.localize import Localization, localize_tags
from capture.plan import Condition
from capture.tracking import Tracker
from pipeline.bench.sim import Stage

Found = TypeVar("Found")
Progress = Callable[[float, str], None]

DECIMATED = 2.0
STEADY = 0.1
"""The simulated rig deviates by this share of what it does between shots: a hand's tremor, not a new set-up."""

ROUND = 60
"""Frames in which the sheet comes, turns and goes once: two seconds of video."""


@dataclass(frozen=True, slots=True)
class _Timed:
    """One frame: milliseconds of each way, whether it was tracked, how far both answers are apart (px)."""

    tracking_ms: float
    bare_ms: float
    decimated_ms: float
    tracked: bool
    apart_px: float


@dataclass(frozen=True, slots=True)
class TrackingSpeed:
    """A moving sheet at one size of picture.

    ``..._ms`` are medians; ``bare``: the detector at its defaults on the whole frame, ``decimated``: at half
    resolution. ``speedup``: median of the frames' ratios bare by tracking, ``speedup_decimated`` likewise;
    ``sustained``: ratio of the sums, with all frames that were searched whole. ``tracked`` counts the others.
    ``apart_px``: largest distance of the sticker's corners from where the whole frame's tags put them.
    """

    width: int
    height: int
    frames: int
    tracked: int
    tracking_ms: float
    bare_ms: float
    decimated_ms: float
    speedup: float
    speedup_decimated: float
    sustained: float
    apart_px: float


def track_speed(lab: Stage, width: int, height: int, frames: int, seed: int, progress: Progress) -> TrackingSpeed:
    """Follow a sheet over ``frames`` frames; the first, which there is nothing to follow to, is not counted."""
    stage = lab.before(SimOptions(width=width, height=height, seed=seed, rig=STEADY))
    tracker = Tracker(list(stage.sheets.values()), stage.camera.model)
    tracker.localize(stage.see(stage.primary, moving(0)).pixels)
    timed = []
    for number in range(1, frames + 1):
        timed.append(_time(stage, tracker, number))
        progress(number / frames, f"{width}x{height}, moving")
    return _summary(width, height, timed)


def moving(number: int) -> Condition:
    """Where the sheet is at a frame: it comes and goes between 0.8 and 1.6 m, and turns by up to 45 degrees."""
    phase = 2 * np.pi * number / ROUND
    return Condition(distance_mm=1200 - 400 * sin(phase), yaw_deg=45 * sin(2 * phase + 1), roll_deg=10 * sin(phase))


def _time(stage: Stage, tracker: Tracker, number: int) -> _Timed:
    frame, sheets = stage.see(stage.primary, moving(number), number), list(stage.sheets.values())
    found, tracking_ms = _timed(lambda: tracker.localize(frame.pixels))
    tags, bare_ms = _timed(lambda: detect_full(to_gray(frame.pixels)))
    _, decimated_ms = _timed(lambda: detect_full(to_gray(frame.pixels), DECIMATED))
    whole = localize_tags(tags, sheets, stage.camera.model, frame.pixels.shape)
    return _Timed(tracking_ms, bare_ms, decimated_ms, not tracker.doubt, _apart(found, whole))


def _apart(found: Localization, whole: Localization) -> float:
    """Infinite where only one of the two finds the sheet, or they find different ones."""
    if found.sheet != whole.sheet or found.found != whole.found:
        return float("inf")
    if not found.found or found.sheet is None:
        return 0.0
    corners = found.sheet.frame.corners_mm
    return float(np.linalg.norm(found.to_image(corners) - whole.to_image(corners), axis=1).max())


def _timed(call: Callable[[], Found]) -> tuple[Found, float]:
    started = time.perf_counter()
    result = call()
    return result, 1000 * (time.perf_counter() - started)


def _summary(width: int, height: int, timed: Sequence[_Timed]) -> TrackingSpeed:
    ours, bare, decimated = (
        np.array(column) for column in zip(*((t.tracking_ms, t.bare_ms, t.decimated_ms) for t in timed), strict=True)
    )
    return TrackingSpeed(
        width=width,
        height=height,
        frames=len(timed),
        tracked=sum(each.tracked for each in timed),
        tracking_ms=float(np.median(ours)),
        bare_ms=float(np.median(bare)),
        decimated_ms=float(np.median(decimated)),
        speedup=float(np.median(bare / ours)),
        speedup_decimated=float(np.median(decimated / ours)),
        sustained=float(bare.sum() / ours.sum()),
        apart_px=max(each.apart_px for each in timed),
    )
