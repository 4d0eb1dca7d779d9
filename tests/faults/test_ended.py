"""The recorder is ended from outside, at any moment."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from program import answer, data, finished, start, wait_until

from faults.aftermath import journaled, nothing_lost, only_session, resumes
from faults.conftest import EVERYTHING, Lab

KILLS = 50 if EVERYTHING else 4


def begun(lab: Path, frames: int):
    """A capture that has journaled so many frames."""
    process = start("capture", "--no-gate", cwd=lab)

    def enough() -> bool:
        journals = list(lab.glob("sessions/*/events.jsonl"))
        return bool(journals) and journals[0].read_bytes().count(b'"kind":"frame"') >= frames

    wait_until(enough, process)
    return process


def test_kill_9_at_random_moments(make_lab: Lab):
    lab, moments = make_lab(), random.Random(1)
    started = time.monotonic()
    data("capture", "--no-gate", cwd=lab)
    takes_s = time.monotonic() - started
    killed = 0
    for _ in range(KILLS):
        process = start("capture", "--no-gate", cwd=lab)
        time.sleep(moments.uniform(0.3, 1.0) * takes_s)
        process.kill()
        killed += finished(process).returncode == -signal.SIGKILL
        for session in (lab / "sessions").iterdir():
            if (session / "session.json").is_file():
                nothing_lost(session)
    assert killed >= KILLS / 2
    unfinished = [each for each in (lab / "sessions").iterdir() if not (each / "seal.json").is_file()]
    for session in unfinished[-1:]:
        resumes(lab, session, "--no-gate")


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
