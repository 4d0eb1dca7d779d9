"""From the address of a camera to the camera."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from calibration.errors import BadUsage, MissingFile
from calibration.files import readable_name
from capture.cameras.base import AdjustableCamera, Camera
from capture.cameras.live import LiveCamera
from capture.cameras.plugins import list_plugins, plugin_for
from capture.cameras.settings import Setting, no_settings
from capture.cameras.sim_options import parse_sim_uri
from capture.cameras.watch import Timing
from capture.frame import Clock
from capture.picture import PICTURE_SUFFIXES

ACCEPTED = (
    "sim:..., rtsp://..., http://... (motion JPEG), v4l2:/dev/video0, /dev/v4l/by-id/..., a device number, "
    "gphoto2:, gphoto2:SERIAL, a video file, folder:PATH, a folder of pictures, a session folder"
)
"""What a camera's address may be, for messages and help."""

OWN_SCHEMES = frozenset({"sim", "rtsp", "rtsps", "http", "https", "v4l2", "gphoto2", "folder", "video"})
"""Schemes that no plug-in can take over."""

RTSP_FRAMES_INSIDE = 2
"""Pictures between arrival and decoder: what a picture is late by, measured on loopback at 15 frames/s."""

RTSP_FROZEN_FACTOR = 10
"""A video codec repeats a still scene to the bit until its next whole picture: longer patience before it is frozen."""

