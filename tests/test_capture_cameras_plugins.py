"""Cameras of other packages: found by entry point, opened like ours, named when they are broken."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from calibration.errors import BadConfig, BadUsage, CameraGone
from capture.cameras.open import open_camera
from capture.cameras.plugins import list_plugins
from capture.frame import Clock
from pipeline.camera_check import list_cameras

MODULE = """
import numpy as np
from calibration.errors import CameraGone
from capture.cameras.settings import Ability
from capture.frame import Frame

class Gray:
    model = None
    def __init__(self, uri, clock):
        self.identity, self.clock, self.level, self.closed = uri, clock, 100, False
    def read(self):
        return Frame(np.full((4, 6, 3), self.level, np.uint8), self.clock.mono_ns(), self.clock.wall_ns())
    def close(self):
        self.closed = True
    def __enter__(self):
        return self
    def __exit__(self, *_):
        self.close()

class Dial(Gray):
    def abilities(self):
        return (Ability("level", self.level),)
    def adjust(self, asked):
        self.level = asked["level"]

def gray(uri, *, clock, timing):
    if uri == "gray:gone":
        raise CameraGone("gray:gone is not there")
    return Gray(uri, clock)

gray.find = lambda: ["gray:1", "gray:2"]

def dial(uri, *, clock, timing):
    return Dial(uri, clock)

def crash(uri, *, clock, timing):
    raise RuntimeError("no driver")

crash.find = lambda: 1 / 0

def nothing(uri, *, clock, timing):
    return object()
"""
ENTRIES = """
    [dpcam.cameras]
    gray = dpcam_gray_test:gray
    dial = dpcam_gray_test:dial
    crash = dpcam_gray_test:crash
    nothing = dpcam_gray_test:nothing
    absent = dpcam_gray_test:absent
    rtsp = dpcam_gray_test:gray
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as pip leaves it."""
    (tmp_path / "dpcam_gray_test.py").write_text(MODULE)
    info = tmp_path / "gray_cameras-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gray-cameras\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(textwrap.dedent(ENTRIES))
    monkeypatch.syspath_prepend(str(tmp_path))


def opened(uri: str, **settings: int):
    return open_camera(uri, sheet_folder=Path(), clock=Clock(), settings=settings)


def test_a_plug_in_is_opened_by_its_scheme():
    with opened("gray:7") as camera:
        assert camera.identity == "gray:7"
        assert camera.read().pixels.shape == (4, 6, 3)


def test_it_takes_settings_when_it_has_some():
    assert opened("dial:", level=7).read().pixels.max() == 7
    with pytest.raises(BadConfig, match="gray:1 takes no settings"):
        opened("gray:1", level=7)


def test_its_own_words_reach_the_user():
    with pytest.raises(CameraGone, match="gray:gone is not there"):
        opened("gray:gone")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (
            "crash:1",
            r"'crash' \(dpcam_gray_test:crash of gray-cameras\) cannot open 'crash:1': RuntimeError: no driver",
        ),
        ("absent:1", "'absent' .* cannot be loaded: AttributeError"),
        ("nothing:1", "'nothing' .* gives a object without identity, model, read, close, __enter__, __exit__"),
    ],
)
def test_a_broken_one_is_named(uri: str, words: str):
    with pytest.raises(BadConfig, match=words) as caught:
        opened(uri)
    assert caught.value.hint == "update or uninstall gray-cameras"


def test_an_unknown_scheme_names_the_plug_ins_too():
    with pytest.raises(BadUsage, match=r"accepted: sim:.*, gray:\.\.\."):
        opened("usb:0")


def test_they_are_listed_with_their_cameras_and_problems(tmp_path: Path):
    assert [plugin.scheme for plugin in list_plugins()] == ["absent", "crash", "dial", "gray", "nothing", "rtsp"]
    found = list_cameras(tmp_path / "dev", tmp_path / "class")
    assert [camera.address for camera in found.cameras if camera.kind == "gray"] == ["gray:1", "gray:2"]
    assert found.cameras[-1].address == "sim:"
    problems = "\n".join(problem.message for problem in found.problems)
    for words in ("'absent'", "'crash' .* cannot look for cameras: ZeroDivisionError", "rtsp: is an address of dpcam"):
        assert re.search(words, problems)


def test_two_packages_that_claim_one_scheme(tmp_path: Path):
    info = tmp_path / "rival-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dpcam.cameras]\ngray = dpcam_gray_test:dial\n")
    with pytest.raises(BadConfig, match="cameras gray: are claimed by gray-cameras and rival"):
        opened("gray:1")
