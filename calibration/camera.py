"""The camera model: pinhole with Brown-Conrady distortion, bound to one camera and one resolution."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from calibration.evidence import Evidence
from calibration.files import Document
from calibration.geometry import Array

Brown = tuple[float, float, float, float, float]
Rational = tuple[float, float, float, float, float, float, float, float]

LATER_KEYS = ("lens", "crossval_px", "uncertainty_px", "settings", "evidence")
"""Keys that the first camera files did not have; they are written only where they say something."""


class CameraModel(Document):
    """Intrinsics in pixels (pixel-center convention) and distortion ``(k1, k2, p1, p2, k3)`` as OpenCV orders it.

    The rational distortion has ``(k4, k5, k6)`` as well. ``source`` says where the model comes from: ``factory`` (the
    camera itself reports it; the simulator does) or ``calibrated``. Of a calibration: ``rms_px`` is its reprojection
    RMS, ``views`` how many pictures it used, ``lens`` the distortion that was fitted, ``crossval_px`` how far two
    halves of the pictures disagree, ``uncertainty_px`` what it knows projections to where patches appear. ``settings``
    are those of the camera that move pixels (focus, zoom) and that it holds for; ``evidence`` is what it was made from.
    """

    format: Literal["dpcam.camera"] = "dpcam.camera"
    version: Literal[1] = 1
    camera: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    fx: float = Field(gt=0)
    fy: float = Field(gt=0)
    cx: float
    cy: float
    distortion: Brown | Rational = (0.0, 0.0, 0.0, 0.0, 0.0)
    source: Literal["factory", "calibrated"] = "calibrated"
    rms_px: float | None = None
    views: int | None = None
    lens: str | None = None
    crossval_px: float | None = None
    uncertainty_px: float | None = None
    settings: dict[str, str | int | float] = Field(default_factory=dict)
    evidence: Evidence | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        return {key: value for key, value in written.items() if value or key not in LATER_KEYS}

    @property
    def matrix(self) -> Array:
        """``(3, 3)`` camera matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    def project(self, points_camera: Array) -> Array:
        """``(N, 3)`` points in camera axes → ``(N, 2)`` pixels, with distortion."""
        pixels, _ = cv2.projectPoints(
            np.asarray(points_camera, dtype=np.float64).reshape(-1, 1, 3),
            np.zeros(3),
            np.zeros(3),
            self.matrix,
            np.array(self.distortion),
        )
        return np.asarray(pixels, dtype=np.float64).reshape(-1, 2)

    def undistort(self, pixels: Array) -> Array:
        """``(N, 2)`` pixels as seen → ``(N, 2)`` pixels of the ideal pinhole camera with the same matrix."""
        points = np.asarray(pixels, dtype=np.float64).reshape(-1, 1, 2)
        # Iterated to well below a thousandth of a pixel: the default 5 rounds are not enough near the corners.
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
        ideal = cv2.undistortPointsIter(
            points, self.matrix, np.array(self.distortion), np.eye(3), self.matrix, criteria
        )
        return np.asarray(ideal, dtype=np.float64).reshape(-1, 2)

    def rays(self, pixels: Array) -> Array:
        """``(N, 2)`` pixels as seen → ``(N, 3)`` directions of length 1 in camera axes."""
        ideal = self.undistort(pixels)
        flat = np.column_stack([(ideal - [self.cx, self.cy]) / [self.fx, self.fy], np.ones(len(ideal))])
        return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True), dtype=np.float64)

    def distort(self, ideal: Array) -> Array:
        """Inverse of :meth:`undistort`."""
        rays = np.column_stack(
            [(ideal[:, 0] - self.cx) / self.fx, (ideal[:, 1] - self.cy) / self.fy, np.ones(len(ideal))]
        )
        return self.project(rays)
