"""Finding the sheet in rendered pictures, and saying why it was not found."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import corner_tags, draw_sheet, ideal_homography, see, sheet_with, tag_at

from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.geometry import View, pose_from_view
from capture.localize import localize

SIZE = (640, 480)
CAMERA = CameraModel(
    camera="known", width=640, height=480, fx=620, fy=622, cx=317, cy=242, distortion=(-0.2, 0.06, 0.001, -0.001, 0.0)
)
SHEET = sheet_with(corner_tags(10), name="sheet-a")
OTHER = sheet_with(corner_tags(20), name="sheet-b", arm="blank")
VIEWS = [View(400), View(450, 45), View(420, -20, 30, 15), View(700, 5, -5, -170), View(430, 60)]


def photograph(sheet=SHEET, view=VIEWS[0], page=None):
    """A picture of the sheet and the true pixels of its frame's corners."""
    pose = pose_from_view(view, sheet.target.box.center_mm, np.array([0.03, -0.02, 1]))
    page = draw_sheet(sheet) if page is None else page
    pixels = see(page, ideal_homography(CAMERA, pose), SIZE, camera=CAMERA, oversample=3)
    return pixels, CAMERA.project(pose.to_camera(sheet.frame.corners_mm))


def page_with(*extra, hidden=()):
    """The page of the sheet with more tags printed on it and some covered."""
    page = draw_sheet(sheet_with([tag for tag in SHEET.tags if tag.id not in hidden]))
    for tag in extra:
        more = draw_sheet(sheet_with([tag]))
        cell = tag.square.width_mm / 8
        left, top = int((tag.square.x_mm - cell) * 8), int((tag.square.y_mm - cell) * 8)
        side = int((tag.square.width_mm + 2 * cell) * 8)
        page[top : top + side, left : left + side] = more[top : top + side, left : left + side]
    return page


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_frame_and_view_are_found(view):
    pixels, truth = photograph(view=view)
    found = localize(pixels, [OTHER, SHEET], CAMERA)
    assert found.found, found.reason
    assert found.sheet.id == "sheet-a"
    assert found.used == (10, 11, 12, 13)
    assert np.linalg.norm(found.to_image(SHEET.frame.corners_mm) - truth, axis=1).max() < 0.3
    assert found.view.distance_mm == pytest.approx(view.distance_mm, rel=0.005)
    assert found.view.yaw_deg == pytest.approx(view.yaw_deg, abs=2.5)
    assert found.view.pitch_deg == pytest.approx(view.pitch_deg, abs=2.5)
    assert found.view.roll_deg == pytest.approx(view.roll_deg, abs=0.5)
    assert found.residual_px < 0.3
    assert found.min_side_px > 12


def test_without_a_calibration_the_frame_is_found_in_the_picture_as_it_is():
    pixels, truth = photograph()
    found = localize(pixels, [SHEET])
    assert found.found
    assert found.view is None
    assert np.linalg.norm(found.to_image(SHEET.frame.corners_mm) - truth, axis=1).max() < 2.5, "lens not corrected"


def test_two_tags_are_enough():
    sheet = sheet_with([tag_at(30, 12, 8), tag_at(31, 124, 84)], name="sheet-two")
    pixels, truth = photograph(sheet, View(450, 20))
    found = localize(pixels, [sheet], CAMERA)
    assert found.found
    assert np.linalg.norm(found.to_image(sheet.frame.corners_mm) - truth, axis=1).max() < 0.5


@pytest.mark.parametrize("hidden", [{10}, {11, 12}], ids=str)
def test_covered_tags_are_done_without(hidden):
    pixels, truth = photograph(view=View(420, 20), page=page_with(hidden=hidden))
    found = localize(pixels, [SHEET], CAMERA, expected=SHEET)
    assert found.found
    assert set(found.used) == SHEET.tag_ids - hidden
    assert np.linalg.norm(found.to_image(SHEET.frame.corners_mm) - truth, axis=1).max() < 0.5


def test_foreign_tags_do_not_matter():
    pixels, truth = photograph(page=page_with(tag_at(400, 68, 92, 16), tag_at(20, 68, 8, 16)))
    found = localize(pixels, [OTHER, SHEET], CAMERA)
    assert {tag.id for tag in found.tags} >= {400, 20}
    assert found.sheet.id == "sheet-a"
    assert found.used == (10, 11, 12, 13)
    assert np.linalg.norm(found.to_image(SHEET.frame.corners_mm) - truth, axis=1).max() < 0.3


def test_an_id_seen_twice_is_not_trusted():
    pixels, truth = photograph(page=page_with(tag_at(10, 68, 92, 16)))
    found = localize(pixels, [SHEET], CAMERA)
    assert [tag.id for tag in found.tags].count(10) == 2
    assert found.used == (11, 12, 13)
    assert np.linalg.norm(found.to_image(SHEET.frame.corners_mm) - truth, axis=1).max() < 0.5


def test_a_tag_on_a_loose_corner_is_dropped():
    slipped = tag_at(12, 121, 80)
    pixels, truth = photograph(page=page_with(slipped, hidden={12}))
    found = localize(pixels, [SHEET], CAMERA)
    assert found.used == (10, 11, 13)
    assert np.linalg.norm(found.to_image(SHEET.frame.corners_mm) - truth, axis=1).max() < 0.5


def test_the_sheet_that_is_there_is_told_whatever_was_expected():
    pixels, _ = photograph(OTHER)
    found = localize(pixels, [SHEET, OTHER], CAMERA, expected=SHEET)
    assert found.found
    assert found.sheet.arm == "blank"


NOT_FOUND = {
    "no tag": (lambda: np.full((480, 640, 3), 128, np.uint8), "no tag of a known sheet"),
    "one pixel": (lambda: np.zeros((1, 1, 3), np.uint8), "no tag of a known sheet"),
    "another sheet": (lambda: photograph(OTHER)[0], "no tag of a known sheet"),
    "one tag only": (
        lambda: photograph(page=page_with(hidden={10, 11, 12}))[0],
        "1 of 4 tags usable, at least 2 needed",
    ),
}


@pytest.mark.parametrize("case", NOT_FOUND)
def test_not_found_says_why(case):
    make, words = NOT_FOUND[case]
    found = localize(make(), [SHEET])
    assert not found.found
    assert words in found.reason
    assert found.homography is None
    with pytest.raises(BadInput, match="not found"):
        found.to_image(SHEET.frame.corners_mm)


def test_no_sheets_at_all():
    assert localize(photograph()[0], []).reason == "no tag of a known sheet"


def test_a_calibration_for_another_resolution_is_refused():
    pixels, _ = photograph()
    other = CAMERA.model_copy(update={"width": 1280, "height": 720})
    with pytest.raises(BadInput, match=r"calibration is for 1280x720, the picture is 640x480") as refusal:
        localize(pixels, [SHEET], other)
    assert refusal.value.exit_code == 3
