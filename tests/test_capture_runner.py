"""A capture takes every shot once, says why when it does not, and can be stopped, killed and resumed at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sessions import CLOCK, MACHINE, SHEETS, StagedTestCamera, again, begin, picture, plan, plan_input

from calibration.errors import BadConfig, BadImage, BadUsage, CameraGone, NotReady
from capture.cameras.open import open_camera
from capture.check import check_session
from capture.journal import ErrorEvent, RetryEvent
from capture.picture import decode_picture, encode_png
from capture.quality import Verdict
from capture.recorder import SessionWriter
from capture.rigs.base import Ended, Failed, FixedRig, Settled, StagedRig
from capture.rigs.operator import OperatorRig
from capture.runner import outcome_of, run_capture
from capture.session import read_session
from capture.stop import StopRequest, stop_flag

PLAN = plan(6)


def take(writer: SessionWriter, camera, *, rig=None, **more):
    rig = rig or (StagedRig(camera) if hasattr(camera, "stage") else FixedRig())
    return run_capture(plan=writer.plan, sheets=SHEETS, camera=camera, rig=rig, session=writer, **more)


def shots_of(folder: Path) -> list[int]:
    return [record.shot.index for record in read_session(folder).frames]


def test_every_shot_is_taken_in_the_order_of_the_plan(tmp_path: Path) -> None:
    seen = []
    with begin(tmp_path, PLAN) as writer:
        outcome = take(writer, StagedTestCamera(), progress=seen.append)
    assert (outcome.frames, outcome.skipped, outcome.taken, outcome.complete) == (6, 0, 6, True)
    assert [(step.kind, step.done, step.total) for step in seen] == [("frame", i + 1, 6) for i in range(6)]
    assert shots_of(outcome.session) == list(range(6))
    for record in read_session(outcome.session).frames:
        assert (decode_picture(record.path.read_bytes(), "") == picture(record.shot.index)).all()
    check = check_session(outcome.session)
    assert (check.whole, check.complete, check.sealed, check.orphans) == (True, True, True, ())
    assert outcome_of(read_session(outcome.session)).complete


def rejecting(shot_index: int, times: int):
    """A gate that rejects the first ``times`` pictures of one shot."""
    seen = []

    def gate(frame, shot) -> Verdict:
        if shot.index != shot_index:
            return Verdict(True)
        seen.append(frame)
        return Verdict(len(seen) > times, f"blurred {len(seen)}")

    return gate


@pytest.mark.parametrize(("times", "frames", "reasons"), [(2, 6, []), (3, 5, ["blurred 3"])])
def test_a_rejected_picture_is_taken_again_then_given_up(
    tmp_path: Path, times: int, frames: int, reasons: list[str]
) -> None:
    with begin(tmp_path, PLAN) as writer:
        outcome = take(writer, StagedTestCamera(), gate=rejecting(2, times), retakes=2)
    session = read_session(outcome.session)
    retries = [(e.shot, e.attempt, e.reason) for e in session.events() if isinstance(e, RetryEvent)]
    assert retries == [(2, 1, "blurred 1"), (2, 2, "blurred 2")]
    assert [skip.reason for skip in session.skips] == reasons
    assert (outcome.frames, outcome.complete) == (frames, True)
    assert len(list((outcome.session / "frames").rglob("*.png"))) == frames
    assert all(record.verdict.ok for record in session.frames)


def test_a_shot_that_cannot_be_arranged_is_skipped_with_the_reason(tmp_path: Path) -> None:
    with begin(tmp_path, PLAN) as writer:
        outcome = take(writer, StagedTestCamera(refuses=frozenset({0, 4})))
    assert shots_of(outcome.session) == [1, 2, 3, 5]
    assert [skip.reason for skip in read_session(outcome.session).skips] == [
        "no such light for shot 0",
        "no such light for shot 4",
    ]


def raising(at: int, error: BaseException):
    def before_read(number: int) -> None:
        if number == at:
            raise error

    return before_read


def test_a_camera_that_goes_leaves_a_session_that_resumes(tmp_path: Path) -> None:
    with begin(tmp_path, PLAN) as writer, pytest.raises(CameraGone, match="unplugged"):
        take(writer, StagedTestCamera(raising(3, CameraGone("unplugged"))))
    session = read_session(writer.folder)
    assert [(e.code, e.message) for e in session.events() if isinstance(e, ErrorEvent)] == [("camera", "unplugged")]
    assert not session.sealed
    with again(writer.folder) as writer:
        outcome = take(writer, StagedTestCamera())
    assert (outcome.taken, outcome.frames) == (3, 6)
    assert shots_of(writer.folder) == list(range(6))


def test_a_damaged_picture_of_a_live_camera_is_taken_again(tmp_path: Path) -> None:
    with begin(tmp_path, PLAN) as writer:
        outcome = take(writer, StagedTestCamera(raising(3, BadImage("half a picture"))))
    assert (outcome.frames, outcome.skipped) == (6, 0)


def test_a_request_to_stop_ends_after_the_current_shot(tmp_path: Path) -> None:
    requests = iter([None, None, StopRequest("SIGTERM", 143)])
    with begin(tmp_path, PLAN) as writer:
        outcome = take(writer, StagedTestCamera(), stop=lambda: next(requests))
    assert outcome.interrupted == StopRequest("SIGTERM", 143)
    assert (outcome.frames, outcome.complete) == (2, False)
    check = check_session(writer.folder)
    assert (check.whole, check.complete, check.sealed, check.stopped) == (True, False, False, "SIGTERM")
    with again(writer.folder) as writer:
        assert take(writer, StagedTestCamera()).complete
    assert shots_of(writer.folder) == list(range(6))


def test_a_limit_ends_a_plan_early_and_it_resumes(tmp_path: Path) -> None:
    with begin(tmp_path, PLAN) as writer:
        first = take(writer, StagedTestCamera(), limit=4)
    with again(writer.folder) as writer:
        second = take(writer, StagedTestCamera())
    assert [(one.taken, one.complete) for one in (first, second)] == [(4, False), (2, True)]


def test_a_live_camera_without_a_plan_needs_a_number(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        with pytest.raises(BadUsage, match="say how many frames"):
            take(writer, StagedTestCamera())
        outcome = take(writer, StagedTestCamera(), limit=3)
    assert (outcome.frames, outcome.complete) == (3, True)
    assert [record.shot for record in read_session(writer.folder).frames] == [None] * 3


def folder_of(path: Path, count: int) -> Path:
    path.mkdir()
    for number in range(count):
        (path / f"{number:03d}.png").write_bytes(encode_png(picture(number)))
    return path


def opened(path: Path):
    return open_camera(str(path), sheet_folder=Path(), clock=CLOCK)


def test_a_folder_is_taken_whole_and_damaged_pictures_are_on_record(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", 6)
    (source / "002.png").write_bytes(b"damaged")
    camera = opened(source)
    with begin(tmp_path / "out", camera=camera.identity) as writer:
        part = take(writer, camera, limit=4)
    camera = opened(source)
    with again(part.session) as writer:
        outcome = take(writer, camera)
    session = read_session(outcome.session)
    assert (part.frames, part.skipped, part.complete) == (3, 1, False)
    assert (outcome.frames, outcome.skipped, outcome.complete) == (5, 1, True)
    assert [record.settings["file"] for record in session.frames] == [f"{i:03d}.png" for i in (0, 1, 3, 4, 5)]
    assert [record.path.read_bytes() for record in session.frames] == [
        (source / f"{i:03d}.png").read_bytes() for i in (0, 1, 3, 4, 5)
    ]
    assert "002.png cannot be decoded" in session.skips[0].reason


def test_a_folder_under_a_plan_is_never_shifted_by_a_retake(tmp_path: Path) -> None:
    camera = opened(folder_of(tmp_path / "in", 5))
    with begin(tmp_path / "out", PLAN, camera=camera.identity) as writer:
        outcome = take(writer, camera, rig=FixedRig(), gate=rejecting(1, 99))
    session = read_session(outcome.session)
    assert [int(decode_picture(r.path.read_bytes(), "")[0, 0, 0]) for r in session.frames] == [0, 2, 3, 4]
    assert shots_of(outcome.session) == [0, 2, 3, 4]
    assert [(skip.shot.index, skip.reason.partition("/")[0]) for skip in session.skips] == [
        (1, "blurred 1"),
        (5, "folder:"),
    ]
    assert outcome.complete


def test_an_old_session_is_a_camera_under_its_own_plan(tmp_path: Path) -> None:
    with begin(tmp_path / "old", PLAN) as writer:
        take(writer, StagedTestCamera(refuses=frozenset({2})))
    camera = opened(writer.folder)
    with begin(tmp_path / "new", PLAN, camera=camera.identity) as again_writer:
        outcome = take(again_writer, camera)
    old, new = read_session(writer.folder), read_session(outcome.session)
    assert [r.sha256 for r in new.frames] == [r.sha256 for r in old.frames]
    assert [r.truth.read_text() for r in new.frames] == [r.truth.read_text() for r in old.frames]
    assert new.frames[0].settings["exposure_ms"] == 4.5
    assert ["has no frame of shot 2" in skip.reason for skip in new.skips] == [True]
    assert opened(writer.folder).remaining == 5


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"sheets": {}}, BadConfig, "shot 0 of the plan wants the sheet 'sheet-bare'; there is none"),
        ({"plan": plan(3)}, BadUsage, "the plan is not the one"),
        ({"limit": 0}, BadUsage, "must be at least 1, got 0"),
    ],
)
def test_a_capture_that_does_not_fit_its_session_does_not_begin(
    tmp_path: Path, change, error: type[Exception], words: str
) -> None:
    camera = StagedTestCamera()
    given = {"plan": PLAN, "sheets": SHEETS, "camera": camera, "rig": StagedRig(camera)} | change
    with begin(tmp_path, PLAN) as writer, pytest.raises(error, match=words):
        run_capture(session=writer, **given)
    assert read_session(writer.folder).event_count == 1


def test_another_camera_may_not_go_on_with_a_session(tmp_path: Path) -> None:
    with begin(tmp_path, PLAN, camera="v4l2:/dev/video0") as writer, pytest.raises(BadUsage, match="not staged:test"):
        take(writer, StagedTestCamera())


@pytest.mark.parametrize(
    ("answers", "expected"),
    [([""], Settled), (["what?", ""], Settled), (["S"], Failed), (["q"], Ended)],
)
def test_an_operator_answers_with_one_key(answers: list[str], expected: type) -> None:
    asked = []
    given = iter(answers)

    def ask(question: str) -> str:
        asked.append(question)
        return next(given)

    assert isinstance(OperatorRig(ask).prepare(PLAN.shots[3], SHEETS["sheet-bare"]), expected)
    words = ("shot 3: bare (sheet sheet-bare)", "AT 1.00 M", "YAW +3°", "LIGHT DAY")
    assert [each for each in words if each not in asked[0]] == []


def test_an_operator_who_stops_leaves_a_session_that_resumes(tmp_path: Path) -> None:
    answers = iter(["", "s", "", "q"])
    with begin(tmp_path, PLAN) as writer:
        outcome = take(writer, StagedTestCamera(), rig=OperatorRig(lambda _: next(answers)))
    assert (outcome.frames, outcome.skipped, outcome.interrupted) == (2, 1, StopRequest("operator"))


def test_an_operator_who_is_not_there_is_an_error(tmp_path: Path) -> None:
    def ask(_: str) -> str:
        raise EOFError

    with begin(tmp_path, PLAN) as writer, pytest.raises(NotReady, match="nobody answers for shot 0"):
        take(writer, StagedTestCamera(), rig=OperatorRig(ask))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_a_request_and_the_second_leaves_at_once(tmp_path: Path, number: int, code: int) -> None:
    def once(read: int) -> None:
        if read == 1:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with begin(tmp_path / "a", PLAN) as writer, stop_flag() as stop:
        outcome = take(writer, StagedTestCamera(once), stop=stop)
    assert (outcome.frames, outcome.interrupted.exit_code) == (2, code)

    def twice(read: int) -> None:
        once(read)
        once(read)

    with pytest.raises(KeyboardInterrupt), begin(tmp_path / "b", PLAN) as writer, stop_flag() as stop:
        take(writer, StagedTestCamera(twice), stop=stop)
    assert signal.getsignal(number) is before
    assert shots_of(writer.folder) == [0]
    assert check_session(writer.folder).whole
    with again(writer.folder) as writer:
        assert take(writer, StagedTestCamera()).complete


CAPTURE = """
import sys, pathlib
sys.path[:0] = sys.argv[4:]
from sessions import *
import capture.recorder
from capture.cameras.open import open_camera
from capture.recorder import SessionWriter
from capture.rigs.base import FixedRig
from capture.runner import run_capture
from capture.stop import stop_flag
# Nothing waits for the disk: the capture takes as long as storing does.
capture.recorder.ROOM_BYTES = 1
source, root, name = sys.argv[1:4]
camera = open_camera(source, sheet_folder=pathlib.Path(), clock=CLOCK)
writer = again(pathlib.Path(root, name)) if name else begin(pathlib.Path(root), camera=camera.identity)
with writer, stop_flag() as stop:
    print(writer.folder.name, flush=True)
    outcome = run_capture(plan=None, sheets={}, camera=camera, rig=FixedRig(), session=writer, stop=stop)
