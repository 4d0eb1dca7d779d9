"""``dpcam report`` and ``compare`` as scripts call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import another_lab
from program import ask, data, dpcam

from pipeline.report.forms import FORMS, SUFFIXES


@pytest.fixture(scope="module")
def again(small_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another session of the same plan, by a camera with another seed."""
    lab = another_lab(small_lab, tmp_path_factory.mktemp("again") / "lab")
    return lab / data("capture", "--seed", 9, cwd=lab)["session"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_written_beside_the_session(captured: Path, small_lab: Path, form: str) -> None:
    said = data("report", captured, "--format", form, cwd=small_lab, code=(0, 6))
    assert set(said) == {"report", "format", "verdict", "sentence", "bytes"}
    path = small_lab / said["report"]
    assert path.parent == captured / "derived"
    assert (path.suffix, said["format"]) == (SUFFIXES[form], form)
    assert path.stat().st_size == said["bytes"]


def test_the_command_that_it_names_makes_it_again(captured: Path, small_lab: Path, tmp_path: Path) -> None:
    first = (
        small_lab
        / data("report", captured, "--models", "vgg,cct", "--format", "json", cwd=small_lab, code=(0, 6))["report"]
    )
    _, *words = json.loads(first.read_text())["command"].split()
    second = small_lab / data(*words, "--out", tmp_path / "b.json", cwd=small_lab, code=(0, 6))["report"]
    assert second.read_text() == first.read_text()


def test_two_sessions_are_compared(captured: Path, again: Path, small_lab: Path, tmp_path: Path) -> None:
    said = data("compare", captured, again, "--models", "vgg,cct", "--out", tmp_path / "c.html", cwd=small_lab)
    assert said["sessions"] == [captured.name, again.name]
    assert {each["name"] for each in said["differs"]} >= {"seed", "captured"}
    assert {each["name"] for each in said["same"]} >= {"target", "conditions", "arm bare", "arm general-caution"}
    assert {(row["model"], row["held_out"]) for row in said["rows"]} == {("vgg", False), ("cct", True)}
    for row in said["rows"]:
        (difference,) = row["differences"]
        one, other = (each["rate"] for each in row["rows"])
        assert difference["points"] == pytest.approx(100 * (other - one))
        assert difference["conditions"] == 2
    assert (tmp_path / "c.html").stat().st_size == said["bytes"]
    shown = dpcam("compare", captured, again, "--models", "vgg", cwd=small_lab).stdout
    assert "B − A" in shown
    assert f"A = {captured.name}" in shown


def test_one_session_is_no_comparison(captured: Path, small_lab: Path) -> None:
    (error,) = ask("compare", captured, cwd=small_lab, code=2)["errors"]
    assert "two sessions" in error["message"]
