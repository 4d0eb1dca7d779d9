"""Examples as pictures: for each arm a good shot and the worst ones, with the localization drawn."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from calibration.errors import BadImage, BadInput
from calibration.geometry import Array
from pipeline.report.content import Pixels, ShotView
from pipeline.report.digest import Tally, in_order, tally
from pipeline.score import Answer

MAX_PICTURES = 24
PER_ARM = 4
SIDE_PX = 440
"""Longest side of a picture on the page."""

MAX_ENLARGEMENT = 6.0
MARGIN = 0.15
"""What is shown around the sheet, as a share of its size on each side."""

JPEG_QUALITY = 82
FRAME_RGB, TAG_RGB, UNDER_RGB = (64, 224, 255), (255, 214, 10), (0, 0, 0)

Kind = Literal["good", "wrong", "missed"]


@dataclass(frozen=True, slots=True)
class Example:
    """A shot worth showing, why, and what the recognizers of each kind said to it."""

    shot: ShotView
    kind: Kind
    held_out: Tally
    surrogates: Tally

    @property
    def wrong(self) -> tuple[int, int]:
        """Wrong answers: held out, surrogates."""
        return self.held_out.judged - self.held_out.correct, self.surrogates.judged - self.surrogates.correct


@dataclass(frozen=True, slots=True)
class Picture:
    """What stands on the page: a data URI, empty when the picture could not be read, with ``problem`` saying why."""

    uri: str
    width: int
    height: int
    problem: str = ""


def choose(shots: Sequence[ShotView], answers: Iterable[Answer]) -> list[Example]:
    """At most :data:`MAX_PICTURES`: for each arm in turn a good shot, the most often wrong ones, a missed one."""
    by_sample: dict[str, list[Answer]] = {}
    for answer in answers:
        if answer.correct is not None:
            by_sample.setdefault(answer.sample, []).append(answer)
    arms = in_order(shot.arm for shot in shots)
    share = min(PER_ARM, max(1, MAX_PICTURES // max(len(arms), 1)))
    chosen: list[Example] = []
    for arm in arms[:MAX_PICTURES]:
        chosen += _of_arm([_example(shot, by_sample) for shot in shots if shot.arm == arm], share)
    return chosen


def show(shot: ShotView) -> Picture:
    """Load, crop around the sheet, draw frame and tags, encode; a picture that cannot be read says so on the page."""
    try:
        pixels, (left, top), scale = _view(shot.picture(), _sheet_corners(shot))
    except BadInput as error:
        return Picture("", 0, 0, error.message)
    for corners, color in _outlines(shot):
        _draw(pixels, _moved(corners, left, top, scale), color)
    return Picture(_data_uri(pixels), pixels.shape[1], pixels.shape[0])


def _example(shot: ShotView, by_sample: dict[str, list[Answer]]) -> Example:
    answers = by_sample.get(shot.name, [])
    held_out, surrogates = (tally([a for a in answers if a.held_out == kind]) for kind in (True, False))
    wrong = any(not answer.correct for answer in answers)
    kind: Kind = "missed" if not shot.found else "wrong" if wrong else "good"
    return Example(shot, kind, held_out, surrogates)


def _of_arm(examples: Sequence[Example], share: int) -> list[Example]:
    good = sorted((e for e in examples if e.kind == "good" and e.held_out.judged + e.surrogates.judged), key=_easiest)
    wrong = sorted((e for e in examples if e.kind == "wrong"), key=_worst)
    missed = sorted((e for e in examples if e.kind == "missed"), key=_easiest)
    # The worst first, when there is room for one only.
    wanted = [*wrong[:1], *good[:1], *missed[:1], *wrong[1:], *missed[1:]][:share]
    order = ("good", "wrong", "missed")
    return sorted(wanted, key=lambda example: order.index(example.kind))


def _worst(example: Example) -> tuple[int, int, str]:
    return -example.wrong[0], -example.wrong[1], example.shot.name


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
