"""What a camera is: something that opens, says what it is, and gives the latest frame."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

from calibration.camera import CameraModel
from calibration.sheet import Sheet
from capture.frame import Frame
from capture.plan import Shot


class Camera(Protocol):
    """A source of frames. Opened on construction; used as a context manager; never shared between threads."""

    @property
    def identity(self) -> str:
        """Stable name of this camera: scheme and address or serial number, never a password."""
        ...

    @property
    def model(self) -> CameraModel | None:
        """Intrinsics that the camera itself reports, or None."""
        ...

    def read(self) -> Frame:
        """The latest frame, never one from before the call; :class:`calibration.errors.CameraGone` when it is gone."""
        ...

    def close(self) -> None:
        """Give the device back; safe to call twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


@runtime_checkable
class StagedCamera(Protocol):
    """A camera that brings its own rig: the simulator, which can put any sheet at any condition."""

    def stage(self, shot: Shot, sheet: Sheet) -> None:
        """Arrange the scene for ``shot``."""
        ...


@runtime_checkable
class FiniteCamera(Protocol):
    """A camera with a known number of frames left (folder, video file)."""

    @property
    def remaining(self) -> int | None:
        """Frames still to come, None when unknown."""
        ...
