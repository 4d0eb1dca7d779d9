"""Sessions side by side: differences with intervals, paired where that is possible, and what else differs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reports import TARGET, answer, rows_of, shot

from pipeline.report.comparing import (
    Comparison,
    Fact,
    Line,
    compare_scores,
    comparison_tables,
    difference_text,
    unpaired,
)
from pipeline.report.comparison import render_comparison
from pipeline.scoring.score import Answer, Row


def answers(right: dict[str, list[int]], arm: str = TARGET, model: str = "vgg") -> list[Answer]:
    """Condition → what was right."""
    return [
        replace(answer(shot(f"{cell}{i}", arm), model, said=TARGET if good else "stop"), cell=cell)
        for cell, goods in right.items()
        for i, good in enumerate(goods)
    ]


def compared(*sessions: list[Answer]) -> list[Line]:
    return compare_scores([(rows_of(each), each) for each in sessions], seed=3)


def test_a_difference_is_paired_over_the_conditions_that_both_took() -> None:
    first = {f"{i} m": [1, 0] for i in range(6)} | {"far": [0] * 50}
    second = {f"{i} m": [1, 1] if i % 3 else [1, 0] for i in range(6)} | {"near": [1] * 50}
    (line,) = compared(answers(first), answers(second))
    (difference,) = line.differences
    assert difference is not None
    assert difference.conditions == 6
    assert difference.points == pytest.approx(100 * (4 / 6) * 0.5)
    assert difference.low <= difference.points <= difference.high


def test_without_common_conditions_the_rates_stand_for_themselves() -> None:
    (line,) = compared(answers({"a": [1] * 8 + [0] * 2}), answers({"b": [1] * 2 + [0] * 8}))
    (difference,) = line.differences
    assert difference is not None
    assert difference.conditions == 0
    assert difference_text(difference).startswith("−60.0 (")
    assert difference_text(difference).endswith(") *")


def test_unpaired_interval_is_newcombe_s() -> None:
    """Newcombe 1998, table II, example (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339."""
    given = [answers({"a": [1] * k + [0] * (n - k)}) for k, n in ((48, 80), (56, 70))]
    # Each for itself: no two of one condition.
    rows = [rows_of([replace(each, cell=each.sample) for each in one])[0] for one in given]
    found = unpaired(*rows)
    assert found is not None
    assert (found.points, found.low, found.high) == pytest.approx((20.0, 5.24, 33.39), abs=0.01)


def test_three_sessions_and_what_only_some_have() -> None:
    one = answers({"a": [1]}) + answers({"a": [1]}, "bare") + answers({"a": [1]}, model="resnet")
    two = answers({"a": [0]})
    lines = compared(one, two, answers({"a": [1]}, "bare"))
    assert [(line.arm, line.model) for line in lines] == [("bare", "vgg"), (TARGET, "vgg")]
    assert [difference is None for difference in lines[0].differences] == [True, False]


def test_the_tables_and_the_page_tell_all() -> None:
    lines = compared(answers({"a": [1], "b": [1]}), answers({"a": [0], "b": [1]}))
    facts = (Fact("camera", ("sim:", "<b>/dev/video0</b>")), Fact("target", ("stop", "stop")))
    found = Comparison(("one", "two"), (True, False), facts, tuple(lines))
    rates, differing = comparison_tables(found)
    assert rates.columns == ("recognizer", "arm", "A", "B", "B − A")
    assert [row[0] for row in differing.rows] == ["camera"]
    page = render_comparison(found)
    assert page == render_comparison(found)
    assert "&lt;b&gt;/dev/video0" in page
    assert "<b>/dev" not in page
    assert "Simulated shots in some sessions" in page


@pytest.mark.parametrize("missing", ["rate", "low", "high"])
def test_no_rate_no_difference(missing: str) -> None:
    row = rows_of(answers({"a": [1, 0]}))[0]
    nothing: Row = replace(row, **{missing: None})
    assert unpaired(row, nothing) is None
    assert difference_text(None) == "–"
