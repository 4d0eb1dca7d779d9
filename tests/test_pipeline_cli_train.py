"""``dpcam train`` as a script calls it: several classes, groups, methods, torch modules, signals, its answers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import psutil
import pytest
import torch
from program import PROGRAM, _environ, answer, finished, wait_until

from patches.methods import METHODS
from patches.patch import read_patch
from pipeline.config import TrainSection
from pipeline.lab import create_lab

torch.set_num_threads(1)

NETS = """
import torch
from torch import nn

def small(seed):
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (2 / weight[0].numel() ** 0.5))
    return net

def one():
    return small(1)

def two():
    return small(2)
"""
LABELS = ["stop", "yield", "no-entry"]
SURROGATES = ["dpcam_small_nets:one@one.json", "dpcam_small_nets:two@two.json"]
SETTINGS = f"""
[target]
label = "stop"
[models]
zoo = false
[train]
surrogates = {json.dumps(SURROGATES)}
steps = 3
batch = 4
"""

Call = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab whose surrogates are two small torch modules in its own folder. For reading."""
    folder = tmp_path_factory.mktemp("fresh") / "lab"
    create_lab(folder, seed=1)
    (folder / "lab.toml").write_text(SETTINGS)
    (folder / "dpcam_small_nets.py").write_text(NETS)
    for name in ("one", "two"):
        contract = {"format": "dpcam.module", "name": name, "height": 16, "width": 16, "labels": LABELS}
        (folder / f"{name}.json").write_text(json.dumps(contract))
    for path in (folder / "patches").iterdir():
        path.unlink()
    return folder


@pytest.fixture
def lab(fresh: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(fresh, tmp_path / "lab"))


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """A command in this process → its envelope."""
    from pipeline.cli.app import main

    def run(*words: object, code: int = 0) -> dict[str, Any]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), "--json"])
        printed = capsys.readouterr()
        envelope: dict[str, Any] = json.loads(printed.out)
        assert ended.value.code == envelope["exit_code"] == code, printed.err
        return envelope

    return run


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# What is trained


def test_the_lab_s_target_is_trained_by_the_default_method(lab: Path, call: Call):
    data = call("train", "--lab", lab)["data"]
    assert (data["label"], data["method"], data["steps"], data["group"]) == ("stop", "defensive", 3, [])
    assert data["surrogates"] == [{"name": "one", "max_delta": 0.0}, {"name": "two", "max_delta": 0.0}]
    assert data["others"] == ["yield", "no-entry"]
    assert (data["warning"], data["remark"]) == ("", "")
    assert [(each["model"], each["held_out"]) for each in data["accuracy"]] == [("one", False), ("two", False)]
    assert data["patches"] == [{key: value for key, value in data.items() if key != "patches"}]
    document, _ = read_patch(lab / "patches" / "stop.json")
    assert (document.method, document.group, document.warning) == ("defensive", [], "")
    assert [len(each.sha256) for each in document.surrogates] == [64, 64]


def test_several_classes_come_out_the_same_one_after_the_other_and_at_once(fresh: Path, tmp_path: Path, call: Call):
    textures = []
    for jobs in (1, 2):
        lab = Path(shutil.copytree(fresh, tmp_path / f"{jobs}"))
        data = call("train", "stop", "yield", "stop", "--jobs", jobs, "--method", "ensemble", "--lab", lab)["data"]
        assert set(data) == {"patches"}
        assert [(each["label"], each["method"]) for each in data["patches"]] == [
            ("stop", "ensemble"),
            ("yield", "ensemble"),
        ]
        assert names(lab / "patches") == {"stop.json", "stop.png", "yield.json", "yield.png"}
        textures.append([(lab / "patches" / f"{name}.png").read_bytes() for name in ("stop", "yield")])
    assert textures[0] == textures[1]


def test_one_patch_for_a_group_of_classes(lab: Path, call: Call):
    data = call("train", "--group", "halt", "stop", "no-entry", "--lab", lab)["data"]
    assert (data["label"], data["group"], data["others"]) == ("halt", ["stop", "no-entry"], ["yield"])
    document, _ = read_patch(lab / "patches" / "halt.json")
    assert (document.label, document.group) == ("halt", ["stop", "no-entry"])
    printed = call("print", "halt", "--lab", lab)["data"]
    assert json.loads(Path(printed["sheet"]).read_text())["target"]["label"] == "stop"


def test_mixed_precision_on_the_cpu(lab: Path, call: Call):
    call("train", "--lab", lab)
    full = (lab / "patches" / "stop.png").read_bytes()
    call("train", "--precision", "bfloat16", "--device", "cpu", "--lab", lab)
    assert (lab / "patches" / "stop.png").read_bytes() != full


def test_a_dry_run_says_what_it_would_do(lab: Path, call: Call):
    data = call("train", "stop", "yield", "--method", "mean", "--dry-run", "--lab", lab)["data"]
    assert [(each["label"], each["method"], each["steps"]) for each in data["patches"]] == [
        ("stop", "mean", 3),
        ("yield", "mean", 3),
    ]
    assert data["patches"][0]["surrogates"] == [{"name": "one"}, {"name": "two"}]
    assert not names(lab / "patches")


