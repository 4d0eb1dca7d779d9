"""Rigs that are programs and servers: JSON in, JSON out, and whatever else they may come up with."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from rig_server import rig_server
from sessions import SHEETS, plan

from calibration.errors import BadConfig, RigGone
from capture.rigs.base import Ended, Failed, RigsInTurn, Settled
from capture.rigs.checked import CheckedRig
from capture.rigs.command import CommandRig
from capture.rigs.http import HttpRig
from capture.rigs.waiting import Waiting
from capture.stop import StopRequest

SHOT = plan(4).shots[3]
SHEET = SHEETS[SHOT.sheet]
SETTLED = '{"status": "settled", "reached": {"distance_mm": 1003, "lamp": "on"}}'


def command(script: str, folder: Path, timeout_s: float = 30.0, stop=lambda: None) -> CommandRig:
    return CommandRig(["/bin/sh", "-c", script], folder, timeout_s, Waiting(stop))


def test_a_command_is_told_everything_and_believed(tmp_path: Path):
    said = command(f"cat > asked.json; echo thinking >&2; echo '{SETTLED}'", tmp_path).prepare(SHOT, SHEET)
    assert said == Settled({"distance_mm": 1003.0, "lamp": "on"})
    asked = json.loads((tmp_path / "asked.json").read_text())
    assert (asked["format"], asked["version"]) == ("dpcam.rig-request", 1)
    assert (asked["shot"], asked["arm"], asked["sheet"], asked["repeat"]) == (3, "bare", "sheet-bare", 0)
    assert (asked["condition"]["distance_mm"], asked["condition"]["yaw_deg"]) == (1003.0, 3.0)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("""echo '{"status": "failed", "reason": "belt slips"}'""", Failed("belt slips")),
        ("""echo '{"status": "ended", "reason": "night shift is over"}'""", Ended("night shift is over")),
        ("""echo '{"status": "settled"}'""", Settled()),
        # What is left running is no part of the answer.
        (f"sleep 5 & echo '{SETTLED}'", Settled({"distance_mm": 1003.0, "lamp": "on"})),
    ],
)
def test_a_command_answers_for_one_shot(tmp_path: Path, script: str, said: object):
    assert command(script, tmp_path).prepare(SHOT, SHEET) == said


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "ended with exit code 3$"),
        ("echo 'no such port' >&2; exit 1", "ended with exit code 1: 'no such port'"),
        ("kill -9 $$", "was ended by signal 9"),
        ("true", "answers nothing"),
        ("echo settled", "answers what is not JSON: 'settled"),
        ("echo '[1]'", "answers what is no answer of a rig"),
        ("""echo '{"status": "fine"}'""", "status: Input should be 'settled', 'failed' or 'ended', found 'fine'"),
        ("""echo '{"status": "settled", "reached": {"distance_mm": NaN}}'""", "reached.distance_mm"),
        ("""echo '{"status": "settled", "at": 3}'""", "at: Extra inputs are not permitted"),
        (f"echo '{SETTLED}'; echo '{SETTLED}'", "not JSON"),
        ("yes", "does not stop talking; up to 65536 bytes"),
        ("printf '\\377\\376'", "not JSON"),
    ],
)
def test_a_command_that_breaks_ends_the_capture(tmp_path: Path, script: str, words: str):
    with pytest.raises(RigGone, match=words):
        command(script, tmp_path).prepare(SHOT, SHEET)


def test_a_command_that_is_none_is_an_error(tmp_path: Path):
    with pytest.raises(RigGone, match="cannot be started"):
        CommandRig([str(tmp_path / "none")], tmp_path, 1.0, Waiting()).prepare(SHOT, SHEET)


HANG = "sleep 600 & echo $! > child; sleep 600"


def is_gone(pid_file: Path) -> bool:
    """Whether the process has ended; somebody else may still have to collect it."""
    for _ in range(100):
        stat = Path(f"/proc/{pid_file.read_text().strip()}/stat")
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path):
    with pytest.raises(RigGone, match=r"did not end within 1 s"):
        command(HANG, tmp_path, timeout_s=1.0).prepare(SHOT, SHEET)
    assert is_gone(tmp_path / "child")


def test_a_request_to_stop_ends_a_command_that_hangs(tmp_path: Path):
    def stop() -> StopRequest | None:
        return StopRequest("SIGINT") if (tmp_path / "child").exists() else None

    assert command(HANG, tmp_path, stop=stop).prepare(SHOT, SHEET) == Ended("SIGINT")
    assert is_gone(tmp_path / "child")


def test_a_command_that_hears_no_request_is_killed(tmp_path: Path):
    with pytest.raises(RigGone, match=r"did not end within 1 s"):
        command(f"trap '' TERM; echo $$ > child; {HANG.partition(';')[2]}", tmp_path, timeout_s=1.0).prepare(
            SHOT, SHEET
        )
    assert is_gone(tmp_path / "child")


# HTTP


def test_a_server_is_told_everything_and_believed():
    with rig_server() as server:
        url = server.url.replace("//", "//me:p%40ss@") + "/prepare"
        said = HttpRig(url, 30.0, Waiting()).prepare(SHOT, SHEET)
    assert said == Settled({"distance_mm": 1003.0, "lamp_c": 41.5})
    assert server.asked[0]["condition"]["yaw_deg"] == 3.0
    assert server.authorization == ["Basic bWU6cEBzcw=="]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/garbage", "answers what is not JSON: '<html>welcome</html>'"),
        ("/nothing", "answers nothing"),
        ("/much", "answers more than 65536 bytes"),
        ("/busy", "answers 503 Service Unavailable: 'motor is hot'"),
        ("/moved", r"answers 307 Temporary Redirect to http://127.0.0.1:9/prepare; redirects are not followed"),
        ("/short", "does not answer: IncompleteRead"),
    ],
)
def test_a_server_that_breaks_ends_the_capture(path: str, words: str):
    with rig_server() as server, pytest.raises(RigGone, match=words):
        HttpRig(server.url + path, 30.0, Waiting()).prepare(SHOT, SHEET)


def test_a_server_that_hangs_or_is_not_there():
    with rig_server() as server:
        with pytest.raises(RigGone, match=r"did not answer within 0.5 s"):
            HttpRig(server.url + "/hang", 0.5, Waiting()).prepare(SHOT, SHEET)
        polls = iter([None, None])
        hangs = HttpRig(server.url + "/hang", 30.0, Waiting(lambda: next(polls, StopRequest("SIGTERM", 143))))
        assert hangs.prepare(SHOT, SHEET) == Ended("SIGTERM")
    with pytest.raises(RigGone, match=r"the rig at http://127\.0\.0\.1:\d+/ does not answer: .*refused"):
        HttpRig(server.url.replace("//", "//me:secret@") + "/", 30.0, Waiting()).prepare(SHOT, SHEET)


@pytest.mark.parametrize(
    "url", ["", "rig:8000", "ftp://rig/", "http://", "http://rig:0/", "http://rig/a b", "http://[::1"]
)
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(BadConfig, match=r"rig\.http\.url"):
        HttpRig(url, 1.0, Waiting())


# Whom to believe


class Says:
    """A rig that says the same, always."""

    def __init__(self, said) -> None:
        self.said = said

    def prepare(self, shot, sheet):
        return self.said


TOLERANCES = {"distance_mm": 5.0, "yaw_deg": 1.0}


@pytest.mark.parametrize(
    ("reached", "missed"),
    [
        ({"distance_mm": 1008.0, "yaw_deg": 2.1, "light": "day", "lamp_c": 40.0}, ""),
        ({"distance_mm": 1008.1}, "distance_mm is 1008.1, asked for 1003 within 5"),
        ({"yaw_deg": 362.5}, ""),
        ({"yaw_deg": 183.0}, "yaw_deg is 183, asked for 3 within 1"),
        ({"light": "dusk"}, "light is dusk, asked for day"),
        ({"distance_mm": "near"}, "distance_mm is near, asked for 1003.0"),
        ({"pitch_deg": 80.0}, ""),
    ],
)
def test_what_a_rig_says_it_reached_is_held_against_what_was_asked(reached: dict, missed: str):
    rig = CheckedRig(Says(Settled(reached)), TOLERANCES, give_up_after=9)
    assert rig.prepare(SHOT, SHEET) == (Failed(f"the rig missed: {missed}") if missed else Settled(reached))


def test_a_plan_is_not_given_up_shot_by_shot():
    says = Says(Failed("no power"))
    rig = CheckedRig(says, TOLERANCES, give_up_after=3)
    said = []
    for status in (Failed("no power"), Failed("no power"), Settled(), Failed("no power"), Failed("no power")):
        says.said = status
        said.append(rig.prepare(SHOT, SHEET))
    assert [type(each) for each in said] == [Failed, Failed, Settled, Failed, Failed]
    with pytest.raises(RigGone, match="failed 3 shots in a row, at last shot 3: no power"):
        rig.prepare(SHOT, SHEET)


def test_rigs_in_turn_stop_at_the_first_that_does_not_settle():
    first, last = Says(Settled({"a": 1.0})), Says(Settled({"b": 2.0}))
    assert RigsInTurn(first, last).prepare(SHOT, SHEET) == Settled({"a": 1.0, "b": 2.0})
    assert RigsInTurn(first, Says(Failed("stuck")), last).prepare(SHOT, SHEET) == Failed("stuck")
    assert RigsInTurn().prepare(SHOT, SHEET) == Settled()
