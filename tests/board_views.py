"""Views of a board by a known camera, as corners: what a careful (or careless) operator would have photographed."""

from __future__ import annotations

import numpy as np

from calibration.board import Board
from calibration.camera import CameraModel
from calibration.geometry import Pose, View, pose_from_view
from pipeline.bench.camera import TRUTH, seen

BOARD = Board()
CAMERA = TRUTH.model_copy(update={"camera": "known"})
CENTER_MM = np.array([BOARD.width_mm / 2, BOARD.height_mm / 2])


def sighting(pose: Pose, random: np.random.Generator, noise_px: float = 0.2, camera: CameraModel = CAMERA):
    """The corners of the board that fall into the picture, with Gaussian noise."""
    return seen(BOARD, pose, random, noise_px, camera)


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
