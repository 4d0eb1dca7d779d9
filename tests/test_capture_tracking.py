"""Tracking from picture to picture: the same answer as of the whole picture, and no trust where there is a doubt."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from conftest import another_lab
from drawing import corner_tags, draw_sheet, ideal_homography, see, sheet_with, tag_at

from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.geometry import View, pose_from_view
from calibration.tags import detect_full, to_gray
from capture.cameras.sim import SimCamera, parse_sim_uri
from capture.localize import localize, localize_tags
from capture.plan import Condition, Shot
from capture.tracking import Tracker
from pipeline.lab import read_sheets

SIZE = (640, 480)
CAMERA = CameraModel(
    camera="known", width=640, height=480, fx=620, fy=622, cx=317, cy=242, distortion=(-0.2, 0.06, 0.001, -0.001, 0.0)
)
SHEET = sheet_with(corner_tags(10), name="sheet-a")
OTHER = sheet_with(corner_tags(20), name="sheet-b", arm="blank")
GROUND = np.full((480, 640, 3), 110, np.uint8)
SAME_PX = 0.1


FACING = View(520, 10)


def seen(sheet=SHEET, *, hidden=(), extra=(), view=FACING, aim=(0.0, 0.0)):
    """A picture of the sheet: some of its tags covered, others pasted on it."""
    page = draw_sheet(sheet_with([tag for tag in sheet.tags if tag.id not in hidden]))
    for tag in extra:
        paste(page, tag)
    pose = pose_from_view(view, sheet.target.box.center_mm, np.array([*aim, 1.0]))
    return see(page, ideal_homography(CAMERA, pose), SIZE, camera=CAMERA, oversample=2)


def paste(page, tag, per_mm=8):
    """A tag with its white border over what is on the page."""
    box = tag.square.grown(tag.square.width_mm / 8)
    left, top, side = (int(value * per_mm) for value in (box.x_mm, box.y_mm, box.width_mm))
    more = draw_sheet(sheet_with([tag]))
    page[top : top + side, left : left + side] = more[top : top + side, left : left + side]


def whole(pixels, sheets, camera):
    """The answer from one pass over the whole picture at full resolution."""
    return localize_tags(detect_full(to_gray(pixels)), sheets, camera, pixels.shape)


def apart_px(one, other) -> float:
    """How far two localizations are apart at the corners of the sticker."""
    corners = one.sheet.frame.corners_mm
    return float(np.linalg.norm(one.to_image(corners) - other.to_image(corners), axis=1).max())


# Moving before the simulated camera


@dataclass(frozen=True)
class Move:
    """How the sheet moves from frame to frame."""

    step_mm: float = 0
    step_yaw_deg: float = 0
    step_roll_deg: float = 0
    light: str = "day"
    motion_px: float = 0


MOVES = {
    "nearly still": Move(),
    "coming nearer": Move(step_mm=-40),
    "turning": Move(step_yaw_deg=6),
    "rolling": Move(step_roll_deg=3),
    "in dim light, blurred": Move(step_yaw_deg=-4, light="dim", motion_px=3),
}


@pytest.fixture(scope="module")
def stage(fresh_lab, tmp_path_factory):
    """A simulated camera before the lab's sheets."""
    lab = another_lab(fresh_lab, tmp_path_factory.mktemp("tracking") / "lab")
    return SimCamera(parse_sim_uri("sim:?width=960&height=540&seed=5&rig=0.2"), lab / "sheets"), read_sheets(
        lab / "sheets"
    )


@pytest.mark.parametrize("name", MOVES)
def test_a_moving_sheet_is_where_the_whole_picture_says(name, stage):
    camera, sheets = stage
    move, sheet = MOVES[name], sheets[0]
    tracker, tracked = Tracker(sheets, camera.model), 0
    for number in range(8):
        condition = Condition(
            distance_mm=1100 + number * move.step_mm,
            yaw_deg=-20 + number * move.step_yaw_deg,
            roll_deg=number * move.step_roll_deg,
            light=move.light,
            extra={"motion_px": move.motion_px},
        )
        camera.stage(Shot(index=number, arm=sheet.arm, sheet=sheet.id, condition=condition, repeat=number), sheet)
        pixels = camera.read().pixels
        found, truth = tracker.localize(pixels), whole(pixels, sheets, camera.model)
        tracked += not tracker.doubt
        assert (found.found, found.sheet, found.used) == (truth.found, truth.sheet, truth.used)
        assert apart_px(found, truth) < SAME_PX
        assert apart_px(localize(pixels, sheets, camera.model), truth) < SAME_PX
        near = {tag.id: tag.corners for tag in truth.tags}
        assert max(np.abs(tag.corners - near[tag.id]).max() for tag in found.tags) < SAME_PX
    assert tracked >= 6, "a steady motion is no jump"


# Doubts: what comes, what the tracker says of it

