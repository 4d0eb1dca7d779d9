"""Several cameras take each shot together: a frame of each, of one moment, or none."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sessions import CLOCK, MACHINE, SHEETS, StagedTestCamera, again, frame, plan, plan_input

from calibration.errors import BadImage, BadUsage, CameraGone
from capture.cameras.open import open_camera
from capture.cameras.replay import SessionCamera
from capture.check import check_session
from capture.frame import Frame
from capture.journal import FrameEvent, RetakeEvent, RetryEvent, SkipEvent
from capture.plan import Plan
from capture.quality import Verdict
from capture.recorder import SessionWriter
from capture.rigs.base import RigsInTurn, StagedRig
from capture.runner import run_capture
from capture.session import read_session
from capture.stop import StopRequest
from capture.taking import Station

PLAN = plan(4)
ADDRESSES = ("rtsp://left/stream", "rtsp://right/stream", "rtsp://left/stream?low")


class Named(StagedTestCamera):
    """One of several."""

    def __init__(self, identity: str, **more) -> None:
        super().__init__(**more)
        self.identity = identity


def three(**of_second) -> list[Named]:
    return [Named(address, **(of_second if i == 1 else {})) for i, address in enumerate(ADDRESSES)]


def begun(root: Path, of: Plan | None = PLAN, addresses: tuple[str, ...] = ADDRESSES) -> SessionWriter:
    first, *others = addresses
    inputs = [plan_input(of)] if of else []
    return SessionWriter.create(root, camera=first, others=others, machine=MACHINE, clock=CLOCK, inputs=inputs)


def take(writer: SessionWriter, cameras: list[Named], gates=(None, None, None), **more):
    first, *others = (Station(camera, gate) for camera, gate in zip(cameras, gates, strict=True))
    rig = RigsInTurn(*(StagedRig(camera) for camera in cameras))
    with writer:
        return run_capture(
            plan=writer.plan,
            sheets=SHEETS,
            camera=first.camera,
            gate=first.gate,
            others=others,
            rig=rig,
            session=writer,
            **more,
        )


def events(folder: Path, kind: type) -> list:
    return [event for event in read_session(folder).events() if isinstance(event, kind)]


def test_every_shot_has_a_frame_of_each_camera_of_one_moment(tmp_path: Path):
    together = threading.Barrier(3)
    cameras = [Named(address, before_read=lambda _: together.wait(30)) for address in ADDRESSES]
    told = []
    done = take(begun(tmp_path), cameras, progress=told.append)
    assert (done.frames, done.complete) == (12, True)
    assert [(step.kind, step.shot.index, step.done) for step in told] == [("frame", i, i + 1) for i in range(4)]
    session = read_session(done.session)
    names = [camera.folder for camera in session.header.cameras]
    assert len(set(names)) == 3
    assert [camera.identity for camera in session.header.cameras] == list(ADDRESSES)
    assert [(each.shot.index, each.camera) for each in session.frames] == [(s, n) for s in range(4) for n in names]
    assert [each.index for each in session.frames] == list(range(12))
    checked = check_session(done.session)
    assert (checked.whole, checked.complete, checked.frames) == (True, True, 12)


def test_one_that_fails_is_a_reason_to_take_the_shot_again_with_all(tmp_path: Path):
    looks = []

    def picky(picture: Frame, shot) -> Verdict:
        looks.append(shot.index)
        return Verdict(shot.index != 2 and looks.count(shot.index) > (shot.index == 1), "too dark")

    done = take(begun(tmp_path), three(), gates=(None, picky, None), retakes=2)
    name = read_session(done.session).header.cameras[1].folder
    assert (done.frames, done.skipped, done.complete) == (9, 1, True)
    retries = [(event.shot, event.attempt, event.reason) for event in events(done.session, RetryEvent)]
    dark = f"camera {name}: too dark"
    assert retries == [(1, 1, dark), (2, 1, dark), (2, 2, dark)]
    assert [(event.shot, event.reason) for event in events(done.session, SkipEvent)] == [(2, dark)]
    reads = {event.settings["read"] for event in events(done.session, FrameEvent) if event.shot == 1}
    assert reads == {2}, "all cameras have looked again"


def test_all_that_fail_are_named(tmp_path: Path):
    def torn(number: int) -> None:
        raise BadImage("torn")

    cameras = three()
    cameras[0].before_read = cameras[2].before_read = torn
    done = take(begun(tmp_path), cameras, retakes=0)
    first, _, third = (camera.folder for camera in read_session(done.session).header.cameras)
    reasons = {event.reason for event in events(done.session, SkipEvent)}
    assert reasons == {f"camera {first}: torn; camera {third}: torn"}
    assert (done.frames, done.skipped) == (0, 4)


def test_one_that_is_gone_ends_the_capture_and_it_resumes(tmp_path: Path):
    def gone(number: int) -> None:
        if number == 2:
            raise CameraGone("unplugged")

    writer = begun(tmp_path)
    with pytest.raises(CameraGone, match="unplugged"):
        take(writer, three(before_read=gone))
    checked = check_session(writer.folder)
    assert (checked.frames, checked.pending, checked.whole) == (6, (2, 3), True)
    done = take(again(writer.folder), three())
    assert (done.frames, done.taken, done.complete) == (12, 6, True)
    assert check_session(writer.folder).complete


@pytest.mark.parametrize("written", [1, 2])
def test_a_shot_that_was_cut_in_two_is_taken_again_by_all(tmp_path: Path, written: int):
    """As after a kill between the frames of one shot."""
    with begun(tmp_path) as writer:
        for camera in range(3):
            writer.write_frame(frame(0), PLAN.shots[0], camera=camera)
        for camera in range(written):
            writer.write_frame(frame(1), PLAN.shots[1], camera=camera)
    left = check_session(writer.folder)
    assert (left.pending, left.whole, left.frames) == ((1, 2, 3), True, 3 + written)
    done = take(again(writer.folder), three())
    assert [event.shot for event in events(writer.folder, RetakeEvent)] == [1]
    checked = check_session(writer.folder)
    assert (checked.whole, checked.complete, checked.frames, checked.withdrawn) == (True, True, 12, written)
    assert (done.frames, done.skipped) == (12, 0)


def test_the_limit_counts_shots(tmp_path: Path):
    done = take(begun(tmp_path), three(), limit=3)
    assert (done.frames, done.complete) == (9, False)


def test_a_stop_leaves_whole_shots(tmp_path: Path):
    cameras = three()
    stop = [None]
    cameras[0].before_read = lambda number: stop.__setitem__(0, StopRequest("enough")) if number == 1 else None
    done = take(begun(tmp_path), cameras, stop=lambda: stop[0])
    assert (done.frames, done.interrupted.reason) == (6, "enough")


def test_what_makes_no_sense_is_refused(tmp_path: Path):
    with pytest.raises(BadUsage, match=r"begun with the cameras .*left.*right.*, not"):
        take(begun(tmp_path), three()[::-1])
    with pytest.raises(BadUsage, match="named twice"):
        take(begun(tmp_path, addresses=(ADDRESSES[0],) * 3), [Named(ADDRESSES[0]) for _ in range(3)])
    with pytest.raises(BadUsage, match="several cameras need a plan"):
        take(begun(tmp_path, of=None), three(), limit=2)


def test_an_old_session_shows_what_its_first_camera_saw(tmp_path: Path):
    done = take(begun(tmp_path), three())
    with open_camera(str(done.session), sheet_folder=tmp_path, clock=CLOCK) as camera:
        assert isinstance(camera, SessionCamera)
        assert camera.remaining == 4
