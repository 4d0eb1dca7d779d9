"""``dpcam calibrate``: from the program's words to files and exit codes."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import data_folder
from drawing import draw_board, ideal_homography, see
from PIL import Image

from calibration.board import Board
from calibration.camera import CameraModel
from calibration.crossval import disagreement_px
from calibration.files import read_document
from calibration.geometry import View, pose_from_view
from capture.cameras.sim_options import parse_sim_uri

SIZE = (480, 360)
PNG = b"\x89PNG"
BOARD = Board(squares_x=7, squares_y=5, square_mm=36, marker_mm=28)
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
    assert {"rms_px", "crossval_px", "uncertainty_px", "camera"} <= set(data)
    assert 0 < data["uncertainty_px"] < 2
    assert 0 < data["crossval_px"] < 3
    assert data["lens"] == model.lens != "none"
    assert [place["distance_mm"] for place in data["uncertainty"]] == [1200, 1700, 2200], "those of the plan"
    assert (tmp_path / data["coverage_picture"]).read_bytes().startswith(PNG)
    assert "4 more views" in data["missing"]


@pytest.mark.parametrize("thing", ["board", "chart"])
def test_a_picture_of_the_page_too(thing, run, tmp_path):
    code, made = run("calibrate", thing, "--png", 100)
    assert code == 0
    (picture,) = made["data"]["png"]
    with Image.open(tmp_path / picture) as page:
        assert sorted(page.size) == pytest.approx([210 / 25.4 * 100, 297 / 25.4 * 100], abs=1), "A4"
        assert page.info["dpi"] == pytest.approx((100, 100), abs=0.1)


def test_the_board_that_was_made_is_the_board_that_is_looked_for(run, pictures, tmp_path):
    code, made = run("calibrate", "board", "--squares-x", 7, "--squares-y", 5, "--square-mm", 36, "--marker-mm", 28)
    assert code == 0
    assert read_document(tmp_path / made["data"]["board"], Board) == BOARD
    assert (tmp_path / made["data"]["pdf"]).read_bytes().startswith(b"%PDF")
    assert made["data"]["png"] == []
    code, answer = run("calibrate", "camera", pictures, "--out", "deep/camera.json")
    assert code == 0
    assert (tmp_path / "deep" / "camera.json").is_file()
    assert answer["data"]["name"] == "sim:lab?seed=1", "the lab's camera"


def test_over_the_limit(run, pictures, tmp_path):
    words = ["calibrate", "camera", pictures, "--board", pictures / "board.json", "--limit-px", 0.0001]
    code, answer = run(*words)
    assert code == 6
    assert answer["status"] == "partial"
    assert answer["errors"][0]["code"] == "limit"
    assert "0.0001 px accepted" in answer["errors"][0]["message"]
    assert answer["data"]["views"] == len(VIEWS)
    assert (tmp_path / answer["data"]["camera"]).is_file()


def calibrated(run, pictures, *words: object) -> dict:
    """The data of a calibration from the folder of pictures."""
    code, answer = run("calibrate", "camera", pictures, "--board", pictures / "board.json", *words)
    assert code == 0, answer
    return answer["data"]


def test_a_camera_file_can_be_refitted(run, pictures, tmp_path):
    first = calibrated(run, pictures, "--camera", "bench")
    code, answer = run("calibrate", "camera", "--refit", first["camera"], "--lens", "k1", "--out", "again.json")
    assert code == 0, answer
    again = answer["data"]
    assert (again["lens"], again["name"], again["views"]) == ("k1", "bench", first["views"])
    assert again["distortion"][1:] == [0, 0, 0, 0]
    code, answer = run("calibrate", "camera", "--refit", "again.json", "--out", "third.json")
    assert answer["data"]["focal_px"] == pytest.approx(first["focal_px"], rel=1e-5), "all corners are still there"
    (tmp_path / "old.json").write_text(TRUTH.model_dump_json())
    code, answer = run("calibrate", "camera", "--refit", "old.json")
    assert (code, answer["errors"][0]["code"]) == (3, "input")
    assert "does not keep what it was made from" in answer["errors"][0]["message"]


def test_a_second_set_is_compared_with(run, pictures):
    one = calibrated(run, pictures)
    same = calibrated(run, pictures, "--check", pictures)
    assert one["crossval_px"] > 0.01
    assert same["crossval_px"] == pytest.approx(0, abs=1e-3), "a set does not disagree with itself"


def test_live_from_a_camera_that_comes_to_an_end(run, pictures, tmp_path):
    words = ["calibrate", "camera", "--live", "--camera", f"folder:{pictures}", "--board", pictures / "board.json"]
    code, answer = run(*words)
    assert code == 0, answer
    assert answer["data"]["views"] == len(VIEWS)
    (kept,) = (tmp_path / "calibration").glob("pictures-*")
    assert len(list(kept.iterdir())) == len(VIEWS), "what counts is kept, and the wall does not count"
    assert answer["data"]["name"].startswith("folder:")


def changed(data: bytes, kind: str) -> tuple[str, bytes]:
    """A picture in another form → its suffix and bytes."""
    image, stream = Image.open(io.BytesIO(data)), io.BytesIO()
    if kind == "cmyk":
        image.convert("CMYK").save(stream, "TIFF")
        return ".tif", stream.getvalue()
    if kind == "16 bit":
        deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
        Image.fromarray(deep).save(stream, "PNG")
        return ".png", stream.getvalue()
    exif = Image.Exif()
    exif[274] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(stream, "JPEG", quality=95, exif=exif)
    return ".jpg", stream.getvalue()


@pytest.mark.parametrize("kind", ["cmyk", "16 bit", "turned by EXIF"])
def test_pictures_in_other_forms_show_the_same_board(kind, run, pictures, tmp_path):
    for path in sorted(pictures.glob("??.png")):
        suffix, data = changed(path.read_bytes(), kind)
        (tmp_path / f"{path.stem}{suffix}").write_bytes(data)
    code, answer = run("calibrate", "camera", tmp_path, "--board", pictures / "board.json")
    data = answer["data"]
    assert code == 0, answer
    assert data["views"] == len(VIEWS)
    assert data["focal_px"] == pytest.approx([TRUTH.fx, TRUTH.fy], rel=0.01)
    assert (data["width"], data["height"]) == SIZE
    assert data["settings"] == ({"orientation": 6} if kind == "turned by EXIF" else {})


def test_pictures_that_were_turned_differently_are_no_set(run, pictures, tmp_path):
    for path in sorted(pictures.glob("??.png")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for name in ("00", "01"):
        suffix, data = changed((pictures / f"{name}.png").read_bytes(), "turned by EXIF")
        (tmp_path / f"{name}{suffix}").write_bytes(data.replace(b"\x00\x06\x00\x00", b"\x00\x03\x00\x00", 1))
    code, answer = run("calibrate", "camera", tmp_path, "--board", pictures / "board.json")
    assert code == 3
    assert "different sizes" in answer["errors"][0]["message"]


def test_a_refused_set_leaves_a_picture_of_what_it_lacks(run, pictures, tmp_path):
    code, _ = run(
        "calibrate", "camera", *[pictures / f"0{i}.png" for i in range(5)], "--board", pictures / "board.json"
    )
    assert code == 3
    assert (tmp_path / "calibration" / "coverage.png").read_bytes().startswith(PNG)
    assert not (tmp_path / "calibration" / "calibration.json").exists()


@pytest.mark.parametrize(
    "words", [["--live", "--refit", "x.json"], ["a.png", "--live"], ["a.png", "--refit", "x.json"]], ids=" ".join
)
def test_one_source_at_a_time(words, run):
    code, answer = run("calibrate", "camera", *words)
    assert (code, answer["errors"][0]["code"]) == (2, "usage")


def test_a_refitted_file_has_its_own_board(run):
    code, answer = run("calibrate", "camera", "--refit", "x.json", "--board", "y.json")
    assert (code, answer["errors"][0]["where"]) == (2, "--board")


def test_live_without_a_board_says_so(run, pictures, tmp_path):
    (tmp_path / "walls").mkdir()
    (tmp_path / "walls" / "wall.png").write_bytes((pictures / "wall.png").read_bytes())
    code, answer = run("calibrate", "camera", "--live", "--camera", "folder:walls")
    assert code == 3
    assert "showed no view of the board" in answer["errors"][0]["message"]


def test_live_before_the_simulated_camera_somebody_holds_the_board(run, tmp_path):
    """Its lens comes back: whole way from the printed page through optics and noise to the camera file."""
    (tmp_path / "lab.toml").write_text('[lab]\nseed = 7\n[camera]\nuri = "sim:?width=640&height=360"\n')
    code, answer = run("calibrate", "camera", "--live", "--views", 12)
    data = answer["data"]
    assert (code, data["missing"]) == (0, []), answer
    truth = parse_sim_uri(data["name"]).camera_model()
    assert data["focal_px"] == pytest.approx([truth.fx, truth.fy], rel=0.003)
    model = read_document(tmp_path / data["camera"], CameraModel)
    assert disagreement_px(model, truth, np.array([[160.0, 90], [320, 180], [480, 270]])).max() < 0.5
    _, would = run("capture", "--dry-run", "--no-plan")
    assert would["data"]["camera"] == data["name"]


def test_a_calibration_bears_the_name_by_which_a_session_knows_the_camera(run, pictures, tmp_path):
    (tmp_path / "lab.toml").write_text("[lab]\nseed = 7\n")
    code, answer = run("calibrate", "camera", pictures, "--board", pictures / "board.json")
    assert code == 0, answer
    (tmp_path / "plan.json").write_text("{}")
    _, would = run("capture", "--dry-run", "--no-plan")
    assert answer["data"]["name"] == would["data"]["camera"] == "sim:lab?seed=7"
    code, answer = run("calibrate", "camera", "--refit", answer["data"]["camera"], "--camera", "rtsp://me:secret@cam/x")
    assert code == 0, answer
    assert answer["data"]["name"] == "rtsp://cam/x", "passwords do not go into the file"


@pytest.mark.parametrize("pattern", ["apriltag", "chessboard"])
def test_boards_of_other_patterns(pattern, run, tmp_path):
    code, made = run("calibrate", "board", "--pattern", pattern, "--squares-x", 6, "--squares-y", 4)
    assert code == 0
    board = read_document(tmp_path / made["data"]["board"], Board)
    assert (board.pattern, board.squares_x) == (pattern, 6)
    assert (tmp_path / made["data"]["pdf"]).read_bytes().startswith(b"%PDF")


PHOTOGRAPHS = Path("/usr/share/doc/opencv-doc/examples/data")


@pytest.mark.parametrize("side", ["left", "right"])
def test_real_photographs_of_a_chessboard(side, run, tmp_path):
    folder = next((path for path in (data_folder() / "opencv-doc", PHOTOGRAPHS) if path.is_dir()), None)
    if folder is None:
        pytest.skip(
            "no photographs of OpenCV's chessboard: Debian's opencv-doc, or left01.jpg … in DPCAM_DATA/opencv-doc"
        )
    board = Board(pattern="chessboard", squares_x=10, squares_y=7, square_mm=25)
    (tmp_path / "chess.json").write_text(board.model_dump_json())
    pictures = sorted(folder.glob(f"{side}[01][0-9].jpg"))
    code, answer = run("calibrate", "camera", *pictures, "--board", "chess.json", "--camera", side)
    data = answer["data"]
    assert code == 0, answer
    assert data["views"] == len(pictures) == 13
    assert data["rms_px"] < 0.25
    assert data["focal_px"] == pytest.approx([535, 535], rel=0.01)
    code, answer = run("calibrate", "camera", *pictures, "--camera", side)
    assert code == 3
    assert "in none of the 13 pictures" in answer["errors"][0]["message"], "a chessboard is no ChArUco board"


REFUSED = {
    "another board": (["{pictures}", "--board", "{other}"], 3, "input", "in none of the 12 pictures"),
    "too few pictures": (["{pictures}/00.png", "{pictures}/01.png"], 3, "input", "2 usable views .* at least 8"),
    "no pictures in the folder": (["{empty}"], 3, "missing-file", "holds no pictures"),
    "no such folder": (["{empty}/nowhere"], 3, "missing-file", "there is no picture or folder"),
    "not a picture": (["{pictures}/notes.txt"], 3, "image", "cannot be decoded"),
    "no board file": (["{pictures}", "--board", "{empty}/b.json"], 3, "missing-file", "b.json"),
    "a damaged board file": (["{pictures}", "--board", "{pictures}/notes.txt"], 3, "config", "is not JSON"),
    "half a picture": (["{empty}/half.png"], 3, "image", "cannot be decoded"),
    "no pictures named": ([], 2, "usage", "pictures"),
    "a place that cannot be written": (["{pictures}", "--out", "/proc/nowhere/c.json"], 4, "not-ready", "cannot write"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case, run, pictures, tmp_path):
    words, exit_code, error, message = REFUSED[case]
    places = {"pictures": pictures, "empty": tmp_path / "empty", "other": tmp_path / "other.json"}
    places["empty"].mkdir()
    places["other"].write_text(Board(dictionary="DICT_4X4_50").model_dump_json())
    if "half" in case:
        (tmp_path / "empty" / "half.png").write_bytes((pictures / "00.png").read_bytes()[:9000])
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
        (["--marker-mm", "40"], 3, "at most 22.5 mm"),
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
