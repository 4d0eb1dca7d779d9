"""The plan: complete, randomized within blocks, reproducible, never without its controls."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import BadConfig
from calibration.files import parse_document, read_document, write_document
from capture.plan import Condition, Plan
from capture.planning import make_plan

SHEETS = {"bare": "s-bare", "blank": "s-blank", "stop": "s-stop", "noise": "s-noise"}
CONDITIONS = [Condition(distance_mm=distance, yaw_deg=yaw) for distance in (700, 1500) for yaw in (-30, 0, 30)]


def plan(**change: object) -> Plan:
    asked = {
        "target": "stop",
        "sheets": SHEETS,
        "conditions": CONDITIONS,
        "repeats": 3,
        "seed": 1,
        "primary_arm": "stop",
    }
    return make_plan(**(asked | change))  # type: ignore[arg-type]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_every_combination_once_a_block(seed, repeats):
    made = plan(seed=seed, repeats=repeats)
    block = len(SHEETS) * len(CONDITIONS)
    assert [shot.index for shot in made.shots] == list(range(block * repeats))
    for repeat in range(repeats):
        shots = made.shots[repeat * block : (repeat + 1) * block]
        assert {shot.repeat for shot in shots} == {repeat}
        assert len({(shot.arm, shot.condition.model_dump_json()) for shot in shots}) == block
    assert all(shot.sheet == SHEETS[shot.arm] for shot in made.shots)


def test_the_same_seed_is_the_same_plan():
    assert plan() == plan()
    assert plan().shots != plan(seed=2).shots


def test_order_does_not_depend_on_how_the_sheets_were_listed():
    assert plan(sheets=dict(reversed(SHEETS.items()))) == plan()


def test_arms_are_spread_over_time():
    # An operator who takes one arm after the other measures the afternoon's light.
    runs = [shot.arm for shot in plan(repeats=10).shots]
    changes = sum(a != b for a, b in itertools.pairwise(runs))
    assert changes > 0.6 * len(runs)
    first_half = Counter(runs[: len(runs) // 2])
    assert max(first_half.values()) - min(first_half.values()) <= 6


@pytest.mark.parametrize("missing", ["bare", "blank", "stop"])
def test_without_its_controls_there_is_no_plan(missing):
    sheets = {arm: sheet for arm, sheet in SHEETS.items() if arm != missing}
    with pytest.raises(BadConfig, match=f"no sheet for the arm '{missing}'") as refusal:
        plan(sheets=sheets)
    assert missing in refusal.value.hint


@pytest.mark.parametrize("change", [{"conditions": []}, {"repeats": 0}, {"repeats": -1}], ids=str)
def test_an_empty_plan_is_refused(change):
    with pytest.raises(BadConfig, match="at least 1"):
        plan(**change)


def test_through_a_file(tmp_path):
    made = plan(min_effect_points=5.0, alpha=0.01)
    write_document(tmp_path / "plan.json", made)
    assert read_document(tmp_path / "plan.json", Plan) == made
    assert made.arms == ["bare", "blank", "noise", "stop"]


DAMAGE = {
    "a shot taken out": lambda value: value["shots"].pop(3),
    "shots exchanged": lambda value: value["shots"].reverse(),
    "no shots": lambda value: value["shots"].clear(),
    "a typing error": lambda value: value["shots"][0].update(amr="stop"),
    "an impossible angle": lambda value: value["shots"][0]["condition"].update(yaw_deg=95),
    "an impossible distance": lambda value: value["shots"][0]["condition"].update(distance_mm=0),
    "an impossible level": lambda value: value.update(alpha=1.5),
    "another document": lambda value: value.update(format="dpcam.sheet"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_plan_is_refused(case):
    value = json.loads(plan().model_dump_json())
    DAMAGE[case](value)
    with pytest.raises(BadConfig, match=r"plan\.json: "):
        parse_document(value, Plan, where="plan.json")


def test_a_condition_is_a_view():
    condition = Condition(distance_mm=900, yaw_deg=10, pitch_deg=-5, roll_deg=2)
    view = condition.view
    assert (view.distance_mm, view.yaw_deg, view.pitch_deg, view.roll_deg) == (900, 10, -5, 2)
