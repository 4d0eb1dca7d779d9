"""The real program, killed while it scores: run again, it leaves the bytes that it would have left at once."""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from colors import color_recognizer
from PIL import Image
from program import ask, data, finished, start, wait_until

COUNT = 400
KILLS = 20 if os.environ.get("DPCAM_FAULTS") == "all" else 5


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, and a bench of a zoo's recognizer and two of ours that take color for class."""
    folder = tmp_path_factory.mktemp("kill")
    pixels = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for number in range(COUNT):
        picture = pixels.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "pictures" / f"{number:04d}.png")
    for name in ("near", "far"):
        color_recognizer(folder / "models", name)
    (folder / "lab.toml").write_text('[lab]\nname = "kill"\n')
    return folder


WORDS = ("score", "--images", "pictures", "--models", "near,far,vgg", "--out")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_killed_at_any_moment_and_run_again_it_leaves_the_same_bytes(lab: Path):
    answer = data(*WORDS, "whole", cwd=lab)
    whole = everything(lab / "whole")
    assert len(whole["scores.jsonl"].splitlines()) == 3 * COUNT
    assert data(*WORDS, "whole", cwd=lab) == answer
    size, moments = sum(len(content) for name, content in whole.items() if "/" in name), random.Random(3)
    for number in range(KILLS):
        killed(lab, moments.random() * size)
        if number == 0:
            # Once more, on what the first one left.
            killed(lab, size / 2)
        assert data(*WORDS, "killed", cwd=lab) == {**answer, "scores": "killed/scores.jsonl"}
        assert everything(lab / "killed") == whole
        shutil.rmtree(lab / "killed")


def killed(lab: Path, size: float) -> None:
    """Score, and die as soon as the files have that size."""
    process = start(*WORDS, "killed", cwd=lab)
    wait_until(lambda: written(lab / "killed") >= size, process)
    process.send_signal(signal.SIGKILL)
    assert finished(process).returncode == -signal.SIGKILL


def written(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("scores-*/*.jsonl"))


def test_two_at_once_do_not_write_into_each_other(lab: Path):
    first = start(*WORDS, "both", cwd=lab)
    wait_until(lambda: written(lab / "both") > 0, first)
    first.send_signal(signal.SIGSTOP)
    (error,) = ask(*WORDS, "both", cwd=lab, code=4)["errors"]
    assert error["code"] == "locked"
    first.send_signal(signal.SIGCONT)
    assert finished(first).returncode == 0


def test_ctrl_c_leaves_what_is_gone_on_with(lab: Path):
    process = start(*WORDS, "stopped", cwd=lab)
    wait_until(lambda: written(lab / "stopped") > 0, process)
    process.send_signal(signal.SIGINT)
    assert finished(process).returncode == 130
    assert not (lab / "stopped" / "scores.jsonl").exists()
    assert all(row["n"] == COUNT for row in data(*WORDS, "stopped", cwd=lab)["rows"])


def test_one_thread_or_many_the_program_writes_the_same(lab: Path):
    for workers in (1, 3):
        data(*WORDS, f"with {workers}", "--workers", workers, cwd=lab)
    assert everything(lab / "with 1") == everything(lab / "with 3")


def test_a_broken_recognizer_is_said_and_the_rest_is_scored(lab: Path):
    path = lab / "models" / "far.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    envelope = ask(*WORDS, "broken", cwd=lab, code=5)
    path.write_bytes(content)
    rows = {row["model"]: (row["n"], row["scored"], row["failed"]) for row in envelope["data"]["rows"]}
    assert rows == {"far": (COUNT, 0, COUNT), "near": (COUNT, COUNT, 0), "vgg": (COUNT, COUNT, 0)}
    assert "far.onnx is not the file that far.json declares" in envelope["errors"][0]["message"]
    assert envelope["data"]["provider"] == "cpu"
    # Whole again, it is asked again.
    assert all(row["failed"] == 0 for row in data(*WORDS, "broken", cwd=lab)["rows"])


def test_numerical_noise_stands_beside_the_rows(lab: Path):
    found = data("score", "--images", "pictures", "--models", "near,vgg", "--numerical-noise", cwd=lab)
    assert found["scores"] is None
    for each in found["numerical_noise"]:
        assert (each["crops"], each["repeat"], each["provider"], each["reason"]) == (64, 0.0, None, "")
        assert max(each["batch"], each["threads"]) < 1e-4
        assert each["changed"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", "nobody"], "no recognizer is named 'nobody'"),
        (["--models", ","], "names no recognizer"),
        (["--views", "object"], "go with a SESSION"),
        (["--jitter", "2"], "go with a SESSION"),
        (["--provider", "tpu"], "tpu"),
    ],
)
def test_what_cannot_be_asked_is_refused(words: list[str], message: str, lab: Path):
    (error,) = ask("score", "--images", "pictures", *words, cwd=lab, code=2)["errors"]
    assert message in error["message"]
