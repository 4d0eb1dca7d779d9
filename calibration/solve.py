"""From tag corners to homography and pose: robust over all corners of all tags."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

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
    homography = _find_homography(source, image)
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
    if not ok or not np.isfinite(translation).all():
        # The closed form divides by zero for a sheet that is seen exactly from the front.
        ok, rotation, translation = cv2.solvePnP(points, image, camera.matrix, None, flags=cv2.SOLVEPNP_ITERATIVE)
    if not ok or not np.isfinite(translation).all():
        return None
    rotation, translation = cv2.solvePnPRefineLM(points, image, camera.matrix, None, rotation, translation)
    matrix, _ = cv2.Rodrigues(rotation)
    return Pose(np.asarray(matrix, dtype=np.float64), np.asarray(translation, dtype=np.float64).reshape(3))


def _consistent(ids: list[int], seen: dict[int, Array], known_mm: dict[int, Array]) -> list[int]:
    """The most tags that agree with a plane through two of them; of equally many, those that agree best.

    All pairs are tried, whole tags at a time. A consensus over single corners (RANSAC) bends towards a sticker that
    has slipped by a few pixels and then drops a good tag with it.
    """
    agreeing = [_agreeing(list(pair), ids, seen, known_mm) for pair in combinations(ids, 2)]
    return max(agreeing, key=lambda found: (len(found[0]), -found[1]))[0]


def _agreeing(
    pair: list[int], ids: list[int], seen: dict[int, Array], known_mm: dict[int, Array]
) -> tuple[list[int], float]:
    """The tags within the limit of the plane through ``pair``, and their worst corner in px."""
    homography = _find_homography(_stack(pair, known_mm), _stack(pair, seen))
    if homography is None:
        return [], np.inf
    worst = {i: _worst(homography, known_mm[i], seen[i]) for i in ids}
    members = [i for i in ids if worst[i] <= OUTLIER_PX]
    return members, max((worst[i] for i in members), default=np.inf)


def _find_homography(source: Array, image: Array) -> Array | None:
    """OpenCV's least squares homography; it gives None for points on a line, whatever its stub says."""
    found, _ = cv2.findHomography(source, image, 0)
    return None if found is None else np.asarray(found, dtype=np.float64)


def _worst(homography: Array, known_mm: Array, seen: Array) -> float:
    return float(np.linalg.norm(apply_homography(homography, known_mm) - seen, axis=1).max())


def _stack(ids: list[int], corners: dict[int, Array]) -> Array:
    return np.concatenate([corners[i] for i in ids])
