"""Geometry: what the words mean, and that every map has its way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.geometry import (
    Box,
    View,
    apply_homography,
    centered_box,
    pose_from_view,
    rotation_from_view,
    view_from_pose,
)

MATRIX = np.array([[900.0, 0, 640], [0, 910, 360], [0, 0, 1]])


def floats(low: float, high: float):
    return st.floats(low, high, allow_nan=False)


views = st.builds(View, floats(50, 20_000), floats(-85, 85), floats(-85, 85), floats(-179, 179))
points = st.tuples(floats(-500, 500), floats(-500, 500)).map(np.array)
rays = st.tuples(floats(-0.8, 0.8), floats(-0.8, 0.8), st.just(1.0)).map(np.array)
sides = floats(0.1, 1000)
boxes = st.builds(Box, x_mm=floats(-500, 500), y_mm=floats(-500, 500), width_mm=sides, height_mm=sides)


@given(views, points, rays)
def test_view_to_pose_and_back(view, point_mm, ray):
    back = view_from_pose(pose_from_view(view, point_mm, ray), point_mm)
    assert back.distance_mm == pytest.approx(view.distance_mm, rel=1e-9)
    for name in ("yaw_deg", "pitch_deg", "roll_deg"):
        assert getattr(back, name) == pytest.approx(getattr(view, name), abs=1e-4)


@given(views)
def test_rotations_are_rotations(view):
    rotation = rotation_from_view(view)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


@given(views, points, rays)
def test_the_point_lies_on_its_ray(view, point_mm, ray):
    seen = pose_from_view(view, point_mm, ray).to_camera(point_mm[None])[0]
    np.testing.assert_allclose(seen, view.distance_mm * ray / np.linalg.norm(ray), atol=1e-8 * view.distance_mm)


@given(views, points)
def test_homography_is_the_projection_of_the_plane(view, point_mm):
    pose = pose_from_view(view, point_mm)
    near = point_mm + np.array([[0, 0], [3, 0], [0, 3], [-3, -3.0]])
    camera = pose.to_camera(near)
    expected = camera @ MATRIX.T
    np.testing.assert_allclose(
        apply_homography(pose.homography(MATRIX), near), expected[:, :2] / expected[:, 2:], atol=1e-6
    )


WORDS = {
    "yaw: the right edge is farther away": (View(1000, yaw_deg=30), [100, 0], lambda p: p[2] > 1000),
    "pitch: the bottom edge is farther away": (View(1000, pitch_deg=30), [0, 100], lambda p: p[2] > 1000),
    "roll: clockwise, the right edge goes down": (View(1000, roll_deg=30), [100, 0], lambda p: p[1] > 0),
    "frontal: x right, y down": (View(1000), [100, 50], lambda p: np.allclose(p, [100, 50, 1000])),
}


@pytest.mark.parametrize("case", WORDS)
def test_angles_mean_what_the_docstring_says(case):
    view, point, holds = WORDS[case]
    assert holds(pose_from_view(view, np.zeros(2)).to_camera(np.array([point], float))[0])


@given(boxes, floats(0, 50))
def test_boxes(box, margin_mm):
    corners = box.corners_mm
    np.testing.assert_allclose(corners.mean(axis=0), box.center_mm, atol=1e-9)
    assert (corners[2] > corners[0]).all()
    grown = box.grown(margin_mm)
    np.testing.assert_allclose(grown.center_mm, box.center_mm, atol=1e-9)
    assert grown.width_mm == pytest.approx(box.width_mm + 2 * margin_mm)
    assert box.overlaps(grown)
    assert grown.overlaps(box)
    again = centered_box(box.center_mm, box.width_mm, box.height_mm)
    np.testing.assert_allclose(again.corners_mm, corners, atol=1e-9)


def test_touching_boxes_share_no_area():
    box = Box(x_mm=0, y_mm=0, width_mm=10, height_mm=10)
    assert not box.overlaps(Box(x_mm=10, y_mm=0, width_mm=5, height_mm=5))
    assert not box.overlaps(Box(x_mm=0, y_mm=-5, width_mm=5, height_mm=5))
    assert box.overlaps(Box(x_mm=9.9, y_mm=9.9, width_mm=5, height_mm=5))
