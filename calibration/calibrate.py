"""Camera calibration from pictures of a board: the fit is OpenCV's (Zhang 2000); its footing is judged here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.board import BoardSighting
from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.geometry import Array

MIN_VIEWS = 8
MIN_CORNERS = 8
"""A view with fewer corners, or with all of them in one row, does not count."""

MIN_MOVE = 0.01
"""A view whose corners lie within this share of the picture's diagonal of an earlier view's shows nothing new."""

MIN_COVERAGE = 0.35
"""All corners together must span this share of the picture (area of their convex hull)."""

MIN_TILT_DEG = 20.0
"""Two of the boards must be turned against each other by this much: parallel planes do not fix the focal length."""

MAX_FOCAL_SHARE = 0.01
"""Standard deviation of the focal length by its own value, as the fit states it."""

HINT = "take 15 or more pictures: board near and far, in every corner, tilted by 20 to 45 degrees to each side"


@dataclass(frozen=True, slots=True)
class SkippedView:
    """A picture that was not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """A camera model and what it stands on.

    ``per_view_px``: reprojection RMS of each picture in ``used``. ``coverage``: share of the picture that the corners
    span. ``tilt_deg``: the largest angle between two of the boards. ``focal_sd_px``: standard deviation of the larger
    uncertain of ``fx`` and ``fy``, as the fit states it.
    """

    model: CameraModel
    rms_px: float
    per_view_px: tuple[float, ...]
    used: tuple[str, ...]
    skipped: tuple[SkippedView, ...]
    coverage: float
    tilt_deg: float
    focal_sd_px: float


@dataclass(frozen=True, slots=True)
class _Fit:
    matrix: Array
    distortion: Array
    deviations: Array
    normals: Array
    per_view_px: Array
    rms_px: float

    @property
    def focal_sd_px(self) -> float:
        return float(self.deviations[:2].max())

    @property
    def focal_share(self) -> float:
        return self.focal_sd_px / float(self.matrix[0, 0])

    @property
    def tilt_deg(self) -> float:
        """Largest angle between two board normals."""
        return math.degrees(math.acos(float(np.clip((self.normals @ self.normals.T).min(), -1, 1))))


def calibrate_camera(sightings: Mapping[str, BoardSighting], *, camera: str) -> Calibration:
    """Fit the camera model of ``camera`` to what each picture (by name) shows of the board.

    :class:`BadInput` when the pictures cannot support a calibration: no board in them, sizes that differ, fewer than
    8 usable views, corners in a part of the picture only, boards that are all parallel, or a focal length that the
    fit itself calls uncertain.
    """
    width, height = _common_size(sightings)
    used, skipped = _usable(sightings, math.hypot(width, height))
    _check_count(used, skipped)
    views = list(used.values())
    coverage = _coverage(views, width, height)
    _check_coverage(coverage)
    fit = _solve(views, width, height)
    _check_geometry(fit)
    return Calibration(
        _model(fit, camera, width, height, len(used)),
        fit.rms_px,
        tuple(map(float, fit.per_view_px)),
        tuple(used),
        tuple(skipped),
        coverage,
        fit.tilt_deg,
        fit.focal_sd_px,
    )


def _common_size(sightings: Mapping[str, BoardSighting]) -> tuple[int, int]:
    found = [view for view in sightings.values() if view.ids]
    if not found:
        raise BadInput(
            f"the board is in none of the {len(sightings)} pictures: they show another board, or none",
            hint="the board file must describe the board that was printed (dpcam calibrate board writes both)",
        )
    sizes = Counter((view.width, view.height) for view in found)
    if len(sizes) > 1:
        listed = ", ".join(f"{count} of {w}x{h}" for (w, h), count in sizes.most_common())
        raise BadInput(
            f"the pictures have different sizes ({listed}), all must have one",
            hint="calibrate at the one resolution that the camera captures with; do not turn it between pictures",
        )
    return next(iter(sizes))


def _usable(
    sightings: Mapping[str, BoardSighting], diagonal_px: float
) -> tuple[dict[str, BoardSighting], list[SkippedView]]:
    """The views that count, and the others with the reason."""
    used: dict[str, BoardSighting] = {}
    skipped: list[SkippedView] = []
    for name, view in sightings.items():
        reason = _too_few(view) or _nothing_new(view, used, MIN_MOVE * diagonal_px)
        if reason:
            skipped.append(SkippedView(name, reason))
        else:
            used[name] = view
    return used, skipped


