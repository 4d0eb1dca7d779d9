"""Rigs as the program runs them: chosen in lab.toml, unattended through a plan, stopped, resumed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from conftest import another_lab, plan_only
from grbl_responder import Habits, responder
from program import ask, data, finished, start, wait_until
from rig_server import rig_server

from calibration.errors import BadConfig
from calibration.files import read_document
from capture.check import check_session
from capture.journal import ErrorEvent
from capture.plan import Plan
from capture.session import read_session
from pipeline.config import load_settings
from pipeline.rig_config import RigSection
from pipeline.sessions.rigging import open_rig

CAMERA = 'uri = "sim:?width=480&height=270"'
AXES = """
[rig.serial.axes.X]
follows = "distance_mm"
offset = -300
low = 0
high = 2000
[rig.serial.axes.A]
follows = "yaw_deg"
low = -180
high = 180
"""
FEW_SHOTS = 5


@pytest.fixture(scope="module")
def lab(small_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with a small simulated camera and the first shots of its plan."""
    folder = another_lab(small_lab, tmp_path_factory.mktemp("rigs") / "lab")
    settings = folder / "lab.toml"
    settings.write_text(settings.read_text().replace('uri = "sim:"', CAMERA))
    plan_only(folder, FEW_SHOTS)
    return folder


def with_rig(lab: Path, folder: Path, rig: str) -> Path:
    copy = another_lab(lab, folder)
    settings = copy / "lab.toml"
    settings.write_text(settings.read_text() + "\n" + rig)
    return copy


def serial(port: str, more: str = "") -> str:
    return f'[rig]\nkind = "serial"\n[rig.serial]\nport = "{port}"\nsettle_s = 0.01\n{more}{AXES}'


def test_a_plan_runs_unattended_on_a_serial_slide_that_misbehaves(lab: Path, tmp_path: Path):
    habits = Habits(delay_s=0.005, garbage=b"\xff\n", alarm_at=1, lies={3: 40.0})
    with responder(habits) as controller:
        here = with_rig(lab, tmp_path / "lab", serial(controller.port, "recoveries = 1\n"))
        done = data("capture", "--no-gate", cwd=here, code=5)
    session = read_session(here / done["session"])
    assert (done["frames"], done["skipped"], done["complete"]) == (FEW_SHOTS - 1, 1, True)
    assert "the rig missed: axis X" in session.skips[0].reason
    for frame in session.frames:
        condition = frame.shot.condition
        assert frame.settings["rig_distance_mm"] == condition.distance_mm
        assert frame.settings["rig_yaw_deg"] == condition.yaw_deg
    assert check_session(session.folder).whole
    assert controller.heard.count("$H") == 2


def test_a_plan_runs_unattended_over_http_and_resumes_after_the_server_broke(lab: Path, tmp_path: Path):
    with rig_server() as server:
        server.lies, server.answers = {1: 50.0}, 3
        rig = f'[rig]\nkind = "http"\n[rig.http]\nurl = "{server.url}/prepare"\n'
        here = with_rig(lab, tmp_path / "lab", rig)
        broke = ask("capture", "--no-gate", cwd=here, code=4)
    assert broke["errors"][0]["code"] == "rig"
    assert "answers 503 Service Unavailable: 'motor is hot'" in broke["errors"][0]["message"]
    assert "resume" in broke["errors"][0]["hint"]
    with rig_server() as server:
        settings = here / "lab.toml"
        settings.write_text(settings.read_text().partition("[rig]")[0])
        environ = {"DPCAM_RIG_KIND": "http", "DPCAM_RIG_HTTP": f'{{url = "{server.url}/prepare"}}'}
        done = data("capture", "--no-gate", cwd=here, code=5, **environ)
    assert [one["shot"] for one in server.asked] == [3, 4]
    assert (done["frames"], done["skipped"], done["complete"]) == (FEW_SHOTS - 1, 1, True)
    session = read_session(here / done["session"])
    assert [frame.shot.index for frame in session.frames] == [0, 2, 3, 4]
    asked = session.skips[0].shot.condition.distance_mm
    assert session.skips[0].reason == f"the rig missed: distance_mm is {asked + 50:g}, asked for {asked:g} within 5"
    assert session.frames[-1].settings["rig_lamp_c"] == 41.5
    assert [event.code for event in session.events() if isinstance(event, ErrorEvent)] == ["rig"]


def test_ctrl_c_ends_a_capture_whose_rig_hangs(lab: Path, tmp_path: Path):
    rig = """[rig]\nkind = "exec"\n[rig.exec]\ncommand = 'sh -c "touch begun; sleep 600"'\n"""
    here = with_rig(lab, tmp_path / "lab", rig)
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = start("capture", "--no-gate", cwd=here)
        wait_until((here / "begun").exists, process, 200)
        (here / "begun").unlink()
        process.send_signal(number)
        assert finished(process).returncode == code
    (session,) = (here / "sessions").iterdir()
    check = check_session(session)
    assert (check.whole, check.frames, check.sealed) == (True, 0, False)
    (here / "answer.json").write_text('{"status": "settled"}')
    settings = here / "lab.toml"
    settings.write_text(settings.read_text().partition("command =")[0] + 'command = "cat answer.json"\n')
    assert data("capture", "--no-gate", cwd=here)["frames"] == FEW_SHOTS


