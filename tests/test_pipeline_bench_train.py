"""``dpcam bench train``: what it answers, with and without the tool that it compares with. Nothing here is timed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_bench import border_and_middle

from calibration.errors import Incomplete
from patches.speed import Spent, spent
from pipeline.bench import rival, train_speed
from pipeline.bench.rival import SCRIPT, TOOL, rival_environment, start_rival
from pipeline.bench.train_speed import QUICK, TrainSpeed, Turn, speed_result
from pipeline.cli.app import main

KEYS = {
    "ratio_to_bare",
    "ratio_to_art",
    "step_ms",
    "bare_ms",
    "images_per_s",
    "art_images_per_s",
    "batch",
    "surrogates",
    "model",
    "turns",
    "wall",
}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip finds nothing, wherever this runs."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, dict]:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "train", *words, "--json"])
    return ended.value.code, json.loads(capsys.readouterr().out)


def turn(bare: float, step: float, single: float, other: float | None) -> Turn:
    times = (None if each is None else Spent(2 * each, each) for each in (bare, step, single, other))
    return Turn(*times)


def test_ratios_are_medians_over_turns():
    turns = (turn(100, 110, 40, 80), turn(100, 120, 40, 100), turn(200, 260, 40, 20))
    speed = TrainSpeed(turns, 16, ("a", "b"), "a")
    assert speed.ratio_to_bare() == pytest.approx(1.2)
    assert speed.ratio_to_art() == pytest.approx(2.0)
    data = speed_result(speed).data
    assert set(data) == KEYS
    assert data["images_per_s"] == pytest.approx(400)
    assert data["art_images_per_s"] == pytest.approx(200)
    assert (data["step_ms"], data["bare_ms"], data["turns"]) == (120, 100, 3)


def test_a_call_is_clocked():
    taken = spent(lambda: sum(range(100_000)) and None)
    assert taken.cpu_ms > 0
    assert taken.wall_ms > 0


def test_without_the_other_tool_the_rest_is_measured(tmp_path, capsys, monkeypatch, offline):
    monkeypatch.setattr(train_speed, "QUICK", replace(QUICK, turns=2, seconds=0.0))
    monkeypatch.setattr(train_speed, "WARM_UP", 0)
    code, answer = run(capsys, "--quick", "--art", str(tmp_path / "art"))
    assert code == answer["exit_code"] == 5
    assert answer["status"] == "partial"
    (error,) = answer["errors"]
    assert f"{TOOL} could not be installed" in error["message"]
    assert "torchvision" in error["hint"]
    data = answer["data"]
    assert set(data) == KEYS
    assert data["ratio_to_art"] is data["art_images_per_s"] is None
    assert min(data["ratio_to_bare"], data["step_ms"], data["bare_ms"], data["images_per_s"]) > 0
    assert data["turns"] == 2
    assert len(data["surrogates"]) == 4


def test_it_trains_on_other_recognizers(tmp_path, capsys, monkeypatch, offline):
    monkeypatch.setattr(train_speed, "QUICK", replace(QUICK, turns=1, seconds=0.0))
    monkeypatch.setattr(train_speed, "WARM_UP", 0)
    models = border_and_middle(tmp_path / "models")
    _, answer = run(capsys, "--quick", "--art", str(tmp_path / "art"), "--models", str(models))
    assert answer["data"]["surrogates"] == ["border"]
    assert answer["data"]["step_ms"] > 0
    (models / "border.json").unlink()
    code, answer = run(capsys, "--quick", "--models", str(models))
    assert code == 3
    assert "no recognizer there may be trained on" in answer["errors"][0]["message"]


def test_too_little_time_to_install_says_how_to_go_on(tmp_path):
    with pytest.raises(Incomplete, match=r"within 0 s") as refused:
        rival_environment(tmp_path / "art", timeout_s=0.001)
    assert "without --quick" in refused.value.hint


def test_an_environment_that_is_there_is_not_made_again(tmp_path, offline):
    made = "\n".join([sys.prefix, *rival._requirements()])
    (tmp_path / ".ready").write_text(made)
    assert rival_environment(tmp_path, timeout_s=1).parent.parent == tmp_path


def test_a_tool_that_dies_is_quoted():
    with start_rival(Path(sys.executable)) as here, pytest.raises(Incomplete, match=r"did not run: \w*Error"):
        here.ask({"contract": "nowhere"})


def test_the_script_is_in_the_source():
    assert SCRIPT.is_file()


@pytest.mark.network
@pytest.mark.slow
def test_side_by_side_with_the_other_tool(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train_speed, "FULL", replace(QUICK, turns=2, seconds=0.0, install_s=300.0))
    code, answer = run(capsys, "--art", str(tmp_path / "art"))
    data = answer["data"]
    if code == 5:
        pytest.skip(answer["errors"][0]["message"])
    assert code == 0
    assert data["ratio_to_art"] > 0
    assert data["art_images_per_s"] > 0
