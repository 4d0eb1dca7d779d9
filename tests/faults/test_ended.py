"""The recorder is ended from outside, at any moment."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from program import answer, data, finished, start, wait_until

from faults.aftermath import journaled, nothing_lost, only_session, resumes
from faults.conftest import EVERYTHING, SMALL, Lab

KILLS = 50 if EVERYTHING else 2
START_S, SHOT_S = 1.5, 0.1
TWO_CAMERAS = f'{SMALL}\nothers = [{{uri = "sim:?width=240&height=180"}}]'


def begun(lab: Path, frames: int):
    """A capture that has journaled so many frames."""
    process = start("capture", "--no-gate", cwd=lab)

    def enough() -> bool:
        journals = list(lab.glob("sessions/*/events.jsonl"))
        return bool(journals) and journals[0].read_bytes().count(b'"kind":"frame"') >= frames

    wait_until(enough, process)
    return process


def frames_in(lab: Path) -> int:
    """Journaled frames of all sessions."""
    return sum(path.read_bytes().count(b'"kind":"frame"') for path in lab.glob("sessions/*/events.jsonl"))


def newest_session(lab: Path) -> Path | None:
    return next(iter(sorted(sessions_of(lab), reverse=True)), None)


def sessions_of(lab: Path) -> list[Path]:
    """Those that have begun: a folder with a point before its name is still being laid down."""
    return [path.parent for path in lab.glob("sessions/[!.]*/session.json")]


@pytest.mark.parametrize(("camera", "kills"), [(SMALL, KILLS), (TWO_CAMERAS, max(KILLS // 3, 1))], ids=["one", "two"])
def test_kill_9_at_random_moments(make_lab: Lab, camera: str, kills: int):
    """While it starts, or any time after some more frames: what is meant by that is not up to how busy a machine is."""
    lab, moments = make_lab(camera), random.Random(1)
    killed = 0
    for _ in range(kills):
        more = moments.choice([0, 1, 2, 4])
        due = frames_in(lab) + more
        process = start("capture", "--no-gate", cwd=lab)
        while process.poll() is None and frames_in(lab) < due:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, SHOT_S if more else START_S))
        process.kill()
        killed += finished(process).returncode == -signal.SIGKILL
        if session := newest_session(lab):
            nothing_lost(session)
    assert killed >= kills / 2
    for session in sessions_of(lab):
        nothing_lost(session)
        if not (session / "seal.json").is_file():
            resumes(lab, session, "--no-gate")


def test_killed_while_a_session_was_laid_down(make_lab: Lab):
    """What it leaves is no session yet, and in nobody's way."""
    lab = make_lab(shots=2)
    aside = lab / "sessions" / ".20260101T000000Z-sim-0a0a0a.part"
    aside.mkdir(parents=True)
    (aside / "session.json").write_text('{"format": "dpcam.session"')
    assert data("capture", "--no-gate", cwd=lab)["complete"]
    assert len(data("session", "list", cwd=lab)["sessions"]) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "ctrl-c"])
def test_asked_to_end(make_lab: Lab, number: int, code: int):
    lab = make_lab()
    process = begun(lab, 3)
    process.send_signal(number)
    said = answer(finished(process))
    assert (said["exit_code"], said["errors"][0]["code"]) == (code, "interrupted")
    session = only_session(lab)
    kept = nothing_lost(session)
    assert (kept["orphans"], kept["torn"], kept["complete"]) == ([], False, False)
    assert journaled(session)[-1]["kind"] == "stop"
    resumes(lab, session, "--no-gate")


def test_ctrl_c_twice_leaves_at_once(make_lab: Lab):
    lab = make_lab(more='[rig]\nkind = "exec"\n[rig.exec]\ncommand = "sleep 60"\n')
    process = start("capture", "--no-gate", cwd=lab)
    wait_until(lambda: list(lab.glob("sessions/*/events.jsonl")), process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert finished(process).returncode == 130
    assert time.monotonic() - asked < 10
    session = only_session(lab)
    nothing_lost(session)
    (lab / "lab.toml").write_text((lab / "lab.toml").read_text().partition("[rig]")[0])
    resumes(lab, session, "--no-gate")


def test_two_captures_on_one_session(make_lab: Lab):
    lab = make_lab()
    process = begun(lab, 2)
    process.send_signal(signal.SIGSTOP)
    session = only_session(lab)
    before = journaled(session)
    try:
        refused = answer(finished(start("capture", "--no-gate", "--resume", session, cwd=lab)))
        assert (refused["exit_code"], refused["errors"][0]["code"]) == (4, "locked")
        assert str(process.pid) in refused["errors"][0]["message"]
        assert journaled(session) == before
    finally:
        process.send_signal(signal.SIGCONT)
    assert finished(process).returncode == 0
    said = nothing_lost(session)
    assert (said["complete"], said["frames"]) == (True, 12)
