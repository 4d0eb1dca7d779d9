"""``dpcam noise``: from the program's words to files and exit codes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from pipeline.cli.app import main
from pipeline.noises import CORRUPTIONS, corrupt


@pytest.fixture
def pictures(tmp_path):
    """Pictures of a folder as arrays by their names; beside them a text, a tiny picture and a namesake."""
    rng = np.random.default_rng(2)
    small, large = (rng.integers(0, 256, (*shape, 3), np.uint8) for shape in ((40, 60), (300, 200)))
    Image.fromarray(small).save(tmp_path / "small.png")
    Image.fromarray(large).save(tmp_path / "large.png")
    Image.fromarray(small[:8, :8]).save(tmp_path / "tiny.png")
    (tmp_path / "sub").mkdir()
    Image.fromarray(small).save(tmp_path / "sub" / "small.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    return {"small": small, "large": large}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, pictures):
    """Run the program beside the pictures → (exit code, its JSON answer)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, dict]:
        with pytest.raises(SystemExit) as end:
            main([*map(str, words), "--json"])
        return end.value.code, json.loads(capsys.readouterr().out)

    return call


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path))


@pytest.mark.parametrize(
    ("words", "size", "table"),
    [
        (["small.png"], (60, 40), "cifar"),
        (["small.png", "--table", "imagenet"], (60, 40), "imagenet"),
        (["large.png"], (149, 224), "imagenet"),
        (["large.png", "--size", 96], (64, 96), "cifar"),
    ],
)
def test_show_draws_every_noise(tmp_path, run, words, size, table):
    code, answer = run("noise", "show", *words, "--out", "out/sheet.png", "--seed", 4)
    assert code == 0
    data = answer["data"]
    assert data["sheet"] == "out/sheet.png"
    assert (data["width_px"], data["height_px"]) == size
    assert (data["table"], data["seed"], data["noises"]) == (table, 4, list(CORRUPTIONS))
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.height > 15 * size[1]
        assert sheet.width > 6 * size[0]


def test_the_sheet_holds_the_clean_picture_and_the_corrupted_ones(tmp_path, run, pictures):
    """The picture is shown in one piece, untouched where it is clean: 40 px high, three times as large."""
    run("noise", "show", "small.png", "--out", "sheet.png", "--seed", 4)
    sheet = pixels(tmp_path / "sheet.png")
    for shown in (pictures["small"], corrupt(pictures["small"][None], "jpeg-compression", 5, seed=4)[0]):
        large = np.repeat(np.repeat(shown, 3, axis=0), 3, axis=1)
        found = np.argwhere((sheet[:, :, :] == large[0, 0]).all(axis=2))
        places = (sheet[y : y + 120, x : x + 180] for y, x in found)
        assert any(place.shape == large.shape and (place == large).all() for place in places)


def test_apply_writes_copies_without_loss(tmp_path, run, pictures):
    words = (
        "noise",
        "apply",
        "small.png",
        "large.png",
        "--noise",
        "snow",
        "--severity",
        2,
        "--out",
        "noisy",
        "--seed",
        9,
    )
    code, answer = run(*words)
    assert code == 0
    assert answer["data"] == {
        "noise": "snow",
        "severity": 2,
        "seed": 9,
        "pictures": [
            {"picture": "small.png", "copy": "noisy/small-snow-2.png", "table": "cifar"},
            {"picture": "large.png", "copy": "noisy/large-snow-2.png", "table": "imagenet"},
        ],
    }
    for index, name in enumerate(("small", "large")):
        expected = corrupt(pictures[name][None], "snow", 2, seed=9, first=index)[0]
        assert (pixels(tmp_path / "noisy" / f"{name}-snow-2.png") == expected).all()


def test_a_dry_run_writes_nothing(tmp_path, run):
    words = ("noise", "apply", "small.png", "--noise", "fog", "--severity", 1, "--out", "noisy", "--dry-run")
    code, answer = run(*words)
    assert (code, answer["data"]["pictures"][0]["copy"]) == (0, "noisy/small-fog-1.png")
    assert not (tmp_path / "noisy").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["apply", "small.png", "--noise", "frogs", "--severity", 1, "--out", "o"], 2, "no noise 'frogs'"),
        (["apply", "small.png", "--noise", "fog", "--severity", 6, "--out", "o"], 2, "equal to 5"),
        (["apply", "small.png", "--noise", "fog", "--severity", 1], 2, "--out"),
        (["apply", "--noise", "fog", "--severity", 1, "--out", "o"], 2, "PICTURE"),
        (["apply", "gone.png", "--noise", "fog", "--severity", 1, "--out", "o"], 3, "gone.png"),
        (["apply", "notes.txt", "--noise", "fog", "--severity", 1, "--out", "o"], 3, "notes.txt"),
        (["apply", "tiny.png", "--noise", "fog", "--severity", 1, "--out", "o"], 3, "tiny.png"),
        (["apply", "small.png", "sub/small.png", "--noise", "fog", "--severity", 1, "--out", "o"], 3, "sub/small.png"),
        (["show", "small.png", "--table", "gtsrb", "--out", "o/s.png"], 2, "'gtsrb'"),
        (["show", "tiny.png", "--out", "o/s.png"], 3, "tiny.png"),
        (["show", "gone.png", "--out", "o/s.png"], 3, "gone.png"),
        (["show", "small.png", "--out", "notes.txt/s.png"], 4, "notes.txt"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, run, words, code, message):
    ended, answer = run("noise", *words)
    (error,) = answer["errors"]
    assert (ended, answer["data"]) == (code, {})
    assert message in error["message"]
    assert not (tmp_path / "o").exists()
