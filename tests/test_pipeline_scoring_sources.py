"""Where samples come from: what of a frame is shown to a recognizer, and which files of a folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calibration.errors import BadInput, MissingFile
from calibration.files import read_document, sha256_file
from calibration.sheet import Sheet
from capture.plan import Condition
from capture.session import FrameRecord, Session, read_session
from pipeline.scoring.score import Crop, Sample
from pipeline.scoring.sources import condition_name, list_folder, session_samples
from pipeline.scoring.views import VIEWS, ViewOrder
from pipeline.sessions.localizing import LocalizedFrame, localize_session, stored_picture


def numbered(height: int = 40, width: int = 60) -> np.ndarray:
    """``(height, width, 3)``: row, column, 7."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.dstack([rows, columns, np.full_like(rows, 7)])


# Frames of a session


@pytest.fixture(scope="module")
def session(captured: Path) -> Session:
    return read_session(captured)


@pytest.fixture(scope="module")
def localized(session: Session) -> list[LocalizedFrame]:
    return localize_session(session, lambda _: None)[1]


def sheet_of(session: Session, name: str) -> Sheet:
    return next(sheet for path in session.inputs("sheet") if (sheet := read_document(path, Sheet)).id == name)


def first(session: Session, found: LocalizedFrame) -> Sample:
    return next(session_samples(replace(session, frames=session.frames[:1]), [found]))


def seen(sample: Sample) -> Crop:
    """What is shown in the only view."""
    (shown,) = sample.show()
    return shown.crop


def test_a_frame_is_one_sample_of_its_arm_and_condition(session: Session, localized: list[LocalizedFrame]):
    samples = list(session_samples(session, localized))
    assert [each.name for each in samples] == [f"{frame.index:06d}" for frame in session.frames]
    assert [each.arm for each in samples] == [frame.shot.arm for frame in session.frames]
    assert {each.truth for each in samples} == {"general-caution"}
    assert {each.cell for each in samples} == {"1200 mm, yaw 0°, day", "2200 mm, yaw 0°, day"}


def test_frames_of_one_shot_are_one_cluster(session: Session, localized: list[LocalizedFrame]):
    samples = list(session_samples(session, localized))
    assert [each.sha256 for each in samples] == [frame.sha256 for frame in session.frames]
    assert [each.cluster for each in samples] == [f"shot {frame.shot.index}" for frame in session.frames]
    again = replace(session.frames[0], index=1)
    burst = replace(session, frames=(session.frames[0], again))
    both = session_samples(burst, [localized[0], localized[0].model_copy(update={"index": 1})])
    assert [(each.name, each.cluster) for each in both] == [("000000", "shot 0"), ("000001", "shot 0")]


def test_the_crop_is_the_sticker_and_holds_no_tag(session: Session, localized: list[LocalizedFrame]):
    for sample, found in zip(session_samples(session, localized), localized, strict=True):
        box = np.array(found.frame_corners_px)
        size = np.ptp(box, axis=0)
        shown = sample.show()
        assert [(each.view, each.repeat) for each in shown] == [("natural", 0)]
        assert np.abs(np.array(shown[0].crop.shape[1::-1]) - size).max() <= 2
        np.testing.assert_allclose(shown[0].frame_px + np.floor(box.min(axis=0) + 0.5), box, atol=0.01)
        tags = np.array(found.tag_corners_px).reshape(-1, 2)
        assert not ((tags > box.min(axis=0) - 1) & (tags < box.max(axis=0) + 1)).all(axis=1).any()


def test_a_frame_is_decoded_once_for_all_views(
    session: Session, localized: list[LocalizedFrame], monkeypatch: pytest.MonkeyPatch
):
    read: list[int] = []

    def counting(frame: FrameRecord, **how: bool) -> np.ndarray:
        read.append(frame.index)
        return stored_picture(frame, **how)

    monkeypatch.setattr("pipeline.scoring.sources.stored_picture", counting)
    order = ViewOrder(tuple(VIEWS), jitter=2, seed=session.header.seed)
    samples = list(session_samples(session, localized, order))
    assert not read
    shown = samples[0].show()
    assert read == [0]
    assert tuple((each.view, each.repeat) for each in shown) == order.shown
    assert not [each for each in shown if isinstance(each.crop, tuple)]


