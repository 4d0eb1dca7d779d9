"""Which V4L2 device is which camera: names that stay over a restart, as the system keeps them in ``/dev/v4l``.

``by-id`` names a device by maker, model and serial number, ``by-path`` by the socket that it is plugged into. A
``/dev/videoN`` only says who came first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEV = Path("/dev")
CLASS = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class Device:
    """A device. ``by_id``, ``by_path``: its lasting names, empty where the system has none; ``model`` its own words."""

    node: Path
    by_id: str = ""
    by_path: str = ""
    model: str = ""

    @property
    def address(self) -> str:
        """The most lasting name that it has."""
        return self.by_id or self.by_path or str(self.node)


def list_devices(dev: Path = DEV, names: Path = CLASS) -> tuple[Device, ...]:
    """The video devices that give pictures, by their numbers. One that gives other data of a camera is left out."""
    nodes = [node for node in dev.glob("video*") if node.name.removeprefix("video").isdigit()]
    nodes.sort(key=lambda node: int(node.name.removeprefix("video")))
    return tuple(_described(node, dev, names) for node in nodes if _read(names / node.name / "index") in ("", "0"))


def device_named(address: str, dev: Path = DEV) -> Device:
    """The device at an address: a number, ``/dev/videoN``, or one of its lasting names, which it keeps then."""
    path = dev / f"video{address}" if address.isdigit() else Path(address)
    if path.parent in (dev / "v4l" / "by-id", dev / "v4l" / "by-path"):
        return Device(path, by_id=str(path))
    return _described(path, dev, CLASS)


def fleeting(address: str, device: Device) -> str:
    """What to say of an address that may mean another camera tomorrow; empty for one that lasts."""
    if address in (device.by_id, device.by_path):
        return ""
    lasting = device.by_id or device.by_path
    advice = f"the lasting address of this camera is {lasting}" if lasting else "it has no lasting address here"
    return f"camera {address} may be another one after a restart or in another socket; {advice}"


def _described(node: Path, dev: Path, names: Path) -> Device:
    by_id, by_path = (_link_to(node, dev / "v4l" / kind) for kind in ("by-id", "by-path"))
    return Device(node, by_id, by_path, _read(names / node.name / "name"))


def _link_to(node: Path, folder: Path) -> str:
    try:
        return next((str(link) for link in sorted(folder.iterdir()) if link.resolve() == node.resolve()), "")
    except OSError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
