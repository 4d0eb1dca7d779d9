"""The recorder is killed while somebody steers it: what was taken back is taken again, and nothing else is."""

from __future__ import annotations

import random
import signal
import socket
import time
from pathlib import Path

from program import finished, start, wait_until
from rig_server import rig_server
from steered import Client

from faults.aftermath import journaled, nothing_lost, only_session, outcomes, resumes
from faults.conftest import EVERYTHING, Lab

KILLS = 12 if EVERYTHING else 2
SHOT_S = 0.05


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def can_retake(client: Client) -> bool:
    try:
        return "retake" in client.get("state")["capture"]["can"]
    except OSError:
        return False


def test_kill_9_in_the_middle_of_retakes(make_lab: Lab):
    moments, asked = random.Random(4), 0
    with rig_server() as rig:
        rig.before = lambda shot: time.sleep(SHOT_S)
        lab = make_lab(more=f'[rig]\nkind = "http"\n[rig.http]\nurl = "{rig.url}/prepare"\n')
        for _ in range(KILLS):
            asked += retakes_and_kill(lab, moments)
            session = only_session(lab)
            nothing_lost(session)
            if (session / "seal.json").is_file():
                break
        assert 0 < taken_back(session) <= asked
        if not (session / "seal.json").is_file():
            resumes(lab, session, "--no-gate")
    said = nothing_lost(session)
    assert (said["complete"], said["pending"]) == (True, 0)
    assert said["withdrawn"] <= asked


def taken_back(session: Path) -> int:
    return sum(event["kind"] == "retake" for event in journaled(session))


def retakes_and_kill(lab: Path, moments: random.Random) -> int:
    """Begin or go on, have some shots taken again, kill while that is done → how many were asked for and accepted."""
    client = Client(f"http://127.0.0.1:{(port := free_port())}")
    process = start("capture", "--no-gate", "--serve", port, cwd=lab)
    wait_until(lambda: can_retake(client) and outcomes(only_session(lab)), process)
    session = only_session(lab)
    shots = sorted({event["shot"] for event in outcomes(session)})
    before, accepted = taken_back(session), 0
    for shot in moments.sample(shots, min(3, len(shots))):
        status, _, body = client.request("POST", "/api/v1/retake", {"shot": shot, "reason": "a hand"})
        assert status in (200, 409), body
        accepted += status == 200
    if accepted:
        wait_until(lambda: taken_back(session) > before, process)
    time.sleep(moments.uniform(0, 6 * SHOT_S))
    process.kill()
    assert finished(process).returncode in (-signal.SIGKILL, 0)
    return accepted
