"""How often and how exactly the sheet is found, beside the bare detector with one tag; and what is taken for a sheet.

The frames are the simulated camera's, whose truth is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.geometry import Array, View, apply_homography, rotation_from_view, view_from_pose
from calibration.sheet import Sheet
from calibration.solve import fit_plane, fit_pose
from calibration.tags import detect_full, to_gray
from capture.cameras.sim import SimOptions
from capture.cameras.sim_scenery import LIGHTS
from capture.frame import Frame
from capture.localize import Localization, localize
from capture.plan import Condition
from pipeline.bench.sim import Stage
from pipeline.zoo.photos import PhotoSet, read_photos

Pixels = NDArray[np.uint8]
Progress = Callable[[float, str], None]

SIZES = ((1280, 720), (3840, 2160))
KINDS = ("plain", "defocus", "motion", "noise", "low light", "tag occluded")
NOISY = 8.0
"""Strength of the sensor's noise where noise is asked for: a deviation of about 10 of 255 levels on mid-gray."""

DISTANCES_MM = (500.0, 2000.0)
YAW_DEG, PITCH_DEG, ROLL_DEG = 70.0, 20.0, 15.0
DEFOCUS_PX, MOTION_PX = (1.0, 2.5), (3.0, 8.0)
"""At a width of 1280 px; as much of the picture at others."""

HAND = (178, 132, 108)
COVERS = 1.25
"""The hand before a tag is larger than its black square by this factor."""

EMPTY_SIZE = (1280, 720)


@dataclass(frozen=True, slots=True)
class Errors:
    """Mean distance of the sticker's four corners from the truth, angle between the poses, error of the distance."""

    corner_px: float
    angle_deg: float
    distance_percent: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """One frame: what it is like, the errors of localization and of the bare detector; None where not found."""

    width: int
    kind: str
    yaw_deg: float
    ours: Errors | None
    bare: Errors | None


@dataclass(frozen=True, slots=True)
class Empties:
    """Frames of one kind without a sheet that is looked for.

    ``sheets``: those in which one was found all the same; ``tags``: those in which the detector saw one of its tags.
    """

    kind: str
    frames: int
    sheets: int
    tags: int


