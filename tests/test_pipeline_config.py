"""Settings: the order of the layers, where values come from, and errors that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration.errors import BadConfig
from capture.quality import Limits
from pipeline.config import known_keys, load_settings
from pipeline.gate_config import GateSection


def source_of(settings, key: str) -> tuple[object, str]:
    return next((each.value, each.source) for each in settings.settings if each.key == key)


def test_each_layer_beats_the_one_below(tmp_path: Path):
    user = tmp_path / "user.toml"
    user.write_text('[camera]\nuri = "user"\n[plan]\nrepeats = 2\n[lab]\nseed = 2\n')
    (tmp_path / "lab.toml").write_text('[camera]\nuri = "lab"\n[lab]\nseed = 3\n')
    environ = {"DPCAM_CAMERA_URI": "sim:env", "DPCAM_DATA": "/somewhere", "HOME": "/"}
    settings = load_settings(tmp_path, environ=environ, user_file=user, flags={"lab.seed": 5, "camera.uri": None})
    assert source_of(settings, "camera.uri") == ("sim:env", "env")
    assert source_of(settings, "lab.seed") == (5, "flag")
    assert source_of(settings, "plan.repeats") == (2, str(user))
    assert source_of(settings, "sheet.paper") == ("A4", "default")


def test_every_known_key_is_listed_once(tmp_path: Path):
    listed = [each.key for each in load_settings(tmp_path, environ={}).settings]
    assert listed == list(known_keys())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[camera]\nurl = "x"\n', ["camera.url", "camera.uri"]),
        ('[kamera]\nuri = "x"\n', ["kamera", "camera"]),
        ("seed = 1\n", ["seed"]),
        ("[plan]\nrepeats = 0\n", ["plan.repeats", "found 0"]),
        ("[patch]\nthickness_mm = 0\n", ["patch.thickness_mm", "greater than 0", "found 0"]),
        ("[patch]\nshape = 'star'\n", ["patch.shape", "'outline'", "found 'star'"]),
        ("[patch]\npolygon = [[0, 0], [1, 1]]\n", ["patch.polygon", "at least 3"]),
        ("[plan]\ndistances_mm = []\n", ["plan.distances_mm"]),
        ("[gate]\nblur_px = 'none'\n", ["gate.blur_px", "found 'none'"]),
        ("[gate]\nclipped_share = 2\n", ["gate.clipped_share", "less than or equal to 1"]),
        ("[gate]\nmax_blur = 2\n", ["gate.max_blur", "gate."]),
        ('[sheet]\npaper = "B9"\n', ["sheet.paper", "A4"]),
        ('[sheet]\ncontrols = ["blnk"]\n', ["sheet.controls", "blank"]),
        ("[plan\n", ["not TOML"]),
    ],
)
def test_a_bad_file_is_refused_by_key_and_value(tmp_path: Path, text: str, named: list[str]):
    (tmp_path / "lab.toml").write_text(text)
    with pytest.raises(BadConfig) as caught:
        load_settings(tmp_path, environ={})
    assert all(word in caught.value.message for word in [*named, "lab.toml"])


@pytest.mark.parametrize(
    ("environ", "named"),
    [({"DPCAM_CAMERA_URL": "x"}, "DPCAM_CAMERA_URI"), ({"DPCAM_PLAN_REPEATS": "many"}, "plan.repeats")],
)
def test_a_bad_variable_is_refused(tmp_path: Path, environ: dict[str, str], named: str):
    with pytest.raises(BadConfig, match=named):
        load_settings(tmp_path, environ=environ)


def test_the_limits_of_the_gate_are_those_of_the_capture_and_each_can_be_off(tmp_path: Path):
    assert load_settings(tmp_path, environ={}).config.gate.limits == Limits()
    limits = [name for name in GateSection.model_fields if name not in ("retries", "duplicates")]
    (tmp_path / "lab.toml").write_text("[gate]\n" + "".join(f'{name} = "off"\n' for name in limits))
    gate = load_settings(tmp_path, environ={"DPCAM_GATE_STILL_PX": "1.5", "DPCAM_GATE_RETRIES": "5"}).config.gate
    assert gate.limits == Limits(**{**dict.fromkeys(limits), "still_px": 1.5})
    assert gate.retries == 5
