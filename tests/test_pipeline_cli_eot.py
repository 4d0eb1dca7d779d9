"""``dpcam eot``: ranges measured in a simulated session against its truth; contact sheets; training with the ranges."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import another_lab
from PIL import Image
from program import data
from test_capture_sharpness import LENS_PX, disk_sigma

from calibration.errors import BadConfig, MissingFile
from calibration.files import read_document, read_json, write_document
from capture.cameras.sim_optics import READ_NOISE, SHOT_NOISE
from capture.cameras.sim_print import PRINTERS
from capture.cameras.sim_scenery import LIGHTS
from capture.picture import encode_png
from capture.plan import Condition, Plan, Shot
from capture.session import read_session
from patches.patch import read_patch
from patches.spec import TransformSpec
from pipeline.cli.app import main
from pipeline.lab import Lab, open_lab
from pipeline.recognizers import zoo_folder
from pipeline.sessions import localizing
from pipeline.training.eot_fit import fit_session
from pipeline.training.order import Wish, lab_spec
from pipeline.training.run import train_patch_of

VIEWS = [(distance, yaw) for distance in (600.0, 900.0, 1300.0) for yaw in (-35.0, 0.0, 35.0)]
DISKS_PX = (0.0, 2.0)
SHOWN_LIGHTS = ("day", "dim")
RANGES = [name for name in TransformSpec.model_fields if name not in ("format", "version", "print_color")]
NEVER_TOLD = {
    *("ink_noise", "place_mm", "place_deg", "light_gradient", "shadow", "haze", "crop_shift", "crop_zoom", "clutter"),
}


def conditions() -> list[Condition]:
    """Two for each view: sharp and blurred, in another light each; pitch and roll vary, too."""
    return [
        Condition(
            distance_mm=distance,
            yaw_deg=yaw,
            pitch_deg=(-10.0, 0.0, 10.0)[i % 3],
            roll_deg=(-6.0, 6.0)[i % 2],
            light=SHOWN_LIGHTS[(i + k) % 2],
            extra={"defocus_px": radius},
        )
        for i, (distance, yaw) in enumerate(VIEWS)
        for k, radius in enumerate(DISKS_PX)
    ]


@pytest.fixture(scope="module")
def lab(fresh_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab whose plan shows the blank sheet under 18 known conditions, and its session."""
    folder = another_lab(fresh_lab, tmp_path_factory.mktemp("eot") / "lab")
    plan = read_document(folder / "plan.json", Plan)
    sheet = next(shot.sheet for shot in plan.shots if shot.arm == "blank")
    shots = [Shot(index=i, arm="blank", sheet=sheet, condition=condition) for i, condition in enumerate(conditions())]
    write_document(folder / "plan.json", plan.model_copy(update={"shots": tuple(shots), "parts": ()}))
    data("capture", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def session(lab: Path) -> Path:
    return next((lab / "sessions").iterdir())


@pytest.fixture(scope="module")
def fitted(lab: Path, session: Path) -> dict[str, Any]:
    """What ``dpcam eot fit`` answers."""
    return data("eot", "fit", session, cwd=lab)


def run(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Run the program in this process."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words), "--json"])
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)


def opened(folder: Path, **flags: object) -> Lab:
    return open_lab(folder, environ={}, user_file=None, flags={key.replace("__", "."): flags[key] for key in flags})


# What is measured


def truths(session: Path) -> dict[str, tuple[float, float]]:
    """Range → the least and the greatest value that the simulator really had."""
    views = [read_json(frame.truth)["view"] for frame in read_session(session).frames if frame.truth]
    blurs = [float(np.hypot(disk_sigma(radius), lens)) for radius in DISKS_PX for lens in LENS_PX]
    gains = [LIGHTS[name].sensor_gain for name in SHOWN_LIGHTS]
    values = {key: [view[key] for view in views] for key in ("distance_mm", "yaw_deg", "pitch_deg", "roll_deg")}
    values |= {
        "focal_px": [read_json(read_session(session).inputs("camera")[0])["fx"]],
        "defocus_px": blurs,
        "motion_px": [0.0],
        "print_black": [PRINTERS["lab"].black],
        "print_dot_gain": [PRINTERS["lab"].share],
        "light_gain": [LIGHTS[name].gain ** 2 for name in SHOWN_LIGHTS],
        "shot_noise": [SHOT_NOISE * gain for gain in gains],
        "read_noise": [READ_NOISE * gain for gain in gains],
    }
    return {name: (min(each), max(each)) for name, each in values.items()}


ROOM = {
    "distance_mm": 120.0,
    "yaw_deg": 8.0,
    "pitch_deg": 4.0,
    "roll_deg": 4.0,
    "focal_px": 15.0,
    "defocus_px": 0.35,
    "motion_px": 0.3,
    "print_black": 0.05,
    "print_dot_gain": 0.12,
    "light_gain": 0.3,
    "shot_noise": 4e-4,
    "read_noise": 4e-3,
}
"""How much wider than the truth a fitted range may be, on each side."""

BLIND = {"defocus_px": 0.15, "shot_noise": 2e-4}
"""Of the truth so much may be missed: a lens as sharp as a pixel, the quietest and the noisiest frames."""


@pytest.mark.parametrize("name", sorted(ROOM))
def test_a_fitted_range_holds_the_truth_and_not_much_more(name: str, fitted: dict[str, Any], session: Path):
    low, high = truths(session)[name]
    found = fitted["fields"][name]
    assert found["source"] == "measured"
    assert found["low"] <= low + BLIND.get(name, 0.0), found
    assert found["high"] >= high - BLIND.get(name, 0.0), found
    assert found["low"] >= low - ROOM[name], found
    assert found["high"] <= high + ROOM[name], found


def test_every_range_says_where_it_comes_from(fitted: dict[str, Any]):
    assert list(fitted["fields"]) == RANGES
    default = TransformSpec().model_dump()
    for name, found in fitted["fields"].items():
        assert set(found) == {"low", "high", "source", "n", "how"}
        assert found["how"]
        assert found["source"] == ("default" if name in NEVER_TOLD else "measured")
        assert (found["n"] > 0) == (found["source"] == "measured")
        assert name not in NEVER_TOLD or (found["low"], found["high"]) == default[name]
    assert (fitted["frames"], fitted["used"], fitted["unused"]) == (18, 18, [])


def test_the_spec_is_a_document(fitted: dict[str, Any], lab: Path):
    assert fitted["spec"] == "spec.json"
    spec = read_document(lab / "spec.json", TransformSpec)
    assert spec.sha256 == fitted["spec_sha256"]
    assert {name: [found["low"], found["high"]] for name, found in fitted["fields"].items()} == {
        name: list(getattr(spec, name)) for name in RANGES
    }


def test_each_picture_is_decoded_once(session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With the localizations still to be made, and with those of before: the same ranges."""
    copied = shutil.copytree(session, tmp_path / "session")
    shutil.rmtree(copied / "derived")
    names: list[str] = []
    decode = localizing.decode_picture
    monkeypatch.setattr(
        localizing, "decode_picture", lambda data, name, **how: names.append(name) or decode(data, name, **how)
    )
    first = fit_session(read_session(copied), lambda done: None)
    assert len(names) == len(set(names)) == 18
    assert len(list((copied / "derived").glob("localizations-*"))) == 1
    names.clear()
    assert fit_session(read_session(copied), lambda done: None) == first
    assert len(names) == len(set(names)) == 18


def test_frames_that_cannot_be_used_are_listed(session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    copied = shutil.copytree(session, tmp_path / "session")
    shutil.rmtree(copied / "derived")
    frames = read_session(copied).frames
    frames[3].path.write_bytes(b"other bytes")
    frames[7].path.unlink()
    code, answer = run("eot", "fit", copied, "--out", tmp_path / "deep" / "spec.json", capsys=capsys)
    assert (code, answer["status"]) == (5, "partial")
    assert [each["frame"] for each in answer["data"]["unused"]] == [3, 7]
    assert "other bytes than were recorded" in answer["data"]["unused"][0]["reason"]
    assert answer["errors"][0]["message"].startswith("2 of 18 frames could not be used (000003: ")
    assert answer["data"]["fields"]["distance_mm"]["n"] == 16
    assert read_document(tmp_path / "deep" / "spec.json", TransformSpec).sha256 == answer["data"]["spec_sha256"]


@pytest.fixture(scope="module")
def pictures(lab: Path, session: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sessions of pictures from folders, without a camera calibration: two of the sheet, one of a gray wall."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("sheet", "wall")}
    for frame in read_session(session).frames[2:4]:
        shutil.copy(frame.path, folders["sheet"])
    (folders["wall"] / "wall.png").write_bytes(encode_png(np.full((120, 160, 3), 90, np.uint8)))
    return {
        name: lab / data("capture", "--camera", folder, "--no-gate", "--no-plan", "--new", cwd=lab)["session"]
        for name, folder in folders.items()
    }


def test_without_a_camera_calibration_the_views_stay_default(
    pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code, answer = run("eot", "fit", pictures["sheet"], "--out", tmp_path / "spec.json", capsys=capsys)
    assert code == 0, answer
    for name in ("distance_mm", "focal_px", "yaw_deg", "pitch_deg", "roll_deg"):
        found = answer["data"]["fields"][name]
        assert (found["source"], found["n"]) == ("default", 0)
        assert "no camera calibration" in found["how"]
    assert answer["data"]["fields"]["defocus_px"]["source"] == "measured"


def test_what_cannot_be_fitted(pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "spec.json"
    for folder, message in (
        (tmp_path, "is not a session: it has no session.json"),
        (tmp_path / "nowhere", "is not a session"),
        (pictures["wall"], "no sheet was found in its 1 frames (no tag of a known sheet)"),
    ):
        code, answer = run("eot", "fit", folder, "--out", out, capsys=capsys)
        assert (code, answer["status"]) == (3, "error")
        assert message in answer["errors"][0]["message"]
        assert not out.exists()


# What is shown


def shown(lab: Path, out: Path, *words: object, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The answer of ``dpcam eot show`` with four samples."""
    code, answer = run("eot", "show", "--lab", lab, "--count", 4, "--out", out, *words, capsys=capsys)
    assert code == 0, answer
    return answer["data"]


def test_a_contact_sheet(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = shown(lab, tmp_path / "a.png", capsys=capsys)
    assert (found["shown"], found["target"], len(found["samples"])) == ("general-caution", "general-caution", 4)
    picture = Image.open(io.BytesIO((tmp_path / "a.png").read_bytes()))
    assert picture.format == "PNG"
    assert min(picture.size) > 2 * 128
    low, high = found["spec"]["distance_mm"]
    assert all(low <= each["distance_mm"] <= high for each in found["samples"])
    assert len({each["yaw_deg"] for each in found["samples"]}) == 4
    assert found["spec_sha256"] == lab_spec(opened(lab)).sha256


def test_the_seed_decides(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        assert shown(lab, path, "--seed", seed, capsys=capsys)["seed"] == seed
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again != other


def test_what_can_be_shown(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    patch = lab / "patches" / "stop.json"
    for word, name, target in (
        ("bare", "bare", "general-caution"),
        ("noise", "noise", "general-caution"),
        ("wrong-class", "wrong-class", "general-caution"),
        ("stop", "stop", "stop"),
        (patch, "stop", "stop"),
    ):
        found = shown(lab, tmp_path / "a.png", word, capsys=capsys)
        assert (found["shown"], found["target"]) == (name, target)


def test_before_there_is_a_patch_the_frame_is_blank(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "lab.toml").write_text('[target]\nlabel = "no-entry"\n')
    found = shown(tmp_path, tmp_path / "a.png", capsys=capsys)
    assert (found["shown"], found["target"]) == ("blank", "no-entry")


def test_ranges_from_a_file(fitted: dict[str, Any], lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = shown(lab, tmp_path / "a.png", "--spec", lab / "spec.json", capsys=capsys)
    assert found["spec_sha256"] == fitted["spec_sha256"]
    assert all(each["defocus_px"] <= fitted["fields"]["defocus_px"]["high"] for each in found["samples"])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["unicorn"], 3, "there is no arm or patch 'unicorn'"),
        (["nowhere.json"], 3, "nowhere.json"),
        (["--spec", "nowhere.json"], 3, "cannot read nowhere.json"),
        (["--spec", "{lab}/plan.json"], 3, "dpcam.transform"),
        (["--count", "0"], 2, "--count"),
        (["--out", "/proc/nowhere/a.png"], 4, "cannot write"),
    ],
)
def test_what_cannot_be_shown(words: list[str], code: int, message: str, lab: Path, capsys: pytest.CaptureFixture[str]):
    filled = [word.format(lab=lab) for word in words]
    found, answer = run("eot", "show", "--lab", lab, "--count", 1, *filled, capsys=capsys)
    assert found == code
    assert message in answer["errors"][0]["message"]


# What a lab does with it


def test_a_lab_trains_with_the_ranges_that_were_fitted(fitted: dict[str, Any], lab: Path, tmp_path: Path):
    for name in ("shufflenetv2", "mobilenetv2"):
        for path in zoo_folder().glob(f"{name}.*"):
            (tmp_path / "models").mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / "models")
    shutil.copy(lab / "spec.json", tmp_path / "measured.json")
    settings = '[models]\nzoo = false\n[train]\nspec = "measured.json"\nsteps = 2\nbatch = 4\n'
    (tmp_path / "lab.toml").write_text(settings)
    own = opened(tmp_path)
    assert lab_spec(own) == read_document(lab / "spec.json", TransformSpec)
    done = train_patch_of(own, Wish.of("stop"), progress=lambda share, text: None)
    document, _ = read_patch(done.path)
    assert (done.steps, document.spec_sha256) == (2, fitted["spec_sha256"])


def test_a_spec_that_is_not_there_or_is_none(lab: Path, tmp_path: Path):
    (tmp_path / "lab.toml").write_text("")
    with pytest.raises(MissingFile, match=r"nowhere\.json"):
        lab_spec(opened(tmp_path, train__spec="nowhere.json"))
    bad = {"yaw.json": '{"yaw_deg": [10, -10]}', "text.json": "yaw = 3", "key.json": '{"jaw_deg": [0, 1]}'}
    for name, text in bad.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(BadConfig, match=name):
            lab_spec(opened(tmp_path, train__spec=name))
    with pytest.raises(BadConfig, match=r"dpcam\.transform"):
        lab_spec(opened(lab, train__spec="plan.json"))
