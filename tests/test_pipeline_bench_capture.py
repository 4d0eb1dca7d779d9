"""The bench of sustained capture: a camera that waits for nobody, and an honest count of what was lost."""

from __future__ import annotations

import numpy as np
import pytest

from capture.storage import Storage
from pipeline.bench.capture import BUFFERS, Order, PacedCamera, bench_capture, rss_growth_mb, sustained_result


class HandClock:
    """Goes on when it is told to."""

    now_ns = 0

    def mono_ns(self) -> int:
        return self.now_ns

    wall_ns = mono_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += max(round(seconds * 1e9), 1)


def paced(clock: HandClock, **more) -> PacedCamera:
    order = Order(width=64, height=48, frames_per_s=10, **more)
    return PacedCamera(np.zeros((200, 300, 3), np.uint8), order, clock, clock.sleep)


def test_who_keeps_up_gets_every_frame_at_its_exposure() -> None:
    clock = HandClock()
    camera = paced(clock)
    frames = []
    for _ in range(5):
        frames.append(camera.read())
        clock.sleep(0.03)
    assert [frame.settings["number"] for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.t_mono_ns for frame in frames] == [n * 10**8 for n in range(5)]
    assert frames[0].pixels.shape == (48, 64, 3)
    assert camera.lost == 0


@pytest.mark.parametrize(("late_s", "lost"), [(0.2, 0), (0.42, 0), (0.52, 1), (1.02, 6)])
def test_who_is_late_gets_the_oldest_that_is_kept_and_the_others_are_lost(late_s: float, lost: int) -> None:
    clock = HandClock()
    camera = paced(clock)
    camera.read()
    clock.sleep(late_s)
    assert camera.read().settings["number"] == 1 + lost
    assert (camera.lost, camera.next) == (lost, 2 + lost)
    assert BUFFERS == 4


def test_growth_is_what_came_after_the_first_quarter() -> None:
    assert rss_growth_mb(np.array([0.0, 90, 100, 100, 100, 100, 112, 112])) == pytest.approx(17, abs=12)
    assert rss_growth_mb(np.array([])) == 0


def test_a_short_capture_is_counted_whole() -> None:
    order = Order(seconds=1.5, frames_per_s=4, width=640, height=360, storage=Storage(codec="tiff", frames_per_s=4))
    result = sustained_result(bench_capture(order), order)
    data = result.data
    assert data["frames"] + data["lost"] + data["rejected"] == data["exposed"] >= order.frames
    assert (data["codec"], data["whole"], result.exit_code) == ("tiff", True, 0)
    assert 0 < data["latency_ms_median"] <= data["latency_ms_p95"]
    assert data["frames"] > 0
