"""A DSLR: libgphoto2 with its own virtual camera, which speaks PTP as a real one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from servers import encode_jpeg

from calibration.errors import BadConfig, CameraGone, NotReady
from capture.cameras.base import AdjustableCamera, FiniteCamera, ReportingCamera
from capture.cameras.open import open_camera
from capture.cameras.watch import Timing
from capture.frame import Clock

pytest.importorskip("gphoto2", reason="needs the extra dslr: pip install 'dpcam[dslr]'")

SERIAL = "0.1"


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 160, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The picture that the virtual camera gives. Where it looks for cameras is decided when gphoto2 is imported."""
    import gphoto2

    path = tmp_path / "store_00010001" / "DCIM" / "100NIKON" / "DSC_0001.JPG"
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_jpeg(picture(1)))
    monkeypatch.setenv("VCAMERADIR", str(tmp_path))
    monkeypatch.setenv("IOLIBS", str(Path(gphoto2.__file__).with_name("libgphoto2") / "vusb"))
    return path


def opened(uri: str = "gphoto2:", **settings: str | float):
    timing = Timing(reconnect_s=1.0)
    return open_camera(uri, sheet_folder=Path(), clock=Clock(), timing=timing, settings=settings)


def test_its_own_bytes_and_what_it_reports(store: Path):
    with opened() as camera:
        assert isinstance(camera, AdjustableCamera)
        assert isinstance(camera, ReportingCamera)
        assert not isinstance(camera, FiniteCamera)
        frames = [camera.read() for _ in range(3)]
    assert camera.identity == f"gphoto2:{SERIAL}"
    for frame in frames:
        assert (frame.encoded, frame.suffix) == (store.read_bytes(), ".jpg")
        assert np.abs(frame.pixels.astype(int) - picture(1)).mean() < 20
        assert {"shutter": "0.0100s", "aperture": "f/2.8", "autofocus": "On"}.items() <= frame.settings.items()
    assert frames[0].t_mono_ns < frames[1].t_mono_ns


@pytest.mark.parametrize("address", [SERIAL, "usb:001,001"])
def test_by_serial_number_or_port(store: Path, address: str):
    with opened(f"gphoto2:{address}") as camera:
        assert camera.identity == f"gphoto2:{SERIAL}"
        camera.read()


def test_settings_are_set_read_back_and_kept_with_the_frame(store: Path):
    with opened(shutter="1/20", aperture=5.6) as camera:
        frame = camera.read()
        camera.adjust({"shutter": 0.1, "exposure_compensation": -1})
        after = camera.read()
    assert (frame.settings["shutter"], frame.settings["asked_shutter"]) == ("0.0500s", "1/20")
    assert (frame.settings["aperture"], frame.settings["asked_aperture"]) == ("f/5.6", 5.6)
    assert (after.settings["shutter"], after.settings["exposure_compensation"]) == ("0.1000s", "-1")
    assert after.settings["aperture"] == "f/5.6"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"shutter": "1/3000"}, r"does not take shutter = '1/3000', it has '\d\.\d+s'; accepted: 1\.0000s, 0\.1000s, "),
        ({"aperture": "wide"}, r"does not take aperture = 'wide', it has 'f/[\d.]+'; accepted: f/2\.8, f/3\.5"),
        ({"iso": 400}, r"gphoto2:0\.1 has no setting 'iso'; it has .*shutter"),
        ({"imagesize": "640x480"}, "has no setting 'imagesize'"),
    ],
)
def test_what_it_does_not_take_is_refused_by_name(store: Path, asked: dict[str, str], words: str):
    with pytest.raises(BadConfig, match=words):
        opened(**asked)
    with opened() as camera:
        camera.read()


def test_abilities_name_values_and_choices(store: Path):
    with opened() as camera:
        found = {ability.name: ability for ability in camera.abilities()}
    assert found["aperture"].choices[:2] == ("f/2.8", "f/3.5")
    assert {"shutter", "aperture", "exposure_compensation", "autofocus", "capturetarget"} <= set(found)
    assert not {"datetime", "serialnumber", "shutterspeed"} & set(found)


@pytest.mark.parametrize("address", ["4711", "usb:009,009"])
def test_another_camera_than_is_there(store: Path, address: str):
    with pytest.raises(CameraGone, match=rf"no camera '{address}' on USB; found: gphoto2:0\.1 \(Nikon DSC D750\)"):
        opened(f"gphoto2:{address}")


def test_none_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import gphoto2

    monkeypatch.delenv("VCAMERADIR", raising=False)
    monkeypatch.setenv("IOLIBS", str(Path(gphoto2.__file__).with_name("libgphoto2") / "iolibs"))
    with pytest.raises(CameraGone, match="no camera that libgphoto2 knows on USB; found: none"):
        opened()


def test_one_that_broke_off_is_opened_again_with_its_settings(store: Path):
    events = []
    with opened(shutter="1/20") as camera:
        camera.report_to(events.append)
        camera.read()
        camera._device._camera.exit()
        camera._device.close()
        assert camera.read().settings["shutter"] == "0.0500s"
        assert [event.kind for event in events] == ["lost", "back"]
        assert "last good one came" in events[0].text


def test_one_that_stays_away_is_gone(store: Path, monkeypatch: pytest.MonkeyPatch):
    with opened() as camera:
        camera.read()
        camera._device.close()
        monkeypatch.setenv("IOLIBS", os.environ["IOLIBS"].removesuffix("vusb") + "iolibs")
        with pytest.raises(CameraGone, match=r"gphoto2:0\.1 gives no picture .*; the last good one came"):
            camera.read()


def test_without_the_package_it_says_what_to_install():
    program = """
import sys, pathlib
sys.modules["gphoto2"] = None
from calibration.errors import NotReady
from capture.cameras.open import open_camera
from capture.frame import Clock
try:
    open_camera("gphoto2:", sheet_folder=pathlib.Path(), clock=Clock())
except NotReady as error:
    print(error.message, "|", error.hint)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout.startswith("a DSLR needs the package gphoto2: ")
    assert done.stdout.strip().endswith("| pip install 'dpcam[dslr]'")
    assert issubclass(CameraGone, NotReady)
