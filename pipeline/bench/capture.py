"""Sustained capture: a camera that waits for nobody, the quality gate on every frame, all of it stored without loss.

The capture is that of ``dpcam capture``: runner, gate, localization, writer, journal. The camera is a picture of a
sheet, rendered once, over which a window moves, so that the source costs a copy of the frame and no more. It is paced
by the clock, keeps as many frames as a driver does, and counts as lost what nobody fetched before it was overwritten.
"""

from __future__ import annotations

import math
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.errors import DiskFull, Incomplete
from calibration.sheet import Sheet
from capture.check import SessionCheck, check_session
from capture.frame import Clock, Frame
from capture.new_session import Input, this_machine
from capture.plan import Plan, Shot
from capture.recorder import SessionWriter
from capture.rigs.base import FixedRig
from capture.runner import Progress, run_capture
from capture.session import read_session
from capture.stop import StopRequest
from capture.storage import Storage
from capture.taking import Gate, GateVerdict
from pipeline.bench.sim import stage_lab
from pipeline.result import Result
from pipeline.sessions.capturing import sheet_gate

BUFFERS = 4
"""Frames that a V4L2 driver keeps for a reader who is late."""

_SWING_PX = 48
_CYCLE = 90
"""The window moves around once in so many frames: 3 s at 30 frames/s, at most 3.4 px a frame."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to capture, and where the session lies meanwhile; ``folder`` None: for temporary files."""

    seconds: float = 60.0
    frames_per_s: float = 30.0
    width: int = 1920
    height: int = 1080
    storage: Storage = field(default_factory=lambda: Storage(frames_per_s=30.0))
    folder: Path | None = None
    seed: int = 1

    @property
    def frames(self) -> int:
        """How many the camera exposes."""
        return max(round(self.seconds * self.frames_per_s), 1)


@dataclass(frozen=True, slots=True)
class Sustained:
    """What came of it. ``latencies_ms``: from exposure to verdict, of every frame; ``stored_ms``: to the disk.

    ``rss_mb``: resident memory whenever a frame had been stored. ``lost``: exposed, but never fetched.
    """

    exposed: int
    lost: int
    rejected: int
    seconds: float
    cpu_seconds: float
    latencies_ms: NDArray[np.float64]
    stored_ms: NDArray[np.float64]
    rss_mb: NDArray[np.float64]
    codec: str
    megabytes: float
    check: SessionCheck


