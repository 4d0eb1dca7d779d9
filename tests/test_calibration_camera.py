"""The camera model: seen and ideal pixels are each other's inverse, over the whole picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from calibration.camera import CameraModel
from calibration.files import parse_document

WIDTH, HEIGHT = 1280, 720


def camera(**change: object) -> CameraModel:
    values = {"camera": "c", "width": WIDTH, "height": HEIGHT, "fx": 1000.0, "fy": 1003.0, "cx": 645.0, "cy": 355.0}
    return CameraModel.model_validate(values | change)


# Lenses as they are: barrel or pincushion, invertible over the whole picture.
lenses = st.builds(
    lambda k1, k2, p1, p2: camera(distortion=(k1, k2, p1, p2, 0.0)),
    st.floats(-0.25, 0.2),
    st.floats(0.0, 0.1),
    st.floats(-0.002, 0.002),
    st.floats(-0.002, 0.002),
)
pixels = st.lists(st.tuples(st.floats(0, WIDTH - 1), st.floats(0, HEIGHT - 1)), min_size=1, max_size=20).map(
    lambda points: np.array(points, dtype=np.float64)
)


@given(lenses, pixels)
def test_undistort_and_back(lens, seen):
    np.testing.assert_allclose(lens.distort(lens.undistort(seen)), seen, atol=1e-3)


@given(pixels)
def test_without_distortion_nothing_moves(seen):
    np.testing.assert_allclose(camera().undistort(seen), seen, atol=1e-6)
    np.testing.assert_allclose(camera().distort(seen), seen, atol=1e-6)


@given(lenses, st.floats(-0.4, 0.4), st.floats(-0.25, 0.25), st.floats(10, 1e5))
def test_a_ray_is_one_pixel_at_any_depth(lens, x, y, depth_mm):
    ray = np.array([[x, y, 1.0]])
    np.testing.assert_allclose(lens.project(ray * depth_mm), lens.project(ray), atol=1e-6)


def test_the_axis_hits_the_principal_point():
    lens = camera(distortion=(-0.3, 0.1, 0.001, 0.001, 0.0))
    np.testing.assert_allclose(lens.project(np.array([[0, 0, 500.0]])), [[645, 355]])


def test_barrel_distortion_pulls_the_corner_inwards():
    lens = camera(distortion=(-0.2, 0.0, 0.0, 0.0, 0.0))
    corner = np.array([[1279.0, 719.0]])
    assert (lens.distort(corner) < corner).all()


@given(lenses)
def test_document_round_trip(lens):
    assert parse_document(lens.model_dump(mode="json"), CameraModel, where="camera.json") == lens


@pytest.mark.parametrize("change", [{"fx": 0}, {"width": -1}, {"distortion": (0, 0)}, {"source": "guessed"}, {"fz": 1}])
def test_impossible_cameras_are_refused(change):
    with pytest.raises(ValidationError):
        camera(**change)
