"""The lab folder: made once, never overwritten, and what of it goes into a session."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from colors import color_recognizer
from servers import mjpeg_stream

from calibration.camera import CameraModel
from calibration.errors import BadConfig, BadInput, BadUsage, MissingFile
from calibration.files import write_document
from capture.session import read_session
from capture.stop import never
from pipeline.config import Config
from pipeline.lab import FOLDERS, Lab, create_lab, open_lab, select_recognizers, shipped_patches
from pipeline.recognizers import load_recognizers, zoo_folder
from pipeline.sessions.capturing import capture
from pipeline.sessions.steps import capture_order

NOISE = list(np.random.default_rng(0).integers(0, 255, (8, 48, 64, 3), dtype=np.uint8))
"""As of a sensor: a stream that repeats itself is taken for frozen."""


def opened(folder: Path, flags: dict[str, object] | None = None, **more: object) -> Lab:
    return open_lab(folder, environ={}, user_file=None, flags=flags, **more)


# Made


def test_a_new_lab_says_what_is_new(tmp_path: Path):
    new = create_lab(tmp_path / "lab", seed=7)
    assert {path.relative_to(tmp_path / "lab").as_posix() for path in new} == {
        *FOLDERS,
        "lab.toml",
        *(f"patches/{path.name}" for path in shipped_patches().iterdir()),
    }
    assert all(path.exists() for path in new)
    assert create_lab(tmp_path / "lab", seed=8) == []
    assert opened(tmp_path / "lab").config.lab.seed == 7


def test_what_is_there_stays(tmp_path: Path):
    create_lab(tmp_path, seed=1)
    mine = {
        "lab.toml": "[lab]\nseed = 5\n",
        "patches/stop.json": '{"format": "mine"}',
        "sheets/note.txt": "on the door",
        "plan.json": "{}",
    }
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "patches" / "stop.png").unlink()
    (tmp_path / "models").rmdir()
    assert set(create_lab(tmp_path, seed=1)) == {tmp_path / "models", tmp_path / "patches" / "stop.png"}
    assert {name: (tmp_path / name).read_text() for name in mine} == mine


def test_lab_toml_says_the_defaults(tmp_path: Path):
    """Every value in the file is the default: what the file shows is what would be without it."""
    create_lab(tmp_path / "my lab", seed=Config().lab.seed)
    said = tomllib.loads((tmp_path / "my lab" / "lab.toml").read_text())
    default = Config().model_dump()
    assert said["lab"].pop("name") == "my lab"
    assert all(default[section][key] == value for section, values in said.items() for key, value in values.items())


@pytest.mark.parametrize("name", ['quo"ted', "back\\slash", "日本語", "a'b", "x = 1"])
def test_any_folder_can_be_a_lab(name: str, tmp_path: Path):
    create_lab(tmp_path / name, seed=1)
    assert opened(tmp_path / name).config.lab.name


def test_a_file_is_no_lab(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="a folder is expected"):
        create_lab(tmp_path / "file", seed=1)
    with pytest.raises(MissingFile, match=r"has no lab\.toml"):
        opened(tmp_path)
    assert opened(tmp_path, required=False).config == Config()


# Its bench


def test_the_bench_is_the_zoo_and_the_lab_s_own(tmp_path: Path):
    create_lab(tmp_path, seed=1)
    zoo = [each.name for each in load_recognizers([zoo_folder()])]
    color_recognizer(tmp_path / "models", "mine")
    assert [each.name for each in opened(tmp_path).recognizers()] == [*zoo, "mine"]
    assert [each.name for each in opened(tmp_path, {"models.zoo": False}).recognizers()] == ["mine"]
    color_recognizer(tmp_path / "more", "other")
    both = opened(tmp_path, {"models.zoo": False, "models.folders": ["more", "models"]})
    assert [each.name for each in both.recognizers()] == ["other", "mine"]


def test_a_folder_of_recognizers_that_was_named_must_be_there(tmp_path: Path):
    assert opened(tmp_path, {"models.zoo": False}, required=False).recognizers() == []
    with pytest.raises(MissingFile, match="modles"):
        opened(tmp_path, {"models.folders": ["modles"]}, required=False).recognizers()


def test_two_of_one_name_are_refused(tmp_path: Path):
    for folder in ("models", "more"):
        color_recognizer(tmp_path / folder, "same")
    lab = opened(tmp_path, {"models.zoo": False, "models.folders": ["models", "more"]}, required=False)
    with pytest.raises(BadConfig, match="two recognizers are named same"):
        lab.recognizers()


def test_recognizers_are_chosen_by_name_in_the_order_asked(tmp_path: Path):
    bench = [color_recognizer(tmp_path, name) for name in "abc"]
    assert select_recognizers(bench, None) == select_recognizers(bench, []) == bench
    assert [each.name for each in select_recognizers(bench, ["c", "a", "c"])] == ["c", "a"]
    with pytest.raises(BadUsage, match="no recognizer is named 'd'; the bench has a, b, c"):
        select_recognizers(bench, ["a", "d"])


# What of it goes into a session


def taken(lab: Lab, frames: int = 1) -> Path:
    """The folder of a session of so many frames."""
    order = capture_order(lab, frames=frames)
    outcome = capture(order, ask=lambda question: "", stop=never, progress=lambda step: None)
    assert outcome.frames == frames
    return outcome.session


def test_no_password_gets_into_a_session(tmp_path: Path):
    create_lab(tmp_path, seed=1)
    with mjpeg_stream(NOISE) as stream:
        address = stream.url.replace("://", "://me:hush@")
        text = (tmp_path / "lab.toml").read_text().replace('"sim:"', f'"{address}"')
        text += '# before: "rtsp://me:hush@192.0.2.7/live?channel=1&token=hush"\n'
        (tmp_path / "lab.toml").write_text(text)
        session = taken(opened(tmp_path))
    assert "hush" not in "".join(path.read_text("latin-1") for path in session.rglob("*") if path.is_file())
    (kept,) = read_session(session).inputs("lab")
    expected = text.replace("me:hush@", "").replace("token=hush", "token=***")
    assert kept.read_text() == expected
    assert tomllib.loads(kept.read_text())["camera"]["uri"] == stream.url


def test_a_lab_without_secrets_is_kept_word_for_word(captured: Path, small_lab: Path):
    (kept,) = read_session(captured).inputs("lab")
    assert kept.read_bytes() == (small_lab / "lab.toml").read_bytes()


def test_plan_and_sheets_go_into_the_session_as_they_are(captured: Path, small_lab: Path):
    session = read_session(captured)
    (plan,) = session.inputs("plan")
    assert plan.read_bytes() == (small_lab / "plan.json").read_bytes()
    wanted = {shot.sheet for shot in session.plan.shots}
    assert {path.stem for path in session.inputs("sheet")} == wanted
    for path in session.inputs("sheet"):
        assert path.read_bytes() == (small_lab / "sheets" / path.name).read_bytes()


def test_the_calibration_that_lab_toml_names_goes_along(tmp_path: Path):
    create_lab(tmp_path, seed=1)
    model = CameraModel(camera="mine", width=64, height=48, fx=70, fy=70, cx=31.5, cy=23.5)
    write_document(tmp_path / "mine.json", model)
    with mjpeg_stream(NOISE) as stream:
        lab = opened(tmp_path, {"camera.uri": stream.url, "camera.calibration": "mine.json"})
        assert lab.camera_model() == model
        session = taken(lab)
        gone = opened(tmp_path, {"camera.uri": stream.url, "camera.calibration": "gone.json"})
        with pytest.raises(MissingFile, match=r"gone\.json"):
            taken(gone)
    (kept,) = read_session(session).inputs("camera")
    assert CameraModel.model_validate_json(kept.read_bytes()) == model


def test_a_plan_whose_sheet_is_gone_names_it(tmp_path: Path, small_lab: Path):
    (tmp_path / "lab.toml").write_text("")
    (tmp_path / "plan.json").write_bytes((small_lab / "plan.json").read_bytes())
    with pytest.raises(BadConfig, match="which is not in") as caught:
        capture_order(opened(tmp_path))
    assert caught.value.hint == "dpcam plan"


@pytest.mark.parametrize(
    ("flags", "wrong"),
    [
        ({}, "stop"),
        ({"target.label": "stop"}, "general-caution"),
        ({"target.label": "yield"}, "stop"),
        ({"train.wrong_class": "yield"}, "yield"),
    ],
)
def test_the_wrong_class_is_never_the_targets_own_unless_it_is_named(tmp_path: Path, flags: dict[str, str], wrong: str):
    lab = open_lab(tmp_path, environ={}, user_file=None, flags=flags, required=False)
    assert lab.wrong_class == wrong