DOUBTS = {
    "the sheet jumps": (lambda: seen(aim=(0.2, -0.08)), "the sheet is not where it was"),
    "the sheet is turned upside down": (lambda: seen(view=View(520, 10, 0, 180)), ""),
    "the sheet vanishes": (lambda: GROUND, "the sheet is not where it was"),
    "a hand before a tag": (lambda: seen(hidden={12}), "fewer tags are where they were"),
    "another sheet instead": (lambda: seen(OTHER), "the sheet is not where it was"),
    "a ghost of a tag nearby": (lambda: seen(extra=[tag_at(10, 38, 10, 12)]), "fewer tags are where they were"),
    "a tag has slipped": (
        lambda: seen(hidden={12}, extra=[tag_at(12, 121, 80)]),
        "fewer tags are where they were",
    ),
}


@pytest.mark.parametrize("case", DOUBTS)
def test_at_a_doubt_the_whole_picture_is_searched(case):
    make, doubt = DOUBTS[case]
    sheets, then = [OTHER, SHEET], make()
    tracker = Tracker(sheets, CAMERA)
    tracker.localize(seen())
    found, truth = tracker.localize(then), whole(then, sheets, CAMERA)
    assert tracker.doubt == doubt
    assert (found.found, found.sheet, found.used) == (truth.found, truth.sheet, truth.used)
    assert not found.found or apart_px(found, truth) < SAME_PX


def test_foreign_tags_beside_the_sheet_do_not_matter():
    pixels = seen(extra=[tag_at(400, 68, 92, 16), tag_at(401, 68, 8, 16)])
    tracker = Tracker([SHEET, OTHER], CAMERA)
    first, second = tracker.localize(pixels), tracker.localize(pixels)
    assert not tracker.doubt
    assert second.used == (10, 11, 12, 13)
    assert apart_px(first, second) < SAME_PX


@pytest.mark.parametrize("extra", [tag_at(20, 68, 92, 16), tag_at(10, 68, 92, 16)], ids=["another sheet's", "a copy"])
def test_while_another_known_tag_is_in_the_picture_nothing_is_tracked(extra):
    pixels = seen(extra=[extra])
    tracker = Tracker([SHEET, OTHER], CAMERA)
    for _ in range(3):
        found = tracker.localize(pixels)
        assert tracker.doubt == "there is nothing to follow"
    assert apart_px(found, whole(pixels, [SHEET, OTHER], CAMERA)) < SAME_PX


def test_a_tag_that_comes_back_is_used_again():
    tracker = Tracker([SHEET], CAMERA)
    used = [len(tracker.localize(seen(hidden=hidden)).used) for hidden in ({12}, {12}, ())]
    assert used == [3, 3, 4]
    assert not tracker.doubt


def test_a_second_sheet_is_found_after_so_many_pictures_at_most():
    alone = seen(hidden={12})
    both = alone.copy()
    small = cv2.resize(seen(OTHER, view=View(420)), (270, 200), interpolation=cv2.INTER_AREA)
    both[:200, :270] = np.where(np.abs(small.astype(int) - 110) > 3, small, both[:200, :270])
    tracker = Tracker([SHEET, OTHER], None, rescan_frames=4)
    tracker.localize(alone)
    doubts = []
    for _ in range(4):
        tracker.localize(both)
        doubts.append(tracker.doubt)
    assert "one picture in 4 is searched whole" in doubts


def test_every_picture_can_be_searched_whole():
    tracker = Tracker([SHEET], CAMERA, rescan_frames=1)
    assert all(tracker.localize(seen()).found and tracker.doubt for _ in range(2))


def test_what_was_expected_and_the_size_of_the_picture_are_watched():
    tracker = Tracker([SHEET, OTHER])
    tracker.localize(seen(), SHEET)
    tracker.localize(seen(), SHEET)
    assert not tracker.doubt
    assert tracker.localize(seen(), OTHER).sheet == SHEET
    assert tracker.doubt == "another sheet is expected"
    tracker.localize(cv2.resize(seen(), (960, 720)))
    assert tracker.doubt == "the picture has another size"


def test_a_calibration_for_another_resolution_is_refused():
    with pytest.raises(BadInput, match="the picture is 320x240"):
        Tracker([SHEET], CAMERA).localize(cv2.resize(seen(), (320, 240), interpolation=cv2.INTER_AREA))


def test_a_sheet_at_the_edge_of_the_picture_is_tracked():
    pixels = seen(aim=(0.47, 0.0))
    truth = whole(pixels, [SHEET], CAMERA)
    assert 2 <= len(truth.used) < 4, "the test wants a sheet that the picture cuts"
    tracker = Tracker([SHEET], CAMERA)
    tracker.localize(pixels)
    assert apart_px(tracker.localize(pixels), truth) < SAME_PX
    assert not tracker.doubt
