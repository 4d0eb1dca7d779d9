"""The simulator's print shop: photographs of sheets that a printer has scaled, with other pages beside them.

The same paper, optics and sensor as those of the simulated camera; what differs is the printer between PDF and paper.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.camera import CameraModel
from calibration.geometry import Array, Box, Pose
from calibration.sheet import Sheet
from capture.cameras.sim_optics import Blur, Eye, Pixels, Sensor, blurred, compose, noise_levels
from capture.cameras.sim_options import SimOptions
from capture.cameras.sim_paper import PlaneTexture, build_plane, rasterize
from capture.cameras.sim_print import printed
from capture.cameras.sim_scenery import background_picture, board_texture

TEXELS_PER_MM = 12.0
PAGE_TEXELS_PER_MM = 10.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A page before the camera: its texture in mm of its PDF, ``page`` ``(3, 3)`` from those mm to mm as printed.

    ``pose`` counts in mm as printed.
    """

    texture: PlaneTexture
    page: Array
    pose: Pose


def printed_by(scale_x: float, scale_y: float, skew_deg: float, middle_mm: Array) -> Array:
    """``(3, 3)`` from mm of the PDF to mm as printed; ``middle_mm`` ``(2,)`` becomes the origin."""
    lean = math.radians(skew_deg)
    linear = np.array([[scale_x, scale_y * math.sin(lean)], [0, scale_y * math.cos(lean)]])
    return np.vstack([np.column_stack([linear, -linear @ middle_mm]), [0, 0, 1]])


class PrintShop:
    """Prints pages and photographs them; all noise comes from ``options.seed`` and the number of the photograph."""

    def __init__(self, options: SimOptions) -> None:
        self._options = options
        self.model: CameraModel = options.camera_model()
        self._eye = Eye(self.model)
        rng = self._generator(0)
        self._background = background_picture(options.height, options.width, options.clutter, rng)
        self._sensor = Sensor(options.width, options.height, options.noise, rng)

    def sheet(self, sheet: Sheet, folder: Path) -> PlaneTexture:
        """A sheet, cut out and stuck around its target; the PDFs lie in ``folder``."""
        ground = self._generator(1)
        return build_plane(
            sheet,
            folder,
            lambda h, w, per_mm: board_texture(h, w, per_mm, ground),
            TEXELS_PER_MM,
            self._options.ink,
            self._options.printer,
        )

    def page(self, path: Path, width_mm: float, height_mm: float) -> PlaneTexture:
        """Any page."""
        box = Box(x_mm=0, y_mm=0, width_mm=width_mm, height_mm=height_mm)
        paper = printed(rasterize(path, box, PAGE_TEXELS_PER_MM, ground=255), self._options.ink, self._options.printer)
        height, width = paper.shape[:2]
        rgba = np.pad(np.dstack([paper, np.full((height, width), 255, np.uint8)]), ((1, 1), (1, 1), (0, 0)))
        scale_x, scale_y = width / width_mm, height / height_mm
        return PlaneTexture(rgba, np.array([[scale_x, 0, 0.5], [0, scale_y, 0.5], [0, 0, 1]]))

    def photograph(self, placed: Sequence[Placed], number: int) -> Pixels:
        """``(H, W, 3)`` uint8 RGB of the pages, each over those before it."""
        rng = self._generator(2, number)
        frame = self._background.copy()
        for each in placed:
            view = self._eye.look(_stretched(each.texture, each.page), each.pose)
            if view is not None:
                compose(frame, view)
        seen = blurred(frame, Blur(rng.uniform(0.4, 0.7))).astype(np.float32)
        return self._sensor.expose(seen, noise_levels(seen, 1.0), rng)

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self._options.seed, *key])


def _stretched(texture: PlaneTexture, page: Array) -> PlaneTexture:
    """The same texels at other places."""
    other = copy.copy(texture)
    other.texel_from_mm = texture.texel_from_mm @ np.linalg.inv(page)
    return other
