"""Tags: their bits are the real family's, and corners are in the pixel-center convention, proved by rendered truth."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawing import corner_tags, draw_sheet, see, sheet_with, tag_at

from calibration.errors import BadInput
from calibration.geometry import apply_homography
from calibration.sheet import TAG_COUNT
from calibration.tags import Window, detect, detect_full, detect_in, tag_bits, to_gray

SHEET = sheet_with(corner_tags(100))
PAGE = draw_sheet(SHEET)
SIZE = (420, 400)
TURNS = [(0.0, 0.0, 0.0), (0.25, 0.5, 0.0), (0.5, 0.75, 11.0), (0.37, 0.12, -30.0), (0.9, 0.6, 45.0)]
TURNS += [(0.1, 0.4, 90.0), (0.75, 0.2, 180.0), (0.6, 0.8, 163.0), (0.05, 0.95, -77.0)]


def flat_view(shift_x: float, shift_y: float, turn_deg: float, px_per_mm: float = 2.0) -> np.ndarray:
    """``H_image_sheet`` of the sheet seen frontally, turned about its middle, shifted by a part of a pixel."""
    turn = math.radians(turn_deg)
    homography = np.eye(3)
    homography[:2, :2] = px_per_mm * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    middle = np.array([SHEET.width_mm, SHEET.height_mm]) / 2
    homography[:2, 2] = np.array(SIZE) // 2 + [shift_x, shift_y] - homography[:2, :2] @ middle
    return homography


def corner_errors(found, homography):
    known = SHEET.tag_corners_mm()
    return np.concatenate([tag.corners - apply_homography(homography, known[tag.id]) for tag in found])


def test_corners_in_the_pixel_center_convention():
    signed = []
    for turn in TURNS:
        homography = flat_view(*turn)
        found = detect(to_gray(see(PAGE, homography, SIZE)))
        assert [tag.id for tag in found] == [100, 101, 102, 103]
        errors = corner_errors(found, homography)
        assert np.abs(errors).max() < 0.15, f"corners of {turn}, in their order"
        signed.append(errors)
    assert np.abs(np.concatenate(signed).mean(axis=0)).max() < 0.03


@pytest.mark.parametrize("turn", TURNS[::2], ids=str)
def test_the_quick_search_measures_as_the_full_one(turn):
    gray = to_gray(see(PAGE, flat_view(*turn), SIZE))
    quick, full = detect(gray), detect_full(gray)
    assert [tag.id for tag in quick] == [tag.id for tag in full]
    for mine, reference in zip(quick, full, strict=True):
        assert np.abs(mine.corners - reference.corners).max() < 0.1


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_parts_of_a_picture_are_measured_as_the_whole(turn):
    pixels = see(PAGE, flat_view(*turn), SIZE)
    full = detect_full(to_gray(pixels))
    found = detect_in(pixels, [Window.around(tag.corners, 22.3, pixels.shape) for tag in full])
    assert [tag.id for tag in found] == [tag.id for tag in full]
    for mine, reference in zip(found, full, strict=True):
        assert np.abs(mine.corners - reference.corners).max() < 0.001


WINDOWS = {
    "inside": ([[20, 31], [40, 50]], 3, Window(16, 28, 44, 54), False),
    "cut by the picture": ([[-5, 90], [8, 120]], 4, Window(0, 84, 13, 100), False),
    "left of the picture": ([[-50, 20], [-20, 40]], 4, Window(0, 16, -15, 45), True),
    "below the picture": ([[20, 130], [30, 150]], 4, Window(16, 124, 35, 100), True),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_windows_begin_on_a_tile_and_end_in_the_picture(case):
    points, margin_px, window, empty = WINDOWS[case]
    found = Window.around(np.array(points, np.float64), margin_px, (100, 80, 3))
    assert (found, found.empty) == (window, empty)
    assert detect_in(np.zeros((100, 80, 3), np.uint8), [found]) == []


def test_windows_meet_and_are_joined():
    one, beside, apart = Window(0, 0, 40, 40), Window(36, 20, 80, 60), Window(40, 0, 80, 20)
    assert one.meets(beside)
    assert not one.meets(apart)
    assert one.joined(apart) == Window(0, 0, 80, 40)


def test_small_tags_are_found_when_they_are_expected():
    gray = to_gray(see(PAGE, flat_view(0.2, 0.3, 8, px_per_mm=0.6), SIZE))
    found = detect(gray, expected=SHEET.tag_ids)
    assert {tag.id for tag in found} == SHEET.tag_ids
    assert all(12 < tag.side_px < 16 for tag in found)


@pytest.mark.parametrize("numbers", [range(0, 4), range(301, 305), range(TAG_COUNT - 4, TAG_COUNT)], ids=str)
def test_ids_are_those_of_the_family(numbers):
    sheet = sheet_with(corner_tags(numbers[0]))
    found = detect_full(to_gray(see(draw_sheet(sheet), flat_view(0.3, 0.3, 5), SIZE)))
    assert [tag.id for tag in found] == list(numbers)
    assert all(tag.hamming == 0 for tag in found)


def test_bits():
    bits = tag_bits(0)
    assert bits.shape == (10, 10)
    ring = np.ones((10, 10), bool)
    ring[1:-1, 1:-1] = False
    assert bits[ring].all(), "white border"
    inner = np.ones((8, 8), bool)
    inner[1:-1, 1:-1] = False
    assert not bits[1:-1, 1:-1][inner].any(), "black border"
    assert len({tag_bits(i).tobytes() for i in range(TAG_COUNT)}) == TAG_COUNT
    with pytest.raises(ValueError, match="read-only"):
        bits[0, 0] = False


@pytest.mark.parametrize("number", [-1, TAG_COUNT, 10_000])
def test_ids_outside_of_the_family(number):
    with pytest.raises(BadInput, match="0 to 586"):
        tag_bits(number)


@pytest.mark.parametrize("find", [detect, detect_full])
@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (0, 50), (7, 300), (8, 8), (9, 1000), (480, 640)])
def test_pictures_without_tags(find, shape):
    assert find(np.zeros(shape, np.uint8)) == []


@pytest.mark.parametrize("find", [detect, detect_full])
@pytest.mark.parametrize(
    "picture",
    [np.zeros((50, 50)), np.zeros((50, 50, 3), np.uint8), np.zeros(50, np.uint8), np.zeros((50, 50), np.uint16)],
    ids=["float", "RGB", "row", "16 bit"],
)
def test_other_arrays_are_refused(find, picture):
    with pytest.raises(BadInput, match=r"\(H, W\) uint8"):
        find(picture)


def test_strided_pictures_are_read_as_they_are():
    gray = to_gray(see(PAGE, flat_view(0, 0, 0), SIZE))
    wide = np.repeat(gray, 2, axis=1)
    assert [tag.id for tag in detect(wide[:, ::2])] == [100, 101, 102, 103]


def test_mirrored_tags_are_no_tags():
    gray = to_gray(see(PAGE, flat_view(0, 0, 0), SIZE))
    assert detect_full(np.ascontiguousarray(gray[:, ::-1])) == []


def test_noise_gives_no_ghosts():
    random = np.random.default_rng(3)
    for _ in range(3):
        noise = random.integers(0, 256, (360, 640), np.uint8)
        assert detect_full(noise) == []
        assert detect_full(cv2.GaussianBlur(noise, (0, 0), 4)) == []


def test_a_tag_at_the_edge_of_the_picture():
    sheet = sheet_with([tag_at(5, 12, 8), tag_at(6, 124, 84)])
    gray = to_gray(see(draw_sheet(sheet), flat_view(0, 0, 0), SIZE))
    left = int(apply_homography(flat_view(0, 0, 0), np.array([[9.5, 0]]))[0, 0])
    assert [tag.id for tag in detect(np.ascontiguousarray(gray[:, left:]))] == [5, 6]
    assert [tag.id for tag in detect(np.ascontiguousarray(gray[:, left + 12 :]))] == [6]


def test_several_threads_at_once():
    gray = to_gray(see(PAGE, flat_view(0.3, 0.1, 20), SIZE))
    expected = [tag.corners.tolist() for tag in detect(gray)]
    answers: list[list[list[list[float]]]] = []
    threads = [
        threading.Thread(target=lambda: answers.append([tag.corners.tolist() for tag in detect(gray)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 4


INTERRUPTED = """
import os, signal, threading
import numpy as np
from calibration.tags import detect_full

heard = []
signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
picture = np.random.default_rng(0).integers(0, 256, (600, 800), np.uint8)
threads = [threading.Thread(target=lambda: [detect_full(picture) for _ in range(10)]) for _ in range(2)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    os.kill(os.getpid(), signal.SIGINT)
    detect_full(picture[:200, :200])
print(len(heard))
"""


def test_an_interruption_is_heard_in_the_middle_of_a_search():
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120, env=here)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2


def test_luma_of_rgb():
    colors = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(to_gray(colors)[0], [76, 150, 29, 255], atol=1)
