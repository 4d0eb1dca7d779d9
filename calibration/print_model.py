"""How a printed sheet, and a board beside it, come into photographs: the unknowns of that, and what each does.

Convention: *paper* coordinates are true mm from the middle of the sheet's tags, x right, y down, z into the paper;
*sheet* coordinates are those of the sheet's JSON, from the same point. ``x = sx u + sy sin(skew) v``,
``y = sy cos(skew) v``: a positive skew leans the bottom of the sheet to the right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from calibration.camera import CameraModel
from calibration.geometry import Array, Pose, apply_homography

Shared = Mapping[str, float]
"""The unknowns that all photographs share, by name."""

UNITS = {
    **{"mean": 1e-3, "ratio": 1e-3, "skew": 1e-3, "bow_x": 0.1, "bow_xy": 0.1, "bow_y": 0.1},
    **{"focal": 1e-3, "aspect": 1e-4, "center_x": 1.0, "center_y": 1.0, "k1": 1e-2, "k2": 1e-2, "p1": 1e-4, "p2": 1e-4},
    **{"turn": 1e-3, "right": 0.1, "down": 0.1, "off": 0.1, "lean_x": 1e-3, "lean_y": 1e-3},
    **{"wide": 1e-3, "high": 1e-3, "shear": 1e-3},
}
"""The unknowns that all photographs share, each with the unit in which it is sought (rad, mm, px, shares)."""

NAMES = tuple(UNITS)
POSE_UNITS = (1e-3, 1e-3, 1e-3, 0.1, 0.1, 0.1, 0.01)
"""The unknowns of one photograph: rotation vector, translation in mm, growth of black in mm."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one photograph shows: corners of the tags and of the board, ``(N, 2)`` mm and px as seen.

    ``outward``: ``(N, 2)`` of -1 and 1, from the middle of its tag to each corner. ``pose``: about where the sheet is
    (paper coordinates). A board that is not there has ``(0, 2)``.
    """

    sheet_mm: Array
    outward: Array
    sheet_px: Array
    board_mm: Array
    board_px: Array
    pose: Pose


def on_paper(sheet_mm: Array, half_mm: Array, level: Array, shared: Shared) -> Array:
    """``(N, 2)`` sheet mm → ``(N, 3)`` paper mm, bow included; ``half_mm`` ``(2,)`` is as far as the tags reach.

    ``level`` ``(3,)``: mean height of the three bends over the tags, so that a bow does not lift the sheet.
    """
    bow = np.array([shared["bow_x"], shared["bow_xy"], shared["bow_y"]])
    height = (bend_shapes(sheet_mm / half_mm) - level) @ bow
    return np.column_stack([sheet_mm @ paper_from_sheet(shared).T, height])


def board_start(seen: Sighting, camera: CameraModel) -> dict[str, float]:
    """About where the board is: its corners, back on the plane of the sheet, turned and shifted to fit (Kabsch)."""
    ideal = camera.undistort(seen.board_px)
    there = apply_homography(np.asarray(np.linalg.inv(seen.pose.homography(camera.matrix)), dtype=np.float64), ideal)
    known = seen.board_mm - seen.board_mm.mean(axis=0)
    (a, b), (c, d) = known.T @ (there - there.mean(axis=0))
    turn = math.atan2(b - c, a + d)
    right, down = there.mean(axis=0) - _turned(turn) @ seen.board_mm.mean(axis=0)
    return {"turn": turn, "right": float(right), "down": float(down)}


def _turned(angle: float) -> Array:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def board_on_paper(board_mm: Array, shared: Shared) -> Array:
    """``(N, 2)`` board mm → ``(N, 3)`` paper mm: of its measured size, sheared, turned, off the plane and leaning."""
    true = board_mm * np.exp([shared["wide"], shared["high"]])
    true[:, 0] += shared["shear"] * true[:, 1]
    flat = true @ _turned(shared["turn"]).T
    middle = flat.mean(axis=0) if len(flat) else np.zeros(2)
    off = shared["off"] + (flat - middle) @ [shared["lean_x"], shared["lean_y"]]
    return np.column_stack([flat + np.array([shared["right"], shared["down"]]), off])


def paper_from_sheet(shared: Shared) -> Array:
    """``(2, 2)``: scale and skew."""
    wide, high = math.exp(shared["mean"] + shared["ratio"] / 2), math.exp(shared["mean"] - shared["ratio"] / 2)
    return np.array([[wide, high * math.sin(shared["skew"])], [0, high * math.cos(shared["skew"])]])


def bend_shapes(points: Array) -> Array:
    """``(N, 3)`` heights of the three ways in which a sheet bends; ``points`` ``(N, 2)`` from -1 to 1."""
    x, y = points.T
    return np.column_stack([x**2, x * y, y**2])


def fitted_camera(camera: CameraModel, shared: Shared) -> CameraModel:
    """The camera, corrected."""
    corrected = np.array(camera.distortion)
    corrected[:4] += [shared[name] for name in ("k1", "k2", "p1", "p2")]
    return camera.model_copy(
        update={
            "fx": camera.fx * math.exp(shared["focal"] + shared["aspect"] / 2),
            "fy": camera.fy * math.exp(shared["focal"] - shared["aspect"] / 2),
            "cx": camera.cx + shared["center_x"],
            "cy": camera.cy + shared["center_y"],
            "distortion": tuple(corrected.tolist()),
        }
    )


def vector_of(pose: Pose) -> Array:
    """As the unknowns of one photograph: rotation vector, translation, no growth."""
    turn = Rotation.from_matrix(pose.rotation).as_rotvec()
    return np.concatenate([turn, pose.translation_mm, [0.0]])


def pose_of(vector: Array) -> Pose:
    """Inverse of :func:`vector_of`."""
    return Pose(Rotation.from_rotvec(vector[:3]).as_matrix(), vector[3:6])