def sight(lab: Stage, sizes: Sequence[tuple[int, int]], frames: int, seed: int, progress: Progress) -> list[Sighting]:
    """Localize ``frames`` frames, the sizes and kinds taking turns."""
    draws = [_Draw(sizes[n % len(sizes)], KINDS[n // len(sizes) % len(KINDS)], n) for n in range(frames)]
    seen: list[Sighting] = []
    for size in sizes:
        for strength in (1.0, NOISY):
            mine = [draw for draw in draws if draw.size == size and draw.strength == strength]
            for each in _sight_all(lab, mine, seed):
                seen.append(each)
                progress(len(seen) / frames, f"{size[0]}x{size[1]}, {each.kind}")
    return seen


@dataclass(frozen=True, slots=True)
class _Draw:
    """One frame to be: its size, kind and number."""

    size: tuple[int, int]
    kind: str
    number: int

    @property
    def strength(self) -> float:
        """Of the sensor's noise."""
        return NOISY if self.kind == "noise" else 1.0


def _sight_all(lab: Stage, draws: Sequence[_Draw], seed: int) -> Iterator[Sighting]:
    """All of them have one size and one noise: they share a camera."""
    if not draws:
        return
    width, height = draws[0].size
    stage = lab.before(SimOptions(width=width, height=height, seed=seed, noise=draws[0].strength))
    for draw in draws:
        yield _sight(stage, draw.kind, np.random.default_rng([seed, draw.number]))


def _sight(stage: Stage, kind: str, random: np.random.Generator) -> Sighting:
    sheet, model = stage.primary, stage.camera.model
    frame = stage.see(sheet, _condition(kind, model.width, random), int(random.integers(1_000_000)))
    truth = _truth(frame)
    pixels = _with_hand(frame.pixels, truth.tags_px, random) if kind == "tag occluded" else frame.pixels
    ours = _localized(pixels, list(stage.sheets.values()), sheet, model, truth)
    return Sighting(model.width, kind, abs(truth.view.yaw_deg), ours, _by_one_tag(pixels, sheet, model, truth))


def _condition(kind: str, width: int, random: np.random.Generator) -> Condition:
    scale = width / SIZES[0][0]
    blur = {
        "defocus": {"defocus_px": scale * float(random.uniform(*DEFOCUS_PX))},
        "motion": {"motion_px": scale * float(random.uniform(*MOTION_PX))},
    }
    bright = [name for name in LIGHTS if name != "dim"]
    return Condition(
        distance_mm=math.exp(random.uniform(*np.log(DISTANCES_MM))),
        yaw_deg=float(random.uniform(-YAW_DEG, YAW_DEG)),
        pitch_deg=float(random.uniform(-PITCH_DEG, PITCH_DEG)),
        roll_deg=float(random.uniform(-ROLL_DEG, ROLL_DEG)),
        light="dim" if kind == "low light" else bright[int(random.integers(len(bright)))],
        extra=dict(blur.get(kind, {})),
    )


@dataclass(frozen=True, slots=True)
class _Truth:
    """Of a simulated frame: corners of the sticker ``(4, 2)`` and of the tags, px as captured, and the sheet's view."""

    corners_px: Array
    tags_px: tuple[Array, ...]
    view: View


def _truth(frame: Frame) -> _Truth:
    if frame.truth is None:
        raise BadInput("a frame of a simulated sheet has its ground truth; this one has none")
    tags = tuple(np.array(corners) for corners in frame.truth["tag_corners_px"].values())
    return _Truth(np.array(frame.truth["frame_corners_px"]), tags, View(**frame.truth["view"]))


def _with_hand(pixels: Pixels, tags: Sequence[Array], random: np.random.Generator) -> Pixels:
    """The picture with one of its tags behind something of the color of skin."""
    corners = tags[int(random.integers(len(tags)))]
    center = corners.mean(axis=0)
    covered = pixels.copy()
    cv2.fillConvexPoly(covered, np.round(center + COVERS * (corners - center)).astype(np.int32), HAND)
    return covered


def _localized(
    pixels: Pixels, sheets: Sequence[Sheet], sheet: Sheet, model: CameraModel, truth: _Truth
) -> Errors | None:
    """The errors of localization, which knows what it is to expect, as in a capture."""
    found = localize(pixels, sheets, model, sheet)
    if not found.found or found.view is None:
        return None
    return _errors(found.to_image(sheet.frame.corners_mm), found.view, truth)


def _by_one_tag(pixels: Pixels, sheet: Sheet, model: CameraModel, truth: _Truth) -> Errors | None:
    """The errors by the largest tag that the detector finds at its defaults; the lens is taken into account."""
    tags = [tag for tag in detect_full(to_gray(pixels)) if tag.id in sheet.tag_ids]
    if not tags:
        return None
    largest = max(tags, key=lambda tag: float(cv2.contourArea(tag.corners.astype(np.float32))))
    seen, known = {largest.id: model.undistort(largest.corners)}, sheet.tag_corners_mm()
    fit = fit_plane(seen, known)
    pose = fit_pose(fit, seen, known, model) if fit else None
    if fit is None or pose is None:
        return None
    corners = model.distort(apply_homography(fit.homography, sheet.frame.corners_mm))
    return _errors(corners, view_from_pose(pose, sheet.target.box.center_mm), truth)


def _errors(corners_px: Array, view: View, truth: _Truth) -> Errors:
    turn = rotation_from_view(view).T @ rotation_from_view(truth.view)
    return Errors(
        corner_px=float(np.linalg.norm(corners_px - truth.corners_px, axis=1).mean()),
        angle_deg=math.degrees(math.acos(float(np.clip((np.trace(turn) - 1) / 2, -1, 1)))),
        distance_percent=100 * abs(view.distance_mm / truth.view.distance_mm - 1),
    )


def look_at_empty(lab: Stage, frames: int, photos: PhotoSet | None, seed: int, progress: Progress) -> list[Empties]:
    """Count what is taken for a sheet of a lab in ``frames`` frames that show none.

    Half of them are ``photos``, enlarged to the frame, where there are some; the others are simulated, every second
    one with a sheet that is none of those looked for.
    """
    count = frames // 2 if photos else 0
    stage = lab.before(SimOptions(width=EMPTY_SIZE[0], height=EMPTY_SIZE[1], seed=seed))
    ours = [sheet for sheet in stage.sheets.values() if sheet != stage.primary]
    pictures = chain(_simulated(stage, frames - count, seed), _enlarged(photos, count, seed) if photos else ())
    seen: dict[str, list[Localization]] = {}
    for number, (kind, pixels) in enumerate(pictures, 1):
        seen.setdefault(kind, []).append(localize(pixels, ours))
        progress(number / frames, kind)
    return [_empties(kind, found, ours) for kind, found in seen.items()]


def _empties(kind: str, found: Sequence[Localization], sheets: Sequence[Sheet]) -> Empties:
    known = frozenset[int]().union(*(sheet.tag_ids for sheet in sheets))
    tags = sum(any(tag.id in known for tag in each.tags) for each in found)
    return Empties(kind, len(found), sum(each.found for each in found), tags)


def _simulated(stage: Stage, count: int, seed: int) -> Iterator[tuple[str, Pixels]]:
    random = np.random.default_rng([seed, 1])
    for number in range(count):
        foreign = stage.primary if number % 2 else None
        kind = "simulated, another sheet" if foreign else "simulated, no sheet"
        condition = _condition(KINDS[number // 2 % len(KINDS)], EMPTY_SIZE[0], random)
        yield kind, stage.see(foreign, condition, number).pixels


def _enlarged(found: PhotoSet, count: int, seed: int) -> Iterator[tuple[str, Pixels]]:
    """Photographs cut to the frame's shape and enlarged to its size, drawn without a second of any while they last."""
    random = np.random.default_rng([seed, 2])
    order = random.permutation(len(found.photos))
    photos = [found.photos[order[number % len(order)]] for number in range(count)]
    for pixels in read_photos(found.source, photos, _to_frame):
        yield "photographs, enlarged", pixels


def _to_frame(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = photo.shape[:2]
    rows = max(1, min(height, round(width * EMPTY_SIZE[1] / EMPTY_SIZE[0])))
    columns = max(1, min(width, round(height * EMPTY_SIZE[0] / EMPTY_SIZE[1])))
    top, left = (height - rows) // 2, (width - columns) // 2
    part = photo[top : top + rows, left : left + columns]
    return np.asarray(cv2.resize(part, EMPTY_SIZE, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
