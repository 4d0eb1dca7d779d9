"""From tag corners to homography and pose: robust over all corners of all tags."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.camera import CameraModel
from calibration.geometry import Array, Pose, apply_homography

OUTLIER_PX = 3.0
"""A corner farther than this from the robust fit does not belong to the plane: ghost, fold, or occluded edge."""


@dataclass(frozen=True, slots=True)
class PlaneFit:
    """A homography sheet → (ideal) image ``(3, 3)``, the tags it stands on, their corners' RMS residual in px."""

    homography: Array
    used: tuple[int, ...]
    residual_px: float


def fit_plane(seen: dict[int, Array], known_mm: dict[int, Array]) -> PlaneFit | None:
    """Fit the homography from tags ``id → (4, 2)`` px to ``id → (4, 2)`` mm; tags off the common plane are dropped.

    None when no consistent tag is left. A tag counts only with all four corners.
    """
    ids = sorted(set(seen) & set(known_mm))
    if not ids:
        return None
    if len(ids) > 1:
        ids = _consistent(ids, seen, known_mm)
    if not ids:
        return None
    source, image = _stack(ids, known_mm), _stack(ids, seen)
    homography = _find_homography(source, image, 0)
    if homography is None:
        return None
    errors = np.linalg.norm(apply_homography(homography, source) - image, axis=1)
    return PlaneFit(homography, tuple(ids), float(np.sqrt(np.mean(errors**2))))


def fit_pose(fit: PlaneFit, seen: dict[int, Array], known_mm: dict[int, Array], camera: CameraModel) -> Pose | None:
    """The pose of the sheet from the corners of the used tags, in ideal pixels of ``camera``; None if it fails."""
    flat = _stack(list(fit.used), known_mm)
    points = np.column_stack([flat, np.zeros(len(flat))])
    image = _stack(list(fit.used), seen)
    ok, rotation, translation = cv2.solvePnP(points, image, camera.matrix, None, flags=cv2.SOLVEPNP_IPPE)
    if not ok:
        return None
    rotation, translation = cv2.solvePnPRefineLM(points, image, camera.matrix, None, rotation, translation)
    matrix, _ = cv2.Rodrigues(rotation)
    return Pose(np.asarray(matrix, dtype=np.float64), np.asarray(translation, dtype=np.float64).reshape(3))


def _consistent(ids: list[int], seen: dict[int, Array], known_mm: dict[int, Array]) -> list[int]:
    """The ids whose four corners all lie on the plane that most corners agree on."""
    homography = _find_homography(_stack(ids, known_mm), _stack(ids, seen), cv2.RANSAC)
    if homography is None:
        return []
    return [i for i in ids if _worst(homography, known_mm[i], seen[i]) <= OUTLIER_PX]


def _find_homography(source: Array, image: Array, method: int) -> Array | None:
    """OpenCV's homography, least squares (0) or RANSAC; it gives None for points on a line, whatever its stub says."""
    found, _ = cv2.findHomography(source, image, method, OUTLIER_PX)
    return None if found is None else np.asarray(found, dtype=np.float64)


def _worst(homography: Array, known_mm: Array, seen: Array) -> float:
    return float(np.linalg.norm(apply_homography(homography, known_mm) - seen, axis=1).max())


def _stack(ids: list[int], corners: dict[int, Array]) -> Array:
    return np.concatenate([corners[i] for i in ids])
