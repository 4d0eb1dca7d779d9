"""Examples as pictures: for each arm a good shot, the worst and a disputed one, with the localization drawn."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from calibration.errors import BadImage, BadInput
from calibration.geometry import Array
from pipeline.report.content import Pixels, ShotView
from pipeline.report.digest import Tally, in_order, tally
from pipeline.report.hearing import Heard, HeardShot

MAX_PICTURES = 32
PER_ARM = 4
SIDE_PX = 440
"""Longest side of a picture on the page."""

MAX_ENLARGEMENT = 6.0
MARGIN = 0.15
"""What is shown around the sheet, as a share of its size on each side."""

JPEG_QUALITY = 82
FRAME_RGB, TAG_RGB, UNDER_RGB = (64, 224, 255), (255, 214, 10), (0, 0, 0)

Kind = Literal["good", "split", "wrong", "missed"]
ORDER: tuple[Kind, ...] = ("good", "split", "wrong", "missed")


@dataclass(frozen=True, slots=True)
class Example:
    """A shot worth showing, why, and what the recognizers of each kind said to it; ``surest``: of a wrong answer."""

    shot: ShotView
    kind: Kind
    held_out: Tally
    surrogates: Tally
    surest: float = 0.0

    @property
    def wrong(self) -> tuple[int, int]:
        """Wrong answers: held out, surrogates."""
        return self.held_out.judged - self.held_out.correct, self.surrogates.judged - self.surrogates.correct

    @property
    def dispute(self) -> int:
        """How many recognizers stand against the others: the fewer of those that are right and those that are not."""
        return min(sum(self.wrong), self.held_out.correct + self.surrogates.correct)


@dataclass(frozen=True, slots=True)
class Picture:
    """What stands on the page: a data URI, empty when the picture could not be read, with ``problem`` saying why."""

    uri: str
    width: int
    height: int
    problem: str = ""


def choose(shots: Sequence[ShotView], heard: Heard) -> list[Example]:
    """At most :data:`MAX_PICTURES`: for each arm in turn a good shot, a disputed one, the worst ones, a missed one."""
    by_arm: dict[str, list[Example]] = {}
    for shot in shots:
        by_arm.setdefault(shot.arm, []).append(_example(shot, heard.shots.get(shot.name)))
    share = min(PER_ARM, max(1, MAX_PICTURES // max(len(by_arm), 1)))
    return [each for arm in in_order(by_arm)[:MAX_PICTURES] for each in _of_arm(by_arm[arm], share)]


def show(shot: ShotView) -> Picture:
    """Load, crop around the sheet, draw frame and tags, encode; a picture that cannot be read says so on the page."""
    try:
        pixels, (left, top), scale = _view(shot.picture(), _sheet_corners(shot))
    except BadInput as error:
        return Picture("", 0, 0, error.message)
    for corners, color in _outlines(shot):
        _draw(pixels, _moved(corners, left, top, scale), color)
    return Picture(_data_uri(pixels), pixels.shape[1], pixels.shape[0])


def _example(shot: ShotView, heard: HeardShot | None) -> Example:
    said = heard.said if heard else []
    held_out, surrogates = (tally(Counter(one for one in said if one.held_out == kind)) for kind in (True, False))
    wrong = any(not one.correct for one in said)
    kind: Kind = "missed" if not shot.found else "wrong" if wrong else "good"
    return Example(shot, kind, held_out, surrogates, heard.surest if heard else 0.0)


def _of_arm(examples: Sequence[Example], share: int) -> list[Example]:
    good = sorted((e for e in examples if e.kind == "good" and e.held_out.judged + e.surrogates.judged), key=_easiest)
    wrong = sorted((e for e in examples if e.kind == "wrong"), key=_worst)
    missed = sorted((e for e in examples if e.kind == "missed"), key=_easiest)
    disputed = sorted((e for e in wrong[1:] if e.dispute), key=lambda e: (-e.dispute, _worst(e)))[:1]
    split = [replace(example, kind="split") for example in disputed]
    rest = [example for example in wrong[1:] if example not in disputed]
    # The worst first, when there is room for one only.
    wanted = [*wrong[:1], *good[:1], *missed[:1], *split, *rest, *missed[1:]][:share]
    return sorted(wanted, key=lambda example: ORDER.index(example.kind))


def _worst(example: Example) -> tuple[int, int, float, str]:
    """Most wrong answers first, held out before all; then the surest of them."""
    return -example.wrong[0], -example.wrong[1], -example.surest, example.shot.name


def _easiest(example: Example) -> tuple[float, float, str]:
    """Near and frontal first, so that the good shots of all arms tend to show the same condition."""
    shot = example.shot
    return shot.distance_mm or 0.0, abs(shot.yaw_deg or 0.0), shot.name


def _sheet_corners(shot: ShotView) -> Array | None:
    """All corners of frame and tags, ``(N, 2)`` px; None without the frame: then the whole picture is shown."""
    if shot.frame_corners_px is None:
        return None
    return np.concatenate([shot.frame_corners_px, *shot.tag_corners_px])


def _view(pixels: Pixels, corners: Array | None) -> tuple[Pixels, tuple[int, int], float]:
    """The part to show at its size on the page, its top-left corner in the picture, and the scale."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise BadImage(f"a picture is (H, W, 3) uint8, got {pixels.shape}")
    height, width = pixels.shape[:2]
    left, top, right, bottom = _region(corners, width, height)
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    scale = min(SIDE_PX / max(part.shape[:2]), MAX_ENLARGEMENT)
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    # Enlarged by repeating pixels: nothing is invented between them.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(part, size, interpolation=how), dtype=np.uint8), (left, top), scale


def _region(corners: Array | None, width: int, height: int) -> tuple[int, int, int, int]:
    whole = 0, 0, width, height
    if corners is None or not np.isfinite(corners).all():
        return whole
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = MARGIN * (high - low).max()
    left, top = np.floor(np.clip(low - margin, 0, [width, height])).astype(int)
    right, bottom = np.ceil(np.clip(high + margin, 0, [width, height])).astype(int)
    return (int(left), int(top), int(right), int(bottom)) if right - left > 1 and bottom - top > 1 else whole


def _outlines(shot: ShotView) -> Iterator[tuple[Array, tuple[int, int, int]]]:
    for corners in shot.tag_corners_px:
        yield corners, TAG_RGB
    if shot.frame_corners_px is not None:
        yield shot.frame_corners_px, FRAME_RGB


def _moved(corners: Array, left: int, top: int, scale: float) -> Array:
    """Pixels of the picture → pixels of the part shown; centers of pixels stay centers under scaling."""
    return np.asarray((corners - np.array([left, top]) + 0.5) * scale - 0.5, dtype=np.float64)


def _draw(pixels: Pixels, corners: Array, color: tuple[int, int, int]) -> None:
    if not np.isfinite(corners).all() or np.abs(corners).max() > 1e5:
        return
    points = np.round(corners * 16).astype(np.int32).reshape(-1, 1, 2)
    for thickness, tone in ((4, UNDER_RGB), (2, color)):
        cv2.polylines(pixels, [points], True, tone, thickness, cv2.LINE_AA, 4)


def _data_uri(pixels: Pixels) -> str:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
