"""``dpcam calibrate chart``, ``calibrate color``, ``session color``: from words to files and exit codes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from charts import photograph

from calibration.color import ColorResponse
from calibration.color_fit import fit_color
from calibration.files import read_document, write_bytes
from calibration.sheet import Sheet
from capture.localize import localize
from capture.picture import decode_picture, encode_png
from capture.response import see_swatches
from patches.spec import TransformSpec
from pipeline.calibrating.color_drift import Strip, compare, read_strip
from pipeline.cli.app import main
from pipeline.lab import open_lab
from pipeline.training.order import lab_spec, plan_spec

GOLDEN = Path(__file__).parent / "golden" / "session"
PRINTING = ("print_color", "print_black", "print_white", "print_dot_gain", "print_saturation")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A chart that the program made, and a photograph of it, printed by the published printer."""
    folder = tmp_path_factory.mktemp("color")
    with pytest.raises(SystemExit):
        main(["calibrate", "chart", "--out", str(folder)])
    write_bytes(folder / "photos" / "one.png", encode_png(photograph(folder, the_chart(folder), "published")))
    return folder


def the_chart(folder: Path) -> Sheet:
    (path,) = folder.glob("chart-*.json")
    return read_document(path, Sheet)


def measured_in_lab(folder: Path, run) -> dict:
    sheet = next(folder.glob("chart-*.json"))
    code, answer = run("calibrate", "color", folder / "photos", "--sheet", sheet, "--spec", "spec.json")
    assert code == 0, answer
    return answer["data"]


@pytest.fixture
def measured(folder, run) -> dict:
    return measured_in_lab(folder, run)


def test_a_chart_then_a_response(measured, folder, tmp_path):
    assert measured["delta_e_after"] < 0.6 < 15 < measured["delta_e_before"]
    assert measured["color"] == "calibration/color.json"
    assert measured["model"] == "quadratic"
    response = read_document(tmp_path / measured["color"], ColorResponse)
    assert response.chart == the_chart(folder).id
    assert response.photos == ["one.png"]
    assert len(response.swatches) == measured["colors"] == 151
    assert fit_color(response.swatches) == response.fit, "the evidence is in the file"
    assert 100_000 < measured["gamut_volume"] < 500_000


@pytest.mark.parametrize("named", ["", '[train]\nspec = "spec.json"\n'], ids=["names no spec", "names it already"])
def test_training_takes_the_response_and_keeps_what_the_plan_says(named, folder, run, tmp_path):
    (tmp_path / "lab.toml").write_text(f"{named}[plan]\ndistances_mm = [700.0, 900.0]\nyaws_deg = [0.0]\n")
    data = measured_in_lab(folder, run)
    spec = read_document(tmp_path / "spec.json", TransformSpec)
    assert spec.print_color == read_document(tmp_path / data["color"], ColorResponse).fit.model
    lab = open_lab(tmp_path, environ={}, user_file=None)
    assert spec.distance_mm[1] < 1200
    assert spec.model_dump(exclude=set(PRINTING)) == plan_spec(lab).model_dump(exclude=set(PRINTING))
    assert lab_spec(open_lab(tmp_path, environ={}, user_file=None, flags={"train.spec": "spec.json"})) == spec


def test_a_new_spec_has_the_ranges_of_the_one_that_the_lab_names(folder, run, tmp_path):
    (tmp_path / "fitted.json").write_text(TransformSpec(yaw_deg=(-1.0, 1.0)).model_dump_json())
    (tmp_path / "lab.toml").write_text('[train]\nspec = "fitted.json"\n')
    measured_in_lab(folder, run)
    assert read_document(tmp_path / "spec.json", TransformSpec).yaw_deg == (-1.0, 1.0)


def test_other_ranges_of_a_spec_stay(folder, run, tmp_path):
    own = TransformSpec(yaw_deg=(-1.0, 1.0))
    (tmp_path / "own.json").write_text(own.model_dump_json())
    sheet = next(folder.glob("chart-*.json"))
    code, _ = run("calibrate", "color", folder / "photos", "--sheet", sheet, "--spec", "own.json", "--out", "c.json")
    again = read_document(tmp_path / "own.json", TransformSpec)
    assert code == 0
    assert again.yaw_deg == (-1.0, 1.0)
    assert again.print_color


def test_a_chart_is_named_by_its_id_in_the_lab_too(folder, run):
    assert run("calibrate", "chart", "--seed", 0)[0] == 0
    code, answer = run("calibrate", "color", folder / "photos", "--sheet", the_chart(folder).id, "--camera", "rig")
    assert code == 0, answer


def test_paper_that_was_seen_dark_is_a_warning(folder, run, tmp_path):
    dark = decode_picture((folder / "photos" / "one.png").read_bytes(), "one.png") // 2
    write_bytes(tmp_path / "dark.png", encode_png(dark))
    code, answer = run("calibrate", "color", "dark.png", "--sheet", next(folder.glob("chart-*.json")))
    assert code == 0, answer
    assert "dark.png: the paper's white is seen as" in answer["data"]["warnings"][0]


