"""The bench of patches: what is counted, what is kept, and that a help is called a help."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from color_model import color_model
from PIL import Image

from calibration.errors import BadInput, BadUsage, MissingFile
from patches.surrogates import SurrogateSource, load_surrogates
from pipeline.cli.app import main
from pipeline.declaring import add_model
from pipeline.patch_bench import workshop
from pipeline.patch_bench.arms import arm_count, arm_units, main_color
from pipeline.patch_bench.datasets import (
    chosen_classes,
    open_dataset,
    open_folder,
)
from pipeline.patch_bench.effort import CONTROLS, FULL, QUICK, STANDARD
from pipeline.patch_bench.files import as_csv, as_data, write_tables
from pipeline.patch_bench.judging import judge_arm
from pipeline.patch_bench.plan import BARE, BenchPlan, make_plan
from pipeline.patch_bench.provenance import code_digest, judging_code, training_code
from pipeline.patch_bench.run import outlook, run_bench
from pipeline.patch_bench.tables import make_tables
from pipeline.patch_bench.units import JudgeUnit, TrainUnit
from pipeline.patch_bench.variants import SWITCHED_ON, chosen_variants
from pipeline.recognizers import load_recognizers
from pipeline.statistics import Stratum, clustered_rate, stratified_mean, wilson

SIDE = 16
LABELS = ("red", "green", "blue")
COLORS = {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)}
TINY = replace(
    QUICK,
    name="tiny",
    classes=None,
    steps=3,
    batch=4,
    views=4,
    training=3,
    validation=2,
    strangers=1,
    pictures=2,
    attacked=1,
    spoofed=1,
    corruptions=("gaussian-noise", "fog"),
    severities=(4, 5),
    attacks=("pgd10-4",),
)
AREA = 0.4375
"""A ring of whole pixels: 2 px of 16."""


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Two recognizers that name the color that they see most of: one at the border, one (held out) in the middle."""
    folder = tmp_path_factory.mktemp("models")
    within = np.abs(np.arange(SIDE) - (SIDE - 1) / 2) < 6
    middle = within[:, None] & within[None, :]
    for name, seen, held_out in (("border", ~middle, False), ("middle", middle, True)):
        path = folder.parent / f"{name}.onnx"
        path.write_bytes(color_model(seen))
        add_model(path, folder, name=name, labels=LABELS, family=name, held_out=held_out)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Ten pictures for each class: its color, plain but for some noise."""
    root = tmp_path_factory.mktemp("colors")
    dice = np.random.default_rng(5)
    for label, color in COLORS.items():
        (root / label).mkdir()
        for number in range(10):
            pixels = np.clip(np.array(color) + dice.normal(0, 8, (20, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number:02d}.png")
    return root


def plan_of(folder: Path, models: Path, work: Path, effort=TINY, methods=("ensemble",), controls=("blank",), **more):
    return make_plan(
        open_folder(folder),
        load_recognizers([models]),
        chosen_variants(methods, with_ablation=False),
        controls,
        effort,
        area=AREA,
        seed=more.pop("seed", 0),
        work=work,
        **more,
    )


@pytest.fixture(scope="module")
def everything(folder, models, tmp_path_factory):
    """All controls and two methods, two seeds."""
    work = tmp_path_factory.mktemp("work")
    plan = plan_of(folder, models, work, replace(TINY, seeds=2), ("ensemble", "unadversarial"), CONTROLS)
    return plan, make_tables(run_bench(plan))


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


def test_pictures_of_one_object_are_not_several_facts():
    same = np.repeat([0.0, 10.0], [5, 5]), np.full(10, 10.0)
    mixed = np.full(10, 5.0), np.full(10, 10.0)
    agreeing, differing = clustered_rate(*same), clustered_rate(*mixed)
    assert agreeing.n == differing.n == 100
    assert agreeing.rate == differing.rate == 0.5
    ten, hundred = wilson(5, 10), wilson(50, 100)
    # As wide as ten answers are, and a little more: how alike the others are was measured on ten.
    assert ten.low - 0.06 < agreeing.low < ten.low < ten.high < agreeing.high < ten.high + 0.06
    assert (differing.low, differing.high) == pytest.approx((hundred.low, hundred.high))
    never = clustered_rate(np.zeros(4), np.full(4, 25.0))
    assert (never.low, never.high) == pytest.approx((wilson(0, 4).low, wilson(0, 4).high))
    assert clustered_rate(np.zeros(0), np.zeros(0)).rate is None


def test_the_interval_of_a_mean_over_strata_covers_it():
    """Clusters of three pictures around a known mean, two seeds: about 95 of 100 intervals hold it."""
    held = 0
    for number in range(100):
        dice = np.random.default_rng(number)
        strata = [
            Stratum(3 * (mean + dice.normal(0, 0.1, 20) + np.zeros((2, 1))), np.full(20, 3.0)) for mean in (0.1, 0.3)
        ]
        found = stratified_mean(strata, seed=1)
        held += found.low <= 20 <= found.high
    assert 88 <= held <= 99


def test_seeds_that_differ_widen_the_interval():
    clusters = np.ones((3, 8))
    alike = stratified_mean([Stratum(clusters, np.ones(8))], seed=1)
    other = stratified_mean([Stratum(clusters * [[0.0], [1.0], [2.0]], np.ones(8))], seed=1)
    assert (alike.points, alike.low, alike.high) == (100, 100, 100)
    assert other.points == 100
    assert other.low < 70 < 130 < other.high


# Again, and after a kill


def test_a_second_run_works_on_nothing(everything, monkeypatch):
    plan, tables = everything
    assert outlook(plan).patches_kept == outlook(plan).patches == 12
    assert outlook(plan).arms == arm_count(plan)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was done again")

    monkeypatch.setattr(workshop.Bench, "_train", refuse)
    monkeypatch.setattr(workshop, "judge_arm", refuse)
    assert as_data(plan, make_tables(run_bench(plan))) == as_data(plan, tables)


@pytest.mark.parametrize(
    ("change", "again"),
    [({"seed": 1}, 3), ({"effort": replace(TINY, steps=4)}, 3), ({"effort": replace(TINY, pictures=1)}, 0)],
    ids=["seed", "steps", "test pictures"],
)
def test_only_what_is_another_thing_is_trained_again(folder, models, tmp_path, change, again):
    run_bench(plan_of(folder, models, tmp_path, controls=()))
    found = outlook(plan_of(folder, models, tmp_path, controls=(), **change))
    assert found.patches - found.patches_kept == again


def test_a_piece_that_is_damaged_is_made_again(folder, models, tmp_path):
    plan = plan_of(folder, models, tmp_path, controls=())
    before = as_csv(make_tables(run_bench(plan)).rows)
    for path in [*tmp_path.glob("*/*.json")][::2]:
        path.write_text(path.read_text()[:50])
    assert as_csv(make_tables(run_bench(plan)).rows) == before


def test_the_same_seed_gives_the_same_bytes(folder, models, tmp_path):
    first, second = (
        as_csv(make_tables(run_bench(plan_of(folder, models, tmp_path / name))).rows) for name in ("a", "b")
    )
    assert first == second


PROGRAM = """
import sys
from pipeline.cli.app import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_run_goes_on(folder, models, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    words = [
        *("bench", "patches", "--dataset", folder, "--models", models, "--quick", "--classes", 3, "--json"),
        *("--methods", "ensemble", "--controls", "none", "--work", tmp_path / "work", "--out", tmp_path / "out"),
    ]
    command = [sys.executable, str(script), *map(str, words)]
    running = subprocess.Popen([*command, "--jobs", "2"], stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + 240
        while not [*(tmp_path / "work").glob("patches/*.json")] and time.monotonic() < until:
            assert running.poll() in (None, 0)
            time.sleep(0.05)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").glob("patches/*.json")}
    assert kept
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["data"]["gains"]
    assert Path(answer["data"]["files"]["figure"]).is_file()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


# Arms, frames, pictures


def test_wrong_class_and_alone_show_the_first_method(folder, models, tmp_path):
    plan = plan_of(folder, models, tmp_path, methods=("ensemble", "mean"), controls=CONTROLS)
    names = [each.name for each in plan.variants]
    textures = {
        (name, label, 0): np.full((SIDE, SIDE, 3), 10 * i + j, np.uint8)
        for i, name in enumerate(names)
        for j, label in enumerate(plan.classes)
    }
    found = {(each.arm, each.label): each.unit for each in arm_units(plan, textures)}
    assert len(found) == arm_count(plan)
    assert found["wrong-class", "blue"].worn == "green"
    assert (found["wrong-class", "blue"].texture == textures["ensemble", "green", 0]).all()
    assert found["alone", "red"].alone
    assert (found["mean", "red"].texture == textures["mean", "red", 0]).all()
    assert found[BARE, "red"].texture is None
    assert (found["blank", "red"].texture == 255).all()
    assert found["flat", "red"].texture[0, 0] == pytest.approx(COLORS["red"], abs=12)


def test_main_color_is_the_one_that_covers_most():
    picture = np.full((1, 10, 10, 3), 240, np.uint8)
    picture[:, 2:] = (200, 30, 30)
    assert main_color(picture).tolist() == [200, 30, 30]


# Sizes and names


def test_the_full_protocol_has_all_attacks():
    everywhere = {f"{loop}-{n}" for loop in ("fgsm", "pgd10", "pgd10m", "pgd40") for n in (2, 4, 8)}
    regions = {f"{loop}-4-{where}" for loop in ("fgsm", "pgd10", "pgd10m", "pgd40") for where in ("outside", "object")}
    assert set(FULL.attacks) == everywhere | regions | {"sticker"}
    assert len(FULL.corruptions) == len(STANDARD.corruptions) == 15


def test_every_term_can_be_switched():
    from dataclasses import fields

    from patches.order import Terms

    own = chosen_variants(("defensive",), with_ablation=True)
    assert len(own) == 1 + len(fields(Terms)), f"a value for each term is expected in SWITCHED_ON: {SWITCHED_ON}"
    plain = own[0].terms()
    for variant in own[1:]:
        changed = variant.terms()
        ((switched, _),) = variant.switches
        assert [each.name for each in fields(Terms) if getattr(plain, each.name) != getattr(changed, each.name)] == [
            switched
        ]
        assert bool(getattr(plain, switched)) != bool(getattr(changed, switched))
        assert ("-no-" in variant.name) or ("+" in variant.name)


def test_another_method_has_other_code():
    assert len({training_code("mean"), training_code("ensemble"), judging_code()}) == 3
    assert code_digest(("patches.train",)) != code_digest(("patches.trial",))


# Errors


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        (["--methods", "magic"], 2, "no method 'magic'"),
        (["--controls", "magic"], 2, "no control 'magic'"),
        (["--quick", "--standard"], 2, "two sizes"),
        (["--classes", "1"], 2, "--classes"),
        (["--classes", "stop,unicorn"], 2, "unicorn"),
        (["--attacks", "pgd10-4,hope"], 3, "hope"),
        (["--dataset", "gtsrb", "--data", "nowhere"], 3, "gtsrb is not there"),
        (["--dataset", "nowhere"], 2, "--models is expected"),
        (["--dataset", "nowhere", "--models", "nowhere"], 3, "no data set and no folder 'nowhere'"),
        (["--models", "nowhere"], 3, "no such folder"),
    ],
)
def test_what_cannot_be_done_is_said(words, exit_code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["bench", "patches", "--json", *words])
    answer = json.loads(capsys.readouterr().out)
    assert (end.value.code, answer["exit_code"]) == (exit_code, exit_code)
    assert message in answer["errors"][0]["message"]


def test_a_dry_run_counts_and_does_nothing(folder, models, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["bench", "patches", "--dry-run", "--json", "--dataset", str(folder), "--models", str(models)])
    assert end.value.code == 0
    found = json.loads(capsys.readouterr().out)["data"]
    assert found["patches"] == 3 * 5 * 3
    assert found["arms"] == 3 * (1 + 5 * 3 + 3 + 3 * 3)
    assert not [*tmp_path.iterdir()]


def test_nonsense_is_refused(folder, models, tmp_path):
    lonely = tmp_path / "lonely"
    (lonely / "red").mkdir(parents=True)
    with pytest.raises(BadInput, match="holds 0 pictures; at least 5"):
        open_folder(lonely)
    for number in range(5):
        Image.new("RGB", (20, 20)).save(lonely / "red" / f"{number}.png")
    with pytest.raises(BadInput, match="1 classes; at least 2"):
        plan_of(lonely, models, tmp_path)
    (lonely / "purple").mkdir()
    for number in range(5):
        Image.new("RGB", (20, 20)).save(lonely / "purple" / f"{number}.png")
    with pytest.raises(BadInput, match="does not know the class 'purple'"):
        plan_of(lonely, models, tmp_path)
    with pytest.raises(BadUsage, match="at least 2"):
        chosen_classes(open_folder(folder), 1)
    with pytest.raises(MissingFile, match="DPCAM_DATA"):
        open_dataset("cifar10", None, (tmp_path,), tmp_path)
    plan = plan_of(folder, models, tmp_path)
    with pytest.raises(BadInput, match="all are held out"):
        make_plan(plan.dataset, plan.recognizers[1:], plan.variants, (), TINY, area=None, seed=0, work=tmp_path)


def test_a_training_sees_no_test_picture(folder, models, tmp_path):
    plan = plan_of(folder, models, tmp_path, replace(TINY, training=99, validation=99, strangers=99, pictures=99))
    order = workshop.train_order(plan, TrainUnit("red", plan.variants[0], 0))
    seen = {each.pixels[..., :3].tobytes() for each in (*order.pictures, *order.judged, *order.others)}
    for label in LABELS:
        test = plan.dataset.pictures(label, "test", plan.side_px, 99).pixels
        assert not seen & {each.tobytes() for each in test}
    assert {each.label for each in order.others} == {"green", "blue"}
    assert (len(order.pictures), len(order.judged)) == (6, 2)
