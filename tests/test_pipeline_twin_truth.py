"""Twins against what the simulator is known to have done: nothing, or one thing spoiled."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from program import ask
from twin_sessions import PATCH, PERFECT, captured_with

from calibration.errors import BadInput
from calibration.geometry import Box
from capture.session import Session, read_session
from pipeline.recognizers import Recognizer, load_recognizers, zoo_folder
from pipeline.twin.ladder import FACTOR_OF, RUNGS, Ladder, LeftOut, Twins
from pipeline.twin.twins import TwinOrder, twin_session, twins

SLIP = Box(x_mm=2.0, y_mm=-1.0, width_mm=1, height_mm=1)


def quiet(_: float) -> None:
    return


@pytest.fixture(scope="module")
def bench() -> list[Recognizer]:
    """One that the patch was trained on, and one that it was not."""
    return [each for each in load_recognizers([zoo_folder()]) if each.name in ("vgg", "cct")]


@pytest.fixture(scope="module")
def perfect_session(fresh_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    return captured_with(fresh_lab, tmp_path_factory.mktemp("perfect") / "lab", PERFECT)


@pytest.fixture(scope="module")
def perfect(perfect_session: Session, bench: list[Recognizer]) -> Twins:
    return twins(perfect_session, bench, TwinOrder(), quiet)


def surrogate(found: Twins) -> Ladder:
    return next(ladder for ladder in found.ladders if ladder.recognizer == "vgg")


def step(found: Twins, name: str) -> float:
    return next(each.probability.points for each in surrogate(found).steps if each.name == name)


def test_a_perfect_print_does_what_its_twin_does(perfect: Twins):
    measures = perfect.measures
    assert measures.delta_e < 5 < 15 < measures.delta_e_screen
    assert measures.delta_e - measures.delta_e_noise < 2.5
    assert measures.offset_mm < 0.15
    assert abs(measures.blur_px - measures.blur_px_real) < 0.3
    assert measures.noise_levels == pytest.approx(measures.noise_levels_real, rel=0.15)
    assert measures.white == pytest.approx(measures.white_real, rel=0.05)
    assert measures.colors == 14
    for ladder in perfect.ladders:
        assert abs(ladder.gap.probability.points) < 2.5, ladder.recognizer
        assert abs(next(each for each in ladder.steps if each.name == "print").probability.points) < 0.5


def test_what_the_lens_averages_is_seen(perfect: Twins):
    assert perfect.averages == "code", "so does the simulator; an ordinary camera averages light"


def test_a_print_that_changes_colors_is_blamed_for_color(
    perfect: Twins, bench: list[Recognizer], fresh_lab: Path, tmp_path: Path
):
    session = captured_with(fresh_lab, tmp_path / "lab", "sim:lab?rig=0&printer=laser")
    spoiled = twins(session, bench, TwinOrder(), quiet)
    assert spoiled.measures.delta_e_screen > perfect.measures.delta_e_screen + 5
    assert spoiled.measures.delta_e < perfect.measures.delta_e + 3, "the twin has its colors, too"
    assert step(spoiled, "print") < -1.0 < step(perfect, "print")
    others = [abs(step(spoiled, rung)) for rung in ("geometry", "blur", "noise")]
    assert abs(step(spoiled, "print")) > max(others)


def test_a_lens_out_of_focus_is_blamed_for_blur(
    perfect: Twins, bench: list[Recognizer], fresh_lab: Path, tmp_path: Path
):
    spoiled = twins(captured_with(fresh_lab, tmp_path / "lab", PERFECT, defocused=True), bench, TwinOrder(), quiet)
    assert perfect.measures.blur_px < 0.7 < 1.4 < spoiled.measures.blur_px < 2.0
    assert abs(step(spoiled, "blur")) > 5 * abs(step(perfect, "blur"))
    assert abs(step(spoiled, "blur")) > max(abs(step(spoiled, rung)) for rung in ("geometry", "print", "noise"))
    assert spoiled.measures.delta_e < 5


def test_a_sticker_beside_its_place_is_found_there(bench: list[Recognizer], fresh_lab: Path, tmp_path: Path):
    session = captured_with(fresh_lab, tmp_path / "lab", PERFECT, slipped_mm=SLIP)
    spoiled = twins(session, bench, TwinOrder(), quiet)
    assert spoiled.measures.offset_mm == pytest.approx(np.hypot(2, 1), abs=0.1)
    assert spoiled.measures.offset_error_mm < 0.1
    assert spoiled.measures.offset_px > 1.5


def test_every_shot_of_every_recognizer_stands_on_every_rung_once(perfect: Twins):
    keys = [(answer.sample, answer.model, answer.rung) for answer in perfect.answers]
    assert len(set(keys)) == len(keys)
    bases = {name for cell in perfect.cells for name in cell.bases}
    real = {name for cell in perfect.cells for name in cell.real}
    rendered = [(name, rung) for name in bases for rung in (None, *RUNGS[:-1])]
    expected = {(*each, model) for each in [*rendered, *((name, "real") for name in real)] for model in ("vgg", "cct")}
    assert {(sample, rung, model) for sample, model, rung in keys} == expected
    assert not perfect.left_out


def test_steps_and_factors_add_up_to_what_is_lost(perfect: Twins):
    for ladder in perfect.ladders:
        for part in ("probability", "accuracy"):
            lost = getattr(ladder.lost, part).points
            assert sum(getattr(each, part).points for each in ladder.steps) == pytest.approx(lost)
            assert sum(getattr(each, part).points for each in ladder.factors) == pytest.approx(lost)
            assert getattr(ladder.levels[-1], part) - getattr(ladder.levels[0], part) == pytest.approx(lost)
        assert [each.name for each in ladder.factors] == list(dict.fromkeys(FACTOR_OF.values()))


def test_the_same_session_gives_the_same_twins_which_are_read_again(
    perfect_session: Session, perfect: Twins, bench: list[Recognizer], tmp_path: Path
):
    copy = shutil.copytree(perfect_session.folder, tmp_path / "session", ignore=shutil.ignore_patterns("derived"))
    session = read_session(copy)
    made, files = twin_session(session, bench, TwinOrder(), quiet)
    assert made == perfect
    assert files.figure.read_bytes().startswith(b"\x89PNG")
    told: list[float] = []
    assert twin_session(session, bench, TwinOrder(), told.append) == (made, files)
    assert not told, "nothing is computed twice"


@pytest.mark.parametrize(
    ("arm", "words"),
    [("bare", "no arm with a texture is named 'bare'"), ("nobody", f"the plan has {PATCH}")],
)
def test_an_arm_without_texture_has_no_twin(perfect_session: Session, bench: list[Recognizer], arm: str, words: str):
    with pytest.raises(BadInput, match=words):
        twins(perfect_session, bench, TwinOrder(arm), quiet)


def test_the_command_answers(perfect_session: Session, tmp_path: Path):
    words = ("twin", perfect_session.folder, "--models", "vgg,cct", "--out", tmp_path / "figure.png")
    found = ask(*words, cwd=tmp_path)["data"]
    assert {"arm", "bases", "measures", "ladders", "cells", "left_out", "twins", "figure"} <= set(found)
    assert (found["arm"], found["bases"]) == (PATCH, ["bare", "blank"])
    assert Path(found["figure"]).read_bytes().startswith(b"\x89PNG")
    assert [ladder["recognizer"] for ladder in found["ladders"]] == [None, "cct", None, "vgg"]
    refused = ask("twin", perfect_session.folder, "--arm", "bare", cwd=tmp_path, code=3)
    assert refused["errors"][0]["code"] == "input"


def test_a_frame_that_was_lost_is_left_out_and_said(perfect_session: Session, bench: list[Recognizer], tmp_path: Path):
    copy = shutil.copytree(perfect_session.folder, tmp_path / "session", ignore=shutil.ignore_patterns("derived"))
    lost = next(frame for frame in perfect_session.frames if frame.shot and frame.shot.arm == "bare")
    (copy / lost.path.relative_to(perfect_session.folder)).unlink()
    found = twins(read_session(copy), bench[:1], TwinOrder(), quiet)
    assert found.left_out == (LeftOut(f"{lost.index:06d}", f"the frame {lost.path.name} is missing"),)
    assert lost.index not in {int(answer.sample) for answer in found.answers}