def test_a_password_in_the_cameras_address_stays_here(folder, run, tmp_path):
    sheet = next(folder.glob("chart-*.json"))
    code, answer = run(
        "calibrate", "color", folder / "photos", "--sheet", sheet, "--camera", "rtsp://me:secret@192.0.2.1/x"
    )
    assert code == 0, answer
    response = read_document(tmp_path / answer["data"]["color"], ColorResponse)
    assert response.camera == "rtsp://192.0.2.1/x"


@pytest.mark.parametrize("words", [("--date", "31.12.2026"), ("--operator", "x" * 61), ("--paper", "A9")])
def test_charts_that_cannot_be_made(words, run, tmp_path):
    code, answer = run("calibrate", "chart", *words)
    assert code == 3, answer
    assert words[1][:20] in answer["errors"][0]["message"]
    assert not (tmp_path / "calibration").exists()


def test_a_limit_that_is_not_met(folder, run, tmp_path):
    sheet = next(folder.glob("chart-*.json"))
    code, answer = run("calibrate", "color", folder / "photos", "--sheet", sheet, "--limit", "0.01")
    assert (code, answer["status"]) == (6, "partial")
    assert answer["errors"][0]["code"] == "limit"
    assert (tmp_path / answer["data"]["color"]).is_file()


@pytest.mark.parametrize(
    ("photo", "sheet", "code", "said"),
    [
        ("gone.png", None, "missing-file", "there is no picture or folder"),
        ("text.png", None, "image", "cannot be decoded"),
        ("gray.png", None, "input", "shows no tags"),
        (None, "strip.json", "input", "is no color chart"),
        (None, "gone.json", "missing-file", "cannot read"),
    ],
)
def test_wrong_files(photo, sheet, code, said, folder, run, tmp_path):
    chart = the_chart(folder)
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "gray.png").write_bytes(encode_png(np.full((60, 80, 3), 90, np.uint8)))
    (tmp_path / "strip.json").write_text(chart.model_copy(update={"strip": chart.strip[1:6]}).model_dump_json())
    used = sheet or folder / f"{chart.id}.json"
    done, answer = run("calibrate", "color", photo or folder / "photos", "--sheet", used)
    assert done == 3
    assert answer["errors"][0]["code"] == code
    assert said in answer["errors"][0]["message"]
    assert not (tmp_path / "calibration").exists()


def test_a_photograph_that_cannot_be_used_is_left_out_and_named(folder, run, tmp_path):
    (tmp_path / "wall.png").write_bytes(encode_png(np.full((60, 80, 3), 90, np.uint8)))
    sheet = folder / f"{the_chart(folder).id}.json"
    code, answer = run("calibrate", "color", folder / "photos", "wall.png", "--sheet", sheet)
    assert (code, answer["status"]) == (5, "partial")
    assert answer["data"]["photos"] == ["one.png"]
    assert answer["data"]["skipped"] == [error["message"].removeprefix("left out: ") for error in answer["errors"]]
    assert "wall.png shows no tags" in answer["errors"][0]["message"]


# Drift


def in_the_middle(chart: Sheet) -> Sheet:
    """The chart with only the fields within 40 mm of its middle: as small a part of the sheet as a strip is."""
    near = [each for each in chart.strip if np.linalg.norm(each.box.center_mm - chart.frame.center_mm) < 40]
    return chart.model_copy(update={"strip": near})


def strip_of(folder: Path, sheet: Sheet, index: int, printer: str, light: str) -> Strip:
    pixels = photograph(folder, sheet, printer, light)
    strip = read_strip(index, sheet.id, see_swatches(pixels, sheet.strip, localize(pixels, [sheet]).to_image, 3.0))
    assert strip is not None
    return strip


def test_light_that_changes_is_no_drift_of_the_print_and_ink_is(folder, measured, tmp_path):
    response = read_document(tmp_path / measured["color"], ColorResponse)
    chart = in_the_middle(the_chart(folder))
    shots = [("published", "day"), ("published", "warm"), ("published", "dim"), ("laser", "day")]
    strips = [strip_of(folder, chart, i, *shot) for i, shot in enumerate(shots)]
    same, warm, dim, other = compare(strips, response)
    assert same.drift < 2
    assert same.white_balance < 2
    assert same.exposure == pytest.approx(1, abs=0.15)
    assert warm.drift < 2.5
    assert warm.white_balance > 8
    assert warm.red > same.red
    assert dim.exposure < 0.4
    assert other.drift > 3


def test_a_session_against_itself_and_against_a_response(run, measured, tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "session")
    code, answer = run("session", "color", "session")
    assert code == 0, answer
    frames = answer["data"]["frames"]
    assert [each["index"] for each in frames] == [0, 1, 2]
    assert answer["data"]["drift"]["max"] == max(each["drift"] for each in frames)
    code, answer = run("session", "color", "session", "--color", measured["color"], "--limit", "0.5")
    assert code == 6
    assert answer["data"]["reference"].startswith("chart-")
    assert answer["data"]["drift"]["median"] > 0.5
