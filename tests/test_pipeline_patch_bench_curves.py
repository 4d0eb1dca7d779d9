"""The two curves of the bench of patches: gain over spoof rate by the values of terms, and gain over area."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from color_model import color_model
from PIL import Image
from test_patches_train import TWO, order, picture
from tiny_bench import AREA, COLORS, LABELS, SIDE, TINY

from calibration.errors import BadUsage
from patches.methods import METHODS
from patches.methods.defensive import TERMS
from patches.order import Terms, make_bench
from pipeline.cli.app import main
from pipeline.declaring import add_model
from pipeline.patch_bench.datasets import open_folder
from pipeline.patch_bench.frames import square_ring
from pipeline.patch_bench.plan import make_plan
from pipeline.patch_bench.run import outlook, run_bench
from pipeline.patch_bench.tables import make_tables
from pipeline.patch_bench.trade_off import Dot, apart, curves, trade_off_figure
from pipeline.patch_bench.variants import OBEYED, SWITCHED_ON, Variant, chosen_variants, method_names, terms_of
from pipeline.recognizers import load_recognizers

OWN_NO_SPOOF = f"defensive+no-spoof={TERMS.no_spoof}"


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """One that looks at the border, and one (held out) that looks everywhere."""
    folder = tmp_path_factory.mktemp("models")
    everywhere = np.ones((SIDE, SIDE), bool)
    border = everywhere.copy()
    border[2:-2, 2:-2] = False
    for name, seen, held_out in (("border", border, False), ("everywhere", everywhere, True)):
        path = folder.parent / f"{name}.onnx"
        path.write_bytes(color_model(seen))
        add_model(path, folder, name=name, labels=LABELS, family=name, held_out=held_out)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Five pictures of each class: its color, around it a gray that says nothing."""
    root = tmp_path_factory.mktemp("colors")
    for label, color in COLORS.items():
        (root / label).mkdir()
        for number in range(5):
            pixels = np.full((SIDE, SIDE, 3), 128 + number, np.uint8)
            pixels[4:-4, 4:-4] = color
            Image.fromarray(pixels).save(root / label / f"{number}.png")
    return root


def plan_of(folder: Path, models: Path, work: Path, *names: str, effort=TINY):
    variants = chosen_variants(names, with_ablation=False)
    return make_plan(
        open_folder(folder), load_recognizers([models]), variants, (), effort, area=AREA, seed=0, work=work
    )


# Values in names


@pytest.mark.parametrize(
    ("name", "method", "changed"),
    [
        ("defensive+no-spoof=0.5", "defensive", {"no_spoof": 0.5}),
        ("ensemble+fade=0.8", "ensemble", {"fade": 0.8}),
        ("defensive+no-spoof=1+disturb=0", "defensive", {"no_spoof": 1.0, "disturb": 0.0}),
        ("defensive-no-disturb+fade=.2", "defensive", {"disturb": 0.0, "fade": 0.2}),
        ("defensive+attack-levels=4+correlation=2.5", "defensive", {"attack_levels": 4.0, "correlation": 2.5}),
        ("mean+cells=8+smoothness=0", "mean", {"cells": 8, "smoothness": 0.0}),
        ("released+fade", "released", {"fade": SWITCHED_ON["fade"]}),
        ("defensive+fade", "defensive", {"fade": SWITCHED_ON["fade"]}),
        ("defensive-no-no-spoof", "defensive", {"no_spoof": 0.0}),
    ],
)
def test_a_name_says_the_values_of_terms(name, method, changed):
    (variant,) = chosen_variants((name,), with_ablation=False)
    assert (variant.name, variant.method) == (name, method)
    assert variant.terms() == replace(terms_of(method), **changed)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("magic+fade=1", "no method 'magic'; there are defensive"),
        ("ensemble+glow=1", "ensemble has no term 'glow'; it has smoothness, gamut, no-spoof, fade, cells"),
        ("ensemble+disturb=0.5", "ensemble has no term 'disturb'"),
        ("defensive+no_spoof=1", "no term 'no_spoof'; it has .*no-spoof"),
        ("defensive+", "no term ''"),
        ("defensive+no-spoof=1.1", "no-spoof=1.1: a number from 0 to 1 is expected"),
        ("defensive+no-spoof=-1", "from 0 to 1 is expected"),
        ("defensive+no-spoof=nan", "from 0 to 1 is expected"),
        ("defensive+no-spoof=", "from 0 to 1 is expected"),
        ("defensive+cells=1.5", "cells=1.5: a whole number from 0"),
        ("defensive+fade=0.1+fade=0.2", "a term is there twice"),
        ("defensive-no-disturb+disturb=1", "a term is there twice"),
    ],
)
def test_a_term_or_value_without_sense_is_refused(name, message):
    with pytest.raises(BadUsage, match=message):
        chosen_variants((name,), with_ablation=False)


