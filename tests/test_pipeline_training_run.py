"""Training as a lab does it: who may be trained on, what the patch says of its origin, ended and gone on with."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from colors import color_recognizer

from calibration.errors import BadInput, BadUsage
from calibration.files import sha256_file
from capture.stop import StopRequest
from patches.patch import read_patch
from pipeline.lab import Lab, create_lab, open_lab
from pipeline.paper.sheets import make_arm_sheet
from pipeline.recognizers import load_recognizers, zoo_folder
from pipeline.training.bench import training_bench
from pipeline.training.order import Wish
from pipeline.training.run import train_patch_of

ZOO = {each.name: each for each in load_recognizers([zoo_folder()])}
HELD_OUT = {name for name, each in ZOO.items() if each.contract.held_out}


def opened(folder: Path, flags: dict[str, object] | None = None) -> Lab:
    return open_lab(folder, environ={}, user_file=None, flags=flags)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_lab(tmp_path, seed=1)
    return tmp_path


def names(recognizers) -> set[str]:
    return {each.name for each in recognizers}


# Who may be trained on


def test_held_out_recognizers_judge_and_are_never_trained_on(folder: Path):
    bench = training_bench(opened(folder), ["stop"])
    assert len(HELD_OUT) == 2
    assert names(bench.held_out) == HELD_OUT
    assert names(bench.surrogates) == set(ZOO) - HELD_OUT


def test_surrogates_by_name_and_all_others_judge(folder: Path):
    bench = training_bench(opened(folder, {"train.surrogates": ["vgg", "resnet"]}), ["stop"])
    assert [each.name for each in bench.surrogates] == ["vgg", "resnet"]
    assert names(bench.held_out) == set(ZOO) - {"vgg", "resnet"}


def test_recognizers_of_other_things_take_no_part(folder: Path):
    color_recognizer(folder / "models", "colors")
    bench = training_bench(opened(folder), ["stop"])
    assert "colors" not in names(bench.surrogates) | names(bench.held_out)
    assert names(training_bench(opened(folder), ["red"]).surrogates) == {"colors"}


@pytest.mark.parametrize(
    ("surrogates", "label", "message"),
    [
        (["vgg", "cct"], "stop", "cct is held out: no patch may be trained on it"),
        (["nobody"], "stop", "no recognizer is named 'nobody'; the bench has cct, "),
        (["colors"], "stop", "colors does not know the label 'stop'"),
        ([], "unicorn", "no recognizer to train on knows the label 'unicorn'; known labels are "),
    ],
)
def test_what_cannot_be_trained_on_is_refused(surrogates: list[str], label: str, message: str, folder: Path):
    color_recognizer(folder / "models", "colors")
    with pytest.raises(BadUsage) as caught:
        training_bench(opened(folder, {"train.surrogates": surrogates}), [label])
    assert message in caught.value.message


# What lab.toml suggests


def test_what_lab_toml_has_commented_out_are_settings(folder: Path):
    text = (folder / "lab.toml").read_text()
    shown = re.sub(r"^# (\[\w+\]|[\w.]+ = )", r"\1", text, flags=re.MULTILINE)
    assert shown.count("\n# ") < text.count("\n# ") - 8
    (folder / "lab.toml").write_text(shown)
    train = opened(folder).config.train
    assert (train.method, train.surrogates, train.device) == ("defensive", ["vgg"], "cuda")
    assert opened(folder).config.patch.shape == "outline"


# What comes out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    """A lab with two recognizers of its own, a training ended after two steps, and the one that went on."""
    folder = tmp_path_factory.mktemp("training")
    create_lab(folder, seed=1)
    for name in ("shufflenetv2", "mobilenetv2"):
        for path in zoo_folder().glob(f"{name}.*"):
            shutil.copy(path, folder / "models")
    lab = opened(folder, {"models.zoo": False, "train.steps": 4, "train.batch": 8})
    (lab.patches / "stop.json").unlink()
    seen: list[float] = []

    def progress(share: float, text: str) -> None:
        seen.append(share)

    asked = iter([None, None, None])
    first = train_patch_of(
        lab, Wish.of("stop"), progress=progress, stop=lambda: next(asked, StopRequest("SIGTERM", 143))
    )
    left = (lab.patches / "stop.json").exists(), [path.name for path in (folder / ".work").iterdir()]
    return lab, first, left, train_patch_of(lab, Wish.of("stop"), progress=progress), seen


def test_a_training_that_was_ended_leaves_a_checkpoint_and_no_patch(trained):
    _, first, (written, work), _, _ = trained
    assert (first.interrupted, first.accuracies) == (143, ())
    assert 0 < first.steps < 4
    assert not written
    assert work == ["stop.pt"]


def test_a_patch_says_where_it_comes_from(trained):
    lab, _, _, done, seen = trained
    assert (done.interrupted, done.steps, done.path) == (0, 4, lab.patches / "stop.json")
    assert max(seen) == 1.0
    document, texture = read_patch(done.path)
    assert (document.label, document.steps, document.seed) == ("stop", 4, 1)
    assert texture.shape == (document.geometry.texels, document.geometry.texels, 3)
    for role, name in (("surrogates", "shufflenetv2"), ("held_out", "mobilenetv2")):
        (kept,) = getattr(document, role)
        assert (kept.name, kept.sha256) == (name, sha256_file(zoo_folder() / f"{name}.onnx"))
    assert set(document.versions) >= {"torch", "numpy"}
    assert document.geometry.target_mm == lab.config.target.width_mm
    assert [point.step for point in document.curve] == sorted({point.step for point in document.curve})
    assert str(lab.folder) not in json.dumps(json.loads(done.path.read_text()))


def test_accuracies_never_mix_surrogates_and_held_out(trained):
    _, _, _, done, _ = trained
    assert [(each.name, each.held_out) for each in done.accuracies] == [("shufflenetv2", False), ("mobilenetv2", True)]
    assert all(0 <= share <= 1 for each in done.accuracies for share in (each.blank, each.patch))


def test_the_lab_prints_the_patch_that_it_trained(trained):
    lab, _, _, done, _ = trained
    sheet = make_arm_sheet(lab, "wrong-class", None, write=False).sheet
    assert sheet.patch == "stop"
    document, _ = read_patch(done.path)
    assert sheet.frame.width_mm == pytest.approx(document.geometry.outer_mm)


def test_there_has_to_be_a_picture_of_the_target(folder: Path):
    color_recognizer(folder / "models", "colors")
    lab = opened(folder, {"models.zoo": False})
    with pytest.raises(BadInput, match="red"):
        train_patch_of(lab, Wish.of("red"), progress=lambda share, text: None)
