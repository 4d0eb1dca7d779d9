"""Views of a board by a known camera, as corners: what a careful (or careless) operator would have photographed."""

from __future__ import annotations

import numpy as np

from calibration.board import Board, BoardSighting
from calibration.camera import CameraModel
from calibration.geometry import Pose, View, pose_from_view

BOARD = Board()
CAMERA = CameraModel(
    camera="known",
    width=1280,
    height=720,
    fx=1100,
    fy=1104,
    cx=652,
    cy=349,
    distortion=(-0.21, 0.09, 0.0012, -0.0009, -0.02),
)
CENTER_MM = np.array([BOARD.width_mm / 2, BOARD.height_mm / 2])


def sighting(pose: Pose, random: np.random.Generator, noise_px: float = 0.2, camera: CameraModel = CAMERA):
    """The corners of the board that fall into the picture, with Gaussian noise."""
    corners_mm = BOARD.corners_mm()
    seen = camera.project(pose.to_camera(corners_mm)) + random.normal(0, noise_px, corners_mm.shape)
    inside = ((seen > 5) & (seen < [camera.width - 6, camera.height - 6])).all(axis=1)
    ids = tuple(map(int, np.flatnonzero(inside)))
    return BoardSighting(ids, seen[inside], corners_mm[inside], camera.width, camera.height)


def many_views(
    count: int, seed: int, *, tilt_deg: float = 40, spread: float = 1.0, noise_px: float = 0.2, camera=CAMERA
):
    """Views as a careful operator takes them, ``tilt_deg`` and ``spread`` say how careful."""
    random = np.random.default_rng(seed)
    views = {}
    while len(views) < count:
        yaw, pitch = random.uniform(-tilt_deg, tilt_deg, 2)
        ray = np.array([*(random.uniform(-spread, spread, 2) * [0.42, 0.22]), 1.0])
        pose = pose_from_view(View(random.uniform(330, 650), yaw, pitch, random.uniform(-15, 15)), CENTER_MM, ray)
        views[f"{len(views):02d}.png"] = sighting(pose, random, noise_px, camera)
    return views
