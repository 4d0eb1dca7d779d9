"""The tags' own influence: paired picture by picture, with an interval over clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeline.scoring.score import Answer
from pipeline.scoring.tag_influence import TagInfluence, tag_influence


def answers(view: str, right: Sequence[bool | None], *, model: str = "net", size: int = 1, **more) -> list[Answer]:
    """One for each picture; clusters of ``size`` pictures."""
    return [
        Answer(
            f"{i:03d}", "bare", "cell", model, model.startswith("far"), "scored" if one is not None else "missed",
            correct=one, view=view, cluster=f"shot {i // size}", **more,
        )
        for i, one in enumerate(right)
    ]  # fmt: skip


def influence(natural: Sequence[bool | None], untagged: Sequence[bool | None], size: int = 1) -> TagInfluence:
    (found,) = tag_influence(answers("natural", natural, size=size) + answers("untagged", untagged, size=size), seed=1)
    return found


YES, NO = [True] * 20, [False] * 20


@pytest.mark.parametrize(
    ("natural", "untagged", "points", "helped", "harmed"),
    [
        (YES, YES, 0, 0, 0),
        (YES, NO, 100, 20, 0),
        (NO, YES, -100, 0, 20),
        (YES[:10] + NO[:10], NO[:10] + YES[:10], 0, 10, 10),
    ],
)
def test_points_are_with_the_marks_minus_without(natural, untagged, points, helped, harmed):
    found = influence(natural, untagged)
    assert (found.pictures, found.helped, found.harmed) == (20, helped, harmed)
    assert found.effect.points == points
    assert found.effect.low <= points <= found.effect.high
    assert found.effect.cells == 20


def test_pictures_of_one_burst_are_one_fact():
    random = np.random.default_rng(0)
    shots = random.random(12) < 0.5
    natural = [bool(one) for one in np.repeat(shots, 10)]
    alone, bursts = influence(natural, [True] * 120), influence(natural, [True] * 120, size=10)
    assert alone.effect.points == pytest.approx(bursts.effect.points)
    assert (alone.effect.cells, bursts.effect.cells) == (120, 12)
    assert bursts.effect.high - bursts.effect.low > 2 * (alone.effect.high - alone.effect.low)


def test_only_what_was_judged_in_both_views_counts():
    found = influence([True, None, False, True], [True, True, None, False])
    assert (found.pictures, found.helped, found.effect.points) == (2, 1, 50)
    nothing = influence([None, True], [True, None])
    assert (nothing.pictures, nothing.effect) == (0, None)


def test_recognizers_are_apart_and_surrogates_first():
    both = [
        each
        for model in ("far", "near")
        for each in answers("natural", YES, model=model) + answers("untagged", NO, model=model)
    ]
    assert [(each.model, each.held_out) for each in tag_influence(both, seed=1)] == [("near", False), ("far", True)]


def test_jitters_noises_and_other_views_have_no_say():
    plain = answers("natural", YES) + answers("untagged", NO)
    others = [
        replace(each, **change)
        for each in plain
        for change in (
            {"view": "object"},
            {"repeat": 1, "correct": False},
            {"noise": "fog", "severity": 3, "correct": False},
        )
    ]
    assert tag_influence(others + plain, seed=1) == tag_influence(plain, seed=1)
    assert tag_influence(answers("natural", YES), seed=1) == []
