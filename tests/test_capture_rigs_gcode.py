"""A slide that is moved by G-code, against a GRBL-like controller on a pseudo-terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from grbl_responder import Controller, Habits, responder
from pydantic import ValidationError
from sessions import SHEETS, plan

from calibration.errors import RigGone
from capture.plan import Condition, Shot
from capture.rigs.axes import Axis, moves_of, not_followed
from capture.rigs.base import Ended, Failed, Prepared, Settled
from capture.rigs.gcode import GcodeRig, Machine
from capture.rigs.grbl import Patience
from capture.rigs.grbl_words import Alarm, Banner, Ok, Refused, Remark, Status, heard
from capture.rigs.serial_line import SerialLine
from capture.rigs.waiting import Waiting
from capture.stop import StopRequest

SHEET = SHEETS["sheet-bare"]
AXES = {
    "X": Axis(follows="distance_mm", offset=-300, low=0, high=2000),
    "A": Axis(follows="yaw_deg", scale=2, low=-120, high=120),
}
PATIENCE = Patience(wake_s=5, answer_s=5, move_s=10, poll_s=0.01)
IMPATIENT = Patience(wake_s=5, answer_s=1.5, move_s=1.5, poll_s=0.01)


def shot(index: int = 0, distance_mm: float = 1000, **condition) -> Shot:
    asked = Condition(distance_mm=distance_mm, **condition)
    return Shot(index=index, arm="bare", sheet=SHEET.id, condition=asked)


@contextmanager
def slide(habits: Habits | None = None, stop=lambda: None, **more) -> Iterator[tuple[GcodeRig, Controller]]:
    with responder(habits) as controller:
        machine = Machine(controller.port, **{"axes": AXES, "settle_s": 0.0, "patience": PATIENCE} | more)
        with GcodeRig(machine, Waiting(stop)) as rig:
            yield rig, controller


def prepare(rig: GcodeRig, shots: int) -> list[Prepared]:
    return [rig.prepare(shot(i), SHEET) for i in range(shots)]


def moves_in(controller: Controller) -> list[str]:
    return [line for line in controller.heard if line.startswith("G0 ")]


def test_axes_go_where_the_conditions_say_and_are_read_back():
    with slide() as (rig, controller):
        said = [rig.prepare(shot(i, 1000 + 100 * i, yaw_deg=-10.0 * i), SHEET) for i in range(3)]
    assert [each.reached for each in said] == [
        {"distance_mm": 1000.0, "yaw_deg": 0.0},
        {"distance_mm": 1100.0, "yaw_deg": -10.0},
        {"distance_mm": 1200.0, "yaw_deg": -20.0},
    ]
    assert moves_in(controller) == ["G0 X700.000 A0.000", "G0 X800.000 A-20.000", "G0 X900.000 A-40.000"]
    assert controller.heard[:2] == ["\x18", "$H"]
    assert controller.heard.count("$H") == 1
    assert {"G21", "G90"} <= set(controller.heard)
    assert "!" not in controller.heard


def test_a_feed_rate_is_kept():
    with slide(feed=1500.0) as (rig, controller):
        rig.prepare(shot(), SHEET)
    assert "G1 X700.000 A0.000 F1500" in controller.heard


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"distance_mm": 2400}, "axis X: 2100 for distance_mm 2400.0 is beyond 0 to 2000"),
        ({"yaw_deg": -61}, "axis A: -122 for yaw_deg -61.0 is beyond -120 to 120"),
    ],
)
def test_nothing_moves_beyond_the_soft_limits(condition: dict, words: str):
    with slide() as (rig, controller):
        assert rig.prepare(shot(**condition), SHEET) == Failed(words)
    assert controller.heard == []


def test_a_slide_that_lies_fails_the_shot_with_the_numbers():
    with slide(Habits(lies={1: 3.5})) as (rig, _):
        said = prepare(rig, 3)
    assert [type(each) for each in said] == [Settled, Failed, Settled]
    assert said[1].reason.startswith("the rig missed: axis X is at 703.5, asked for 700 within 0.1")


TROUBLE = {
    "alarm": (Habits(alarm_at=1), "has stopped: ALARM:1 (hard limit reached, position lost)"),
    "refused": (Habits(refuse_at=1), "refuses 'G0 X700.000 A0.000': error:20 (this G-code command is not known)"),
    "lost ok": (Habits(lose_ok_at=1), "no ok to 'G0 X700.000 A0.000' from the controller within 1.5 s"),
    "restarted": (Habits(restart_at=1), "has restarted .Grbl 1.1h"),
    "hangs": (Habits(hang_at=1), "no ok to 'G0 X700.000 A0.000' from the controller within 1.5 s"),
    "never there": (Habits(never_there_at=1), "did not end within 1.5 s; the controller says Run"),
    "no such axis": (Habits(letters="XYZ"), "error:20"),
    "no switches": (Habits(limit_switches=False), "error:5 .homing is not enabled"),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble_ends_the_capture_with_its_name(name: str):
    habits, words = TROUBLE[name]
    words = words.replace("(", r"\(").replace(")", r"\)")
    with slide(habits, patience=IMPATIENT) as (rig, controller), pytest.raises(RigGone, match=words) as caught:
        prepare(rig, 3)
    assert caught.value.where == controller.port
    if name in ("hangs", "never there", "lost ok", "alarm"):
        assert controller.heard[-2:] == ["!", "\x18"]


def test_delays_garbage_and_damaged_reports_are_survived():
    habits = Habits(delay_s=0.02, garbage=b"\x00\xffnoise <Idle|MPos:1,2|>\r\n[MSG:hello]\n", damaged_reports=2)
    with slide(habits) as (rig, _):
        assert [type(rig.prepare(shot(i, 1000 + i), SHEET)) for i in range(3)] == [Settled] * 3


def test_an_alarm_is_recovered_from_where_that_is_allowed():
    with slide(Habits(alarm_at=1), recoveries=1) as (rig, controller):
        said = prepare(rig, 3)
    assert [type(each) for each in said] == [Settled] * 3
    assert controller.heard.count("$H") == 2
    assert controller.moves == 3


def test_without_homing_a_locked_controller_is_left_alone():
    with slide(home=False) as (rig, controller), pytest.raises(RigGone, match=r"error:9 .locked in alarm"):
        rig.prepare(shot(), SHEET)
    assert not moves_in(controller)
    with slide(Habits(limit_switches=False), home=False) as (rig, controller):
        assert isinstance(rig.prepare(shot(), SHEET), Settled)
    assert "$H" not in controller.heard


def test_a_request_to_stop_halts_what_moves():
    polls = itertools.count()

    def stop() -> StopRequest | None:
        return StopRequest("SIGTERM", 143) if controller.moves == 0 and next(polls) > 5 else None

    with responder(Habits(never_there_at=0)) as controller:
        machine = Machine(controller.port, AXES, settle_s=0.0, patience=PATIENCE)
        with GcodeRig(machine, Waiting(stop)) as rig:
            assert rig.prepare(shot(), SHEET) == Ended("SIGTERM")
            assert_halted(controller)


def assert_halted(controller: Controller) -> None:
    for _ in range(200):
        if controller.heard[-2:] == ["!", "\x18"]:
            return
        controller.unplugged.wait(0.02)
    raise AssertionError(controller.heard)


def test_whoever_leaves_while_something_moves_stops_it():
    def second_ctrl_c() -> None:
        if controller.moves == 0:
            raise KeyboardInterrupt

    with responder(Habits(never_there_at=0)) as controller:
        machine = Machine(controller.port, AXES, settle_s=0.0, patience=PATIENCE)
        with pytest.raises(KeyboardInterrupt), GcodeRig(machine, Waiting(second_ctrl_c)) as rig:
            rig.prepare(shot(), SHEET)
        assert_halted(controller)


def test_a_device_that_is_unplugged_is_gone():
    with slide() as (rig, controller):
        assert isinstance(rig.prepare(shot(), SHEET), Settled)
        controller.unplugged.set()
        controller.unplugged.wait()
        with pytest.raises(RigGone, match=r"is gone|no ok to|no answer"):
            rig.prepare(shot(1), SHEET)


def test_a_port_that_is_not_there_or_in_use_is_refused():
    with pytest.raises(RigGone, match="/dev/nothing-there cannot be opened"):
        SerialLine("/dev/nothing-there", 115200)
    with responder() as controller:
        first = SerialLine(controller.port, 115200)
        with pytest.raises(RigGone, match="cannot be opened"):
            SerialLine(controller.port, 115200)
        first.close()
        first.close()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("ok", Ok()),
        ("error:22", Refused(22)),
        ("ALARM:9", Alarm(9)),
        ("Grbl 1.1h ['$' for help]", Banner("Grbl 1.1h ['$' for help]")),
        ("GrblHAL 1.1f ['$' or '$HELP' for help]", Banner("GrblHAL 1.1f ['$' or '$HELP' for help]")),
        ("<Idle|MPos:1.5,-2.000,0|FS:0,0>", Status("Idle", {"X": 1.5, "Y": -2.0, "Z": 0.0}, is_work=False)),
        ("<Hold:0|WPos:1,2|Ov:100,100,100>", Status("Hold:0", {"X": 1.0, "Y": 2.0}, is_work=True)),
        ("<Run|MPos:1|WCO:-4>", Status("Run", {"X": 1.0}, is_work=False, offset={"X": -4.0})),
        ("<Idle|FS:0,0>", Remark("<Idle|FS:0,0>")),
        ("<Idle|MPos:1,x>", Remark("<Idle|MPos:1,x>")),
        ("<Idle|MPos:1,2", Remark("<Idle|MPos:1,2")),
        ("o\\xffk", Remark("o\\xffk")),
        ("error:lost", Remark("error:lost")),
        ("", Remark("")),
    ],
)
def test_what_a_controller_says_is_understood(line: str, word: object):
    assert heard(line) == word


def test_a_wheel_of_sheets_follows_words():
    wheel = Axis(follows="arm", positions={"bare": 0.0, "blank": 120.0, "patch": 240.0}, low=0, high=240)
    shots = plan(6)
    assert [move.targets for move in moves_of({"A": wheel}, shots)] == [{"A": 0.0}, {"A": 120.0}, {"A": 240.0}] * 2
    assert wheel.reached(119.0) == "blank"
    without = wheel.model_copy(update={"positions": {"bare": 0.0}})
    assert moves_of({"A": without}, shots)[1].refused == "axis A: it has no position for arm 'blank'"
    assert str(moves_of({"A": wheel}, shots)[1]) == "shot 1: A120"


def test_what_no_axis_follows_is_known():
    assert not_followed(AXES, plan(6)) == ["arm", "sheet"]
    wheel = Axis(follows="arm", positions={}, low=0, high=1)
    assert not_followed({"A": wheel}, plan(6)) == ["distance_mm", "yaw_deg"]


@pytest.mark.parametrize(
    ("wrong", "words"), [({"low": 5, "high": 1}, "wrong way"), ({"scale": 0}, "moves nothing"), ({"low": None}, "low")]
)
def test_an_axis_that_makes_no_sense_is_refused(wrong: dict, words: str):
    with pytest.raises(ValidationError, match=words):
        Axis(**{"follows": "yaw_deg", "low": 0, "high": 1} | wrong)


def test_an_axis_that_the_shot_says_nothing_of_is_a_failure():
    axes = {"X": Axis(follows="lamp_w", low=0, high=9), "Y": Axis(follows="light", low=0, high=9)}
    assert moves_of(axes, plan(1))[0].refused == "axis X: the shot does not say lamp_w"
    assert moves_of({"Y": axes["Y"]}, plan(1))[0].refused == "axis Y: light is 'day', which is no number"
