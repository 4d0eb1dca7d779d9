"""The quality gate: each limit refuses with its own reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawing import corner_tags, draw_sheet, ideal_homography, see, sheet_with

from calibration.camera import CameraModel
from calibration.geometry import View, pose_from_view
from capture.localize import localize
from capture.quality import Limits, judge

CAMERA = CameraModel(camera="c", width=640, height=480, fx=620, fy=620, cx=320, cy=240)
SHEET = sheet_with(corner_tags())


def photograph(distance_mm: float) -> np.ndarray:
    pose = pose_from_view(View(distance_mm), SHEET.target.box.center_mm)
    return see(draw_sheet(SHEET), ideal_homography(CAMERA, pose), (640, 480), oversample=3)


PIXELS = photograph(400)
FOUND = localize(PIXELS, [SHEET], CAMERA)


def test_a_good_picture_passes():
    verdict = judge(PIXELS, FOUND, Limits())
    assert (verdict.ok, verdict.reason) == (True, "")


REFUSED = {
    "not found": (Limits(), {"found": False, "reason": "no tag of a known sheet"}, "no tag of a known sheet"),
    "too few tags": (Limits(min_tags=5), {}, "4 tags usable, at least 5 asked"),
    "too small": (Limits(min_side_px=60), {}, "at least 60 px asked"),
    "bent": (Limits(), {"residual_px": 2.5}, "residual 2.50 px, at most 2.0 px asked"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_limit_has_its_reason(case):
    limits, change, words = REFUSED[case]
    verdict = judge(PIXELS, replace(FOUND, **change), limits)
    assert not verdict.ok
    assert words in verdict.reason


@pytest.mark.parametrize("level", [0, 255])
def test_a_clipped_sticker_is_refused(level):
    picture = PIXELS.copy()
    left, top = FOUND.to_image(SHEET.frame.corners_mm)[0].astype(int)
    right, bottom = FOUND.to_image(SHEET.frame.corners_mm)[2].astype(int)
    picture[top:bottom, left : left + (right - left) * 3 // 4] = level
    verdict = judge(picture, FOUND, Limits())
    assert not verdict.ok
    assert "clipped" in verdict.reason
    assert judge(picture, FOUND, Limits(clipped_share=0.9)).ok


def test_clipping_around_the_sticker_does_not_matter():
    picture = PIXELS.copy()
    picture[:60] = 255
    assert judge(picture, FOUND, Limits()).ok


def test_a_sticker_outside_of_the_picture():
    sheet = SHEET.model_copy(update={"frame": SHEET.frame.model_copy(update={"x_mm": 900.0})})
    verdict = judge(PIXELS, replace(FOUND, sheet=sheet), Limits())
    assert verdict.reason == "the sticker is outside of the picture"


def test_far_away_tags_are_too_small():
    far = photograph(1200)
    found = localize(far, [SHEET], CAMERA, expected=SHEET)
    assert found.found
    assert "tags of 12 px, at least 20 px asked" in judge(far, found, Limits(min_side_px=20)).reason
