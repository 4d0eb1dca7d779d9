"""Photographed objects in the bench of patches, and recognizers that are held out for one run."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from color_model import color_model
from PIL import Image

from calibration.errors import BadInput, BadUsage
from pipeline import imagenet_scenes
from pipeline.cli.app import main
from pipeline.declaring import add_model
from pipeline.imagenet_pictures import Picture
from pipeline.imagenet_scenes import Backdrops, ObjectPictures, ObjectScene
from pipeline.patch_bench.effort import QUICK
from pipeline.patch_bench.frames import coverage, square_ring
from pipeline.patch_bench.photographed import Photographed, open_photographed, photographed
from pipeline.patch_bench.plan import make_plan
from pipeline.patch_bench.run import run_bench
from pipeline.patch_bench.tables import make_tables
from pipeline.patch_bench.units import JudgeUnit, TrainUnit, judge_key, train_key
from pipeline.patch_bench.variants import chosen_variants
from pipeline.recognizers import load_recognizers

COLORS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}
NETWORKS = {"small": ("dots", 12), "medium": ("dots", 16), "large": ("lines", 20)}
"""Names with family and input side."""

SIDE = max(side for _, side in NETWORKS.values())
TINY = replace(
    QUICK, classes=None, steps=2, training=6, validation=2, pictures=5, attacked=1, spoofed=1, corruptions=("fog",)
)


def cut_out(color: tuple[int, int, int], side: int = 40) -> np.ndarray:
    """A disc."""
    distance = np.abs(np.arange(side) - (side - 1) / 2)
    disc = np.hypot(distance[:, None], distance) <= side / 2
    return np.dstack([np.broadcast_to(np.array(color, np.uint8), (side, side, 3)), 255 * disc.astype(np.uint8)])


def ground(level: int) -> np.ndarray:
    return np.full((50, 70, 3), level, np.uint8)


SCENES = (
    *(
        ObjectScene(label, (cut_out(color), cut_out(color, 9)), (cut_out(color, 60),))
        for label, color in COLORS.items()
    ),
    ObjectScene("white", (cut_out((255, 255, 255)),), ()),
)
GROUNDS = Backdrops((ground(0), ground(20), ground(40)), (ground(60), ground(80)))


@pytest.fixture(scope="module")
def objects() -> Photographed:
    return photographed(SCENES, GROUNDS)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Recognizers of two families and three input sizes that name the color they see most of; none is held out."""
    folder = tmp_path_factory.mktemp("models")
    for name, (family, side) in NETWORKS.items():
        path = folder.parent / f"{name}.onnx"
        path.write_bytes(color_model(np.ones((side, side), bool)))
        add_model(path, folder, name=name, labels=tuple(COLORS), family=family)
    return folder


def plan_of(objects: Photographed, models: Path, work: Path, held_out: tuple[str, ...] = ()):
    return make_plan(
        objects,
        load_recognizers([models]),
        chosen_variants(("ensemble",), with_ablation=False),
        (),
        TINY,
        area=None,
        seed=0,
        work=work,
        held_out=held_out,
    )


# Pictures


def test_only_classes_that_can_be_judged_are_there(objects):
    assert objects.classes == tuple(COLORS)
    with pytest.raises(BadInput, match="photographs to train before"):
        photographed(SCENES, Backdrops(GROUNDS.training, ()))


def test_the_object_stays_clear_of_a_frame_on_thirty_percent(objects):
    framed = coverage(square_ring(0.3, 64), 64) > 0
    shares = []
    for part in ("training", "test"):
        found = objects.pictures("red", part, 64, 40).pixels.astype(int)
        assert found.shape == (40, 64, 64, 3)
        red = found[..., 0] - found[..., 1] > 20
        assert not (red & framed).any()
        shares += red.mean(axis=(1, 2)).tolist()
    # Discs of 0.55 to 0.7 of the side; a small one is magnified and soft.
    assert 0.8 * np.pi / 4 * 0.55**2 < min(shares) < max(shares) < 1.2 * np.pi / 4 * 0.7**2


def test_every_pair_of_object_and_ground_is_a_cluster_and_comes_as_often(objects):
    for part, pairs in (("training", 6), ("validation", 6), ("test", 2)):
        clusters = objects.pictures("green", part, 16, 5 * pairs).clusters
        assert np.bincount(clusters).tolist() == [5] * pairs
    shown = objects.pictures("green", "test", 16, 10)
    corners = shown.pixels[:, 0, 0, 0].astype(float)
    assert corners[shown.clusters == 0].max() <= 1.1 * 60
    assert corners[shown.clusters == 1].min() >= 0.7 * 80


def test_views_are_always_the_same_and_others_in_each_part(objects):
    parts = {part: objects.pictures("blue", part, 16, 12).pixels for part in ("training", "validation", "test")}
    again = objects.pictures("blue", "training", 16, 5).pixels
    assert (again == parts["training"][:5]).all()
    different = {each.tobytes() for pixels in parts.values() for each in pixels}
    assert len(different) == 36