def test_what_cannot_be_shown_says_why(session: Session, localized: list[LocalizedFrame]):
    found = localized[0]
    lost = LocalizedFrame(index=0, status="missed", reason="1 of 4 tags usable")
    assert seen(first(session, lost)) == ("missed", "1 of 4 tags usable")
    assert seen(first(session, LocalizedFrame(index=0, status="failed", reason="torn"))) == ("failed", "torn")
    other = found.model_copy(update={"sheet": "blank-00000000"})
    reason = f"the picture shows sheet blank-00000000, the plan asked for {found.sheet}"
    assert seen(first(session, other)) == ("missed", reason)
    changed = replace(session, frames=(replace(session.frames[0], sha256="0" * 64),))
    status, reason = seen(first(changed, found))
    assert (status, "other bytes than were recorded" in reason) == ("failed", True)


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
    assert (seen(samples[2]) == numbered()).all()
    assert [each.cluster for each in samples] == [each.name for each in samples]
    assert samples[2].sha256 == sha256_file(folder / "stop" / "b.png")


def test_one_label_for_all_or_none(folder: Path):
    assert {each.truth for each in list_folder(folder, class_from_folder=False, label="stop").samples()} == {"stop"}
    assert {each.truth for each in list_folder(folder, class_from_folder=False, label=None).samples()} == {None}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is too large to be held until it is decoded."""
    monkeypatch.setattr("pipeline.scoring.sources.HELD_BYTES", 0)


@pytest.mark.usefixtures("large")
def test_a_file_that_goes_away_meanwhile_is_one_failed_sample(folder: Path):
    samples = list(list_folder(folder, class_from_folder=True, label=None).samples())
    (folder / "stop" / "b.png").unlink()
    status, reason = seen(samples[2])
    assert (status, "b.png: No such file" in reason) == ("failed", True)


@pytest.mark.usefixtures("large")
def test_a_file_that_changes_meanwhile_is_not_scored_as_another(folder: Path):
    samples = list(list_folder(folder, class_from_folder=True, label=None).samples())
    (folder / "stop" / "b.png").write_bytes((folder / "yield" / "deep" / "er" / "c.bmp").read_bytes())
    assert seen(samples[2]) == ("failed", "stop/b.png changed while it was scored")


def test_a_small_file_is_scored_as_it_was_hashed(folder: Path):
    before = seen(list(list_folder(folder, class_from_folder=True, label=None).samples())[2])
    samples = list(list_folder(folder, class_from_folder=True, label=None).samples())
    (folder / "stop" / "b.png").unlink()
    np.testing.assert_array_equal(seen(samples[2]), before)


def test_what_is_no_picture_by_its_name_is_counted_by_it(folder: Path, tmp_path: Path):
    (folder / "stop" / "Thumbs.db").touch()
    (folder / "elsewhere").symlink_to(tmp_path)
    (folder / "linked.png").symlink_to(tmp_path)
    listed = list_folder(folder, class_from_folder=False, label=None)
    assert len(listed.files) == 4
    assert listed.ignored == ("elsewhere", "linked.png", "stop/Thumbs.db", "stop/notes.txt")


def test_what_is_named_like_a_picture_and_is_none_fails_and_does_not_wait(folder: Path):
    os.mkfifo(folder / "pipe.png")
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    (folder / "endless.png").symlink_to("/dev/zero")
    found = {each.name: each for each in list_folder(folder, class_from_folder=False, label=None).samples()}
    assert len(found) == 7
    crops = {name: seen(sample) for name, sample in found.items()}
    assert "no file but a pipe" in crops["pipe.png"][1]
    assert "no file but a pipe" in crops["endless.png"][1]
    assert "No such file" in crops["nowhere.png"][1]
    assert {crops[name][0] for name in ("pipe.png", "nowhere.png", "endless.png")} == {"failed"}


def test_files_too_large_to_be_read_are_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipeline.scoring.sources.MAX_BYTES", 10)
    (sample, *_) = list_folder(folder, class_from_folder=False, label=None).samples()
    assert seen(sample)[1].endswith("bytes; at most 10 are read")
    assert sample.sha256 == ""


def test_no_two_files_have_the_same_name(tmp_path: Path):
    for name in (b"n\xfe.png", rb"n\xfe.png", "é.png".encode(), "e\u0301.png".encode(), b"a b\n.png"):
        Image.fromarray(numbered()).save(tmp_path / os.fsdecode(name))
    names = [each.name for each in list_folder(tmp_path, class_from_folder=False, label=None).samples()]
    assert len(set(names)) == len(names) == 5
    assert r"n\xfe.png" in names


def test_folders_without_pictures_are_refused(folder: Path, tmp_path: Path):
    with pytest.raises(MissingFile, match="nowhere"):
        list_folder(tmp_path / "nowhere", class_from_folder=False, label=None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"holds no picture \(accepted: \.bmp"):
        list_folder(tmp_path / "empty", class_from_folder=False, label=None)
    with pytest.raises(BadInput, match="lies in"):
        list_folder(folder / "stop", class_from_folder=True, label=None)