# What must not be taken for the target


def own_artwork(lab: Path) -> None:
    from PIL import Image

    Image.new("RGB", (40, 40), (200, 30, 20)).save(lab / "mine.png")
    (lab / "lab.toml").write_text(SETTINGS.replace('"stop"', '"stop"\nartwork = "mine.png"', 1))


def test_without_pictures_of_other_classes_it_says_so(lab: Path, call: Call):
    own_artwork(lab)
    data = call("train", "--lab", lab)["data"]
    assert data["others"] == []
    assert "no pictures of other classes" in data["remark"]
    assert call("train", "--method", "ensemble", "--lab", lab)["data"]["remark"] == ""


def test_pictures_of_other_classes_by_their_file_names(lab: Path, call: Call):
    own_artwork(lab)
    (lab / "others").mkdir()
    for name in ("yield.png", "goat.png", "stop.png", "notes.txt"):
        shutil.copy(lab / "mine.png", lab / "others" / name)
    with (lab / "lab.toml").open("a") as settings:
        settings.write('others = "others"\n')
    data = call("train", "--lab", lab)["data"]
    assert (data["others"], data["remark"]) == (["yield"], "")
    shutil.rmtree(lab / "others")
    assert "train.others names" in call("train", "--lab", lab, code=3)["errors"][0]["message"]


# What goes wrong


def test_a_guard_s_warning_comes_with_the_patch(lab: Path, call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DPCAM_TRAIN_LEARNING_RATE", "10")
    words = ("--method", "unadversarial", "--steps", "60", "--lab", lab)
    envelope = call("train", *words, code=5)
    assert envelope["status"] == "partial"
    (error,) = envelope["errors"]
    assert error["code"] == "incomplete"
    assert envelope["data"]["warning"] in error["message"]
    assert "of the frame's values are black or full" in error["message"]
    document, _ = read_patch(lab / "patches" / "stop.json")
    assert document.warning == envelope["data"]["warning"]
    assert document.steps == envelope["data"]["steps"] < 60


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["stop", "--method", "nobody"], 2, "nobody"),
        (["stop", "--jobs", "0"], 2, "jobs"),
        (["stop", "yield", "--artwork", "mine.png"], 2, "--artwork is the picture of one class"),
        (["stop", "--group", "halt"], 2, "the group 'halt' needs two classes or more"),
        (["stop", "goat"], 2, "one does not know the label 'goat'"),
        (["--group", "all", "stop", "goat"], 2, "one does not know the label 'goat'"),
        (["stop", "--surrogate", "somebody"], 3, "there is no recognizer on the bench"),
        (["stop", "--surrogate", SURROGATES[0], "--surrogate", SURROGATES[1].replace("two.", "one.")], 2, "two surrog"),
        (["stop", "--surrogate", "dpcam_small_nets:one"], 3, "package.module:name@contract.json is expected"),
        (["stop", "--surrogate", "dpcam_small_nets:three@one.json"], 3, "has no attribute 'three'"),
        (["stop", "--device", "cuda:99"], 4, "the device 'cuda:99' is not there"),
        (["stop", "--device", "tpu"], 3, "train.device"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_call_that_makes_no_sense_is_one_line(lab: Path, call: Call, words: list[str], code: int, message: str):
    (error,) = call("train", *words, "--lab", lab, code=code)["errors"]
    assert message in error["message"]
    assert "\n" not in error["message"]
    assert not names(lab / "patches")


def test_a_group_is_not_named_as_a_class(lab: Path, call: Call, tmp_path: Path):
    from colors import color_recognizer

    color_recognizer(lab / "models", "colors")
    (error,) = call("train", "--group", "red", "stop", "yield", "--lab", lab, code=2)["errors"]
    assert error["message"] == "'red' is a class by itself"


# Signals


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no groups of processes")
def test_ctrl_c_ends_all_after_their_step_with_checkpoints(lab: Path):
    words = ["train", "stop", "yield", "no-entry", "--jobs", "2", "--method", "ensemble"]
    process = subprocess.Popen(
        [PROGRAM, *words, "--steps", "100000", "--json"],
        cwd=lab,
        env=_environ({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: len(list((lab / ".work").glob("*.pt"))) == 2, process)
    crew = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    done = finished(process)
    envelope = answer(done)
    assert envelope["exit_code"] == 130
    (error,) = envelope["errors"]
    assert error["message"].startswith("training stopped: stop after ")
    assert "no-entry after 0 steps" in error["message"]
    assert done.stderr.count("\n") == 1
    assert [each["label"] for each in envelope["data"]["patches"]] == ["stop", "yield"]
    for each in envelope["data"]["patches"]:
        state = torch.load(lab / ".work" / f"{each['label']}.pt", weights_only=True)
        assert state["step"] == each["steps"] > 0
    assert not names(lab / "patches")
    assert not psutil.wait_procs(crew, timeout=10)[1]


# What stands in two places


def test_methods_are_those_that_there_are():
    from pipeline.cli.train import train

    told = get_args(get_args(get_type_hints(train)["method"])[0])
    assert set(told) == set(get_args(TrainSection.model_fields["method"].annotation)) == set(METHODS)
