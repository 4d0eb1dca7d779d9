"""``dpcam plan`` and ``plan power`` as a script calls them: files, blocks, extensions, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from capture.check import check_session
from capture.plan import Plan
from capture.session import read_session
from pipeline.sessions.continuing import AT_FIRST, next_beginning

Run = Callable[..., tuple[int, dict]]

LAB = """
[sheet]
controls = ["bare", "blank"]
[plan]
distances_mm = [1200.0]
yaws_deg = [0.0]
lights = ["day"]
"""


@pytest.fixture
def lab(run: Run, tmp_path: Path) -> Path:
    """A lab in the current folder; its plan has three shots."""
    (tmp_path / "lab.toml").write_text(LAB)
    assert answered(run("init", "."))["shots"] == 3
    return tmp_path


def answered(answer: tuple[int, dict], code: int = 0) -> dict:
    assert answer[0] == code, answer[1]["errors"]
    return answer[1]["data"]


def refused(answer: tuple[int, dict], code: int) -> str:
    assert answer[0] == code, answer[1]
    return "{message} ({hint})".format(**answer[1]["errors"][0])


def plan_of(lab: Path) -> Plan:
    return Plan.model_validate_json((lab / "plan.json").read_text())


def cut_short(session: Path) -> None:
    """As if it had been killed before its last shot."""
    (session / "seal.json").unlink()
    lines = (session / "events.jsonl").read_bytes().splitlines(keepends=True)
    (session / "events.jsonl").write_bytes(b"".join(lines[:-2]))


def test_conditions_come_from_a_file(run: Run, lab: Path):
    (lab / "c.toml").write_text('distance_mm = [900, 1400]\nlight = ["day", "dim"]\ndefocus_px = [0, 1]\n')
    made = answered(run("plan", "--conditions", "c.toml", "--repeats", 2, "--block", "light", "--block", "defocus_px"))
    assert (made["shots"], made["conditions"], made["added"]) == (48, 8, 48)
    assert made["changes"]["light"] <= 3
    assert made["changes"]["arm"] > 20
    written = plan_of(lab)
    assert written.parts[0].block == ("repeat", "light", "defocus_px")
    assert {shot.condition.extra["defocus_px"] for shot in written.shots} == {0.0, 1.0}


def test_lab_toml_names_a_file_of_its_own_folder(run: Run, lab: Path, monkeypatch: pytest.MonkeyPatch):
    (lab / "c.csv").write_text("distance_mm,yaw_deg\n900,10\n1400,20\n")
    with (lab / "lab.toml").open("a") as settings:
        settings.write('conditions = "c.csv"\nblock = ["distance_mm"]\n')
    (lab / "elsewhere").mkdir()
    monkeypatch.chdir(lab / "elsewhere")
    assert answered(run("plan", "--lab", lab))["shots"] == 6
    assert plan_of(lab).parts[0].block == ("repeat", "distance_mm")


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["--conditions", "gone.toml"], 3, "gone.toml"),
        (["--conditions", "lab.toml"], 3, "sheet"),
        (["--block", "gain"], 3, "cannot be blocked by 'gain'"),
        (["--extend"], 2, "--repeats"),
        (["--extend", "--new", "--repeats", "1"], 2, "give one"),
        (["--extend", "--conditions", "gone.toml"], 3, "gone.toml"),
        (["--repeats", "0"], 2, "repeats"),
    ],
)
def test_what_cannot_be_planned_is_refused_and_nothing_written(
    words: list[str], code: int, named: str, run: Run, lab: Path
):
    before = (lab / "plan.json").read_bytes()
    assert named in refused(run("plan", *words), code)
    assert (lab / "plan.json").read_bytes() == before


def test_a_plan_is_extended_and_stays_so(run: Run, lab: Path):
    before = plan_of(lab)
    would = answered(run("plan", "--extend", "--repeats", 2, "--dry-run"))
    assert plan_of(lab) == before
    made = answered(run("plan", "--extend", "--repeats", 2))
    assert would == made
    assert (made["shots"], made["added"], [part["shots"] for part in made["parts"]]) == (9, 6, [3, 6])
    longer = plan_of(lab)
    assert longer.holds(before)
    again = answered(run("plan"))
    assert (again["shots"], again["added"]) == (9, 0)
    assert plan_of(lab) == longer
    (lab / "c.json").write_text('[{"distance_mm": 2000}]')
    assert answered(run("plan", "--extend", "--conditions", "c.json"))["shots"] == 12
    assert answered(run("plan", "--new"))["shots"] == 3
    assert plan_of(lab) == before


def test_there_must_be_a_plan_to_extend(run: Run, lab: Path):
    (lab / "plan.json").unlink()
    assert "dpcam plan" in refused(run("plan", "--extend", "--repeats", 1), 3)


def test_a_plan_that_cannot_be_read_is_not_replaced_in_silence(run: Run, lab: Path):
    (lab / "plan.json").write_text("{}")
    assert "--new" in refused(run("plan"), 3)
    assert answered(run("plan", "--new"))["shots"] == 3


def test_a_plan_that_a_session_was_taken_by_is_not_replaced_in_silence(run: Run, lab: Path):
    session = answered(run("capture"))["session"]
    before = (lab / "plan.json").read_bytes()
    assert answered(run("plan"))["added"] == 0
    message = refused(run("plan", "--repeats", 2), 2)
    assert Path(session).name in message
    assert "--extend" in message
    assert "--new" in message
    assert refused(run("plan", "--repeats", 2, "--dry-run"), 2)
    assert (lab / "plan.json").read_bytes() == before
    assert answered(run("plan", "--repeats", 2, "--new"))["shots"] == 6
    assert answered(run("plan", "--repeats", 3))["shots"] == 9
    (Path(session) / "session.json").write_text("{")
    assert "damaged" in refused(run("plan"), 3)


def test_a_capture_goes_on_with_a_plan_that_was_extended(run: Run, lab: Path):
    first = Path(answered(run("capture"))["session"])
    cut_short(first)
    answered(run("plan", "--extend", "--repeats", 1))
    # The unfinished session goes on by the plan that it was begun with ...
    code, answer = run("capture")
    assert (code, answer["data"]["session"], answer["data"]["taken"]) == (5, str(first), 1)
    assert "3 shots that were added" in answer["errors"][0]["message"]
    assert check_session(first).complete
    # ... and what was added is taken by a session of its own.
    second = answered(run("capture"))
    assert (second["frames"], second["complete"]) == (3, True)
    session = read_session(Path(second["session"]))
    assert session.plan == plan_of(lab).since(3)
    assert [frame.shot.index for frame in session.frames if frame.shot] == [3, 4, 5]
    assert {frame.shot.repeat for frame in session.frames if frame.shot} == {1}
    assert check_session(session.folder).complete
    assert next_beginning(lab / "sessions", plan_of(lab)) == AT_FIRST
    # Killed, it goes on too, in its own stretch.
    cut_short(session.folder)
    assert answered(run("capture"))["taken"] == 1
    assert read_session(session.folder).sealed


def test_what_was_added_is_taken_with_the_same_camera(run: Run, lab: Path):
    answered(run("capture"))
    answered(run("plan", "--extend", "--repeats", 1))
    assert "--new" in refused(run("capture", "--camera", "sim:?width=640&height=360"), 2)
    assert [path.name for path in (lab / "sessions").iterdir() if not path.name.startswith(".")] != []


def test_a_session_of_another_plan_is_not_gone_on_with(run: Run, lab: Path):
    first = Path(answered(run("capture"))["session"])
    cut_short(first)
    answered(run("plan", "--seed", 5, "--new"))
    assert "not the one" in refused(run("capture", "--resume", first), 2)
    shutil.rmtree(first)
    answered(run("plan", "--new"))


def test_power_takes_the_plan_of_the_lab(run: Run, lab: Path):
    (lab / "c.json").write_text(json.dumps({"distance_mm": [1000, 1500, 2000], "yaw_deg": [-30, 0, 30]}))
    answered(run("plan", "--conditions", "c.json", "--repeats", 2, "--new"))
    found = answered(run("plan", "power", "--sessions", 100, "--effect", 30, "--baseline", 0.6, "--recognizers", 4))
    assert (found["cells"], found["repeats"], found["arms"], found["recognizers"]) == (9, [2] * 9, 3, 4)
    (one,) = found["answers"]
    assert one["now"]["shots"] == 54
    assert one["now"]["low"] <= one["now"]["power"] <= one["now"]["high"]
    assert [row["repeats"] for row in found["table"]] == [1, 2, 3, 4, 6, 8, 12, 16]
    assert found["table"][1] == one["now"]
    sources = {each["name"]: (each["value"], each["source"]) for each in found["assumptions"]}
    assert sources["baseline rate"] == (0.6, "given")
    assert sources["correlation between arms"] == (0.25, "default")


def test_power_needs_no_lab(run: Run):
    words = ["--sessions", 100, "--effect", 40, "--baseline", 0.5, "--cells", 8, "--repeats", 4, "--power", 0.5]
    found = answered(run("plan", "power", *words))
    assert (found["cells"], found["repeats"], found["recognizers"]) == (8, [4] * 8, 2)
    assert found["answers"][0]["enough"]["power"] >= 0.5


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["--effect", "30", "--baseline", "0.8"], 2, "no effect of 30 points"),
        (["--baseline", "80"], 2, "baseline"),
        (["--correlation", "0.2", "--between-arms", "0.4"], 2, "correlation between arms is 0.4"),
        (["--from", "gone"], 3, "gone"),
        (["--cells", "1"], 2, "cells"),
    ],
)
def test_senseless_power_is_refused(words: list[str], code: int, named: str, run: Run):
    assert named in refused(run("plan", "power", "--sessions", 100, *words), code)


def test_power_wants_a_session_of_several_conditions(run: Run, lab: Path):
    session = answered(run("capture"))["session"]
    assert "at least 4 conditions" in refused(run("plan", "power", "--from", session), 3)
