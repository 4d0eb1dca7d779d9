"""The simulated camera is looked through while nobody reads it, and what is read does not change for that."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
from sessions import plan

from capture.cameras.base import ShowingCamera
from capture.cameras.sim import SimCamera
from capture.cameras.sim_options import SimOptions
from capture.frame import Frame

OPTIONS = SimOptions(width=320, height=180, seed=3)
SHOT = plan(1).shots[0]
SOME = 5


class Viewer:
    def __init__(self) -> None:
        self.seen: list[Frame] = []
        self.looks = False
        self.enough = threading.Event()

    def wanted(self) -> bool:
        return self.looks

    def show(self, frame: Frame) -> None:
        self.seen.append(frame)
        if len(self.seen) >= SOME:
            self.enough.set()


def test_it_is_seen_while_it_is_wanted(tmp_path: Path):
    viewer = Viewer()
    with SimCamera(OPTIONS, tmp_path) as camera:
        assert isinstance(camera, ShowingCamera)
        camera.show_to(viewer.show, viewer.wanted)
        time.sleep(0.2)
        assert not viewer.seen
        viewer.looks = True
        assert viewer.enough.wait(30)
    pictures = {frame.pixels.tobytes() for frame in viewer.seen}
    assert len(pictures) == len(viewer.seen), "each is another picture"
    before = len(viewer.seen)
    time.sleep(0.2)
    assert len(viewer.seen) == before, "a closed camera shows nothing"


def test_what_is_read_is_the_same_with_a_viewer(tmp_path: Path):
    viewer = Viewer()
    with SimCamera(OPTIONS, tmp_path) as alone, SimCamera(OPTIONS, tmp_path) as watched:
        viewer.looks = True
        watched.show_to(viewer.show, viewer.wanted)
        for stage in (False, True):
            for camera in (alone, watched):
                if stage:
                    camera.stage(SHOT, None)
            viewer.enough.clear()
            viewer.seen.clear()
            for _ in range(3):
                np.testing.assert_array_equal(alone.read().pixels, watched.read().pixels)
            assert viewer.enough.wait(30)
            np.testing.assert_array_equal(alone.read().pixels, watched.read().pixels)
