"""``dpcam calibrate``: from the program's words to files and exit codes."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from drawing import draw_board, ideal_homography, see

from calibration.board import Board
from calibration.camera import CameraModel
from calibration.files import read_document
from calibration.geometry import View, pose_from_view
from pipeline.cli.app import main

SIZE = (480, 360)
BOARD = Board(square_mm=36, marker_mm=28)
TRUTH = CameraModel(
    camera="truth", width=480, height=360, fx=500, fy=502, cx=243, cy=176, distortion=(-0.15, 0.03, 0.0, 0.0, 0.0)
)
VIEWS = [
    (View(460, 0, 0, 0), (0, 0)),
    (View(480, 35, 5, 3), (-0.05, 0.03)),
    (View(480, -35, -5, -3), (0.05, -0.03)),
    (View(470, 5, 35, 0), (0.02, 0.05)),
    (View(470, -5, -35, 8), (-0.03, -0.05)),
    (View(600, 25, 25, -10), (-0.2, -0.12)),
    (View(600, -25, 25, 10), (0.2, -0.12)),
    (View(600, 25, -25, 0), (-0.2, 0.12)),
    (View(600, -25, -25, 0), (0.2, 0.12)),
    (View(420, 10, -15, 0), (0.03, 0.0)),
    (View(430, -15, 12, 90), (0.0, 0.0)),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with rendered pictures of the board, one without it, and a text file."""
    folder = tmp_path_factory.mktemp("pictures")
    page = draw_board(BOARD)
    center = np.array([BOARD.width_mm / 2, BOARD.height_mm / 2])
    for number, (view, (x, y)) in enumerate(VIEWS):
        pose = pose_from_view(view, center, np.array([x, y, 1]))
        pixels = see(page, ideal_homography(TRUTH, pose, 10), SIZE, camera=TRUTH, oversample=3)
        cv2.imwrite(str(folder / f"{number:02d}.png"), pixels)
    cv2.imwrite(str(folder / "wall.png"), np.full((360, 480, 3), 90, np.uint8))
    (folder / "notes.txt").write_text("not a picture")
    (folder / "board.json").write_text(BOARD.model_dump_json())
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the program in an empty folder → (exit code, its JSON answer)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, dict]:
        with pytest.raises(SystemExit) as end:
            main([*map(str, words), "--json"])
        return int(end.value.code or 0), json.loads(capsys.readouterr().out)

    return call


def test_a_board_then_a_calibration(run, pictures, tmp_path):
    code, answer = run("calibrate", "camera", pictures, "--board", pictures / "board.json", "--camera", "bench")
    data = answer["data"]
    assert code == 0, answer
    assert data["views"] == len(VIEWS) == len(data["per_view_px"])
    assert [skipped["picture"].endswith("wall.png") for skipped in data["skipped"]] == [True]
    assert data["rms_px"] < 0.3
    model = read_document(tmp_path / data["camera"], CameraModel)
    assert data["camera"] == "calibration/calibration.json"
    assert (model.camera, model.width, model.height, model.source) == ("bench", 480, 360, "calibrated")
    assert (model.fx, model.fy) == pytest.approx((TRUTH.fx, TRUTH.fy), rel=0.01)


def test_the_board_that_was_made_is_the_board_that_is_looked_for(run, pictures, tmp_path):
    code, made = run("calibrate", "board", "--marker-mm", 28)
    assert code == 0
    assert read_document(tmp_path / made["data"]["board"], Board) == BOARD
    assert (tmp_path / made["data"]["pdf"]).read_bytes().startswith(b"%PDF")
    code, answer = run("calibrate", "camera", pictures, "--out", "deep/camera.json")
    assert code == 0
    assert (tmp_path / "deep" / "camera.json").is_file()
    assert answer["data"]["name"] == "sim:", "the lab's camera"


def test_over_the_limit(run, pictures, tmp_path):
    words = ["calibrate", "camera", pictures, "--board", pictures / "board.json", "--limit-px", 0.0001]
    code, answer = run(*words)
    assert code == 6
    assert answer["status"] == "partial"
    assert answer["errors"][0]["code"] == "limit"
    assert "0.0001 px accepted" in answer["errors"][0]["message"]
    assert answer["data"]["views"] == len(VIEWS)
    assert (tmp_path / answer["data"]["camera"]).is_file()


REFUSED = {
    "another board": (["{pictures}", "--board", "{other}"], 3, "input", "in none of the 12 pictures"),
    "too few pictures": (["{pictures}/00.png", "{pictures}/01.png"], 3, "input", "2 usable views .* at least 8"),
    "no pictures in the folder": (["{empty}"], 3, "missing-file", "holds no pictures"),
    "no such folder": (["{empty}/nowhere"], 3, "missing-file", "there is no picture or folder"),
    "not a picture": (["{pictures}/notes.txt"], 3, "image", "cannot be decoded"),
    "no board file": (["{pictures}", "--board", "{empty}/b.json"], 3, "missing-file", "b.json"),
    "a damaged board file": (["{pictures}", "--board", "{pictures}/notes.txt"], 3, "config", "is not JSON"),
    "no pictures named": ([], 2, "usage", "pictures"),
    "a place that cannot be written": (["{pictures}", "--out", "/proc/nowhere/c.json"], 4, "not-ready", "cannot write"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case, run, pictures, tmp_path):
    words, exit_code, error, message = REFUSED[case]
    places = {"pictures": pictures, "empty": tmp_path / "empty", "other": tmp_path / "other.json"}
    places["empty"].mkdir()
    places["other"].write_text(Board(dictionary="DICT_4X4_50").model_dump_json())
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "board.json").write_text(BOARD.model_dump_json())
    code, answer = run("calibrate", "camera", *[word.format(**places) for word in words])
    assert (code, answer["errors"][0]["code"]) == (exit_code, error)
    assert answer["exit_code"] == exit_code
    assert not list((tmp_path / "calibration").glob("calibration*")), "nothing is left behind"
    import re

    assert re.search(message, answer["errors"][0]["message"])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--paper", "A5"], 3, "does not fit on A5"),
        (["--paper", "B7"], 3, "known are A5, A4"),
        (["--square-mm", "-3"], 3, "square_mm"),
        (["--marker-mm", "40"], 3, "at most 32.4 mm"),
        (["--dictionary", "DICT_7X7_50"], 3, "DICT_4X4_50"),
        (["--squares-x", "many"], 2, "squares-x"),
        (["--out", "/proc/nowhere"], 4, "cannot write"),
    ],
)
def test_boards_that_cannot_be_made(words, code, message, run, tmp_path):
    found, answer = run("calibrate", "board", *words)
    assert found == code
    assert message in answer["errors"][0]["message"]
    assert not list(tmp_path.iterdir())
