"""What is asked of localization, over the range that is asked: found, and right to a third of a pixel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import another_lab
from program import data

from calibration.files import read_document, write_document
from capture.plan import Condition, Plan, Shot

LIGHTS = ("day", "dim", "bright", "shadow", "warm", "backlit")
YAWS_DEG = (0, -60, 35, 60, -45, 15, -25)
DISTANCES_MM = (500, 700, 900, 1100)
PITCHES_DEG = (0, -20, 10, 25, -8)
ROLLS_DEG = (0, 12, -180, 90, -35)
COUNT = 42
MIN_SIDE_PX = 20
ENOUGH = 24


def conditions() -> list[Condition]:
    """Every light with every yaw, under changing distance, pitch and roll."""
    return [
        Condition(
            distance_mm=DISTANCES_MM[i % 4],
            yaw_deg=YAWS_DEG[i % 7],
            pitch_deg=PITCHES_DEG[i % 5],
            roll_deg=ROLLS_DEG[i // 5 % 5],
            light=LIGHTS[i % 6],
        )
        for i in range(COUNT)
    ]


@pytest.fixture(scope="module")
def seen(fresh_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """A session with every picture kept, whatever the gate would say of it, and its plan."""
    lab = another_lab(fresh_lab, tmp_path_factory.mktemp("localization") / "lab")
    whole = read_document(lab / "plan.json", Plan)
    sheet = next(shot.sheet for shot in whole.shots if shot.arm == whole.primary_arm)
    shots = [
        Shot(index=i, arm=whole.primary_arm, sheet=sheet, condition=condition)
        for i, condition in enumerate(conditions())
    ]
    plan = whole.model_copy(update={"shots": tuple(shots), "parts": ()})
    write_document(lab / "far.json", plan)
    words = ["capture", "--camera", "sim:?seed=11", "--plan", "far.json", "--no-gate"]
    return lab / data(*words, cwd=lab)["session"], plan


def test_found_and_right_within_a_third_of_a_pixel(seen: tuple[Path, Plan], tmp_path: Path):
    session, plan = seen
    found = data("localize", session, cwd=tmp_path)
    assert found["frames"] == COUNT
    large = [i for i in range(COUNT) if smallest_tag_px(session, i) >= MIN_SIDE_PX]
    assert len(large) >= ENOUGH
    asked = [plan.shots[i].condition for i in large]
    assert {condition.light for condition in asked} == set(LIGHTS)
    assert {-60, 60} <= {condition.yaw_deg for condition in asked}
    lost = {each["frame"] for each in found["missed"]} & set(large)
    assert len(lost) <= 0.01 * len(large), [plan.shots[i].condition for i in lost]
    assert found["corner_error_px"]["median"] <= 0.3


def test_pose_and_errors_agree_with_the_truth(seen: tuple[Path, Plan], tmp_path: Path):
    """What ``localize`` says of its own error is what comes out when somebody else computes it."""
    session, _ = seen
    found = data("localize", session, cwd=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / found["localizations"]).read_text().splitlines()]
    errors = []
    for line in (each for each in lines if each["status"] == "found"):
        truth = truth_of(session, line["index"])
        gaps = np.array(line["frame_corners_px"]) - np.array(truth["frame_corners_px"])
        errors.append(np.linalg.norm(gaps, axis=1).mean())
        assert line["sheet"] == truth["sheet"]
        assert abs(line["distance_mm"] / truth["view"]["distance_mm"] - 1) < 0.01
        assert abs(line["yaw_deg"] - truth["view"]["yaw_deg"]) < 1
    assert np.isclose(np.median(errors), found["corner_error_px"]["median"])
    assert np.isclose(np.max(errors), found["corner_error_px"]["max"])


def smallest_tag_px(session: Path, index: int) -> float:
    return truth_of(session, index)["tags_min_side_px"]


def truth_of(session: Path, index: int) -> dict:
    (path,) = session.glob(f"frames/*/{index:06d}.truth.json")
    return json.loads(path.read_text())
