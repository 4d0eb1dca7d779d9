"""``dpcam camera``: which cameras there are, what one really does, and what its troubles leave in a session."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from servers import mjpeg_stream
from servers.shaky import shaky_stream

from calibration.files import write_bytes
from capture.journal import NoteEvent, read_lines
from capture.picture import encode_png
from capture.session import read_session

FPS = 20


def noisy(number: int, height: int = 48) -> np.ndarray:
    return np.random.default_rng(number).integers(90, 160, (height, 64, 3), dtype=np.uint8)


def test_the_simulator_is_always_there(run):
    code, envelope = run("camera", "list")
    assert code == 0
    assert {"address": "sim:", "kind": "sim", "name": "the simulated lab"} in envelope["data"]["cameras"]
    assert set(envelope["data"]) == {"cameras", "plugins", "problems"}


def test_a_stream_is_checked_for_what_it_really_does(run):
    frames = [noisy(i) for i in range(40)]
    with mjpeg_stream(frames, FPS) as stream:
        code, envelope = run("camera", "check", stream.url, "--seconds", 2)
    data = envelope["data"]
    assert code == 0, envelope["errors"]
    assert (data["camera"], data["width"], data["height"], data["stored_as"]) == (stream.url, 64, 48, ".jpg")
    assert data["rate"] == pytest.approx(FPS, rel=0.25)
    assert data["frozen"] is False
    assert 0 <= data["latency_ms"] < 500
    assert data["read_ms"] > 50, "a new picture is waited for"
    assert data["settings"] == []
    assert "x-timestamp" in data["reported"]


def test_a_stream_that_stands_still_is_a_camera_that_is_gone(run):
    with shaky_stream(noisy, FPS) as stream:
        stream.jpeg()
        stream.trouble = "frozen"
        code, envelope = run("camera", "check", stream.url, "--seconds", 1)
    assert (code, envelope["errors"][0]["code"]) == (4, "camera")
    assert "is frozen" in envelope["errors"][0]["message"]
    assert "frozen" in [event["kind"] for event in envelope["data"]["events"]]


@pytest.mark.parametrize("uri", ["/dev/video97", "http://127.0.0.1:9/", "gphoto2:nobody"])
def test_a_camera_that_is_not_there(run, uri: str):
    code, envelope = run("camera", "check", uri)
    assert (code, envelope["status"]) == (4, "error")


def test_pictures_and_the_simulator_are_checked_too(run, tmp_path: Path):
    write_bytes(tmp_path / "kept" / "a.png", encode_png(noisy(1)))
    write_bytes(tmp_path / "kept" / "b.png", encode_png(noisy(2)))
    write_bytes(tmp_path / "kept" / "c.png", b"no picture")
    code, envelope = run("camera", "check", "kept")
    assert (code, envelope["errors"][0]["code"], envelope["data"]["damaged"]) == (6, "limit", 1)
    code, envelope = run("camera", "check", "sim:?width=64&height=64", "--seconds", 0.2)
    assert (code, envelope["data"]["width"], envelope["data"]["frozen"]) == (0, 64, False)


def test_the_lab_s_camera_and_its_settings_are_what_is_checked(run, tmp_path: Path):
    (tmp_path / "lab.toml").write_text('[camera]\nuri = "sim:"\nsettings = {exposure = 3, gain = 1.5, mode = "M"}\n')
    code, envelope = run("camera", "check")
    assert (code, envelope["errors"][0]["code"]) == (3, "config")
    assert "asked for: exposure, gain, mode" in envelope["errors"][0]["message"]
    code, envelope = run("camera", "check", "sim:?width=64&height=64", "--seconds", 0.1)
    assert code == 0, "settings are of the lab's camera, not of another"


def test_what_happens_to_a_camera_is_in_the_journal(run, tmp_path: Path):
    (tmp_path / "lab.toml").write_text("[camera]\nread_s = 1.0\n")
    with shaky_stream(noisy, FPS) as stream:
        threading.Timer(1.0, stream.once, ("cut", 1.5)).start()
        code, envelope = run("capture", "--camera", stream.url, "--frames", 12, "--no-gate")
    assert code == 0, envelope["errors"]
    session = read_session(tmp_path / envelope["data"]["session"])
    lines = read_lines(session.folder / "events.jsonl")
    notes = [line.event.text for line in lines if isinstance(line.event, NoteEvent)]
    assert len(session.frames) == 12
    assert notes[0].startswith("camera lost: ")
    assert notes[-1].startswith("camera back: ")
    assert all("last good one came" in note for note in notes)
    assert json.dumps(notes).count("attempt 1") >= 1
