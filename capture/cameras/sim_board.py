"""The simulated camera with somebody who holds a calibration board before it, in another place from view to view."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from calibration.camera import CameraModel
from calibration.geometry import Pose, View, pose_from_view
from capture.cameras.sim_options import SimOptions
from capture.cameras.sim_shop import Placed, PrintShop, printed_by
from capture.frame import Clock, Frame

STILL_READS = 2
"""Frames in which the board stays where it is."""

GOLDEN_TURN = 0.382
"""Of a full turn, from view to view: the side that is farther away changes, and no two views are alike."""


class SimBoard:
    """A camera as :class:`capture.cameras.sim.SimCamera`; it sees the page in ``pdf``, ``size_mm`` wide and high."""

    def __init__(self, options: SimOptions, pdf: Path, size_mm: tuple[float, float], clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._shop = PrintShop(options)
        self._page = self._shop.page(pdf, *size_mm)
        self._printed = printed_by(1, 1, 0, np.array(size_mm) / 2)
        self._width_mm = size_mm[0]
        self._reads = 0

    @property
    def identity(self) -> str:
        """Its URI, with what differs from the defaults."""
        return self._options.uri

    @property
    def model(self) -> CameraModel:
        """Its exact intrinsics."""
        return self._shop.model

    def __enter__(self) -> SimBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held."""

    def read(self) -> Frame:
        """The board where it is held now; every second frame it is somewhere else."""
        placed = Placed(self._page, self._printed, self._pose(self._reads // STILL_READS))
        pixels = self._shop.photograph([placed], self._reads)
        self._reads += 1
        return Frame(pixels=pixels, t_mono_ns=self._clock.mono_ns(), t_wall_ns=self._clock.wall_ns())

    def _pose(self, number: int) -> Pose:
        """As the words of ``calibrate camera --live`` ask for: near and far, in every corner, tilted to every side."""
        random = np.random.default_rng([self._options.seed, number])
        tilt_deg, side = random.uniform(20, 40), 2 * math.pi * GOLDEN_TURN * number
        camera = self._shop.model
        reach = np.array([camera.width / camera.fx, camera.height / camera.fy]) / 2
        across, down = reach * random.uniform(-0.7, 0.7, 2)
        distance_mm = self._width_mm * camera.fx / camera.width * random.uniform(1.1, 2.0)
        view = View(distance_mm, tilt_deg * math.cos(side), tilt_deg * math.sin(side), random.uniform(-15, 15))
        return pose_from_view(view, np.zeros(2), np.array([across, down, 1.0]))
