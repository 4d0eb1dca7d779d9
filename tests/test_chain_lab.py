"""A lab from ``init`` to ``report``, by the program alone; ended in every way, and gone on with."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from conftest import another_lab
from program import answer, ask, data, dpcam, finished, start, wait_until

ARMS = {"bare", "blank", "flat", "noise", "label", "wrong-class", "general-caution"}
ROW = {
    "arm",
    "model",
    "held_out",
    "n",
    "scored",
    "missed",
    "not_applicable",
    "failed",
    "correct",
    "rate",
    "low",
    "high",
    "view",
    "noise",
    "severity",
}
MANY_SHOTS = """[plan]
distances_mm = [1200.0]
yaws_deg = [0.0]
lights = ["day"]
repeats = 5
[sheet]
controls = ["bare", "blank"]
"""
SHOTS = 15
RUN_SHOTS = 12
AT_ONCE = [
    "init .",
    "config show",
    "doctor",
    "models check",
    "train --dry-run",
    "print",
    "print stop --dry-run",
    "sheet make --arm noise --paper A3 --seed 5 --out paper",
    "sheet target",
    "calibrate board",
    "plan --dry-run",
    "capture --dry-run",
    "capture --frames 1",
    "session list",
    "run --dry-run",
    "demo --dry-run",
    "bench sim --frames 1 --width 320 --height 180",
    "bench localize --quick --frames 1 --empty 2 --moving 1",
]


def events(session: Path, kind: str = "frame") -> list[dict]:
    """The journal's whole lines of one kind."""
    journal = session / "events.jsonl"
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.is_file() else []
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def only_session(lab: Path) -> Path:
    (session,) = (lab / "sessions").iterdir()
    return session


def frames_so_far(lab: Path) -> int:
    return sum(len(events(path.parent)) for path in lab.glob("sessions/*/events.jsonl"))


def hashes(session: Path) -> dict[int, str]:
    """Shot → sha256 of its frame."""
    return {event["shot"]: event["sha256"] for event in events(session)}