def test_a_dry_run_says_what_would_move(lab: Path, tmp_path: Path, run):
    here = with_rig(lab, tmp_path / "lab", serial("/dev/nothing-there").replace("2000", "1000"))
    code, answer = run("capture", "--dry-run", "--lab", here)
    plan = read_document(here / "plan.json", Plan)
    assert (code, answer["data"]["rig"]) == (0, "serial")
    for move, shot in zip(answer["data"]["moves"], plan.shots, strict=True):
        position = shot.condition.distance_mm - 300
        assert move["shot"] == shot.index
        assert move["targets"] == ({"X": position, "A": 0.0} if position <= 1000 else {})
        assert bool(move["refused"]) == (position > 1000)
    code, answer = run("capture", "--lab", here)
    assert (code, answer["errors"][0]["code"]) == (4, "rig")
    assert not list(here.glob("sessions/*"))
    code, answer = run("capture", "--dry-run", "--rig", "operator", "--lab", here)
    assert (code, answer["data"]["rig"], answer["data"]["moves"]) == (0, "operator", [])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[rig]\nkind = "exek"\n', ["rig.kind", "'exec'", "found 'exek'"]),
        ('[rig]\nkind = "exec"\n', ["exec needs rig.exec.command"]),
        ('[rig]\nkind = "serial"\n', ["serial needs rig.serial.port"]),
        ('[rig]\nkind = "serial"\nserial.port = "/dev/ttyUSB0"\n', ["needs an axis"]),
        ('[rig]\nkind = "http"\n', ["http needs rig.http.url"]),
        ("[rig]\nknd = 3\n", ["rig.knd", "rig.kind"]),
        ("[rig.exec]\ntimeout = 3\n", ["rig.exec.timeout", "rig.exec.timeout_s"]),
        ("[rig.exec]\ntimeout_s = 0\n", ["rig.exec.timeout_s", "found 0"]),
        ('[rig.serial.axes.X]\nfollows = "yaw_deg"\nlow = 0\nhigh = 1\nscal = 2\n', ["rig.serial.axes.X.scal"]),
        ('[rig.serial.axes.Q]\nfollows = "yaw_deg"\nlow = 0\nhigh = 1\n', ["rig.serial.axes.Q"]),
        ("[rig.serial]\nhome = false\nrecoveries = 1\n", ["recoveries need homing"]),
        ("[rig.tolerances]\nyaw_deg = -1\n", ["rig.tolerances.yaw_deg"]),
    ],
)
def test_a_bad_rig_is_refused_by_key_and_value(tmp_path: Path, text: str, named: list[str]):
    (tmp_path / "lab.toml").write_text(text)
    with pytest.raises(BadConfig) as caught:
        load_settings(tmp_path, environ={})
    assert [word for word in [*named, "lab.toml"] if word not in caught.value.message] == []


def test_a_rig_in_lab_toml(tmp_path: Path):
    (tmp_path / "lab.toml").write_text(
        "[rig]\nkind = 'exec'\nexec.command = './turn.py --slow \"two words\"'\n[rig.tolerances]\nlamp_c = 2\n" + AXES
    )
    rig = load_settings(tmp_path, environ={}).config.rig
    assert rig.exec.command == ["./turn.py", "--slow", "two words"]
    assert rig.tolerances == {"distance_mm": 5.0, "yaw_deg": 1.0, "pitch_deg": 1.0, "roll_deg": 1.0, "lamp_c": 2.0}
    assert list(rig.serial.axes) == ["X", "A"]
    assert RigSection().tolerances["distance_mm"] == 5.0


class LiveCamera:
    """A camera that neither stages itself nor comes to an end."""


@pytest.mark.parametrize(
    ("rig", "words"),
    [
        ({"kind": "exec", "exec": {"command": "./not-there"}}, "'./not-there' is no program"),
        ({"kind": "exec", "exec": {"command": ["no-such-program-anywhere"]}}, "is no program"),
        ({"kind": "http", "http": {"url": "rig"}}, "is no address"),
        (
            {
                "kind": "serial",
                "serial": {"port": "x", "axes": {"x": {"follows": "distance_mm", "low": 0, "high": 9}}},
            },
            "the plan varies arm, sheet, and no axis of the rig follows arm",
        ),
    ],
)
def test_a_rig_that_cannot_work_is_refused_before_a_session_begins(lab: Path, rig: dict, words: str):
    plan = read_document(lab / "plan.json", Plan)
    section = RigSection.model_validate(rig)
    opened = open_rig(section, [LiveCamera()], plan, folder=lab, ask=input, stop=lambda: None)
    with pytest.raises(BadConfig, match=words), opened:
        pass
