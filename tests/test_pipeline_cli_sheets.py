"""``dpcam sheet make`` and ``print``: any paper, tiles, pictures, serial; what cannot be printed is one clear error."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calibration.files import read_document
from calibration.sheet import Sheet
from calibration.tags import detect_full, tag_bits, to_gray
from capture.cameras.sim import SimCamera, SimOptions
from capture.localize import localize
from capture.plan import Condition, Shot
from patches.patch import read_patch, write_patch
from pipeline.cli.app import main

WIDE = '[target]\nwidth_mm = 300.0\nlabel = "stop"\n'


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a folder of its own, without settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("DPCAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", os.devnull)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]):
    """Run a command in this process → its envelope."""

    def run(*words: object, code: int = 0) -> dict:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), "--json"])
        printed = capsys.readouterr()
        assert ended.value.code == code, printed.out + printed.err
        return json.loads(printed.out)

    return run


def make(ask, *words: object, arm: str = "noise") -> dict:
    return ask("sheet", "make", "--arm", arm, "--out", "paper", *words)["data"]


def test_twice_the_same_is_the_same_bytes(ask, tmp_path: Path):
    first = make(ask, "--date", "2026-01-31", "--operator", "Ada", "--png", 72)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "paper").iterdir()}
    assert make(ask, "--date", "2026-01-31", "--operator", "Ada", "--png", 72) == first
    assert {path.name: path.read_bytes() for path in (tmp_path / "paper").iterdir()} == kept
    sheet = read_document(Path(first["sheet"]), Sheet)
    assert (sheet.date, sheet.operator) == ("2026-01-31", "Ada")
    other = make(ask, "--date", "2026-02-01", "--operator", "Ada")
    assert other["id"] != first["id"]


def test_a_picture_at_a_stated_resolution(ask):
    made = make(ask, "--png", 96, "--paper", "Letter")
    (path,) = made["png"]
    with Image.open(path) as picture:
        assert picture.info["dpi"] == pytest.approx((96, 96), abs=0.02)
        assert picture.size == (816, 1056)
        seen = {tag.id for tag in detect_full(to_gray(np.array(picture)))}
    assert seen == read_document(Path(made["sheet"]), Sheet).tag_ids


@pytest.mark.parametrize(("paper", "size"), [("Letter", (215.9, 279.4)), ("A3", (297, 420)), ("500x260", (500, 260))])
def test_paper_of_any_size(ask, paper: str, size: tuple[float, float]):
    sheet = read_document(Path(make(ask, "--paper", paper)["sheet"]), Sheet)
    assert (sheet.paper, sheet.width_mm, sheet.height_mm) == (paper, *size)


def test_a_wide_target_comes_in_tiles_and_is_one_sheet_to_a_camera(ask, tmp_path: Path):
    (tmp_path / "lab.toml").write_text(WIDE)
    made = make(ask, "--tiles", "--png", 60)
    sheet = read_document(Path(made["sheet"]), Sheet)
    assert Path(made["pdf"]).name == sheet.printed_pdf == f"{sheet.id}-tiles.pdf"
    assert [Path(path).name for path in made["png"]] == [
        f"{sheet.id}-{name}.png" for name in ("A1", "A2", "A3", "B1", "B2", "B3")
    ]
    assert sheet.paper == "A4"
    camera = SimCamera(SimOptions(width=1280, height=960), tmp_path / "paper")
    condition = Condition(distance_mm=1500, yaw_deg=20)
    camera.stage(Shot(index=0, arm=sheet.arm, sheet=sheet.id, condition=condition, repeat=0), sheet)
    frame = camera.read()
    found = localize(frame.pixels, [sheet])
    assert found.found
    assert set(found.used) == sheet.tag_ids
    true = np.array([corners for _, corners in sorted(frame.truth["tag_corners_px"].items())])
    assert np.abs(np.array([tag.corners for tag in sorted(found.tags, key=lambda tag: str(tag.id))]) - true).max() < 0.7


def test_all_arms_come_in_tiles(ask, tmp_path: Path):
    (tmp_path / "lab.toml").write_text(WIDE + "[sheet]\ntiles = true\n")
    sheets = [read_document(Path(make(ask, arm=arm)["sheet"]), Sheet) for arm in ("bare", "blank", "label")]
    assert len({sheet.frame for sheet in sheets}) == 1
    assert all(sheet.tiles and sheet.tiles.columns * sheet.tiles.rows == 6 for sheet in sheets)
    assert len(frozenset.union(*(sheet.tag_ids for sheet in sheets))) == 12


def test_a_patch_is_printed_in_tiles_too(ask, tmp_path: Path):
    ask("init", "lab")
    printed = ask("print", "stop", "--lab", "lab", "--tiles", "--paper", "120x120", "--operator", "Ada")["data"]
    sheet = read_document(Path(printed["sheet"]), Sheet)
    assert sheet.tiles
    assert sheet.operator == "Ada"
    assert Path(printed["pdf"]).is_file()


def test_without_writing_nothing_is_written(ask, tmp_path: Path):
    made = make(ask, "--png", 300, "--dry-run")
    assert len(made["png"]) == 1
    assert not list(tmp_path.iterdir())


REFUSED = {
    "paper too small": (["--paper", "A5"], WIDE, 3, "A5 (148 x 210 mm) is too small for a frame of 400 mm"),
    "unknown paper": (["--paper", "B5"], "", 3, "unknown paper 'B5'"),
    "negative paper": (["--paper", "-210x297"], "", 3, "unknown paper '-210x297'"),
    "negative target": ([], "[target]\nwidth_mm = -30.0\n", 3, "target.width_mm"),
    "negative thickness": ([], '[patch]\nshape = "outline"\nthickness_mm = -2.0\n', 3, "patch.thickness_mm"),
    "no date": (["--date", "tomorrow"], "", 3, "sheet.date: Value error, a date such as 2026-01-31 is expected"),
    "day that is not": (["--date", "2026-02-30"], "", 3, "sheet.date"),
    "no operator": (["--operator", ""], "", 3, "sheet.operator"),
    "blank operator": (["--operator", "  "], "", 3, "a name on one line"),
    "operator of two lines": (["--operator", "Ada\nEve"], "", 3, "a name on one line"),
    "letters without a font": (["--operator", "山田"], "", 3, "cannot be printed: '山田'"),
    "negative resolution": (["--png", "-300"], "", 2, "--png"),
    "too many pixels": (["--png", "2400"], "", 3, "2400 dpi make 19843 x 28063 pixels"),
    "folder that is a file": (["--out", "lab.toml/paper"], WIDE + "[sheet]\ntiles = true\n", 4, "cannot write"),
}


@pytest.mark.parametrize(("words", "settings", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_made_is_one_clear_error(ask, tmp_path: Path, words, settings: str, code: int, message: str):
    (tmp_path / "lab.toml").write_text(settings)
    envelope = ask("sheet", "make", "--arm", "blank", *words, code=code)
    (error,) = envelope["errors"]
    assert message in error["message"]
    assert "\n" not in error["message"]


@pytest.mark.parametrize(
    "words",
    [
        ("sheet", "make", "--arm", "blank", "--out", "x" * 300),
        ("print", "verify", "photo.png", "--sheet", "x" * 300),
        ("print", "verify", "x" * 300, "--sheet", "SHEET"),
    ],
)
def test_a_name_that_no_file_can_have_is_an_input_error(ask, words: tuple[str, ...]):
    path = make(ask)["sheet"]
    (error,) = ask(*(path if word == "SHEET" else word for word in words), code=3)["errors"]
    assert error["message"].endswith("File name too long")
    assert len(error["message"]) < 200


def test_the_answer_says_what_looks_like_a_tag(ask, tmp_path: Path):
    ask("init", "lab")
    for path in (tmp_path / "lab" / "sheets").glob("*.json"):
        path.unlink()
    document, texture = read_patch(tmp_path / "lab" / "patches" / "stop.json")
    texture[2:12, 2:12] = np.where(tag_bits(3), 255, 0)[..., None]
    wider = document.geometry.model_copy(update={"inner_mm": 20.0, "target_mm": 20.0})
    write_patch(tmp_path / "lab" / "patches", texture, document.model_copy(update={"geometry": wider}))
    made = ask("print", "stop", "--lab", "lab")["data"]
    assert made["ghosts"] == [3]
    assert read_document(Path(made["sheet"]), Sheet).tag_ids == {4, 5, 6, 7}
    assert ask("print", "blank", "--lab", "lab")["data"]["ghosts"] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_not_ready(ask, tmp_path: Path):
    (tmp_path / "paper").mkdir(mode=0o500)
    (error,) = ask("sheet", "make", "--arm", "blank", "--out", "paper", code=4)["errors"]
    assert error["code"] == "not-ready"
    assert "cannot write" in error["message"]