@pytest.fixture(scope="module")
def working_lab(fresh_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return another_lab(fresh_lab, tmp_path_factory.mktemp("working") / "lab")


@pytest.fixture(scope="module")
def long_lab(fresh_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with time to end a capture in. For reading."""
    return another_lab(fresh_lab, tmp_path_factory.mktemp("long") / "lab", MANY_SHOTS)


@pytest.fixture
def session(captured: Path, tmp_path: Path) -> Path:
    """A copy of the captured session, to be damaged."""
    return shutil.copytree(captured, tmp_path / "session", ignore=shutil.ignore_patterns("derived"))


# At once


@pytest.mark.parametrize("line", AT_ONCE)
def test_in_a_fresh_lab_every_command_works_at_once(line: str, working_lab: Path):
    ask(*line.split(), cwd=working_lab)


def test_a_fresh_lab_needs_no_second_look(fresh_lab: Path):
    plan = json.loads((fresh_lab / "plan.json").read_text())
    assert {shot["arm"] for shot in plan["shots"]} == ARMS
    sheets = [json.loads(path.read_text()) for path in fresh_lab.glob("sheets/*.json")]
    assert {shot["sheet"] for shot in plan["shots"]} == {sheet["id"] for sheet in sheets}
    assert all((fresh_lab / "sheets" / sheet["pdf"]).read_bytes().startswith(b"%PDF") for sheet in sheets)
    tags = Counter(tag["id"] for sheet in sheets for tag in sheet["tags"])
    assert set(tags.values()) == {1}, "a tag says which sheet a picture shows"


# Captured, localized, scored, reported


def test_capture_takes_every_shot_of_the_plan_once(captured: Path, small_lab: Path):
    taken = [event["shot"] for event in events(captured)]
    planned = json.loads((small_lab / "plan.json").read_text())["shots"]
    assert taken == list(range(len(planned)))
    assert len(taken) == 2 * len(ARMS)
    assert not events(captured, "skip")
    (listed,) = data("session", "list", cwd=small_lab)["sessions"]
    assert (listed["frames"], listed["skipped"], listed["sealed"]) == (len(taken), 0, True)


def test_the_session_checks_out(captured: Path, tmp_path: Path):
    found = data("session", "check", captured, cwd=tmp_path)
    assert (found["frames"], found["skipped"], found["pending"]) == (2 * len(ARMS), 0, 0)
    assert (found["complete"], found["sealed"], found["torn"]) == (True, True, False)
    assert not found["missing"] + found["tampered"] + found["orphans"] + found["repeated"]


def test_every_frame_is_localized_within_a_third_of_a_pixel(captured: Path, tmp_path: Path):
    found = data("localize", captured, cwd=tmp_path)
    assert found["frames"] == found["found"] == 2 * len(ARMS)
    errors = found["corner_error_px"]
    assert 0 < errors["median"] <= errors["p95"] <= errors["max"]
    assert errors["median"] <= 0.3


def test_every_frame_is_scored_by_every_recognizer_and_counted_once(captured: Path, small_lab: Path):
    scored = data("score", captured, cwd=small_lab)
    models = {each["name"]: each["held_out"] for each in data("models", "check", cwd=small_lab)["recognizers"]}
    rows = scored["rows"]
    assert scored["files"] == 2 * len(ARMS)
    assert all(set(row) == ROW for row in rows)
    assert Counter((row["arm"], row["model"]) for row in rows) == Counter(
        (arm, name) for arm in ARMS for name in models
    )
    for row in rows:
        assert row["held_out"] == models[row["model"]]
        assert row["n"] == row["scored"] + row["missed"] + row["not_applicable"] + row["failed"]
        assert row["scored"] == row["n"] == 2
        assert 0 <= row["low"] <= row["rate"] == row["correct"] / row["scored"] <= row["high"] <= 1
    for name in models:
        assert sum(row["n"] for row in rows if row["model"] == name) == scored["files"]


def test_scores_are_the_same_again_and_the_same_made_again(captured: Path, session: Path, tmp_path: Path):
    first = data("score", captured, cwd=tmp_path)
    kept = derived(captured)
    written = {path: path.stat().st_mtime_ns for path in captured.glob("derived/**/*.jsonl")}
    assert data("score", captured, cwd=tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert data("score", session, cwd=tmp_path)["rows"] == first["rows"]
    assert derived(session) == kept


def derived(session: Path) -> dict[str, bytes]:
    """Localizations and scores: what can be computed again."""
    return {str(path.relative_to(session)): path.read_bytes() for path in session.glob("derived/**/*.jsonl")}


def test_the_report_is_one_page_and_its_exit_code_the_verdict(captured: Path, tmp_path: Path):
    envelope = ask("report", captured, "--out", "report.html", cwd=tmp_path, code=(0, 6))
    page = tmp_path / "report.html"
    assert envelope["data"]["report"] == "report.html"
    assert page.stat().st_size == envelope["data"]["bytes"] < 15_000_000
    assert page.read_text().lower().startswith("<!doctype html>")
    assert (envelope["exit_code"] == 0) == (envelope["data"]["verdict"] == "PASS")
    assert envelope["data"]["verdict"] in {"PASS", "FAIL", "INCONCLUSIVE"}
    assert "held-out" in envelope["data"]["sentence"]


def test_another_place_gives_the_same_frames_byte_for_byte(captured: Path, small_lab: Path, tmp_path: Path):
    lab = another_lab(small_lab, tmp_path / "moved")
    again = lab / data("capture", cwd=lab)["session"]
    assert hashes(again) == hashes(captured)
    assert again.name != captured.name


# Ended before its time


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_capture_that_was_ended_is_whole_and_goes_on(sent: int, code: int, long_lab: Path, tmp_path: Path):
    lab = another_lab(long_lab, tmp_path / "lab")
    done = end_capture(lab, sent)
    assert done.returncode == code
    session = only_session(lab)
    if sent != signal.SIGKILL:
        envelope = answer(done)
        assert envelope["errors"][0]["code"] == "interrupted"
        assert envelope["data"]["session"] == f"sessions/{session.name}"
        assert not envelope["data"]["complete"]
    before = data("session", "check", session, cwd=lab)
    assert 2 <= before["frames"] == SHOTS - before["pending"] < SHOTS
    assert not before["missing"] + before["tampered"] + before["repeated"]
    assert not before["complete"]

    rest = data("capture", cwd=lab)
    assert rest["session"] == f"sessions/{session.name}"
    assert (rest["frames"], rest["taken"], rest["complete"]) == (SHOTS, SHOTS - before["frames"], True)
    after = data("session", "check", session, cwd=lab)
    assert (after["complete"], after["sealed"], after["pending"]) == (True, True, 0)
    assert not after["missing"] + after["tampered"] + after["orphans"] + after["repeated"]
    assert [event["shot"] for event in events(session)] == list(range(SHOTS))


def end_capture(lab: Path, sent: int) -> subprocess.CompletedProcess[str]:
    process = start("capture", cwd=lab)
    wait_until(lambda: frames_so_far(lab) >= 2, process)
    process.send_signal(sent)
    return finished(process)


def test_a_session_has_one_writer(long_lab: Path, tmp_path: Path):
    lab = another_lab(long_lab, tmp_path / "lab")
    process = start("capture", cwd=lab)
    try:
        wait_until(lambda: frames_so_far(lab) >= 1, process)
        process.send_signal(signal.SIGSTOP)
        for words in (["capture"], ["capture", "--resume", only_session(lab)]):
            (error,) = ask(*words, cwd=lab, code=4)["errors"]
            assert error["code"] == "locked"
            assert f"process {process.pid}" in error["message"]
    finally:
        process.kill()
        finished(process)


# Damaged


def test_a_frame_with_other_bytes_is_named_and_never_scored(session: Path, tmp_path: Path):
    first, second, third = (session / event["path"] for event in events(session)[:3])
    first.write_bytes(second.read_bytes())
    third.unlink()
    envelope = ask("session", "check", session, cwd=tmp_path, code=5)
    assert envelope["data"]["tampered"] == [first.relative_to(session).as_posix()]
    assert envelope["data"]["missing"] == [third.relative_to(session).as_posix()]
    assert {error["where"] for error in envelope["errors"]} == {
        *envelope["data"]["tampered"],
        *envelope["data"]["missing"],
    }
    found = data("localize", session, cwd=tmp_path, code=5)
    assert [each["frame"] for each in found["missed"]] == [0, 2]
    scored = data("score", session, "--models", "vgg", cwd=tmp_path, code=5)
    assert sum(row["failed"] for row in scored["rows"]) == 2
    assert sum(row["n"] for row in scored["rows"]) == scored["files"] == 2 * len(ARMS)


# All of it


@pytest.mark.slow
def test_run_does_all_of_it_and_goes_on_where_it_was_ended(fresh_lab: Path, tmp_path: Path):
    lab = bench_of_two(another_lab(fresh_lab, tmp_path / "lab"))
    for path in lab.glob("patches/stop.*"):
        path.unlink()
    process = start("run", "lab.toml", "--steps", "2", cwd=lab)
    wait_until(lambda: frames_so_far(lab) >= 2, process, seconds=200)
    process.send_signal(signal.SIGINT)
    done = finished(process)
    assert answer(done)["exit_code"] == 130
    trained = (lab / "patches" / "stop.json").read_bytes()
    assert json.loads(trained)["steps"] == 2
    taken = len(events(only_session(lab)))
    assert taken < RUN_SHOTS

    outcome = data("run", "lab.toml", "--steps", "2", cwd=lab, code=(0, 6))
    assert (lab / "patches" / "stop.json").read_bytes() == trained, "a patch that is there is not trained again"
    assert outcome["session"] == f"sessions/{only_session(lab).name}"
    assert (lab / outcome["report"]).is_file()
    assert {row["model"] for row in outcome["rows"]} == {"shufflenetv2", "mobilenetv2"}
    assert sum(row["n"] for row in outcome["rows"]) == 2 * RUN_SHOTS
    assert data("session", "check", outcome["session"], cwd=lab)["complete"]


def bench_of_two(lab: Path) -> Path:
    """Only two recognizers, as the lab's own: training takes its time with each of them."""
    from pipeline.recognizers import zoo_folder

    for name in ("shufflenetv2", "mobilenetv2"):
        for path in zoo_folder().glob(f"{name}.*"):
            shutil.copy(path, lab / "models")
    text = (lab / "lab.toml").read_text().partition("[plan]")[0]
    plan = "[models]\nzoo = false\n[plan]\ndistances_mm = [1200.0]\nyaws_deg = [0.0]\n" + 'lights = ["day", "dim"]\n'
    repeats = 'repeats = 2\n[sheet]\ncontrols = ["bare", "blank"]\n'
    (lab / "lab.toml").write_text(text + plan + repeats)
    return lab


def test_capture_needs_a_lab_and_says_so(tmp_path: Path):
    done = dpcam("capture", "--json", cwd=tmp_path)
    assert answer(done)["errors"][0]["code"] == "missing-file"
