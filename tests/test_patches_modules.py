"""Torch modules by import path as surrogates: what is accepted, and what is said of what is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from calibration.errors import BadConfig, BadInput, BadModel, MissingFile
from patches.modules import load_module, module_source

torch.set_num_threads(1)

SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, labels=3):
        super().__init__()
        torch.manual_seed(5)
        self.last = nn.Linear(3, labels)
        self.drop = nn.Dropout(0.5)
    def forward(self, x):
        return self.drop(self.last(x.mean(dim=(2, 3))))

def make():
    return Net()

net = Net().double()
four = Net(4)

class Broken(Net):
    def forward(self, x):
        raise ValueError("this was\\nnever finished")

class Flat(Net):
    def forward(self, x):
        return self.last(x.mean(dim=(2, 3))).round()

class Nan(Net):
    def forward(self, x):
        return self.last(x.mean(dim=(2, 3))) / 0 * 0

def wants(more):
    return Net()

def number():
    return 7
"""
CONTRACT = {
    "format": "dpcam.module",
    "version": 1,
    "name": "mine",
    "height": 6,
    "width": 8,
    "mean": [0.5, 0.5, 0.5],
    "labels": ["stop", "yield", "no-entry"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "dpcam_test_nets.py").write_text(SOURCE)
    (folder / "dpcam_test_broken.py").write_text("import a_package_that_is_not_there\n")
    (folder / "dpcam_test_leaves.py").write_text("import sys\nsys.exit(3)\n")
    (folder / "mine.json").write_text(json.dumps(CONTRACT))
    (folder / "other.json").write_text(json.dumps({**CONTRACT, "format": "dpcam.recognizer"}))
    return folder


@pytest.mark.parametrize("name", ["make", "Net", "net"])
def test_a_module_or_what_makes_one_becomes_a_surrogate(folder: Path, name: str):
    surrogate = load_module(module_source(f"dpcam_test_nets:{name}@mine.json", folder))
    assert (surrogate.name, surrogate.max_delta, surrogate.index("no-entry")) == ("mine", 0.0, 2)
    pixels = torch.rand(4, 3, 12, 16, requires_grad=True)
    first, again = surrogate.logits(pixels), surrogate.logits(pixels)
    assert first.shape == (4, 3)
    assert first.dtype == torch.float32
    assert torch.equal(first, again), "in training mode"
    first.sum().backward()
    assert pixels.grad.abs().max() > 0
    assert not any(each.requires_grad for each in surrogate.network.parameters())
    assert str(folder.resolve()) not in sys.path


def test_preprocessing_is_the_contract_s(folder: Path):
    surrogate = load_module(module_source("dpcam_test_nets:make@mine.json", folder))
    gray = torch.full((1, 3, 6, 8), 0.5)
    assert torch.allclose(surrogate.logits(gray), surrogate.network.last.bias)


def test_its_hash_is_that_of_its_weights(folder: Path):
    first, again = (load_module(module_source("dpcam_test_nets:make@mine.json", folder)) for _ in range(2))
    assert first.contract.sha256 == again.contract.sha256
    assert len(first.contract.sha256) == 64
    assert first.contract.file == "dpcam_test_nets:make"
    with torch.no_grad():
        sys.modules["dpcam_test_nets"].net.last.bias.add_(1)
    hashes = {load_module(module_source("dpcam_test_nets:net@mine.json", folder)).contract.sha256}
    with torch.no_grad():
        sys.modules["dpcam_test_nets"].net.last.bias.sub_(1)
    hashes.add(load_module(module_source("dpcam_test_nets:net@mine.json", folder)).contract.sha256)
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("dpcam_test_nowhere:net", "dpcam_test_nowhere:net cannot be imported: ModuleNotFoundError: No module named"),
        ("dpcam_test_nets:nothing", "cannot be imported: AttributeError: module 'dpcam_test_nets' has no attribute"),
        ("dpcam_test_broken:net", "cannot be imported: ModuleNotFoundError: No module named 'a_package_that_is_not"),
        ("dpcam_test_leaves:net", "cannot be imported: SystemExit: 3"),
        ("dpcam_test_nets:wants", r"fails when it is called: TypeError: wants\(\) missing 1 required"),
        ("dpcam_test_nets:number", "gives int; a torch module is expected"),
        ("dpcam_test_nets:CONTRACT", "has no attribute 'CONTRACT'"),
        ("dpcam_test_nets:four", r"mine gives scores \(2, 4\) for two pictures; \(2, 3\) is expected"),
        ("dpcam_test_nets:Nan", "mine gives scores that are NaN or infinite"),
        ("dpcam_test_nets:Flat", "mine gives no usable gradient"),
        ("dpcam_test_nets:Broken", "mine cannot be run in torch: this was$"),
    ],
)
def test_what_is_no_surrogate_is_refused_in_one_line(folder: Path, place: str, message: str):
    with pytest.raises(BadModel, match=message) as caught:
        load_module(module_source(f"{place}@mine.json", folder))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("word", "error", "message"),
    [
        ("dpcam_test_nets:net", BadInput, r"package\.module:name@contract\.json is expected"),
        ("dpcam_test_nets@mine.json", BadInput, "is no torch module with its contract"),
        (":net@mine.json", BadInput, "is no torch module with its contract"),
        ("dpcam_test_nets:net@nowhere.json", MissingFile, r"nowhere\.json"),
        ("dpcam_test_nets:net@other.json", BadConfig, "format: Input should be 'dpcam.module'"),
    ],
)
def test_a_name_without_contract_is_refused(folder: Path, word: str, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        module_source(word, folder)
