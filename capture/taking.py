"""Taking one shot: every camera reads a picture, all at the same time, and every gate judges the one of its camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, Self

from calibration.errors import BadImage
from capture.backlog import Backlog
from capture.cameras.base import Camera, FiniteCamera, StagedCamera
from capture.frame import Frame
from capture.journal import Judged, Measured
from capture.plan import Shot
from capture.rigs.base import Failed, Settled


class GateVerdict(Protocol):
    """What a quality gate says of a picture."""

    @property
    def ok(self) -> bool:
        """Whether it is good enough."""
        ...

    @property
    def reason(self) -> str:
        """If not, why."""
        ...

    @property
    def measured(self) -> Measured | None:
        """What it was judged by, for the journal."""
        ...


Gate = Callable[[Frame, Shot | None], GateVerdict]
"""Judges a picture of a shot; the shot is None without a plan."""


@dataclass(frozen=True, slots=True)
class Station:
    """A camera, with its own gate, and a check that raises for a picture with which the capture cannot go on."""

    camera: Camera
    gate: Gate | None = None
    check: Callable[[Frame], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is good enough."""

    frame: Frame
    verdict: Judged | None


@dataclass(frozen=True, slots=True)
class Taken:
    """A shot: one picture of each camera, in their order."""

    pictures: tuple[Picture, ...]

    def with_rig(self, settled: Settled) -> Taken:
        """What the rig reached stands beside the cameras' settings, as ``rig_<name>``."""
        reached = {f"rig_{name}": value for name, value in settled.reached.items()}
        return Taken(tuple(_with_settings(picture, reached) for picture in self.pictures))


@dataclass(frozen=True, slots=True)
class Refused(Failed):
    """A picture that its gate does not take."""

    measured: Measured | None


class Cameras:
    """All cameras of a capture. One is read by whoever asks; each of several has a thread of its own.

    A shot succeeds with all cameras or fails with the first that fails, which the reason names then.
    """

    def __init__(self, stations: Sequence[Station], names: Sequence[str]) -> None:
        self._stations = tuple(stations)
        self._names = tuple(names)
        several = len(self._stations) > 1
        self._threads = [Backlog(1, f"camera {name}") for name in self._names] if several else []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Who leaves at once does not wait for a camera that gives no picture.
        if kind is None or issubclass(kind, Exception):
            for thread in self._threads:
                thread.close()

    @property
    def finite(self) -> bool:
        """Whether one of them has only so many pictures, the next of another shot."""
        return any(isinstance(station.camera, FiniteCamera) for station in self._stations)

    @property
    def used_up(self) -> str:
        """The identity of a camera that has no more pictures; empty without one."""
        cameras = (station.camera for station in self._stations)
        ended = (each.identity for each in cameras if isinstance(each, FiniteCamera) and each.remaining == 0)
        return next(ended, "")

    def pass_over(self, shots: int, *, staged: bool) -> None:
        """Finite cameras begin again at their first picture: leave out those of so many shots.

        ``staged``: but for those that are told which shot to show.
        """
        for station in self._stations:
            if isinstance(station.camera, FiniteCamera) and not (staged and isinstance(station.camera, StagedCamera)):
                for _ in range(shots):
                    with suppress(BadImage):  # on record as a skip already
                        station.camera.read()

    def take(self, shot: Shot | None) -> Taken | Failed:
        """A picture of each camera, read after this call; errors of cameras as they come, once all have answered."""
        if ended := self.used_up:
            return Failed(f"{ended} has no more pictures")
        if not self._threads:
            found = _look(self._stations[0], shot)
            return Taken((found,)) if isinstance(found, Picture) else found
        begun = [
            thread.begin(partial(_look, station, shot))
            for thread, station in zip(self._threads, self._stations, strict=True)
        ]
        wait(begun)
        return self._together([each.result() for each in begun])

    def _together(self, found: Sequence[Picture | Failed]) -> Taken | Failed:
        failures = list(self._named(found))
        if not failures:
            return Taken(tuple(each for each in found if isinstance(each, Picture)))
        reason = "; ".join(failed.reason for failed in failures)
        return Refused(reason, next((measured for failed in failures if (measured := measured_of(failed))), None))

    def _named(self, found: Sequence[Picture | Failed]) -> Iterator[Failed]:
        for name, each in zip(self._names, found, strict=True):
            if isinstance(each, Failed):
                yield Refused(f"camera {name}: {each.reason}", measured_of(each))


def measured_of(failed: Failed) -> Measured | None:
    """What was measured of a picture that was refused."""
    return failed.measured if isinstance(failed, Refused) else None


def _look(station: Station, shot: Shot | None) -> Picture | Failed:
    try:
        frame = station.camera.read()
    except BadImage as error:
        return Failed(error.message)
    station.check(frame)
    if station.gate is None:
        return Picture(frame, None)
    verdict = station.gate(frame, shot)
    if not verdict.ok:
        return Refused(verdict.reason, verdict.measured)
    return Picture(frame, Judged(ok=True, reason=verdict.reason, measured=verdict.measured))


def _with_settings(picture: Picture, more: dict[str, str | float]) -> Picture:
    frame = replace(picture.frame, settings={**picture.frame.settings, **more})
    return replace(picture, frame=frame)
