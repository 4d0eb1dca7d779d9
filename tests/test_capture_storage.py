"""Pictures that come raw are stored without loss, in a format that keeps up; frames count when they are on disk."""

from __future__ import annotations

import errno
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from sessions import CLOCK, MACHINE, SHEETS, StagedTestCamera, again, frame, picture, plan, plan_input

from calibration.errors import BadImage, DiskFull
from capture.cameras.open import open_camera
from capture.check import check_session
from capture.codecs import Trial, choose, encode, try_codecs
from capture.frame import Clock, Frame
from capture.journal import ErrorEvent, NoteEvent
from capture.picture import decode_picture
from capture.recorder import SessionWriter
from capture.rigs.base import StagedRig
from capture.runner import run_capture
from capture.session import read_session
from capture.storage import SUFFIXES, Storage

SECONDS = itertools.count()
QUEUED = 4
"""Pictures that the queue holds where it is to have an end."""

NOISE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def begin(root: Path, codec: str, shots: int = 6, **more) -> SessionWriter:
    storage = Storage(codec=codec, **more)
    inputs = [plan_input(plan(shots))]
    return SessionWriter.create(
        root, camera="staged:test", machine=MACHINE, clock=CLOCK, inputs=inputs, storage=storage
    )


def take(writer: SessionWriter, camera, **more):
    rig = StagedRig(camera)
    return run_capture(plan=writer.plan, sheets=SHEETS, camera=camera, rig=rig, session=writer, **more)


@pytest.mark.parametrize("codec", sorted(SUFFIXES))
@pytest.mark.parametrize(
    "pixels", [NOISE, picture(7), NOISE[:1, :1], NOISE[::2, ::-1]], ids=["noise", "flat", "1", "view"]
)
def test_every_format_gives_back_the_very_pixels(codec: str, pixels: np.ndarray) -> None:
    assert (decode_picture(encode(pixels, codec), "") == pixels).all()


def test_a_picture_that_webp_cannot_hold() -> None:
    long = np.zeros((1, 20_000, 3), np.uint8)
    with pytest.raises(BadImage, match="20000x1 cannot be stored as WebP"):
        encode(long, "webp")
    trials = try_codecs(long, Storage(frames_per_s=0.1), lambda _: None, CLOCK)
    assert [trial.codec for trial in trials] == ["tiff", "png"]


@pytest.mark.parametrize(
    ("frames_per_s", "chosen"), [(1, "webp"), (2.5, "png"), (10, "tiff"), (1000, "tiff")], ids=lambda v: str(v)
)
def test_the_smallest_that_keeps_up_is_chosen(frames_per_s: float, chosen: str) -> None:
    trials = [Trial("tiff", 0.02, 600), Trial("png", 0.2, 360), Trial("webp", 0.5, 330)]
    assert choose(trials, Storage(frames_per_s=frames_per_s)) == chosen


class SlowClock(Clock):
    """A second goes by between any two looks at it."""

    def mono_ns(self) -> int:
        return next(SECONDS) * 10**9


def test_what_is_too_slow_ends_the_trials() -> None:
    assert [one.codec for one in try_codecs(NOISE, Storage(), lambda _: None, SlowClock())] == ["tiff"]


@pytest.mark.parametrize("codec", ["auto", *sorted(SUFFIXES)])
def test_a_session_in_every_format_is_read_checked_resumed_and_replayed(tmp_path: Path, codec: str) -> None:
    with begin(tmp_path / "a", codec) as writer:
        take(writer, StagedTestCamera(), limit=3)
    with again(writer.folder) as writer:
        assert take(writer, StagedTestCamera()).complete
    session = read_session(writer.folder)
    assert session.header.storage.codec == codec
    assert {record.path.suffix for record in session.frames} <= (
        {SUFFIXES[codec]} if codec != "auto" else set(SUFFIXES.values())
    )
    assert [int(decode_picture(one.path.read_bytes(), "")[0, 0, 0]) for one in session.frames] == list(range(6))
    check = check_session(writer.folder)
    assert (check.whole, check.complete, check.orphans) == (True, True, ())
    notes = [event.text for event in session.events() if isinstance(event, NoteEvent)]
    assert ["pictures are stored as" in text for text in notes] == ([True, True] if codec == "auto" else [])
    camera = open_camera(str(writer.folder), sheet_folder=Path(), clock=CLOCK)
    assert [camera.read().encoded for _ in range(6)] == [one.path.read_bytes() for one in session.frames]


def test_an_old_header_says_png(tmp_path: Path) -> None:
    with begin(tmp_path, "tiff") as writer:
        pass
    header = json.loads((writer.folder / "session.json").read_text())
    del header["storage"]
    (writer.folder / "session.json").write_text(json.dumps(header))
    assert read_session(writer.folder).header.storage.codec == "png"


def test_progress_hears_of_frames_that_are_on_disk_and_of_no_others(tmp_path: Path) -> None:
    folder = []

    def look(step) -> None:
        session = read_session(folder[0])
        assert len(session.frames) >= step.done
        assert all(record.path.is_file() for record in session.frames)
        told.append(step.done)

    told: list[int] = []
    with begin(tmp_path, "tiff") as writer:
        folder.append(writer.folder)
        take(writer, StagedTestCamera(), progress=look)
    assert told == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("shots", [3, 40], ids=["while it waits at the end", "in the midst"])
def test_a_disk_that_fills_up_in_the_background_ends_the_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shots: int
) -> None:
    sync, left = os.fsync, iter(range(14))

    def full_later(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    told = []
    camera = StagedTestCamera()
    monkeypatch.setattr("capture.recorder.ROOM_BYTES", QUEUED * frame(0).pixels.nbytes)
    with begin(tmp_path, "png", shots) as writer, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_later)
        with pytest.raises(DiskFull):
            take(writer, camera, progress=lambda step: told.append(step.shot.index))
    session = read_session(writer.folder)
    assert told == [record.shot.index for record in session.frames]
    assert len(told) < min(shots, 4)
    assert next(camera.reads) <= len(told) + QUEUED + 2, "the queue has an end"
    assert check_session(writer.folder).whole
    with again(writer.folder) as writer:
        assert take(writer, StagedTestCamera()).complete
    assert [one.shot.index for one in read_session(writer.folder).frames] == list(range(shots))


def test_a_failure_that_left_the_disk_usable_is_on_record(tmp_path: Path) -> None:
    def look(step) -> None:
        raise DiskFull("no space left for the thumbnails")

    with begin(tmp_path, "png") as writer, pytest.raises(DiskFull):
        take(writer, StagedTestCamera(), progress=look)
    session = read_session(writer.folder)
    assert [event.code for event in session.events() if isinstance(event, ErrorEvent)] == ["disk"]
    assert len(session.frames) == 1


def test_a_failure_that_nobody_asked_for_is_raised_at_the_end(tmp_path: Path) -> None:
    long = Frame(np.zeros((1, 20_000, 3), np.uint8), 0, 0)
    with pytest.raises(BadImage, match="WebP"), begin(tmp_path, "webp") as writer:
        writer.submit_frame(long, None, None)
    assert read_session(writer.folder).frames == ()


def test_a_limit_counts_what_is_on_its_way(tmp_path: Path) -> None:
    with begin(tmp_path, "webp", 9) as writer:
        assert take(writer, StagedTestCamera(), limit=5).frames == 5
    assert len(frame(1).pixels) == 24
