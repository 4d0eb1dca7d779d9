"""The results that are committed: whole, as promised, and what the page about them says is what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import ROOT

RESULTS = ROOT / "docs" / "results"
PAGE = ROOT / "docs" / "results.md"
RUNS = sorted(RESULTS.rglob("patches-*.json"))
ROW = ["dataset", "method", "model", "held_out", "noise", "n", "rate", "low", "high"]
GAIN = ["dataset", "method", "noise", "held_out", "points", "low", "high"]


def rows_of_tables(text: str) -> list[str]:
    """Lines of Markdown tables that have a number in them."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("|")]
    return [line for line in lines if any(character.isdigit() for character in line)]


def test_there_are_results():
    assert {path.name for path in RUNS} >= {"patches-gtsrb.json", "patches-cifar10.json"}


def test_every_row_of_the_page_stands_in_a_table_that_a_command_wrote():
    written = {row for path in RESULTS.rglob("*.md") for row in rows_of_tables(path.read_text())}
    assert [row for row in rows_of_tables(PAGE.read_text()) if row not in written] == []


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.relative_to(RESULTS).as_posix())
def test_a_run_has_its_keys_and_its_gains_are_those_of_its_rows(path: Path):
    found = json.loads(path.read_text())
    assert all(list(row) == ROW for row in found["rows"])
    assert all(list(gain) == GAIN for gain in found["gains"])
    for gain in found["gains"]:
        assert gain["points"] == pytest.approx(100 * difference(found["rows"], gain), abs=5)
        assert gain["low"] <= gain["high"]


def difference(rows: list[dict], gain: dict) -> float:
    """Mean rate of the method less that of bare, over recognizers; every picture counts the same, not every class."""
    rates: dict[str, list[float]] = {"bare": [], gain["method"]: []}
    for row in rows:
        same = (row["noise"], row["held_out"]) == (gain["noise"], gain["held_out"])
        if same and row["method"] in rates:
            rates[row["method"]].append(row["rate"])
    bare, worn = (sum(each) / len(each) for each in (rates["bare"], rates[gain["method"]]))
    return worn - bare
