"""Where samples come from: what of a frame is shown to a recognizer, and which files of a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calibration.errors import BadInput, MissingFile
from calibration.files import read_document
from calibration.sheet import Sheet
from capture.plan import Condition
from capture.session import Session, read_session
from pipeline.localizing import LocalizedFrame, localize_session
from pipeline.score import Missed, Sample
from pipeline.sources import condition_name, list_folder, natural_crop, session_samples

# The natural crop


def numbered(height: int = 40, width: int = 60) -> np.ndarray:
    """``(height, width, 3)``: row, column, 7."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.dstack([rows, columns, np.full_like(rows, 7)])


def corners(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        (corners(9.5, 4.5, 19.5, 14.5), (5, 14), (10, 19)),
        (corners(10, 5, 19, 14), (5, 14), (10, 19)),
        (corners(10.2, 5.2, 19.4, 14.3), (5, 14), (10, 19)),
        (corners(-0.5, -0.5, 59.5, 39.5), (0, 39), (0, 59)),
        (corners(10, 5, 10, 5), (5, 5), (10, 10)),
        (np.array([[20, 5], [30, 15], [20, 25], [10, 15]]), (5, 25), (10, 30)),
    ],
)
def test_the_crop_is_the_upright_box_of_whole_pixels(box: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]):
    """Pixel (0, 0) has its center there: a box from 9.5 to 19.5 holds the pixels 10 to 19."""
    crop = natural_crop(numbered(), box)
    assert (crop[0, 0, 0], crop[-1, -1, 0]) == rows
    assert (crop[0, 0, 1], crop[-1, -1, 1]) == columns
    assert crop.shape == (rows[1] - rows[0] + 1, columns[1] - columns[0] + 1, 3)
    assert crop.flags.c_contiguous


def test_a_little_beyond_the_border_is_filled_with_the_border():
    crop = natural_crop(numbered(), corners(-1.5, 4.5, 18.5, 24.5))
    assert crop.shape == (20, 20, 3)
    assert (crop[:, 0] == crop[:, 1]).all()
    assert crop[0, :3, 1].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "box", [corners(-5, 5, 15, 25), corners(50, 5, 70, 25), corners(100, 100, 120, 120), corners(-30, -30, -10, -10)]
)
def test_a_sticker_that_is_mostly_elsewhere_is_missed(box: np.ndarray):
    with pytest.raises(Missed, match="outside of the picture"):
        natural_crop(numbered(), box)


# Frames of a session


@pytest.fixture(scope="module")
def session(captured: Path) -> Session:
    return read_session(captured)


@pytest.fixture(scope="module")
def localized(session: Session) -> list[LocalizedFrame]:
    return localize_session(session, lambda _: None)[1]


def sheet_of(session: Session, name: str) -> Sheet:
    return next(sheet for path in session.inputs("sheet") if (sheet := read_document(path, Sheet)).id == name)


def crop_of(sample: Sample) -> np.ndarray | tuple[str, str]:
    """What is shown of it: the natural view."""
    (shown,) = sample.show()
    assert (shown.view, shown.repeat) == ("natural", 0)
    return shown.crop


def first(session: Session, found: LocalizedFrame) -> Sample:
    return next(session_samples(replace(session, frames=session.frames[:1]), [found]))


def test_a_frame_is_one_sample_of_its_arm_and_condition(session: Session, localized: list[LocalizedFrame]):
    samples = list(session_samples(session, localized))
    assert [each.name for each in samples] == [f"{frame.index:06d}" for frame in session.frames]
    assert [each.arm for each in samples] == [frame.shot.arm for frame in session.frames]
    assert {each.truth for each in samples} == {"general-caution"}
    assert {each.cell for each in samples} == {"1200 mm, yaw 0°, day", "2200 mm, yaw 0°, day"}


def test_the_crop_is_the_sticker_and_holds_no_tag(session: Session, localized: list[LocalizedFrame]):
    for sample, found in zip(session_samples(session, localized), localized, strict=True):
        box = np.array(found.frame_corners_px)
        size = np.ptp(box, axis=0)
        assert np.abs(np.array(crop_of(sample).shape[1::-1]) - size).max() <= 2
        tags = np.array(found.tag_corners_px).reshape(-1, 2)
        assert not ((tags > box.min(axis=0) - 1) & (tags < box.max(axis=0) + 1)).all(axis=1).any()