def losses(method: str, terms: Terms) -> list[float]:
    """What the method has to lower in the steps of a short run, for colors stronger than it begins with."""
    bench = make_bench(order(steps=6, others=[picture("yield")]), terms, TWO, [])
    latents = [40 * each for each in METHODS[method].begin(bench)]
    return [METHODS[method].loss(latents, step, bench).item() for step in range(6)]


@pytest.mark.parametrize("method", OBEYED)
def test_methods_have_the_terms_that_make_a_difference_to_them(method):
    own = terms_of(method)
    plain = losses(method, own)
    differing = [
        each.name
        for each in fields(Terms)
        if losses(method, replace(own, **{each.name: 4 if each.name == "cells" else 0.75})) != plain
    ]
    assert sorted(differing) == sorted(OBEYED[method])


def test_every_method_has_terms():
    assert tuple(OBEYED) == method_names()


def test_the_same_terms_by_another_name_are_the_same_training(folder, models, tmp_path):
    run_bench(plan_of(folder, models, tmp_path, "defensive", "defensive-no-disturb"))
    plan = plan_of(folder, models, tmp_path, OWN_NO_SPOOF, "defensive+disturb=0.0")
    assert outlook(plan).patches_kept == outlook(plan).patches == 6
    tables = make_tables(run_bench(plan))
    assert [(each.method, each.steps) for each in tables.training] == [
        (OWN_NO_SPOOF, 3),
        ("defensive+disturb=0.0", 3),
    ]


# Gain over spoof rate


def dots(*names: str) -> list[Dot]:
    variants = chosen_variants(names, with_ablation=False)
    return [Dot(each, (float(n), n - 1.0, n + 1.0), (2.0 * n, n - 1.0, 3.0 * n)) for n, each in enumerate(variants)]


@pytest.mark.parametrize(
    ("names", "joined"),
    [
        (
            ("defensive+no-spoof=1", "mean", "defensive+no-spoof=0", "defensive"),
            [("defensive+no-spoof=0", "defensive", "defensive+no-spoof=1")],
        ),
        (("defensive+no-spoof=1", "defensive+disturb=0"), []),
        (("ensemble+fade=0.8", "mean+fade=0.2"), []),
        (("ensemble+fade=0.8+cells=8", "ensemble+cells=8"), [("ensemble+cells=8", "ensemble+fade=0.8+cells=8")]),
        (("defensive", OWN_NO_SPOOF), []),
        ((), []),
    ],
    ids=["in order", "two terms differ", "two methods", "another term is alike", "the same value", "nothing"],
)
def test_dots_are_joined_that_differ_in_one_term(names, joined):
    found = curves(dots(*names)) if names else curves([])
    assert [tuple(dot.variant.name for dot in run) for run in found] == joined


def test_names_keep_apart_and_below_the_top():
    found = apart([0.1, 0.1, 0.5, 0.99, 1.0, 1.0], 0.05)
    assert np.diff(found).min() >= 0.05 - 1e-9
    assert found[2] == 0.5
    assert max(found) <= 1


