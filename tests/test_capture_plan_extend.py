"""A plan in blocks, and a plan that grows: what was planned stays, what is added is on record."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import BadConfig
from calibration.files import parse_document, read_document
from capture.plan import Condition, Part, Plan
from capture.planning import changes, changing_factors, extend_plan, make_plan

SHEETS = {"bare": "s-bare", "blank": "s-blank", "stop": "s-stop"}
GOLDEN = Path(__file__).parent / "golden" / "session" / "inputs" / "plan.json"


def condition(distance: float, light: str = "day", **extra: float | str) -> Condition:
    return Condition(distance_mm=distance, light=light, extra=extra)


CONDITIONS = [
    condition(distance, light, gain=gain) for distance in (700, 1500) for light in ("day", "dim") for gain in (1, 4)
]
NEW = [condition(3000, "day", gain=1)]


def plan(block: tuple[str, ...] = (), **change) -> Plan:
    asked = {
        "target": "stop",
        "sheets": SHEETS,
        "conditions": CONDITIONS,
        "repeats": 3,
        "seed": 1,
        "primary_arm": "stop",
        "min_effect_points": 2.0,
    }
    return make_plan(**(asked | {"block": block} | change))


def levels(made: Plan, factor: str) -> list[object]:
    """The levels of a factor in the order of the shots, each run once."""
    each = [
        shot.repeat
        if factor == "repeat"
        else shot.arm
        if factor == "arm"
        else shot.condition.extra.get(factor)
        if factor == "gain"
        else getattr(shot.condition, factor)
        for shot in made.shots
    ]
    return [level for level, _ in itertools.groupby(each)]


def combinations(made: Plan) -> Counter[tuple[str, str, int]]:
    return Counter((shot.arm, shot.condition.model_dump_json(), shot.repeat) for shot in made.shots)


@given(
    st.lists(st.sampled_from(["arm", "light", "distance_mm", "gain", "repeat"]), unique=True, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_blocks_change_the_order_only(block: list[str], seed: int):
    made = plan(tuple(block), seed=seed)
    assert combinations(made) == combinations(plan())
    outermost = block[0] if "repeat" in block else "repeat"
    count = {"repeat": 3, "arm": 3}.get(outermost, 2)
    assert len(levels(made, outermost)) == count


@pytest.mark.parametrize(
    ("block", "factor", "at_most"),
    [
        ((), "light", None),
        (("light",), "light", 3 * 2 - 1),
        (("light", "distance_mm"), "light", 3 * 2 - 1),
        (("light", "distance_mm"), "distance_mm", 3 * 2 * 2 - 1),
        (("light", "repeat"), "light", 1),
        (("gain",), "gain", 3 * 2 - 1),
        (("arm",), "arm", 3 * 3 - 1),
    ],
)
def test_what_is_blocked_changes_seldom(block: tuple[str, ...], factor: str, at_most: int | None):
    found = changes(plan(block).shots, factor)
    assert found > 20 if at_most is None else found <= at_most


def test_repeats_follow_each_other_whatever_is_blocked():
    assert levels(plan(("light",)), "repeat") == [0, 1, 2]
    assert levels(plan(("repeat",)), "repeat") == [0, 1, 2]
    assert levels(plan(("light", "repeat")), "repeat") == [0, 1, 2, 0, 1, 2]


def test_levels_come_in_random_order():
    begins = {levels(plan(("light",), seed=seed), "light")[0] for seed in range(20)}
    assert begins == {"day", "dim"}


def test_only_what_differs_is_a_factor():
    assert changing_factors(plan().shots) == ("arm", "distance_mm", "light", "gain")


@pytest.mark.parametrize("block", ["yaw", "gian", ""])
def test_a_block_by_nothing_is_refused(block: str):
    with pytest.raises(BadConfig, match=r"cannot be blocked by .*distance_mm.*gain"):
        plan((block,))


def test_a_condition_that_stands_twice_is_refused():
    with pytest.raises(BadConfig, match="stands twice") as refusal:
        plan(conditions=[*CONDITIONS, CONDITIONS[3]])
    assert "repeats" in refusal.value.hint


def test_a_plan_beyond_all_bounds_is_refused_before_it_is_made():
    with pytest.raises(BadConfig, match="2400000000 shots; at most"):
        plan(repeats=100_000_000)


def test_a_plan_says_what_it_was_made_from():
    assert plan(("light",)).parts == (
        Part(
            seed=1,
            repeats=3,
            block=("repeat", "light"),
            arms=("bare", "blank", "stop"),
            conditions=tuple(CONDITIONS),
            shots=72,
        ),
    )


@given(st.integers(1, 3), st.booleans(), st.integers(0, 3))
def test_what_was_planned_stays_when_shots_are_added(repeats: int, new: bool, seed: int):
    former = plan()
    longer = extend_plan(former, repeats=repeats, seed=seed, conditions=NEW if new else ())
    assert longer.holds(former)
    assert not former.holds(longer)
    assert longer.shots[: former.end] == former.shots
    added = longer.shots[former.end :]
    assert len(added) == repeats * (3 if new else 24)
    assert [shot.index for shot in longer.shots] == list(range(longer.end))
    assert max(combinations(longer).values()) == 1
    assert {shot.repeat for shot in added} == set(range(0 if new else 3, repeats + (0 if new else 3)))
    assert longer.parts[:-1] == former.parts
    assert (longer.parts[-1].seed, longer.parts[-1].shots) == (seed, len(added))
    assert (longer.seed, longer.min_effect_points) == (former.seed, former.min_effect_points)


def test_added_repeats_come_in_an_order_of_their_own():
    former = plan(repeats=1)
    longer = extend_plan(former, repeats=1, seed=former.seed)
    orders = [[(shot.arm, shot.condition) for shot in shots] for shots in (former.shots, longer.shots[former.end :])]
    assert orders[0] != orders[1]
    assert extend_plan(former, repeats=1, seed=former.seed) == longer


def test_repeats_of_each_condition_are_counted_on():
    longer = extend_plan(extend_plan(plan(repeats=1), repeats=1, seed=1, conditions=NEW), repeats=2, seed=1)
    repeats = Counter(shot.condition.distance_mm for shot in longer.shots if shot.arm == "stop")
    assert repeats == {700: 3 * 4, 1500: 3 * 4, 3000: 3}
    assert max(combinations(longer).values()) == 1
    assert [part.shots for part in longer.parts] == [24, 3, 54]


def test_through_a_file(tmp_path: Path):
    made = extend_plan(plan(("light",)), repeats=1, seed=9)
    (tmp_path / "plan.json").write_text(made.model_dump_json())
    assert read_document(tmp_path / "plan.json", Plan) == made


def test_a_stretch_of_a_plan():
    former = plan()
    longer = extend_plan(former, repeats=1, seed=1)
    stretch = longer.since(former.end)
    assert parse_document(json.loads(stretch.model_dump_json()), Plan, where="plan.json") == stretch
    assert (stretch.first, stretch.end, len(stretch.shots)) == (72, 96, 24)
    assert longer.holds(stretch)
    assert not former.holds(stretch)
    assert stretch.shot(71) is stretch.shot(96) is None
    assert stretch.shot(72) == longer.shot(72) == longer.shots[72]
    with pytest.raises(BadConfig, match="begins with shot 72"):
        extend_plan(stretch, repeats=1, seed=1)


OTHERS = {
    "another order": lambda: plan(seed=2),
    "another rule": lambda: plan(min_effect_points=3.0),
    "other sheets": lambda: plan(sheets={**SHEETS, "stop": "s-stop-2"}),
    "other conditions": lambda: plan(conditions=CONDITIONS[:-1]),
    "other blocks": lambda: plan(("light",)),
    "fewer repeats from the start": lambda: plan(repeats=2),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_plan_does_not_hold_another(case: str):
    assert not extend_plan(plan(), repeats=1, seed=1).holds(OTHERS[case]())


def test_a_plan_of_the_first_version_is_read_and_extended():
    former = read_document(GOLDEN, Plan)
    assert former.parts == ()
    longer = extend_plan(former, repeats=2, seed=3)
    assert longer.holds(former)
    assert [part.shots for part in longer.parts] == [3, 6]
    assert longer.parts[0].arms == ("bare", "blank", "general-caution")


def test_a_plan_that_is_no_grid_cannot_be_extended():
    whole = plan()
    torn = whole.model_copy(update={"parts": (), "shots": whole.shots[:-1]})
    with pytest.raises(BadConfig, match="equally often"):
        extend_plan(torn, repeats=1, seed=1)


DAMAGE = {
    "a part taken out": lambda value: value["parts"].pop(),
    "a part with other conditions": lambda value: value["parts"][0]["conditions"].pop(),
    "a part with more shots": lambda value: value["parts"][0].update(shots=73),
    "another arm": lambda value: value["shots"][5].update(arm="mine"),
    "the first shots taken out": lambda value: value.update(shots=value["shots"][3:]),
    "the first shots of a plan without parts": lambda value: value.update(shots=value["shots"][3:], parts=[]),
    "the last shots taken out": lambda value: value.update(shots=value["shots"][:-3]),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_parts_that_do_not_tell_the_shots_are_refused(case: str):
    value = json.loads(extend_plan(plan(), repeats=1, seed=1).model_dump_json())
    DAMAGE[case](value)
    with pytest.raises(BadConfig, match=r"plan\.json: "):
        parse_document(value, Plan, where="plan.json")
