"""A sticker that is not square, through the whole chain: trained, printed, captured, found, scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import another_lab
from PIL import Image
from program import ask, data

from calibration.files import read_document
from calibration.sheet import Sheet
from patches.patch import read_patch

PLAN = '[plan]\ndistances_mm = [700.0]\nyaws_deg = [30.0]\nlights = ["day"]\n'
FRAME = """[patch]
shape = "outline"
thickness_mm = 6.0
gap_mm = 0.5
texel_mm = 0.75
[sheet]
controls = ["bare", "blank", "wrong-class"]
"""


@pytest.fixture(scope="module")
def lab(fresh_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with an octagonal ring around a stop sign, trained for two steps."""
    folder = another_lab(fresh_lab, tmp_path_factory.mktemp("frames") / "lab")
    settings = (folder / "lab.toml").read_text().partition("[plan]")[0]
    (folder / "lab.toml").write_text(settings.replace('label = "general-caution"', 'label = "stop"') + FRAME + PLAN)
    trained = data("train", "--steps", 2, "--surrogate", "shufflenetv2", cwd=folder)
    assert trained["patch"] == "patches/stop.json"
    return folder


def test_the_patch_is_the_ring_that_was_asked_for(lab: Path):
    document, texture = read_patch(lab / "patches" / "stop.json")
    geometry = document.geometry
    assert (geometry.target_mm, geometry.outer_mm, geometry.texel_mm) == (30, 43, 0.75)
    assert texture.shape == (57, 57, 3)
    perimeter = 8 * 30 * np.tan(np.pi / 8)
    ring = perimeter * 6 + np.pi * (6.5**2 - 0.5**2)
    assert geometry.share == pytest.approx(ring / 43**2, rel=5e-3)
    alpha = np.array(Image.open(lab / "patches" / document.texture))[..., 3]
    assert (alpha == 255).mean() == pytest.approx(geometry.share, rel=0.03)


def test_it_is_printed_captured_found_and_scored(lab: Path, tmp_path: Path):
    sheets = {arm: data("sheet", "make", "--arm", arm, cwd=lab) for arm in ("stop", "blank", "bare")}
    printed = {arm: read_document(lab / made["sheet"], Sheet) for arm, made in sheets.items()}
    assert printed["stop"].sticker == printed["blank"].sticker is not None
    assert printed["bare"].sticker is None
    data("plan", cwd=lab)
    session = lab / data("capture", "--camera", "sim:?seed=3", cwd=lab)["session"]
    found = data("localize", session, cwd=tmp_path)
    assert (found["frames"], found["missed"]) == (4, [])
    assert found["corner_error_px"]["median"] < 0.5
    scored = data("score", session, "--models", "vgg", cwd=tmp_path)
    assert {row["arm"] for row in scored["rows"]} >= {"stop", "bare", "blank", "wrong-class"}
    assert sum(row["failed"] + row["missed"] for row in scored["rows"]) == 0


def test_an_impossible_frame_is_one_line_and_names_the_setting(fresh_lab: Path, tmp_path: Path):
    for name, value, words in (
        ("THICKNESS_MM", "0", "patch.thickness_mm"),
        ("SHAPE", "mask", "needs a mask"),
    ):
        setting = {f"DPCAM_PATCH_{name}": value}
        words_of_call = ("train", "--lab", fresh_lab, "--steps", "1")
        (error,) = ask(*words_of_call, cwd=tmp_path, code=3, **setting)["errors"]
        assert words in error["message"]
        assert "\n" not in error["message"]
