"""Planar geometry: homographies, poses of a sheet before a pinhole camera, boxes in mm.

Convention: sheet coordinates are mm, origin top-left of the trimmed sheet, x right, y down, z into the paper (away
from the viewer). Camera axes are x right, y down, z forward. Pixel (0, 0) is the center of the top-left pixel.
``H_image_sheet`` maps sheet mm to image pixels; ``T_camera_sheet`` maps sheet mm to camera mm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.files import Document

Array = NDArray[np.float64]


class Box(Document):
    """An upright rectangle in mm: top-left corner, width, height."""

    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float

    @property
    def center_mm(self) -> Array:
        """``(2,)`` center."""
        return np.array([self.x_mm + self.width_mm / 2, self.y_mm + self.height_mm / 2])

    @property
    def corners_mm(self) -> Array:
        """``(4, 2)`` corners: top-left, top-right, bottom-right, bottom-left."""
        left, top, right, bottom = self.x_mm, self.y_mm, self.x_mm + self.width_mm, self.y_mm + self.height_mm
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])

    def grown(self, margin_mm: float) -> Box:
        """The box with ``margin_mm`` more on each side (less, when negative)."""
        return Box(
            x_mm=self.x_mm - margin_mm,
            y_mm=self.y_mm - margin_mm,
            width_mm=self.width_mm + 2 * margin_mm,
            height_mm=self.height_mm + 2 * margin_mm,
        )

    def overlaps(self, other: Box) -> bool:
        """Whether the two boxes share an area."""
        return (
            self.x_mm < other.x_mm + other.width_mm
            and other.x_mm < self.x_mm + self.width_mm
            and self.y_mm < other.y_mm + other.height_mm
            and other.y_mm < self.y_mm + self.height_mm
        )


def centered_box(center_mm: Array, width_mm: float, height_mm: float) -> Box:
    """The box of the given size around ``center_mm`` ``(2,)``."""
    return Box(
        x_mm=float(center_mm[0]) - width_mm / 2,
        y_mm=float(center_mm[1]) - height_mm / 2,
        width_mm=width_mm,
        height_mm=height_mm,
    )


def apply_homography(homography: Array, points: Array) -> Array:
    """Map ``(N, 2)`` points through a ``(3, 3)`` homography → ``(N, 2)``."""
    mapped = points @ homography[:, :2].T + homography[:, 2]
    return np.asarray(mapped[:, :2] / mapped[:, 2:3], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class View:
    """Where a camera sees a point of the sheet from.

    ``distance_mm``: camera center to that point. ``yaw_deg``: the sheet turned about its vertical axis, positive when
    its right edge is farther away. ``pitch_deg``: about its horizontal axis, positive when its bottom edge is farther
    away. ``roll_deg``: about the optical axis, positive clockwise in the image. ``R = Rz(roll) Rx(pitch) Ry(-yaw)``
    in the camera axes above (z forward), so that the three read as a viewer would say them.
    """

    distance_mm: float
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Pose:
    """``T_camera_sheet``: ``camera = rotation @ sheet + translation_mm``; rotation ``(3, 3)``, translation ``(3,)``."""

    rotation: Array
    translation_mm: Array

    def to_camera(self, points_mm: Array) -> Array:
        """``(N, 2)`` sheet points (on the paper, z = 0) → ``(N, 3)`` in camera axes, mm."""
        return np.asarray(points_mm @ self.rotation[:, :2].T + self.translation_mm, dtype=np.float64)

    def homography(self, camera_matrix: Array) -> Array:
        """``H_image_sheet`` ``(3, 3)`` of an ideal pinhole camera with that matrix, scaled to a last entry of 1."""
        matrix = camera_matrix @ np.column_stack([self.rotation[:, :2], self.translation_mm])
        return np.asarray(matrix / matrix[2, 2], dtype=np.float64)


def rotation_from_view(view: View) -> Array:
    """The ``(3, 3)`` rotation of :class:`View`."""
    yaw, pitch, roll = (math.radians(angle) for angle in (view.yaw_deg, view.pitch_deg, view.roll_deg))
    about_y = np.array([[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    about_z = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y, dtype=np.float64)


def pose_from_view(view: View, point_mm: Array, ray: Array | None = None) -> Pose:
    """The pose that puts sheet point ``point_mm`` ``(2,)`` at ``view.distance_mm`` along ``ray`` ``(3,)``.

    ``ray`` is a direction in camera axes, the optical axis by default; it needs no unit length.
    """
    rotation = rotation_from_view(view)
    direction = np.array([0.0, 0.0, 1.0]) if ray is None else np.asarray(ray, dtype=np.float64)
    direction = direction / np.linalg.norm(direction)
    return Pose(rotation, view.distance_mm * direction - rotation[:, :2] @ point_mm)


def view_from_pose(pose: Pose, point_mm: Array) -> View:
    """Inverse of :func:`pose_from_view`: distance and angles at sheet point ``point_mm`` ``(2,)``."""
    rotation = pose.rotation
    return View(
        distance_mm=float(np.linalg.norm(pose.to_camera(point_mm[None])[0])),
        yaw_deg=math.degrees(math.atan2(rotation[2, 0], rotation[2, 2])),
        pitch_deg=math.degrees(math.asin(float(np.clip(rotation[2, 1], -1, 1)))),
        roll_deg=math.degrees(math.atan2(-rotation[0, 1], rotation[1, 1])),
    )
