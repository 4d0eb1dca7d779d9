"""A sheet seen by a camera, rendered exactly: what views are held against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from calibration.camera import CameraModel
from calibration.geometry import Array, View, apply_homography, pose_from_view
from calibration.sheet import Sheet
from patches.artwork import artwork
from patches.frames import FrameOrder, frame_geometry
from patches.layout import SheetOrder, lay_out
from pipeline.scoring.unmarked import mark_boxes

GROUND, PAPER, INK = (40, 60, 120), (230, 226, 214), (8, 8, 10)
RING, OBJECT, SADDLE = (200, 40, 160), (40, 180, 60), (250, 200, 30)
SIZE_PX = (640, 480)
FOCAL_PX = 600
OVERSAMPLING = 3
PX_PER_MM = 8
AROUND_MM = 200


def a_sheet(arm: str = "patch", **frame: object) -> Sheet:
    """A sheet as dpcam lays it out, for a stop sign of 120 mm."""
    sign = artwork("stop")
    geometry = frame_geometry(sign, 120.0, FrameOrder(**frame))
    texture = None if arm == "bare" else "0" * 64
    return lay_out(SheetOrder(arm, "stop", sign.outline, sign.aspect, geometry, "A4", 0, 1, texture))


@dataclass(frozen=True)
class Seen:
    """A rendered picture with its ground truth."""

    pixels: np.ndarray
    homography: Array
    camera: CameraModel | None
    sheet: Sheet

    def to_image(self, points_mm: Array) -> Array:
        ideal = apply_homography(self.homography, points_mm)
        return self.camera.distort(ideal) if self.camera else ideal

    @property
    def frame_px(self) -> Array:
        return self.to_image(self.sheet.frame.corners_mm)


def camera_model(distortion: tuple[float, ...] = (0.0,) * 5) -> CameraModel:
    width, height = SIZE_PX
    center = (width - 1) / 2, (height - 1) / 2
    return CameraModel(
        camera="test",
        width=width,
        height=height,
        fx=FOCAL_PX,
        fy=FOCAL_PX,
        cx=center[0],
        cy=center[1],
        distortion=distortion,
    )


def seen(sheet: Sheet, view: View, camera: CameraModel | None = None, *, shadow: float = 0.0) -> Seen:
    """The sheet under a view; ``shadow`` darkens the picture from left to right by that share."""
    model = camera or camera_model()
    homography = pose_from_view(view, sheet.frame.center_mm).homography(model.matrix)
    light = 1 - shadow * np.linspace(0, 1, SIZE_PX[0])[None, :, None]
    pixels = np.round(_rendered(sheet, homography, camera) * light).astype(np.uint8)
    return Seen(pixels, homography, camera, sheet)


def saddles_mm(sheet: Sheet) -> Array:
    """``(4, 2)``: where two squares meet at a point, near the corners of a square ring."""
    middle = sheet.frame.center_mm
    return middle + (sheet.frame.corners_mm - middle) * (sheet.frame.width_mm + sheet.inner.width_mm) / (
        2 * sheet.frame.width_mm
    )


def _rendered(sheet: Sheet, homography: Array, camera: CameraModel | None) -> np.ndarray:
    """``(H, W, 3)``: each pixel the mean of what it covers."""
    width, height = SIZE_PX
    y, x = (np.mgrid[: height * OVERSAMPLING, : width * OVERSAMPLING] + 0.5) / OVERSAMPLING - 0.5
    points = np.column_stack([x.ravel(), y.ravel()])
    points = camera.undistort(points) if camera else points
    flat = _in_flat(apply_homography(np.linalg.inv(homography), points)).astype(np.float32)
    maps = [np.ascontiguousarray(flat[:, axis].reshape(y.shape)) for axis in (0, 1)]
    fine = cv2.remap(_flat(sheet.model_dump_json()), *maps, cv2.INTER_LINEAR, borderValue=GROUND)
    return cv2.resize(fine, SIZE_PX, interpolation=cv2.INTER_AREA)


@cache
def _flat(text: str) -> np.ndarray:
    """The sheet from straight above."""
    sheet = Sheet.model_validate_json(text)
    size = [round((side + 2 * AROUND_MM) * PX_PER_MM) for side in (sheet.height_mm, sheet.width_mm)]
    flat = np.full((*size, 3), GROUND, np.uint8)
    _fill(flat, [sheet.outline_mm()], PAPER)
    for box in mark_boxes(sheet):
        _fill(flat, [box.grown(-1).corners_mm], INK)
    shape = sheet.sticker
    _fill(flat, shape.printed.loops_mm if shape else [sheet.frame.corners_mm, sheet.inner.corners_mm], RING)
    for place in saddles_mm(sheet):
        for turn in (-4, 4):
            _fill(flat, [place + np.array([[0, 0], [turn, 0], [turn, turn], [0, turn]])], SADDLE)
    _fill(flat, shape.window.loops_mm if shape else [sheet.inner.corners_mm], OBJECT)
    return flat


def _in_flat(points_mm: Array) -> Array:
    return (points_mm + AROUND_MM) * PX_PER_MM - 0.5


def _fill(flat: np.ndarray, loops_mm: Iterable[object], color: tuple[int, int, int]) -> None:
    loops = [np.round(_in_flat(np.array(loop)) * 16).astype(np.int32) for loop in loops_mm]
    cv2.fillPoly(flat, loops, color, cv2.LINE_8, 4)
