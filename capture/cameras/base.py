"""What a camera is: something that opens, says what it is, and gives the latest frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, Self, runtime_checkable

from calibration.camera import CameraModel
from calibration.sheet import Sheet
from capture.cameras.settings import Ability, Setting
from capture.cameras.watch import CameraEvent
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


@runtime_checkable
class AdjustableCamera(Protocol):
    """A camera whose settings can be set from here."""

    def abilities(self) -> tuple[Ability, ...]:
        """What can be set, with the values of now; nothing where there are no settings."""
        ...

    def adjust(self, asked: Mapping[str, Setting]) -> None:
        """Set, read back; :class:`calibration.errors.BadConfig` names what the camera did not take."""
        ...


@runtime_checkable
class ShowingCamera(Protocol):
    """A camera that others may look through while nobody takes a picture."""

    def show_to(self, viewer: Callable[[Frame], None], wanted: Callable[[], bool]) -> None:
        """From now on give ``viewer`` pictures as they come, in the camera's own thread, while they are ``wanted``.

        They are for the eye alone: not judged, perhaps stale, never to be stored.
        """
        ...


@runtime_checkable
class ReportingCamera(Protocol):
    """A camera that says what happens to it: lost, found again, frozen, torn pictures."""

    def report_to(self, listener: Callable[[CameraEvent], None]) -> None:
        """Tell ``listener`` from now on, from within :meth:`Camera.read`, in its thread."""
        ...
