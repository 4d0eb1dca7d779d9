"""Cameras that OpenCV reads: V4L2 devices, RTSP streams, video files.

FFmpeg inside OpenCV takes its options from the environment of the process only. They are set here, for the moment
of opening, and put back; this is the one place below the command line that touches the environment:

- ``OPENCV_FFMPEG_CAPTURE_OPTIONS``: RTSP over TCP without buffering (75 ms behind the scene instead of 320 ms);
- ``OPENCV_FFMPEG_LOGLEVEL``: FFmpeg writes nothing to stderr.

A value that is already set is left alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from calibration.camera import CameraModel
from calibration.errors import BadImage, CameraGone, MissingFile
from capture.cameras.settings import Ability, Setting, not_taken, number_of
from capture.cameras.v4l2 import list_devices
from capture.cameras.watch import Timing
from capture.frame import Clock, Frame
from capture.picture import Pixels

_QUIET = {"OPENCV_FFMPEG_LOGLEVEL": "-8"}
_LOW_LATENCY = _QUIET | {"OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"}
_ENVIRONMENT = threading.Lock()

_STREAM_SETTINGS = {"width": cv2.CAP_PROP_FRAME_WIDTH, "height": cv2.CAP_PROP_FRAME_HEIGHT, "fps": cv2.CAP_PROP_FPS}
_DEVICE_SETTINGS = _STREAM_SETTINGS | {
    "auto_exposure": cv2.CAP_PROP_AUTO_EXPOSURE,
    "exposure": cv2.CAP_PROP_EXPOSURE,
    "gain": cv2.CAP_PROP_GAIN,
    "brightness": cv2.CAP_PROP_BRIGHTNESS,
    "contrast": cv2.CAP_PROP_CONTRAST,
    "auto_white_balance": cv2.CAP_PROP_AUTO_WB,
    "white_balance_k": cv2.CAP_PROP_WB_TEMPERATURE,
    "autofocus": cv2.CAP_PROP_AUTOFOCUS,
    "focus": cv2.CAP_PROP_FOCUS,
    "zoom": cv2.CAP_PROP_ZOOM,
}
_NOT_SUPPORTED = -1.0


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    with _ENVIRONMENT:
        added = {key: value for key, value in values.items() if key not in os.environ}
        os.environ.update(added)
        try:
            yield
        finally:
            for key in added:
                del os.environ[key]


def _open(source: str, backend: int, options: list[int], environment: Mapping[str, str]) -> cv2.VideoCapture | None:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    with _environment(environment):
        try:
            capture = cv2.VideoCapture(source, backend, options)
        except cv2.error:
            return None
    return capture if capture.isOpened() else None


class OpenCvConnection:
    """A :class:`capture.cameras.live.Connection` over a ``cv2.VideoCapture``."""

    def __init__(self, capture: cv2.VideoCapture, name: str, settings: Mapping[str, int]) -> None:
        self._capture = capture
        self._name = name
        self._settings = settings
        self._pixels: Pixels | None = None

    def grab(self) -> None:
        """Take the next picture off the stream."""
        self._pixels = None
        if not self._capture.grab():
            raise CameraGone(f"{self._name} stopped sending", where=self._name)

    def evidence(self) -> bytes:
        """Its pixels."""
        return self._decoded().tobytes()

    def frame(self, t_mono_ns: int, t_wall_ns: int) -> Frame:
        """Decode it, and ask the device for its settings."""
        return Frame(self._decoded(), t_mono_ns, t_wall_ns, settings=self._reported())

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()

    def _decoded(self) -> Pixels:
        if self._pixels is None:
            self._pixels = _retrieved(self._capture, self._name)
        return self._pixels

    def _reported(self) -> dict[str, Setting]:
        values = {name: self._capture.get(number) for name, number in self._settings.items()}
        return {name: value for name, value in values.items() if value != _NOT_SUPPORTED}


class DeviceConnection(OpenCvConnection):
    """A V4L2 device: its settings can be set. OpenCV does not say what they take."""

    def abilities(self) -> tuple[Ability, ...]:
        """What the device reports; a setting that it does not have is not there."""
        return tuple(Ability(name, value) for name, value in self._reported().items())

    def set_value(self, name: str, value: Setting) -> None:
        """Ask for a value; :class:`calibration.errors.BadConfig` for words, which no V4L2 control takes."""
        number = number_of(value)
        if number is None:
            raise not_taken(self._name, Ability(name, self._reported()[name]), value)
        self._capture.set(self._settings[name], number)


def _retrieved(capture: cv2.VideoCapture, name: str) -> Pixels:
    done, bgr = capture.retrieve()
    if not done:
        raise BadImage(f"a picture of {name} cannot be decoded", where=name)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def connect_rtsp(url: str, name: str, timing: Timing) -> OpenCvConnection:
    """Open an RTSP stream; ``name`` is its address as it may be shown. :class:`CameraGone` when it does not answer."""
    open_ms, read_ms = round(1000 * timing.open_s), round(1000 * timing.read_s)
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, open_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, read_ms]
    capture = _open(url, cv2.CAP_FFMPEG, options, _LOW_LATENCY)
    if capture is None:
        raise CameraGone(
            f"{name} cannot be opened within {timing.open_s:g} s",
            hint="check the address, the password, and that the camera is on",
            where=name,
        )
    return OpenCvConnection(capture, name, _STREAM_SETTINGS)


def connect_v4l2(device: Path) -> DeviceConnection:
    """Open a V4L2 device by its path; :class:`CameraGone` when it is not there or busy."""
    if not device.exists():
        found = ", ".join(each.address for each in list_devices()) or "none"
        raise CameraGone(f"there is no camera at {device}; found: {found}", where=str(device))
    capture = _open(str(device), cv2.CAP_V4L2, [], _QUIET)
    if capture is None:
        raise CameraGone(
            f"{device} cannot be opened as a camera",
            hint="another program may hold it, or this user may not read it",
            where=str(device),
        )
    return DeviceConnection(capture, str(device), _DEVICE_SETTINGS)


class VideoFile:
    """A video file: every picture once, in order.

    One picture is decoded ahead, so that :attr:`remaining` knows the end however the file counts. A file that ends
    well before its own count raises :class:`BadImage` once, where the missing pictures would be.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        if not path.is_file():
            raise MissingFile(f"there is no video file {path}", where=str(path))
        capture = _open(str(path), cv2.CAP_FFMPEG, [], _QUIET)
        if capture is None:
            raise BadImage(f"{path} is not a video that can be decoded", where=str(path))
        self._capture = capture
        self._path = path
        self._clock = clock
        self._given = 0
        self._declared = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._cut_off = False
        self._next = self._ahead()

    @property
    def identity(self) -> str:
        """``video:`` and the path."""
        return f"video:{self._path.resolve()}"

    @property
    def model(self) -> CameraModel | None:
        """None: a video does not say its intrinsics."""
        return None

    @property
    def remaining(self) -> int | None:
        """How many are still to come: exact when 0, as the file declares it otherwise."""
        if self._next is None:
            return int(self._cut_off)
        return max(1, self._declared - self._given) if self._declared else None

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> Frame:
        """The next picture; settings say its number and its time in the file."""
        if self._next is None:
            raise self._end()
        frame = self._next
        self._given += 1
        self._next = self._ahead()
        return frame

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _end(self) -> BadImage | CameraGone:
        if not self._cut_off:
            return CameraGone(f"{self._path} has no more pictures", where=str(self._path))
        self._cut_off = False
        return BadImage(
            f"{self._path} is cut off: it declares {self._declared} pictures and gives {self._given}",
            where=str(self._path),
        )

    def _ahead(self) -> Frame | None:
        if self._capture.grab():
            where = {"number": self._given, "file_ms": self._capture.get(cv2.CAP_PROP_POS_MSEC)}
            pixels = _retrieved(self._capture, str(self._path))
            return Frame(pixels, self._clock.mono_ns(), self._clock.wall_ns(), settings=where)
        # Some containers only estimate their count, from duration and rate.
        self._cut_off = self._declared - self._given > max(2, self._declared // 100)
        return None
