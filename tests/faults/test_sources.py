"""The camera's stream and the rig fail in the middle of a plan."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from program import answer, ask, data, finished, start, wait_until
from rig_server import RigServer, rig_server
from servers.shaky import ShakyStream, shaky_stream

from capture.picture import decode_picture
from faults.aftermath import journaled, nothing_lost, only_session, resumes
from faults.conftest import EVERYTHING, Lab

FPS = 20
AT_SHOT = 3
CUTS_S = (1, 5, 60) if EVERYTHING else (1,)


def noisy(number: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """A picture as of a sensor, that says its number in gray levels."""
    picture = np.random.default_rng(number).integers(100, 140, (*size, 3), dtype=np.uint8)
    picture[: size[0] // 2] = number % 200 + 20
    return picture


@contextmanager
def shots_before(stream: ShakyStream, make_lab: Lab, more: str = "") -> Iterator[tuple[Path, RigServer]]:
    """A lab whose rig tells the test which shot is prepared."""
    with rig_server() as rig:
        url = f'[rig]\nkind = "http"\n[rig.http]\nurl = "{rig.url}/prepare"\n'
        yield make_lab(f'uri = "{stream.url}"\nread_s = 1.0\n{more}', url, shots=8), rig


def trouble_at(stream: ShakyStream, rig: RigServer, trouble: str, seconds: float) -> None:
    rig.before = lambda shot: stream.once(trouble, seconds) if shot == AT_SHOT and not stream.trouble else None


@pytest.mark.parametrize("seconds", CUTS_S)
def test_the_stream_is_cut(make_lab: Lab, seconds: float):
    with shaky_stream(noisy, FPS) as stream, shots_before(stream, make_lab) as (lab, rig):
        trouble_at(stream, rig, "cut", seconds)
        done = data("capture", "--no-gate", cwd=lab)
    assert (done["frames"], done["complete"]) == (8, True)
    assert_whole_story(lab)


def test_a_stream_that_stays_cut_ends_the_capture_and_it_resumes(make_lab: Lab):
    patience = "reconnect_s = 2.0\n"
    with shaky_stream(noisy, FPS) as stream, shots_before(stream, make_lab, patience) as (lab, rig):
        trouble_at(stream, rig, "cut", 20)
        gone = ask("capture", "--no-gate", cwd=lab, code=4)
        assert gone["errors"][0]["code"] == "camera"
        session = only_session(lab)
        assert nothing_lost(session)["frames"] == AT_SHOT
        rig.before, stream.trouble = lambda shot: None, ""
        resumes(lab, session, "--no-gate")


@pytest.mark.parametrize("trouble", ["frozen", "stalled", "torn", "scratched"])
def test_the_stream_gives_what_is_no_new_picture(make_lab: Lab, trouble: str):
    with shaky_stream(noisy, FPS) as stream, shots_before(stream, make_lab) as (lab, rig):
        trouble_at(stream, rig, trouble, 2)
        done = data("capture", "--no-gate", cwd=lab)
    assert (done["frames"], done["complete"]) == (8, True)
    session = assert_whole_story(lab)
    pictures = {event["sha256"] for event in journaled(session) if event["kind"] == "frame"}
    assert len(pictures) == 8, "no picture is stored twice"


def test_the_stream_changes_its_resolution(make_lab: Lab):
    larger = threading.Event()

    def picture(number: int) -> np.ndarray:
        return noisy(number, (120, 160) if larger.is_set() else (96, 128))

    with shaky_stream(picture, FPS) as stream, shots_before(stream, make_lab, "reconnect_s = 2.0\n") as (lab, rig):
        rig.before = lambda shot: larger.set() if shot == AT_SHOT else None
        other = ask("capture", "--no-gate", cwd=lab, code=4)
        assert "160x120" in other["errors"][0]["message"]
        session = only_session(lab)
        nothing_lost(session)
        sizes = {(each["width"], each["height"]) for each in journaled(session) if each["kind"] == "frame"}
        assert sizes == {(128, 96)}
        larger.clear()
        rig.before = lambda shot: None
        resumes(lab, session, "--no-gate")


def assert_whole_story(lab: Path) -> Path:
    """Nothing is lost, every picture can be opened, and the journal says what happened to the camera."""
    session = only_session(lab)
    said = nothing_lost(session)
    assert (said["complete"], said["orphans"], said["pending"]) == (True, [], 0)
    for event in journaled(session):
        if event["kind"] == "frame":
            decode_picture((session / event["path"]).read_bytes(), event["path"])
    notes = [event["text"] for event in journaled(session) if event["kind"] == "note"]
    assert any(note.startswith("camera") for note in notes), notes
    return session


def test_a_rig_that_hangs(make_lab: Lab):
    hanging = '[rig]\nkind = "exec"\n[rig.exec]\ntimeout_s = 1.0\ncommand = "sleep 600"\n'
    lab = make_lab(more=hanging)
    hangs = ask("capture", "--no-gate", cwd=lab, code=4)
    assert hangs["errors"][0]["code"] == "rig"
    session = only_session(lab)
    assert nothing_lost(session)["frames"] == 0
    (lab / "lab.toml").write_text((lab / "lab.toml").read_text().partition("[rig]")[0])
    resumes(lab, session, "--no-gate")


def test_a_rig_that_lies(make_lab: Lab):
    """What it says it reached is held against what was asked: those shots are skipped, on record, never mislabelled."""
    with rig_server() as rig:
        rig.lies = {2: 50.0, 5: -50.0}
        lab = make_lab(more=f'[rig]\nkind = "http"\n[rig.http]\nurl = "{rig.url}/prepare"\n')
        done = data("capture", "--no-gate", cwd=lab, code=5)
    assert (done["frames"], done["skipped"], done["complete"]) == (10, 2, True)
    events = journaled(only_session(lab))
    skipped = {event["shot"]: event["reason"] for event in events if event["kind"] == "skip"}
    assert set(skipped) == {2, 5}
    assert all("the rig missed: distance_mm" in reason for reason in skipped.values())
    nothing_lost(only_session(lab))


def test_a_rig_that_dies_between_two_shots(make_lab: Lab):
    with rig_server() as rig:
        lab = make_lab(more=f'[rig]\nkind = "http"\n[rig.http]\nurl = "{rig.url}/prepare"\n')
        process = start("capture", "--no-gate", cwd=lab)
        wait_until(lambda: len(rig.asked) > AT_SHOT, process)
    said = answer(finished(process))
    assert (said["exit_code"], said["errors"][0]["code"]) == (4, "rig")
    session = only_session(lab)
    assert nothing_lost(session)["frames"] >= AT_SHOT
    (lab / "lab.toml").write_text((lab / "lab.toml").read_text().partition("[rig]")[0])
    resumes(lab, session, "--no-gate")