_SECRET = re.compile(
    r"((?:pass\w*|pwd|token|secret|key|auth\w*|sig\w*|user\w*|login)=)(?:(?!_[A-Za-z]+=)[^&;/])*", re.IGNORECASE
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


def open_camera(
    uri: str,
    *,
    sheet_folder: Path,
    clock: Clock,
    timing: Timing | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> Camera:
    """Open the camera at ``uri``; ``sheet_folder`` is where the simulator finds the sheets that it shows.

    ``settings``: name → value, set, read back, and set again when the camera was lost and found.

    :class:`BadUsage` for an address of no known kind, :class:`MissingFile` for a path that is not there,
    :class:`calibration.errors.CameraGone` for a device or stream that does not answer,
    :class:`calibration.errors.BadConfig` for settings that it does not take.
    """
    scheme, rest = _split(uri)
    timing = timing or Timing()
    asked = settings or {}
    if scheme in ("rtsp", "rtsps"):
        return _open_rtsp(uri, clock, timing, asked)
    if scheme in ("http", "https"):
        return _open_http(uri, clock, timing, asked)
    if scheme == "v4l2" or (not scheme and (rest.isdigit() or rest.startswith("/dev/"))):
        return _open_v4l2(rest, clock, timing, asked)
    if scheme == "gphoto2":
        return _open_gphoto(rest, clock, timing, asked)
    if scheme in ("", "folder", "video", "sim"):
        if asked:
            raise no_settings(uri, asked)
        return _open_sim(uri, sheet_folder, clock) if scheme == "sim" else _open_path(Path(rest), clock)
    return _open_plugin(scheme, uri, clock, timing, asked)


def safe_address(uri: str) -> str:
    """The address without user, password and what else looks like a secret; never fails."""
    if "://" not in uri:
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri.partition("://")[0] + "://"
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    return _SECRET.sub(r"\1***", bare)


def seeded_address(uri: str, seed: int) -> str:
    """A simulated camera takes ``seed`` unless its own address names one; all other addresses stay as they are."""
    if not uri.startswith("sim:") or "seed=" in uri:
        return uri
    return replace(parse_sim_uri(uri), seed=seed).uri


def _split(uri: str) -> tuple[str, str]:
    """Scheme in lower case and the rest; a path that exists has no scheme, whatever is in its name."""
    match = _SCHEME.match(uri)
    if readable_name(uri) != uri:
        # Sessions could not say where their pictures come from; OpenCV even crashes.
        raise BadUsage(f"the address of the camera is no UTF-8 text: {readable_name(uri)}", where="--camera")
    if not uri.strip():
        raise BadUsage(f"the address of the camera is empty; accepted: {ACCEPTED}", where="--camera")
    if match is None or Path(uri).exists():
        return "", uri
    return match.group(1).lower(), uri[match.end() :]


def _open_sim(uri: str, sheet_folder: Path, clock: Clock) -> Camera:
    from capture.cameras.sim import SimCamera

    return SimCamera(parse_sim_uri(uri), sheet_folder, clock)


def _open_plugin(scheme: str, uri: str, clock: Clock, timing: Timing, asked: Mapping[str, Setting]) -> Camera:
    plugin = plugin_for(scheme)
    if plugin is None:
        more = "".join(f", {each.scheme}:..." for each in list_plugins())
        what = f"the camera {safe_address(uri)!r} is of no known kind"
        raise BadUsage(f"{what}; accepted: {ACCEPTED}{more}", where="--camera")
    camera = plugin.open(uri, clock, timing)
    if asked:
        _adjust(camera, asked)
    return camera


def _adjust(camera: Camera, asked: Mapping[str, Setting]) -> None:
    try:
        if not isinstance(camera, AdjustableCamera):
            raise no_settings(camera.identity, asked)
        camera.adjust(asked)
    except BaseException:
        camera.close()
        raise


def _open_gphoto(address: str, clock: Clock, timing: Timing, asked: Mapping[str, Setting]) -> Camera:
    from capture.cameras.gphoto import GphotoCamera

    return GphotoCamera(address, clock, timing, asked)


def _open_rtsp(uri: str, clock: Clock, timing: Timing, asked: Mapping[str, Setting]) -> Camera:
    from capture.cameras.opencv import connect_rtsp

    name = _checked_address(uri)
    timing = replace(
        timing,
        latency_frames=timing.latency_frames + RTSP_FRAMES_INSIDE,
        frozen_frames=timing.frozen_frames * RTSP_FROZEN_FACTOR,
    )
    return LiveCamera(name, lambda: connect_rtsp(uri, name, timing), clock, timing, asked)


def _open_http(uri: str, clock: Clock, timing: Timing, asked: Mapping[str, Setting]) -> Camera:
    from capture.cameras.mjpeg import MjpegConnection

    name = _checked_address(uri)
    return LiveCamera(name, lambda: MjpegConnection(uri, name, timing.read_s), clock, timing, asked)


def _checked_address(uri: str) -> str:
    try:
        host = urlsplit(uri).hostname
        port = urlsplit(uri).port
    except ValueError:
        host = port = None
    if not host or port == 0:
        example = f"{uri.partition(':')[0]}://192.0.2.7:8080/stream"
        raise BadUsage(f"{safe_address(uri)!r} is not the address of a stream, such as {example}", where="--camera")
    return safe_address(uri)


def _open_v4l2(address: str, clock: Clock, timing: Timing, asked: Mapping[str, Setting]) -> Camera:
    from capture.cameras.opencv import connect_v4l2
    from capture.cameras.v4l2 import device_named, fleeting

    if not address:
        raise BadUsage("the camera 'v4l2:' names no device, such as v4l2:/dev/video0", where="--camera")
    device = device_named(address)
    # By its lasting name, which leads to it again when it was plugged in anew under another number.
    path = Path(device.address)
    warning = fleeting(address, device)
    return LiveCamera(f"v4l2:{path}", lambda: connect_v4l2(path), clock, timing, asked, warning)


def _open_path(path: Path, clock: Clock) -> Camera:
    from capture.cameras.opencv import VideoFile
    from capture.cameras.replay import FolderCamera, open_folder

    if path.is_dir():
        return open_folder(path, clock)
    if not path.exists():
        raise MissingFile(f"there is no camera, file or folder {str(path)!r}; accepted: {ACCEPTED}", where=str(path))
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return FolderCamera(f"folder:{path.resolve()}", [path], clock)
    return VideoFile(path, clock)
