"""A running capture does what it is asked from another thread, between and during shots, and puts it on record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sessions import StagedTestCamera
from steered import ENOUGH_S, Steered, steered, until

from calibration.errors import BadUsage, NotNow
from capture.control import Control
from capture.journal import NoteEvent, PauseEvent, ResumeEvent, RetakeEvent
from capture.quality import Verdict
from capture.session import Session, read_session
from capture.stop import StopRequest


def outcomes(control: Control) -> dict[int, str]:
    return {shot.shot: shot.outcome for row in control.coverage().rows for cell in row.cells for shot in cell.shots}


def test_a_plan_waits_for_ready(tmp_path: Path):
    with steered(tmp_path) as capture:
        capture.asked_for(0)
        assert capture.state().words == ("at 1.00 m", "light day")
        assert capture.state().can == ("ready", "pause", "skip", "stop", "note")
        time.sleep(0.05)
        assert capture.camera.shot == -1
        capture.take(0, 1, 2, 3)
    state = capture.state()
    assert (capture.outcome.complete, capture.outcome.frames) == (True, 4)
    assert (state.phase, state.end, state.done, state.total, state.can) == ("over", "complete", 4, 4, ())
    assert outcomes(capture.control) == dict.fromkeys(range(4), "done")


def test_skip_and_notes_are_on_record(tmp_path: Path):
    with steered(tmp_path) as capture:
        capture.take(0)
        capture.asked_for(1)
        capture.control.note("the lamp is dead")
        capture.control.skip(1, "no lamp")
        capture.take(2, 3)
    session = read_session(capture.writer.folder)
    assert [(skip.shot.index, skip.reason) for skip in session.skips] == [(1, "no lamp")]
    assert [event.text for event in capture.events(NoteEvent)] == ["the lamp is dead"]
    assert outcomes(capture.control) == {0: "done", 1: "failed", 2: "done", 3: "done"}


def test_a_shot_is_taken_again_and_counts_once(tmp_path: Path):
    with steered(tmp_path, hold=True) as capture:
        capture.take(0)
        capture.asked_for(1)
        capture.control.retake(reason="a hand in the picture")
        capture.take(0)
        capture.asked_for(1)
        capture.control.skip()
        capture.asked_for(2)
        capture.control.retake(1)
        capture.take(1, 2, 3)
        capture.asked_for(None)
        assert capture.state().words == ("all shots are over",)
        capture.control.retake()
        capture.take(3)
        capture.asked_for(None)
        capture.control.ready()
    assert [(event.shot, event.reason) for event in capture.events(RetakeEvent)] == [
        (0, "a hand in the picture"),
        (1, "asked for"),
        (3, "asked for"),
    ]
    session = read_session(capture.writer.folder)
    assert (capture.outcome.frames, capture.outcome.skipped, capture.outcome.complete) == (4, 0, True)
    assert [(frame.shot.index, frame.index) for frame in session.frames] == [(0, 1), (1, 2), (2, 3), (3, 5)]
    assert [(frame.shot.index, frame.index) for frame in session.withdrawn] == [(0, 0), (3, 4)]
    assert all(frame.path.is_file() for frame in session.withdrawn)


def test_what_was_withdrawn_stays_so_after_a_resume(tmp_path: Path):
    with steered(tmp_path) as first:
        first.take(0, 1)
        first.asked_for(2)
        first.control.retake(0)
        first.asked_for(0)
        first.control.stop("lunch")
    assert first.outcome.interrupted == StopRequest("lunch")
    with steered(tmp_path, resume=first.writer.folder) as second:
        assert outcomes(second.control)[1] == "done"
        second.take(0, 2, 3)
    assert (second.outcome.frames, second.outcome.taken, second.outcome.complete) == (4, 3, True)


def test_a_shot_whose_frame_is_still_on_its_way_to_the_disk_is_taken_again(tmp_path: Path):
    """The thread that writes is held up after the first frame; nobody else is, and the frame arrives before it goes."""
    go_on = threading.Event()
    with steered(tmp_path, progress=lambda _: go_on.wait(ENOUGH_S)) as capture:
        capture.take(0, 1)
        capture.asked_for(2)
        until(lambda: capture.state().done == 1)
        assert outcomes(capture.control) == {0: "done", 1: "missing", 2: "missing", 3: "missing"}
        capture.control.retake()
        until(lambda: capture.state().phase == "arranging")
        assert capture.state().done == 1
        go_on.set()
        capture.take(1, 2, 3)
    session = read_session(capture.writer.folder)
    assert [event.shot for event in capture.events(RetakeEvent)] == [1]
    assert [(frame.shot.index, frame.index) for frame in session.frames] == [(0, 0), (1, 2), (2, 3), (3, 4)]
    assert [(frame.shot.index, frame.index) for frame in session.withdrawn] == [(1, 1)]
    assert (capture.outcome.frames, capture.outcome.complete) == (4, True)


def during_read(number: int, ask: Callable[[Control], None]) -> Callable[[Path], Steered]:
    """A capture that somebody asks for something while its picture ``number`` is being taken."""

    def prepared(root: Path) -> Steered:
        def before_read(read: int) -> None:
            if read == number:
                ask(capture.control)

        capture = Steered(root, camera=StagedTestCamera(before_read))
        return capture

    return prepared


def run_through(capture: Steered, *shots: int) -> Session:
    capture.thread.start()
    capture.take(*shots)
    capture.thread.join(ENOUGH_S)
    assert not capture.thread.is_alive()
    return read_session(capture.writer.folder)


def test_a_skip_that_comes_while_the_picture_is_taken_counts(tmp_path: Path):
    capture = during_read(1, lambda control: control.skip(1, "a hand in the picture"))(tmp_path)
    session = run_through(capture, 0, 1, 2, 3)
    assert [(skip.shot.index, skip.reason) for skip in session.skips] == [(1, "a hand in the picture")]
    assert outcomes(capture.control)[1] == "failed"
    assert capture.outcome.complete


def test_a_retake_that_comes_with_the_last_picture_is_not_lost(tmp_path: Path):
    capture = during_read(3, lambda control: control.retake(0))(tmp_path)
    session = run_through(capture, 0, 1, 2, 3, 0)
    assert [frame.shot.index for frame in session.frames] == [1, 2, 3, 0]
    assert capture.outcome.complete


def test_a_retake_that_comes_with_the_stop_is_on_record(tmp_path: Path):
    def ask(control: Control) -> None:
        control.retake(0)
        control.stop("lunch")

    capture = during_read(3, ask)(tmp_path)
    session = run_through(capture, 0, 1, 2, 3)
    assert [shot.index for shot in session.pending] == [0]
    assert capture.outcome.interrupted == StopRequest("lunch")


def test_nothing_moves_while_paused(tmp_path: Path):
    with steered(tmp_path) as capture:
        capture.take(0)
        capture.asked_for(1)
        capture.control.pause("coffee")
        with pytest.raises(NotNow, match="ready does not fit what the capture is doing"):
            capture.control.ready()
        assert capture.state().pausing
        capture.control.resume()
        capture.take(1, 2, 3)
    assert [event.reason for event in capture.events(PauseEvent)] == ["coffee"]
    assert len(capture.events(ResumeEvent)) == 1


def test_a_pause_is_heard_between_two_retakes_of_a_picture(tmp_path: Path):
    control: list[Control] = []

    def reject(frame, shot):
        if not control[0].state().pausing:
            control[0].pause()
        return Verdict(False, "blurred")

    capture = Steered(tmp_path, gate=reject)
    control.append(capture.control)
    capture.thread.start()
    capture.take(0)
    until(lambda: capture.state().phase == "paused")
    assert capture.state().last.kind == "retry"
    reads = next(capture.camera.reads)
    time.sleep(0.2)
    assert next(capture.camera.reads) == reads + 1
    capture.control.skip(0)
    capture.control.stop()
    capture.thread.join(ENOUGH_S)
    assert [skip.reason for skip in read_session(capture.writer.folder).skips] == ["skipped by the operator"]


def test_a_signal_ends_a_pause(tmp_path: Path):
    signals: list[StopRequest] = []
    with steered(tmp_path, signals=lambda: signals[0] if signals else None) as capture:
        capture.asked_for(0)
        capture.control.pause()
        capture.control.skip()
        until(lambda: capture.state().phase == "paused")
        signals.append(StopRequest("SIGTERM", 143))
    assert capture.outcome.interrupted == StopRequest("SIGTERM", 143)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda control: control.ready(3), NotNow, "shot 3 is not in hand; it is 0"),
        (lambda control: control.skip(7), BadUsage, "there is no shot 7 in the plan"),
        (lambda control: control.retake(), NotNow, "it takes ready, pause, skip, stop, note now"),
        (lambda control: control.resume(), NotNow, "resume does not fit"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, ask, error: type[Exception], words: str):
    with steered(tmp_path) as capture:
        capture.asked_for(0)
        with pytest.raises(error, match=words):
            ask(capture.control)
        capture.take(0, 1, 2, 3)
    with pytest.raises(NotNow, match="it takes nothing now"):
        capture.control.note("too late")


def test_a_note_that_was_taken_is_written_whenever_it_came(tmp_path: Path):
    """Notes rain while the capture runs and ends; each is on record or was refused."""
    taken = []
    with steered(tmp_path) as capture:
        capture.asked_for(0)

        def rain() -> None:
            while capture.state().phase != "over":
                with suppress(NotNow):
                    capture.control.note(text := f"drop {len(taken)}")
                    taken.append(text)
                time.sleep(0.001)

        cloud = threading.Thread(target=rain)
        cloud.start()
        capture.take(0, 1, 2, 3)
    cloud.join()
    assert [event.text for event in capture.events(NoteEvent)] == taken
    assert taken