def test_a_fine_pattern_does_not_alias():
    stripes = np.zeros((400, 400, 4), np.uint8)
    stripes[..., 3] = 255
    stripes[:, ::2, :3] = 255
    gray = photographed([ObjectScene("gray", (stripes,), (stripes,))], GROUNDS)
    found = gray.pictures("gray", "training", 32, 20).pixels[:, 12:20, 12:20]
    assert found.std(axis=(1, 2, 3)).max() < 8  # taken bare, its stripes have 127


def test_the_digest_is_that_of_the_pictures(objects):
    assert photographed(SCENES, GROUNDS).digest == objects.digest
    others = Backdrops(GROUNDS.training, (ground(60), ground(81)))
    assert photographed(SCENES, others).digest != objects.digest
    assert photographed(SCENES[:2], GROUNDS).digest != objects.digest


def test_they_are_fetched_into_a_folder(tmp_path, monkeypatch):
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not there to make a package with")
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: stamps\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: stamps\n"
    )

    def stored(name: str, pixels: np.ndarray) -> Picture:
        Image.fromarray(pixels).save(root / f"{name}.png")
        return Picture("stamps", f"{name}.png", hashlib.sha256((root / f"{name}.png").read_bytes()).hexdigest())

    shown = (stored("one", cut_out(COLORS["red"])),), (stored("two", cut_out(COLORS["red"], 60)),)
    monkeypatch.setattr(imagenet_scenes, "OBJECTS", (ObjectPictures("red", *shown),))
    monkeypatch.setattr(imagenet_scenes, "BACKDROPS", (stored("three", ground(0)),))
    monkeypatch.setattr(imagenet_scenes, "HELD_OUT_BACKDROPS", (stored("four", ground(60)),))
    deb = tmp_path / "stamps_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(root), str(deb)], check=True)
    sold = []

    def shop(package: str, into: Path) -> Path:
        sold.append(package)
        return Path(shutil.copy(deb, into))

    first = open_photographed(tmp_path / "cache", shop)
    count = len(sold)
    assert first.classes == ("red",)
    assert open_photographed(tmp_path / "cache", shop).digest == first.digest
    assert len(sold) == count


# Recognizers


def test_recognizers_of_any_input_size_train_and_judge(objects, models, tmp_path):
    plan = plan_of(objects, models, tmp_path, ("lines",))
    assert plan.side_px == SIDE
    tables = make_tables(run_bench(plan))
    rates = {row.model: (row.held_out, row.rate) for row in tables.rows if (row.method, row.noise) == ("bare", "clean")}
    assert rates == {"small": (False, 1.0), "medium": (False, 1.0), "large": (True, 1.0)}
    assert {gain.held_out for gain in tables.gains} == {True, False}


@pytest.mark.parametrize(
    ("held_out", "surrogates"),
    [
        ((), {"small", "medium", "large"}),
        (("lines",), {"small", "medium"}),
        (("dots",), {"large"}),
        (("small",), {"medium", "large"}),
        (("small", "lines"), {"medium"}),
    ],
)
def test_names_and_families_are_held_out(objects, models, tmp_path, held_out, surrogates):
    assert {each.name for each in plan_of(objects, models, tmp_path, held_out).surrogates} == surrogates


def test_what_is_named_takes_the_place_of_what_contracts_say(objects, models, tmp_path):
    contradicted = [
        replace(each, contract=each.contract.model_copy(update={"held_out": each.name == "small"}))
        for each in load_recognizers([models])
    ]
    plan = plan_of(objects, models, tmp_path)
    for named, surrogates in (((), {"medium", "large"}), (("large",), {"small", "medium"})):
        found = make_plan(
            objects, contradicted, plan.variants, (), TINY, area=None, seed=0, work=tmp_path, held_out=named
        )
        assert {each.name for each in found.surrogates} == surrogates


def test_folds_train_anew_and_share_what_was_judged(objects, models, tmp_path):
    one, other = (plan_of(objects, models, tmp_path, (family,)) for family in ("dots", "lines"))
    trained = TrainUnit("red", one.variants[0], 0)
    assert train_key(one, trained) != train_key(other, trained)
    bare = JudgeUnit("red", "red", None)
    assert judge_key(one, bare) == judge_key(other, bare)


def test_a_fold_without_surrogates_or_with_unknown_names_is_refused(objects, models, tmp_path):
    with pytest.raises(BadInput, match="all are held out"):
        plan_of(objects, models, tmp_path, ("dots", "large"))
    with pytest.raises(BadUsage, match=r"--held-out magic.*dots, large, lines, medium, small"):
        plan_of(objects, models, tmp_path, ("dots", "magic"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "imagenet"], "dpcam models imagenet"),
        (["--held-out", "magic"], "--held-out magic: no recognizer or family"),
    ],
)
def test_what_cannot_be_done_is_said(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["bench", "patches", "--json", *words])
    assert end.value.code == 2
    assert message in json.loads(capsys.readouterr().out)["errors"][0]["message"]
    assert not list(tmp_path.iterdir())
