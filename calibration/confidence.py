"""What a fit knows: the covariance of all its parameters, and of what it projects.

Uncertainty of a projection in the manner of mrcal (mrcal.secretsauce.net, "projection uncertainty", mean-pcam): a point
before the camera is held fast in each board's own frame; noise in the corners moves intrinsics and poses together, and
with them the mean of where the boards put the point, and so its pixel. Here to first order, without sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.board import BoardSighting
from calibration.errors import BadInput
from calibration.geometry import Array
from calibration.lens import FREE, Fit, have_rays

GRID = (9, 7)
"""Pixels that are looked at, across and down."""

MIDDLE = 0.5
"""Patches appear in the middle of the picture: this share of its width and height."""


@dataclass(frozen=True, slots=True)
class Place:
    """Standard deviation of a projection, px, in its worst direction, for points at one distance.

    ``center_px``: in the middle of the picture. ``middle_px``: at worst within the middle half of it, where patches
    appear. ``anywhere_px``: at worst in the whole picture, as far as the lens does not fold over.
    """

    distance_mm: float
    center_px: float
    middle_px: float
    anywhere_px: float


@dataclass(frozen=True, slots=True)
class Confidence:
    """A fit with the covariance ``(P, P)`` of its parameters: fx, fy, cx, cy, free coefficients, 6 for each view."""

    fit: Fit
    covariance: Array

    @property
    def focal_sd_px(self) -> float:
        """Standard deviation of the focal length: the larger of both directions."""
        return float(np.sqrt(np.diag(self.covariance)[:2].max()))

    def projection_covariance_px(self, points_mm: Array) -> Array:
        """``(N, 3)`` points in camera axes → ``(N, 2, 2)`` covariance of their pixels."""
        gradients = self._gradients(points_mm)
        return np.asarray(gradients @ self.covariance @ gradients.transpose(0, 2, 1), dtype=np.float64)

    def projection_sd_px(self, points_mm: Array) -> Array:
        """``(N, 3)`` points in camera axes → ``(N,)`` standard deviation of their pixels in the worst direction."""
        return np.asarray(np.sqrt(np.linalg.eigvalsh(self.projection_covariance_px(points_mm))[:, -1]), np.float64)

    def at_pixels(self, pixels: Array, distance_mm: float) -> Array:
        """``(N, 2)`` pixels → ``(N,)`` the same for what is seen there, so far away; nan where nothing can be."""
        model = self.fit.model("")
        seen = have_rays(model, pixels)
        sd = np.full(len(pixels), np.nan)
        sd[seen] = self.projection_sd_px(distance_mm * model.rays(pixels[seen]))
        return sd

    def at(self, distance_mm: float) -> Place:
        """At that distance from the camera."""
        x, y, width, height = *GRID, self.fit.width - 1, self.fit.height - 1
        u, v = np.meshgrid(np.linspace(-1, 1, x), np.linspace(-1, 1, y))
        pixels = np.column_stack([(1 + u.ravel()) * width / 2, (1 + v.ravel()) * height / 2])
        sd = self.at_pixels(pixels, distance_mm)
        reach = np.maximum(np.abs(u), np.abs(v)).ravel()
        if np.isnan(sd[reach <= MIDDLE]).any():
            raise BadInput(
                "the lens that was fitted folds over in the middle of the picture", hint="take another --lens"
            )
        center, middle, anywhere = (float(np.nanmax(sd[reach <= share])) for share in (0, MIDDLE, 1))
        return Place(distance_mm, center, middle, anywhere)

    def _gradients(self, points_mm: Array) -> Array:
        """``(N, 2, P)`` derivatives of the pixels of points that the boards hold."""
        fit, still = self.fit, np.zeros(3)
        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        _, found = cv2.projectPoints(points, still, still, fit.matrix, fit.distortion)
        jacobian = np.asarray(found, dtype=np.float64).reshape(len(points), 2, -1)
        by_point = jacobian[:, :, 3:6]
        blocks = [by_point @ moved for moved in _moved_by_poses(fit, points)]
        return np.concatenate([_intrinsic(fit, jacobian), *blocks], axis=2)


def confidence(fit: Fit, views: Sequence[BoardSighting]) -> Confidence:
    """The covariance that the scatter of the residuals implies; :class:`BadInput` when a parameter is not fixed."""
    residuals = np.concatenate(fit.residuals)
    jacobian = _jacobian(fit, views)
    free = residuals.size - jacobian.shape[1]
    scale = np.linalg.norm(jacobian, axis=0)
    if free <= 0 or not scale.all():
        raise BadInput(f"no camera fits these {len(views)} views: {residuals.size} numbers for {len(scale)} unknowns")
    # By the triangle of QR, not by the normal equations: half of the digits are lost there.
    triangle = np.linalg.qr(jacobian / scale, mode="r")
    try:
        root = np.linalg.inv(triangle) / scale[:, None]
    except np.linalg.LinAlgError as error:
        raise BadInput(f"no camera fits these {len(views)} views: they leave some of its parameters open") from error
    return Confidence(fit, root @ root.T * (np.sum(residuals**2) / free))


def _jacobian(fit: Fit, views: Sequence[BoardSighting]) -> Array:
    """``(2 N, P)`` derivatives of all predicted corners."""
    own = 4 + FREE[fit.lens]
    rows = [np.zeros((2 * len(view.ids), own + 6 * len(views))) for view in views]
    for i, (view, block) in enumerate(zip(views, rows, strict=True)):
        _, found = cv2.projectPoints(view.points_mm, fit.turns[i], fit.shifts_mm[i], fit.matrix, fit.distortion)
        jacobian = np.asarray(found, dtype=np.float64)
        block[:, :own] = _intrinsic(fit, jacobian)
        block[:, own + 6 * i : own + 6 * i + 6] = jacobian[:, :6]
    return np.concatenate(rows)


def _intrinsic(fit: Fit, jacobian: Array) -> Array:
    """The columns of OpenCV's Jacobian that belong to the lens; before them are turn and shift."""
    return np.asarray(jacobian[..., 6 : 10 + FREE[fit.lens]], dtype=np.float64)


def _moved_by_poses(fit: Fit, points_mm: Array) -> list[Array]:
    """For each view ``(N, 3, 6)``: how the mean of where the boards put the points follows that board's pose."""
    count = len(fit.turns)
    moved = []
    for turn, shift in zip(fit.turns, fit.shifts_mm, strict=True):
        rotation, by_turn = cv2.Rodrigues(turn)
        held = (points_mm - shift) @ rotation  # in the board's frame
        turned = np.einsum("kij,nj->nik", np.asarray(by_turn).reshape(3, 3, 3), held)
        shifted = np.broadcast_to(np.eye(3), turned.shape)
        moved.append(np.concatenate([turned, shifted], axis=2) / count)
    return moved
