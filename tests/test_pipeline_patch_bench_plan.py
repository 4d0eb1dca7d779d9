"""What the bench of patches plans: arms, sizes, names, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_bench import COLORS, LABELS, SIDE, TINY, border_and_middle, plain_colors, plan_of

from calibration.errors import BadInput, BadUsage, MissingFile
from pipeline.cli.app import main
from pipeline.patch_bench import workshop
from pipeline.patch_bench.arms import arm_count, arm_units, main_color
from pipeline.patch_bench.datasets import (
    chosen_classes,
    open_dataset,
    open_folder,
)
from pipeline.patch_bench.effort import CONTROLS, FULL, STANDARD
from pipeline.patch_bench.plan import BARE, make_plan
from pipeline.patch_bench.provenance import code_digest, judging_code, training_code
from pipeline.patch_bench.units import TrainUnit
from pipeline.patch_bench.variants import SWITCHED_ON, chosen_variants


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    return border_and_middle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return plain_colors(tmp_path_factory.mktemp("colors"))


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


def test_more_recognizers_join_those_of_the_bench(folder, models, tmp_path, monkeypatch, capsys):
    more = shutil.copytree(models, tmp_path / "more")
    for path in more.glob("*.json"):
        path.write_text(path.read_text().replace('"name": "', '"name": "more-'))
    folders = ["--dataset", str(folder), "--models", str(models), "--more-models", "more"]
    small = ["--steps", "1", "--pictures", "2", "--methods", "ensemble", "--controls", "none", "--classes", "2"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["bench", "patches", "--json", "--quick", *folders, *small])
    assert end.value.code == 0
    rows = json.loads(capsys.readouterr().out)["data"]["rows"]
    assert {(row["model"], row["held_out"]) for row in rows} == {
        ("border", False),
        ("middle", True),
        ("more-border", False),
        ("more-middle", True),
    }


def test_a_dry_run_counts_and_does_nothing(folder, models, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["bench", "patches", "--dry-run", "--json", "--dataset", str(folder), "--models", str(models)])
    assert end.value.code == 0
    found = json.loads(capsys.readouterr().out)["data"]
    assert found["patches"] == 3 * 5 * 3
    assert found["arms"] == 3 * (1 + 5 * 3 + 3 + 3 * 3)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("pictures", "expected"), [("1", 2), ("99", 4)], ids=["fewer", "more than there are"])
def test_so_many_test_pictures_are_judged(folder, models, tmp_path, monkeypatch, capsys, pictures, expected):
    monkeypatch.chdir(tmp_path)
    size = ["--quick", "--steps", "1", "--pictures", pictures, "--methods", "ensemble", "--controls", "none"]
    with pytest.raises(SystemExit) as end:
        main(["bench", "patches", "--json", "--dataset", str(folder), "--models", str(models), *size])
    assert end.value.code == 0
    rows = json.loads(capsys.readouterr().out)["data"]["rows"]
    assert {row["n"] for row in rows if row["noise"] == "clean"} == {expected}


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
