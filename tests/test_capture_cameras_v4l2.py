"""Which V4L2 device is which: by the links that the system keeps, laid out here in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from capture.cameras.v4l2 import device_named, fleeting, list_devices

LOGITECH = "usb-046d_HD_Pro_Webcam_C920_8A3F-video-index0"
SOCKET = "pci-0000:00:14.0-usb-0:2:1.0-video-index0"
OTHER_SOCKET = "pci-0000:00:14.0-usb-0:4:1.0-video-index0"


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """A webcam with serial number (0, and 1 for its other data), one without (2), one without links (10)."""
    dev = tmp_path / "dev"
    links = {"by-id": {LOGITECH: 0}, "by-path": {SOCKET: 0, OTHER_SOCKET: 2}}
    for kind, names in links.items():
        (dev / "v4l" / kind).mkdir(parents=True)
        for name, number in names.items():
            (dev / "v4l" / kind / name).symlink_to(f"../../video{number}")
    for name in ("video0", "video1", "video2", "video10", "videotape"):
        (dev / name).touch()
    return dev


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """As ``/sys/class/video4linux``."""
    for number, (name, index) in {0: ("HD Pro Webcam C920", 0), 1: ("HD Pro Webcam C920", 1), 2: ("Cheap", 0)}.items():
        folder = tmp_path / "class" / f"video{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "index").write_text(f"{index}\n")
    return tmp_path / "class"


def test_devices_are_listed_by_their_most_lasting_names(dev: Path, names: Path):
    assert [(device.address, device.model) for device in list_devices(dev, names)] == [
        (f"{dev}/v4l/by-id/{LOGITECH}", "HD Pro Webcam C920"),
        (f"{dev}/v4l/by-path/{OTHER_SOCKET}", "Cheap"),
        (f"{dev}/video10", ""),
    ]


def test_a_machine_without_cameras(tmp_path: Path):
    assert list_devices(tmp_path / "none", tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("address", "lasting"),
    [
        ("0", f"v4l/by-id/{LOGITECH}"),
        ("{dev}/video0", f"v4l/by-id/{LOGITECH}"),
        ("2", f"v4l/by-path/{OTHER_SOCKET}"),
    ],
)
def test_a_number_is_accepted_with_a_warning(dev: Path, address: str, lasting: str):
    address = address.format(dev=dev)
    device = device_named(address, dev)
    assert device.address == f"{dev}/{lasting}"
    warning = fleeting(address, device)
    assert warning.startswith(f"camera {address} may be another one after a restart")
    assert warning.endswith(f"the lasting address of this camera is {dev}/{lasting}")


@pytest.mark.parametrize("link", [f"v4l/by-id/{LOGITECH}", f"v4l/by-path/{SOCKET}"])
def test_a_lasting_name_is_kept_as_it_was_given(dev: Path, link: str):
    device = device_named(f"{dev}/{link}", dev)
    assert device.address == f"{dev}/{link}"
    assert fleeting(f"{dev}/{link}", device) == ""


def test_a_device_without_lasting_name(dev: Path):
    device = device_named("10", dev)
    assert device.address == f"{dev}/video10"
    assert fleeting("10", device).endswith("it has no lasting address here")