def test_the_figure_has_room_for_every_name(folder, models, tmp_path):
    few, many = ("ensemble",), ("ensemble", *(f"ensemble+no-spoof={n / 10}+fade=0.5" for n in range(10)))
    sizes = []
    for names in (few, many):
        plan = plan_of(folder, models, tmp_path, *few)
        tables = make_tables(run_bench(plan))
        variants = tuple(Variant(name, "ensemble") for name in names)
        # The same numbers under many names.
        more = replace(
            tables,
            gains=tuple(replace(gain, method=name) for name in names for gain in tables.gains),
            spoof=tuple(replace(spoof, method=name) for name in names for spoof in tables.spoof),
        )
        with Image.open(io.BytesIO(trade_off_figure(more, variants, "colors"))) as figure:
            sizes.append(figure.size)
    assert sizes[1][0] > sizes[0][0] > 600


# Gain over area


def answer(words: list[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    with pytest.raises(SystemExit) as end:
        main(["bench", "patches", "--json", *map(str, words)])
    return end.value.code, json.loads(capsys.readouterr().out)


def test_a_curve_has_every_area_and_its_files_say_the_same(folder, models, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--dataset", folder, "--models", models, "--quick", "--classes", 3, "--methods", "ensemble,mean+fade=0.5"]
    words += ["--controls", "blank", "--steps", 2, "--out", "out", "--areas", "0.5,0.1,0.50"]
    _, before = answer([*words, "--dry-run"], capsys)
    assert (before["data"]["patches"], before["data"]["patches_kept"]) == (2 * 2 * 3, 0)
    assert before["data"]["areas"] == [0.1, 0.5]
    code, found = answer(words, capsys)
    assert code == 0, found["errors"]
    curve, files = found["data"]["curve"], found["data"]["files"]
    assert all(
        list(each) == ["dataset", "method", "noise", "held_out", "points", "low", "high", "area"] for each in curve
    )
    assert {(each["method"], each["area"], each["noise"], each["held_out"]) for each in curve} == {
        (method, area, noise, held_out)
        for method in ("ensemble", "mean+fade=0.5")
        for area in (0.1, 0.5)
        for noise in ("clean", "corruptions", "pgd10-4")
        for held_out in (True, False)
    }
    assert len(curve) == 2 * 2 * 3 * 2
    stored = json.loads(Path(files["json"]).read_text())
    assert stored["curve"] == curve
    for name, run in stored["runs"].items():
        alone = json.loads((tmp_path / "out" / run).read_text())
        assert name == f"area-{alone['settings']['area']:g}"
        own = {(g["method"], g["noise"], g["held_out"]): g["points"] for g in alone["gains"]}
        assert all(
            own[each["method"], each["noise"], each["held_out"]] == each["points"]
            for each in curve
            if each["area"] == pytest.approx(alone["settings"]["area"])
        )
    assert len([*csv.DictReader(io.StringIO(Path(files["csv"]).read_text()))]) == len(curve)
    assert "50 %" in Path(files["markdown"]).read_text()
    with Image.open(files["figure"]) as figure:
        assert figure.width > 600
    _, after = answer([*words, "--dry-run"], capsys)
    assert after["data"]["patches_kept"] == 12


@pytest.mark.parametrize(("area", "side_px"), [(0.02, 16), (0.05, 32), (0.1, 16)])
def test_the_thinnest_frame_has_texels(area, side_px):
    thin = square_ring(area, side_px)
    assert thin.ring().any()
    assert thin.texels > side_px
    assert thin.share == pytest.approx(area)
    assert square_ring(0.3, side_px).texels == side_px


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--areas", "0.1,0.2", "--area", "0.3"], "--area and --areas"),
        (["--areas", "0.1,much"], "--areas much: shares of the picture from 0.02 to 0.9"),
        (["--areas", "0.1,5"], "--areas 5:"),
        (["--areas", ","], "shares of the picture"),
        (["--areas", "0.1,0.8"], "covers at most 0."),
        (["--areas", "0.1", "--methods", "ensemble+disturb=1"], "no term 'disturb'"),
    ],
)
def test_areas_that_cannot_be_had_are_said_before_anything_is_done(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, found = answer(words, capsys)
    assert code in (2, 3)
    assert message in found["errors"][0]["message"]
    assert not [*tmp_path.iterdir()]
