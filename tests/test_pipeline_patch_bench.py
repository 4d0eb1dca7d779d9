"""The bench of patches: what is counted, and that a help is called a help."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_bench import COLORS, LABELS, SIDE, TINY, all_arms, border_and_middle, plain_colors, plan_of

from patches.surrogates import SurrogateSource, load_surrogates
from pipeline.patch_bench.files import as_data, write_tables
from pipeline.patch_bench.judging import judge_arm
from pipeline.patch_bench.plan import BARE, BenchPlan
from pipeline.patch_bench.run import run_bench
from pipeline.patch_bench.tables import make_tables
from pipeline.patch_bench.units import JudgeUnit


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    return border_and_middle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return plain_colors(tmp_path_factory.mktemp("colors"))


@pytest.fixture(scope="module")
def everything(folder, models, tmp_path_factory):
    return all_arms(folder, models, tmp_path_factory.mktemp("work"))


# What is counted


def test_every_picture_is_counted_once(everything):
    plan, tables = everything
    seen = {(row.method, row.model, row.noise): row.n for row in tables.rows}
    assert len(seen) == len(tables.rows)
    pictures = len(LABELS) * 2  # two of ten files are for the test
    for arm in plan.arms:
        seeds = 2 if arm in ("ensemble", "unadversarial", "noise", "wrong-class", "alone") else 1
        shown = len(LABELS) if arm == "alone" else pictures
        for model in ("border", "middle"):
            assert seen[arm, model, "clean"] == shown * seeds
            assert seen[arm, model, "fog"] == shown * seeds * 2
            assert seen[arm, model, "corruptions"] == shown * seeds * 4
            if arm != "alone":
                assert seen[arm, model, "pgd10-4"] == len(LABELS) * seeds
                # One picture of each of two other classes; with the wrong patch on, all of the class itself.
                assert seen[arm, model, "spoof"] == (pictures if arm == "wrong-class" else len(LABELS) * 2) * seeds
    assert ("alone", "border", "spoof") not in seen


def test_rates_lie_within_their_intervals_and_keys_are_as_promised(everything):
    plan, tables = everything
    found = as_data(plan, tables)
    assert set(found) == {"rows", "gains", "versus", "spoof", "training"}
    keys = {
        "rows": "dataset method model held_out noise n rate low high",
        "gains": "dataset method noise held_out points low high",
        "versus": "dataset method rival noise held_out points low high",
        "spoof": "dataset method held_out rate low high",
        "training": "method seconds_per_patch steps",
    }
    for name, words in keys.items():
        assert found[name]
        assert all(list(each) == words.split() for each in found[name]), name
    assert all(0 <= row["low"] <= row["rate"] <= row["high"] <= 1 for row in found["rows"])
    assert {row["noise"] for row in found["rows"]} == {"clean", "corruptions", "pgd10-4", "spoof"}
    assert {(gain["method"], gain["held_out"]) for gain in found["gains"]} == {
        (arm, held_out) for arm in plan.arms if arm not in (BARE, "alone") for held_out in (True, False)
    }
    assert {each["rival"] for each in found["versus"]} == {"unadversarial"}


def test_files_say_the_same(everything, tmp_path):
    plan, tables = everything
    written = write_tables(plan, tables, tmp_path)
    stored = json.loads(written.json.read_text())
    assert stored["rows"] == as_data(plan, tables)["rows"]
    assert [model["sha256"] for model in stored["settings"]["models"]] == [
        each.contract.sha256 for each in plan.recognizers
    ]
    rows = list(csv.DictReader(io.StringIO(written.csv.read_text())))
    assert len(rows) == len(tables.rows)
    assert {row["noise"] for row in rows} - {row["noise"] for row in stored["rows"]} == set(TINY.corruptions)
    text = written.markdown.read_text()
    assert all(arm in text for arm in plan.arms)
    assert written.figure.name in text
    with Image.open(written.figure) as figure:
        assert figure.width > 100


# What helps, what hurts, what spoofs


def judged(plan: BenchPlan, label: str, worn: str, color: tuple[int, int, int]) -> dict[tuple[str, str], list[int]]:
    texture = np.broadcast_to(np.array(color, np.uint8), (SIDE, SIDE, 3)).copy()
    loaded = load_surrogates([SurrogateSource(each.contract, each.onnx) for each in plan.recognizers])
    found = judge_arm(plan, JudgeUnit(label, worn, texture), loaded)
    return {(s.model, s.noise): s.right for panel in (*found.own, *found.strange) for s in panel.scores}


@pytest.mark.parametrize(
    ("worn", "right", "spoofed"), [("red", 1, 1), ("green", 0, 1)], ids=["its own class", "another"]
)
def test_who_looks_at_the_border_is_led_by_the_frame(folder, models, tmp_path, worn, right, spoofed):
    found = judged(plan_of(folder, models, tmp_path), "red", worn, COLORS[worn])
    assert found["border", "clean"] == [right] * 2
    assert found["middle", "clean"] == [1] * 2
    assert found["border", "spoof"] == [spoofed] * 2
    assert found["middle", "spoof"] == [0] * 2


def test_a_patch_of_another_class_hurts(folder, models, tmp_path):
    effort = replace(TINY, steps=25, attacks=())
    tables = make_tables(run_bench(plan_of(folder, models, tmp_path, effort, ("ensemble",), ("wrong-class",))))
    points = {(gain.method, gain.noise, gain.held_out): gain for gain in tables.gains}
    assert points["wrong-class", "clean", False].points == -100
    assert points["wrong-class", "clean", False].high < 0
    assert points["wrong-class", "clean", True].points == 0
    assert points["ensemble", "clean", False].points == 0
    assert {each.held_out: each.rate for each in tables.spoof} == {False: 1, True: 0}


def test_a_patch_helps_where_the_border_misleads(models, tmp_path):
    """Around each color is the next one: who looks at the border is always wrong without a patch."""
    for label, following in zip(COLORS, ("green", "blue", "red"), strict=True):
        (tmp_path / "colors" / label).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((SIDE, SIDE, 3), COLORS[following], np.uint8)
            pixels[2:-2, 2:-2] = COLORS[label]
            pixels[..., 0] += number
            Image.fromarray(pixels).save(tmp_path / "colors" / label / f"{number}.png")
    effort = replace(TINY, steps=25, attacks=(), seeds=2)
    plan = plan_of(tmp_path / "colors", models, tmp_path, effort, ("ensemble", "released"), ())
    tables = make_tables(run_bench(plan))
    points = {(gain.method, gain.noise, gain.held_out): gain for gain in tables.gains}
    assert points["ensemble", "clean", False].points == 100
    assert points["ensemble", "corruptions", False].low > 50
    assert points["ensemble", "clean", True].points == 0
    (better,) = [each for each in tables.versus if (each.noise, each.held_out) == ("clean", False)]
    assert better.points == pytest.approx(100 - points["released", "clean", False].points)


def test_gains_are_differences_of_rates(everything):
    _, tables = everything
    rate = {(row.method, row.model, row.noise): row.rate for row in tables.rows}
    for gain in tables.gains:
        model = "middle" if gain.held_out else "border"
        expected = 100 * (rate[gain.method, model, gain.noise] - rate[BARE, model, gain.noise])
        assert gain.points == pytest.approx(expected, abs=1e-3)
        assert gain.low - 1e-9 <= gain.points <= gain.high + 1e-9