def test_what_cannot_be_cropped_says_why(session: Session, localized: list[LocalizedFrame]):
    found = localized[0]
    lost = LocalizedFrame(index=0, status="missed", reason="1 of 4 tags usable")
    assert crop_of(first(session, lost)) == ("missed", "1 of 4 tags usable")
    assert crop_of(first(session, LocalizedFrame(index=0, status="failed", reason="torn"))) == ("failed", "torn")
    other = found.model_copy(update={"sheet": "blank-00000000"})
    reason = f"the picture shows sheet blank-00000000, the plan asked for {found.sheet}"
    assert crop_of(first(session, other)) == ("missed", reason)


def test_without_a_plan_the_tags_say_the_arm(session: Session, localized: list[LocalizedFrame]):
    unplanned = replace(session, frames=tuple(replace(frame, shot=None) for frame in session.frames))
    samples = list(session_samples(unplanned, localized))
    assert [each.arm for each in samples] == [sheet_of(session, found.sheet).arm for found in localized]
    assert {each.cell for each in samples} == {"unplanned"}
    assert {each.truth for each in samples} == {"general-caution"}
    nothing = first(unplanned, LocalizedFrame(index=0, status="missed", reason="no tag of a known sheet"))
    assert (nothing.arm, nothing.truth) == ("unknown", None)


# Conditions


def test_conditions_have_one_name_each():
    base = Condition(distance_mm=1200)
    changes = [
        {},
        {"distance_mm": 1200.5},
        {"yaw_deg": 5},
        {"yaw_deg": -5},
        {"pitch_deg": 5},
        {"roll_deg": 5},
        {"light": "dim"},
        {"extra": {"motion_px": 3}},
        {"extra": {"motion_px": 4}},
        {"extra": {"wind": "gusts"}},
    ]
    names = [condition_name(base.model_copy(update=change)) for change in changes]
    assert len(set(names)) == len(names)
    assert names[0] == "1200 mm, yaw 0°, day"
    assert condition_name(base.model_copy(update={"extra": {"b": 1, "a": 2}})) == "1200 mm, yaw 0°, day, a 2, b 1"


# Folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("stop/b.png", "stop/a.JPG", "yield/deep/er/c.bmp", "stop/.hidden.png"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(numbered()).save(path)
    (tmp_path / "pictures" / "stop" / "notes.txt").write_text("no picture")
    (tmp_path / "pictures" / "yield" / "folder.png").mkdir()
    return tmp_path / "pictures"


def test_a_folder_gives_each_picture_once_in_order(folder: Path):
    listed = list_folder(folder, class_from_folder=True, label=None)
    samples = list(listed.samples())
    assert [each.name for each in samples] == ["stop/.hidden.png", "stop/a.JPG", "stop/b.png", "yield/deep/er/c.bmp"]
    assert [each.truth for each in samples] == ["stop", "stop", "stop", "er"]
    assert {each.arm for each in samples} == {"images"}
    assert (crop_of(samples[2]) == numbered()).all()


def test_one_label_for_all_or_none(folder: Path):
    assert {each.truth for each in list_folder(folder, class_from_folder=False, label="stop").samples()} == {"stop"}
    assert {each.truth for each in list_folder(folder, class_from_folder=False, label=None).samples()} == {None}


def test_a_file_that_goes_away_meanwhile_is_one_failed_sample(folder: Path):
    listed = list_folder(folder, class_from_folder=True, label=None)
    (folder / "stop" / "b.png").unlink()
    assert [crop_of(each)[0] for each in listed.samples()][2] == "failed"


def test_folders_without_pictures_are_refused(folder: Path, tmp_path: Path):
    with pytest.raises(MissingFile, match="nowhere"):
        list_folder(tmp_path / "nowhere", class_from_folder=False, label=None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"holds no picture \(accepted: \.bmp"):
        list_folder(tmp_path / "empty", class_from_folder=False, label=None)
    with pytest.raises(BadInput, match="lies in"):
        list_folder(folder / "stop", class_from_folder=True, label=None)