def _too_few(view: BoardSighting) -> str:
    if len(view.ids) < MIN_CORNERS:
        return f"{len(view.ids)} corners of the board found, at least {MIN_CORNERS} needed"
    if min(len(np.unique(view.corners_mm[:, axis])) for axis in (0, 1)) < 2:
        return "all corners found are in one row of the board"
    return ""


def _nothing_new(view: BoardSighting, used: Mapping[str, BoardSighting], move_px: float) -> str:
    near = (name for name, other in used.items() if _moved_px(view, other) < move_px)
    name = next(near, None)
    return "" if name is None else f"shows the board where {name} does"


def _moved_px(view: BoardSighting, other: BoardSighting) -> float:
    """The farthest that a corner seen in both has moved; infinite when too few are common to say."""
    _, mine, theirs = np.intersect1d(view.ids, other.ids, return_indices=True)
    if len(mine) < MIN_CORNERS:
        return math.inf
    return float(np.linalg.norm(view.corners_px[mine] - other.corners_px[theirs], axis=1).max())


def _check_count(used: Mapping[str, BoardSighting], skipped: Sequence[SkippedView]) -> None:
    if len(used) >= MIN_VIEWS:
        return
    why = f" (first of {len(skipped)} skipped: {skipped[0].name}: {skipped[0].reason})" if skipped else ""
    raise BadInput(f"{len(used)} usable views of the board, at least {MIN_VIEWS} needed{why}", hint=HINT)


def _coverage(views: Sequence[BoardSighting], width: int, height: int) -> float:
    corners = np.concatenate([view.corners_px for view in views]).astype(np.float32)
    return float(cv2.contourArea(cv2.convexHull(corners))) / (width * height)


def _check_coverage(coverage: float) -> None:
    if coverage < MIN_COVERAGE:
        raise BadInput(
            f"the board's corners span {coverage:.0%} of the picture, at least {MIN_COVERAGE:.0%} needed", hint=HINT
        )


def _solve(views: Sequence[BoardSighting], width: int, height: int) -> _Fit:
    """Five distortion coefficients; the third radial one only when it is larger than twice its own uncertainty."""
    full = _fit(views, width, height, 0)
    k3, k3_sd = float(full.distortion[4]), float(full.deviations[8])
    return full if abs(k3) > 2 * k3_sd else _fit(views, width, height, cv2.CALIB_FIX_K3)


def _fit(views: Sequence[BoardSighting], width: int, height: int, flags: int) -> _Fit:
    board = [np.column_stack([view.corners_mm, np.zeros(len(view.ids))]).astype(np.float32) for view in views]
    image = [view.corners_px.astype(np.float32) for view in views]
    try:
        rms, matrix, distortion, turns, _, deviations, _, per_view = cv2.calibrateCameraExtended(
            board, image, (width, height), np.eye(3), np.zeros(5), flags=flags
        )
    except cv2.error as error:
        raise BadInput(f"no camera fits these {len(views)} views: {error.err}", hint=HINT) from error
    normals = np.array([cv2.Rodrigues(turn)[0][:, 2] for turn in turns])
    return _Fit(
        np.asarray(matrix, dtype=np.float64),
        np.asarray(distortion, dtype=np.float64).reshape(-1),
        np.asarray(deviations, dtype=np.float64).reshape(-1),
        normals,
        np.asarray(per_view, dtype=np.float64).reshape(-1),
        float(rms),
    )


def _check_geometry(fit: _Fit) -> None:
    if not math.isfinite(fit.rms_px) or not math.isfinite(fit.focal_share) or fit.focal_share <= 0:
        raise BadInput("no camera fits these views: the fit does not converge", hint=HINT)
    if fit.tilt_deg < MIN_TILT_DEG:
        raise BadInput(
            f"the boards are turned against each other by {fit.tilt_deg:.0f} degrees at most, "
            f"at least {MIN_TILT_DEG:.0f} needed: views of parallel boards do not fix the focal length",
            hint=HINT,
        )
    if fit.focal_share > MAX_FOCAL_SHARE:
        raise BadInput(
            f"the focal length is known to {fit.focal_share:.1%} only, {MAX_FOCAL_SHARE:.0%} is accepted", hint=HINT
        )


def _model(fit: _Fit, camera: str, width: int, height: int, views: int) -> CameraModel:
    k1, k2, p1, p2, k3 = map(float, fit.distortion[:5])
    return CameraModel(
        camera=camera,
        width=width,
        height=height,
        fx=float(fit.matrix[0, 0]),
        fy=float(fit.matrix[1, 1]),
        cx=float(fit.matrix[0, 2]),
        cy=float(fit.matrix[1, 2]),
        distortion=(k1, k2, p1, p2, k3),
        rms_px=fit.rms_px,
        views=views,
    )