class PacedCamera:
    """Exposes a frame at every tick of the clock from its first read on, whoever looks.

    Convention: ``t_mono_ns`` of a frame is its exposure; ``settings["number"]`` counts exposures.
    """

    identity = "paced:"
    model: CameraModel | None = None

    def __init__(self, picture: NDArray[np.uint8], order: Order, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._picture = picture
        self._order = order
        self._clock = clock
        self._sleep = sleep
        self._started_ns: int | None = None
        self._wall_offset_ns = clock.wall_ns() - clock.mono_ns()
        self.next = 0
        self.lost = 0

    def __enter__(self) -> PacedCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held open."""

    def read(self) -> Frame:
        """The oldest frame that is still kept and was not given yet, or the next one when it is due."""
        now_ns = self._clock.mono_ns()
        self._started_ns = now_ns if self._started_ns is None else self._started_ns
        newest = math.floor((now_ns - self._started_ns) * self._order.frames_per_s / 1e9)
        number = max(self.next, newest - BUFFERS + 1)
        self.lost += number - self.next
        self.next = number + 1
        exposed_ns = self._started_ns + math.ceil(number * 1e9 / self._order.frames_per_s)
        while (left_ns := exposed_ns - self._clock.mono_ns()) > 0:
            self._sleep(left_ns / 1e9)
        return Frame(self.seen(number), exposed_ns, exposed_ns + self._wall_offset_ns, settings={"number": number})

    def seen(self, number: int) -> NDArray[np.uint8]:
        """``(H, W, 3)`` uint8 RGB: the window of that frame, copied."""
        angle = 2 * math.pi * number / _CYCLE
        x, y = (round(_SWING_PX * (1 + turn(angle))) for turn in (math.cos, math.sin))
        return self._picture[y : y + self._order.height, x : x + self._order.width].copy()


def bench_capture(order: Order, progress: Callable[[float, str], None] = lambda share, text: None) -> Sustained:
    """Capture for so long; :class:`DiskFull` when there is no room for it."""
    with tempfile.TemporaryDirectory(dir=order.folder, prefix="dpcam-bench-") as name:
        folder = Path(name)
        _require_room(folder, order)
        picture, sheet, shot = _scene(folder / "lab", order)
        return _sustain(folder, order, picture, sheet, shot, progress)


def _require_room(folder: Path, order: Order) -> None:
    """Uncompressed pictures may be what it comes to."""
    needed = 1.1 * order.frames * order.width * order.height * 3
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskFull(
            f"{order.frames} frames may take {needed / 1e9:.1f} GB, and {folder.parent} has {free / 1e9:.1f} GB left",
            hint="--seconds for less, --out for a folder elsewhere",
            where=str(folder.parent),
        )


def _scene(folder: Path, order: Order) -> tuple[NDArray[np.uint8], Sheet, Shot]:
    """A sheet from as near as a lab's plan goes, straight ahead, with room for the window to move in."""
    stage = stage_lab(folder, order.width + 2 * _SWING_PX, order.height + 2 * _SWING_PX, order.seed)
    shots = [shot for shot in stage.plan.shots if shot.condition.yaw_deg == 0 and shot.condition.light == "day"]
    shot = min(shots, key=lambda shot: (shot.condition.distance_mm, shot.index))
    frame, sheet = stage.shoot(shot.index)
    return frame.pixels, sheet, shot


def _sustain(
    folder: Path,
    order: Order,
    picture: NDArray[np.uint8],
    sheet: Sheet,
    shot: Shot,
    progress: Callable[[float, str], None],
) -> Sustained:
    clock = Clock()
    plan = Plan(
        seed=order.seed,
        target=sheet.target.label,
        primary_arm=shot.arm,
        shots=tuple(shot.model_copy(update={"index": i, "repeat": i}) for i in range(order.frames)),
    )
    camera = PacedCamera(picture, order, clock, time.sleep)
    watch = _Watch(clock, sheet_gate([sheet], None), order.frames, progress)
    inputs = [Input("plan", "plan.json", plan.model_dump_json().encode())]
    with SessionWriter.create(
        folder / "sessions",
        camera=camera.identity,
        machine=this_machine(),
        clock=clock,
        inputs=inputs,
        storage=order.storage,
    ) as session:
        session.prepare(camera.seen(0))
        watch.gate(Frame(camera.seen(_CYCLE // 2), clock.mono_ns(), clock.wall_ns()), plan.shots[0])
        watch.reset()
        started, cpu_started = clock.mono_ns(), time.process_time()
        run_capture(
            plan=plan,
            sheets={sheet.id: sheet},
            camera=camera,
            rig=FixedRig(),
            session=session,
            gate=watch.gate,
            progress=watch.progress,
            # The camera runs for so long, whether all of its frames are fetched or not.
            stop=lambda: StopRequest("time") if camera.next >= order.frames else None,
        )
    seconds, cpu_seconds = (clock.mono_ns() - started) / 1e9, time.process_time() - cpu_started
    stored = read_session(session.folder).frames
    return Sustained(
        exposed=camera.next,
        lost=camera.lost,
        rejected=watch.rejected,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        latencies_ms=np.array(watch.latencies_ms),
        stored_ms=np.array(watch.stored_ms),
        rss_mb=np.array(watch.rss_mb),
        codec=stored[0].path.suffix[1:] if stored else "",
        megabytes=sum(frame.path.stat().st_size for frame in stored) / 1e6,
        check=check_session(session.folder),
    )


class _Watch:
    """Looks on: how long after its exposure a frame was judged, and was on disk; how much memory there is in use."""

    def __init__(self, clock: Clock, gate: Gate, total: int, progress: Callable[[float, str], None]) -> None:
        self._clock = clock
        self._gate = gate
        self._total = total
        self._progress = progress
        self._exposed_ns: dict[int, int] = {}
        self.reset()

    def reset(self) -> None:
        """Forget what was before."""
        self.latencies_ms: list[float] = []
        self.stored_ms: list[float] = []
        self.rss_mb: list[float] = []
        self.rejected = 0

    def gate(self, frame: Frame, shot: Shot | None) -> GateVerdict:
        """The verdict of the gate that is watched."""
        verdict = self._gate(frame, shot)
        self.latencies_ms.append((self._clock.mono_ns() - frame.t_mono_ns) / 1e6)
        self.rejected += not verdict.ok
        if shot and verdict.ok:
            self._exposed_ns[shot.index] = frame.t_mono_ns
        return verdict

    def progress(self, step: Progress) -> None:
        """A frame is on disk, or something else happened."""
        if step.kind == "frame" and step.shot:
            exposed_ns = self._exposed_ns.pop(step.shot.index)
            self.stored_ms.append((self._clock.mono_ns() - exposed_ns) / 1e6)
            self.rss_mb.append(resident_mb())
        self._progress(step.done / self._total, str(step.done))


def resident_mb() -> float:
    """Memory of this process, MB; where the system does not say, the most that it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return pages * resource.getpagesize() / 1e6


def rss_growth_mb(rss_mb: NDArray[np.float64]) -> float:
    """By how much the last quarter lies over the second: the first is for what fills once."""
    quarters = np.array_split(rss_mb, 4)
    return float(np.median(quarters[3]) - np.median(quarters[1])) if len(rss_mb) >= 4 else 0.0


def sustained_result(found: Sustained, order: Order) -> Result:
    """The answer of ``dpcam bench capture``."""
    latency, latest = (float(np.percentile(found.latencies_ms, share)) for share in (50, 95))
    on_disk = float(np.median(found.stored_ms)) if len(found.stored_ms) else None
    cpu_ms = 1000 * found.cpu_seconds / max(len(found.latencies_ms), 1)
    data = {
        "frames": found.check.frames,
        "lost": found.lost,
        "rejected": found.rejected,
        "exposed": found.exposed,
        "latency_ms_median": latency,
        "latency_ms_p95": latest,
        "stored_ms_median": on_disk,
        "rss_growth_mb": rss_growth_mb(found.rss_mb),
        "seconds": found.seconds,
        "cpu_ms_per_frame": cpu_ms,
        "width": order.width,
        "height": order.height,
        "frames_per_s": order.frames_per_s,
        "codec": found.codec,
        "megabytes": found.megabytes,
        "buffers": BUFFERS,
        "whole": found.check.whole,
    }
    lines = [
        f"{found.check.frames} frames of {found.exposed} stored as {found.codec}, {found.lost} lost, "
        f"{found.rejected} rejected, in {found.seconds:.1f} s at {order.width}x{order.height}, "
        f"{order.frames_per_s:g} frames/s ({found.megabytes / found.seconds:.0f} MB/s)",
        f"from exposure to verdict {latency:.0f} ms at the median, {latest:.0f} ms at 95 %"
        + (f"; to the disk {on_disk:.0f} ms" if on_disk is not None else ""),
        f"{cpu_ms:.0f} ms of CPU a frame; memory grew by {rss_growth_mb(found.rss_mb):.1f} MB",
    ]
    errors = [] if found.check.whole else [Incomplete("the session is not whole: pictures are missing or changed")]
    return Result(data=data, lines=lines, errors=errors)
