"""Blur told from tags: against pictures blurred by a known amount, in light and in code values, and the simulator."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawing import corner_tags, draw_sheet, ideal_homography, see, sheet_with
from test_capture_sim import draw_sheet as print_sheet

from calibration.camera import CameraModel
from calibration.geometry import View, apply_homography, pose_from_view
from calibration.tags import detect, to_gray
from capture.cameras.sim import SimCamera, parse_sim_uri
from capture.cameras.sim_optics import disk_kernel, streak_kernel
from capture.plan import Condition, Shot
from capture.sharpness import measure_blur

SHEET = sheet_with(corner_tags())
CAMERA = CameraModel(camera="test", width=640, height=480, fx=900, fy=900, cx=320, cy=240)
LENS_PX = (0.4, 0.6)
"""Sigmas of the simulated lens."""


def ideal_light(distance_mm: float, yaw_deg: float) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """(480, 640) light of a sharp picture of the sheet, and the true corners of its tags."""
    pose = pose_from_view(View(distance_mm, yaw_deg, 5, 3), np.array([80.0, 60.0]))
    homography = ideal_homography(CAMERA, pose)
    sharp = see(draw_sheet(SHEET), homography, (640, 480), blur_px=0)[..., 0] / 255
    corners = {tag: apply_homography(homography, mm) for tag, mm in SHEET.tag_corners_mm().items()}
    return 0.02 + 0.7 * sharp, corners


def encoded(code: np.ndarray) -> np.ndarray:
    """Code values 0 to 1 as a gray picture with a little noise."""
    noise = np.random.default_rng(1).normal(0, 1.5, code.shape)
    return np.repeat((255 * code + noise).round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("domain", ["light", "code values"])
@pytest.mark.parametrize(("distance_mm", "yaw_deg"), [(450, 40), (250, 10)])
@pytest.mark.parametrize("sigma", [0.7, 1.2, 2.0])
def test_a_gaussian_of_known_width(sigma: float, distance_mm: float, yaw_deg: float, domain: str):
    light, corners = ideal_light(distance_mm, yaw_deg)
    if domain == "light":
        code = np.sqrt(cv2.GaussianBlur(light, (0, 0), sigma))
    else:
        code = cv2.GaussianBlur(np.sqrt(light), (0, 0), sigma)
    found = measure_blur(encoded(code), corners)
    assert found is not None
    assert found.defocus_px == pytest.approx(sigma, rel=0.06)
    assert found.motion_px < 1.5 * max(found.defocus_px, 1)


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 90.0, 135.0])
@pytest.mark.parametrize("length", [4.0, 7.0])
def test_a_streak_is_told_from_defocus(length: float, angle_deg: float):
    light, corners = ideal_light(450, 10)
    moved = cv2.filter2D(cv2.GaussianBlur(light, (0, 0), 0.8), -1, streak_kernel(length, angle_deg))
    found = measure_blur(encoded(np.sqrt(moved)), corners)
    assert found is not None
    assert found.motion_px == pytest.approx(length, rel=0.2)
    assert found.defocus_px == pytest.approx(0.8, rel=0.25)


def test_the_gain_of_the_light_and_an_uneven_light_do_not_matter():
    light, corners = ideal_light(450, 0)
    uneven = cv2.GaussianBlur(light, (0, 0), 1.2) * np.linspace(0.1, 0.4, 640)[None]
    found = measure_blur(encoded(np.sqrt(uneven)), corners)
    assert found is not None
    assert found.defocus_px == pytest.approx(1.2, rel=0.06)


def test_a_tag_that_is_larger_than_what_is_looked_at():
    camera = CAMERA.model_copy(update={"fx": 40_000.0, "fy": 40_000.0})
    square = SHEET.tags[0].square
    pose = pose_from_view(View(1000, 10, 5, 3), square.corners_mm[0])
    homography = ideal_homography(camera, pose)
    sharp = see(draw_sheet(SHEET, per_mm=40), homography, (640, 480), per_mm=40, blur_px=0)[..., 0] / 255
    code = np.sqrt(0.02 + 0.7 * cv2.GaussianBlur(sharp, (0, 0), 2.5))
    found = measure_blur(encoded(code), {0: apply_homography(homography, square.corners_mm)})
    assert found is not None
    assert found.defocus_px == pytest.approx(2.5, rel=0.06)


def disk_sigma(radius_px: float) -> float:
    """Standard deviation along an axis of the simulator's disk."""
    kernel = disk_kernel(radius_px)
    places = np.arange(len(kernel)) - len(kernel) // 2
    return float(np.sqrt((kernel.sum(axis=0) * places**2).sum())) if radius_px > 0.3 else 0.0


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """The simulated camera, and a function that gives its picture under a condition."""
    folder = tmp_path_factory.mktemp("sheets")
    sheet = print_sheet(folder)
    camera = SimCamera(parse_sim_uri("sim:?width=960&height=640&seed=5"), folder)

    def picture(condition: Condition) -> np.ndarray:
        camera.stage(Shot(index=0, arm="noise", sheet=sheet.id, condition=condition), sheet)
        return camera.read().pixels

    return picture


@pytest.mark.parametrize("light", ["day", "dim"])
@pytest.mark.parametrize(("radius_px", "distance_mm"), [(1.0, 1000.0), (2.0, 800.0), (3.0, 500.0)])
def test_the_simulated_camera_s_defocus(radius_px: float, distance_mm: float, light: str, staged):
    condition = Condition(distance_mm=distance_mm, yaw_deg=20, light=light, extra={"defocus_px": radius_px})
    pixels = staged(condition)
    found = measure_blur(pixels, {tag.id: tag.corners for tag in detect(to_gray(pixels))})
    assert found is not None
    low, high = (float(np.hypot(disk_sigma(radius_px), lens)) for lens in LENS_PX)
    assert 0.88 * low <= found.defocus_px <= 1.12 * high


def test_the_simulated_camera_s_motion(staged):
    pixels = staged(Condition(distance_mm=600, extra={"motion_px": 6.0, "motion_deg": 20.0}))
    found = measure_blur(pixels, {tag.id: tag.corners for tag in detect(to_gray(pixels))})
    assert found is not None
    assert found.motion_px == pytest.approx(6.0, rel=0.15)


def test_what_cannot_be_told():
    light, corners = ideal_light(450, 0)
    picture = encoded(np.sqrt(light))
    assert measure_blur(picture, {}) is None
    small = {0: 100 + 0.2 * (corners[0] - corners[0][0])}
    assert measure_blur(picture, small) is None, "cells of a pixel"
    assert measure_blur(np.full_like(picture, 255), corners) is None, "overexposed"
    assert measure_blur(np.zeros_like(picture), corners) is None, "in the dark"
    outside = {0: corners[0] - [600, 0]}
    assert measure_blur(picture, outside) is None
    flat = measure_blur(np.full_like(picture, 128), corners)
    assert flat is None or np.isfinite([flat.defocus_px, flat.motion_px]).all()