sys.exit(outcome.interrupted.exit_code if outcome.interrupted else 0)
"""
PICTURES = 120


@pytest.fixture
def slow_folder(tmp_path: Path) -> Path:
    """Pictures that are encoded anew, so that a capture of them takes a second or two."""
    source = tmp_path / "in"
    source.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    for number in range(PICTURES):
        noise[:20] = number
        Image.fromarray(noise).save(source / f"{number:03d}.bmp")
    return source


def start_capture(source: Path, root: Path, name: str) -> tuple[subprocess.Popen[str], str]:
    here = Path(__file__).parent
    command = [sys.executable, "-c", CAPTURE, str(source), str(root), name, str(here), str(here.parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def numbers_in(folder: Path) -> list[int]:
    return [int(decode_picture(r.path.read_bytes(), "")[0, 0, 0]) for r in read_session(folder).frames]


def test_killed_at_any_moment_nothing_journaled_is_lost(tmp_path: Path, slow_folder: Path) -> None:
    moments = random.Random(5)
    name, kept, kills = "", 0, 0
    for _ in range(5):
        process, name = start_capture(slow_folder, tmp_path / "out", name)
        time.sleep(moments.uniform(0.0, 0.15))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        check = check_session(tmp_path / "out" / name)
        assert check.whole
        assert check.frames >= kept
        assert len(check.orphans) <= 1
        kept = check.frames
        if check.complete:
            break
    if not check.complete:
        process, name = start_capture(slow_folder, tmp_path / "out", name)
        process.communicate()
        assert process.returncode == 0
    assert kills >= 2
    assert numbers_in(tmp_path / "out" / name) == list(range(PICTURES))
    check = check_session(tmp_path / "out" / name)
    assert (check.whole, check.complete, check.sealed) == (True, True, True)


def test_one_signal_from_outside_ends_the_process_with_its_code(tmp_path: Path, slow_folder: Path) -> None:
    process, name = start_capture(slow_folder, tmp_path / "out", "")
    time.sleep(0.15)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    check = check_session(tmp_path / "out" / name)
    assert (check.whole, check.stopped, check.sealed, check.orphans) == (True, "SIGTERM", False, ())
    assert 0 < check.frames < PICTURES


def test_the_plan_comes_from_the_session_itself(tmp_path: Path) -> None:
    with begin(tmp_path, PLAN) as writer:
        assert read_session(writer.folder).plan == PLAN
        assert plan_input(PLAN).data == (writer.folder / "inputs/plan.json").read_bytes()
    assert MACHINE.host == writer.header.machine.host
