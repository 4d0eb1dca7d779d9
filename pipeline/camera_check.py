"""Which cameras there are, and what one of them really does: size, settings, rate, age of its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from calibration.errors import BadImage, CameraGone, DpcamError
from capture.cameras.base import AdjustableCamera, Camera, FiniteCamera, ReportingCamera
from capture.cameras.gphoto import SCHEME, find_cameras
from capture.cameras.live import LiveCamera
from capture.cameras.open import OWN_SCHEMES, open_camera
from capture.cameras.plugins import Plugin, list_plugins
from capture.cameras.settings import Ability, Setting
from capture.cameras.v4l2 import CLASS, DEV, list_devices
from capture.cameras.watch import CameraEvent, Timing
from capture.frame import Clock, Frame

STAMP = "x-timestamp"
"""Header line in which some cameras say when they took a picture, in seconds since 1970."""

LONGEST_LATENCY_S = 60.0
"""A stamp that is older than that, or of the future, is of another clock."""


@dataclass(frozen=True, slots=True)
class ListedCamera:
    """A camera that can be opened: its address, kind (``v4l2``, ``gphoto2``, ``sim``, a plug-in's) and own name."""

    address: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class CameraList:
    """What was found, and what could not be looked at."""

    cameras: tuple[ListedCamera, ...]
    plugins: tuple[Plugin, ...]
    problems: tuple[DpcamError, ...]


def list_cameras(dev: Path = DEV, names: Path = CLASS) -> CameraList:
    """All cameras of this machine, the simulator, and those of plug-ins; network cameras do not say that they exist."""
    found = [ListedCamera(each.address, "v4l2", each.model or each.node.name) for each in list_devices(dev, names)]
    problems: list[DpcamError] = []
    try:
        found += [ListedCamera(SCHEME + each.port, "gphoto2", each.model) for each in find_cameras()]
    except DpcamError as error:
        problems.append(error)
    plugins = list_plugins()
    for plugin in plugins:
        try:
            found += _of_plugin(plugin)
        except DpcamError as error:
            problems.append(error)
    found.append(ListedCamera("sim:", "sim", "the simulated lab"))
    return CameraList(tuple(found), plugins, tuple(problems))


def _of_plugin(plugin: Plugin) -> list[ListedCamera]:
    if plugin.scheme in OWN_SCHEMES:
        raise plugin.refusal(f"is never asked: {plugin.scheme}: is an address of dpcam itself")
    addresses = plugin.find()
    return [ListedCamera(address, plugin.scheme, plugin.package) for address in addresses]


@dataclass(frozen=True, slots=True)
class CameraCheck:
    """What a camera did for some seconds.

    ``rate``: pictures a second that came, not those that were read; ``read_ms``: from the call to the picture, median.
    ``latency_ms``: from the exposure to the arrival, by the camera's own stamps, None where it sends none. ``frozen``:
    all pictures were the same, None where there was one. ``problem``: what ended the check early.
    """

    identity: str
    size: tuple[int, int] | None
    suffix: str
    rate: float | None
    pictures: int
    seconds: float
    read_ms: float | None
    latency_ms: float | None
    frozen: bool | None
    damaged: int
    reported: Mapping[str, Setting]
    abilities: tuple[Ability, ...]
    events: tuple[CameraEvent, ...]
    problem: DpcamError | None = None


def check_camera(
    uri: str,
    *,
    sheet_folder: Path,
    clock: Clock,
    timing: Timing,
    settings: Mapping[str, Setting] | None = None,
    seconds: float = 3.0,
) -> CameraCheck:
    """Open the camera, look at it for so many seconds.

    As :func:`capture.cameras.open.open_camera` for one that cannot be opened; what happens later is a ``problem``.
    """
    with open_camera(uri, sheet_folder=sheet_folder, clock=clock, timing=timing, settings=settings) as camera:
        events: list[CameraEvent] = []
        if isinstance(camera, ReportingCamera):
            camera.report_to(events.append)
        return _Check(camera, clock, events).run(seconds)


class _Check:
    def __init__(self, camera: Camera, clock: Clock, events: list[CameraEvent]) -> None:
        self.camera = camera
        self.clock = clock
        self.events = events
        self.read_ms: list[float] = []
        self.latencies_ms: list[float] = []
        self.last: Frame | None = None
        self.differ = False
        self.damaged = 0

    def run(self, seconds: float) -> CameraCheck:
        """Read as often as the camera allows."""
        problem = self._look(0)  # the first picture may take as long as it likes
        begin_ns, before = self.clock.mono_ns(), self._arrived()
        problem = problem or self._look(seconds)
        passed_s = (self.clock.mono_ns() - begin_ns) / 1e9
        pictures = self._arrived() - before
        frame = self.last
        return CameraCheck(
            identity=self.camera.identity,
            size=(frame.pixels.shape[1], frame.pixels.shape[0]) if frame else None,
            suffix=frame.suffix if frame else "",
            rate=round(pictures / passed_s, 2) if pictures and passed_s > 0 else None,
            pictures=pictures,
            seconds=round(passed_s, 2),
            read_ms=_rounded(self.read_ms),
            latency_ms=_rounded(self.latencies_ms),
            frozen=None if len(self.read_ms) < 2 else not self.differ,
            damaged=self.damaged,
            reported=dict(frame.settings) if frame else {},
            abilities=self._abilities() if problem is None else (),
            events=tuple(self.events),
            problem=problem,
        )

    def _arrived(self) -> int:
        return self.camera.arrived if isinstance(self.camera, LiveCamera) else len(self.read_ms)

    def _look(self, seconds: float) -> DpcamError | None:
        end_ns = self.clock.mono_ns() + round(seconds * 1e9)
        while True:
            if isinstance(self.camera, FiniteCamera) and self.camera.remaining == 0:
                return None
            try:
                self._read()
            except BadImage:
                self.damaged += 1
            except CameraGone as error:
                return error
            if self.clock.mono_ns() >= end_ns:
                return None

    def _read(self) -> None:
        begin_ns = self.clock.mono_ns()
        frame = self.camera.read()
        self.read_ms.append((self.clock.mono_ns() - begin_ns) / 1e6)
        self.differ = self.differ or (self.last is not None and not _same(self.last, frame))
        self.last = frame
        with suppress(KeyError, ValueError):  # no stamp, or one of another kind
            latency_s = frame.t_wall_ns / 1e9 - float(frame.settings[STAMP])
            self.latencies_ms += [1000 * latency_s] if 0 <= latency_s <= LONGEST_LATENCY_S else []

    def _abilities(self) -> tuple[Ability, ...]:
        return self.camera.abilities() if isinstance(self.camera, AdjustableCamera) else ()


def _same(one: Frame, other: Frame) -> bool:
    return one.pixels.shape == other.pixels.shape and bool((one.pixels == other.pixels).all())


def _rounded(values: list[float]) -> float | None:
    return round(median(values), 1) if values else None
