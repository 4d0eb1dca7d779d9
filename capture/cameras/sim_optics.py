"""The simulator's eye: pinhole with distortion looking at a plane, blur, sensor noise.

Blur and averaging act on encoded (gamma) values: an edge stays where geometry puts it. (A real camera averages light,
which moves every black-white edge into the black by some tenths of a pixel, on all sides of a tag alike.)
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.geometry import Array, Pose, apply_homography
from capture.cameras.sim_paper import MAX_LEVEL, PlaneTexture

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

NODE_STEP = 2
"""Lines of sight are computed for one pixel in 2 x 2 and interpolated: error below 0.003 px at a yaw of 70 deg."""

SEARCH_STEP = 4
"""Nodes from one to the next when looking for the part of the frame that the plane covers."""

BORDER = 8
"""Nodes beyond the frame's edge."""

NOISE_ROOM = 128
SHOT_NOISE = 1e-4
READ_NOISE = 3e-4
"""At gain 1, as variance per unit of linear light (a full well of 10,000 electrons), and as share of full scale."""

GAMMA = 2.2

NO_MAP: Floats = np.empty(0, np.float32)
"""Second map of cv2.remap: the first has both coordinates."""


@dataclass(frozen=True, slots=True)
class Blur:
    """Sharpness of a shot in px: the lens's Gaussian sigma, the radius of the defocus disk, the streak of motion."""

    lens_sigma_px: float
    defocus_px: float = 0.0
    motion_px: float = 0.0
    motion_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class PlaneView:
    """A part of a frame: ``(h, w, 4)`` uint8 RGBA, premultiplied, whose first pixel is the frame's (top, left)."""

    rgba: Pixels
    top: int
    left: int

    @property
    def rows(self) -> slice:
        """Its rows in the frame."""
        return slice(self.top, self.top + self.rgba.shape[0])

    @property
    def columns(self) -> slice:
        """Its columns in the frame."""
        return slice(self.left, self.left + self.rgba.shape[1])


class Eye:
    """Looks at textures on a plane through ``model``: undistorted lines of sight are computed once."""

    def __init__(self, model: CameraModel) -> None:
        self._size = (model.width, model.height)
        columns, rows = (-(-side // NODE_STEP) for side in self._size)
        x = (np.arange(-BORDER, columns + BORDER) + 0.5) * NODE_STEP - 0.5
        y = (np.arange(-BORDER, rows + BORDER) + 0.5) * NODE_STEP - 0.5
        grid = np.stack(np.meshgrid(x, y), axis=-1)
        self._nodes: Array = model.undistort(grid.reshape(-1, 2)).reshape(grid.shape)
        self._matrix = model.matrix

    def look(self, texture: PlaneTexture, pose: Pose) -> PlaneView | None:
        """What the camera sees of the plane, area-sampled; None when the frame does not meet it."""
        image_from_texel = pose.homography(self._matrix) @ np.linalg.inv(texture.texel_from_mm)
        found = self._covered(texture, image_from_texel)
        if found is None:
            return None
        rows, columns = found
        fine = _supersampling((rows.stop - rows.start) * (columns.stop - columns.start) * NODE_STEP**2)
        level = _levels(texture, image_from_texel, fine)
        seen = self._sample(texture, level, np.linalg.inv(image_from_texel), rows, columns, fine)
        top, left = (rows.start - BORDER) * NODE_STEP, (columns.start - BORDER) * NODE_STEP
        # The last node of an odd frame reaches one pixel beyond it.
        return PlaneView(seen[: self._size[1] - top, : self._size[0] - left], top, left)

    def _covered(self, texture: PlaneTexture, image_from_texel: Array) -> tuple[slice, slice] | None:
        """The rows and columns of nodes, within the frame, behind which the texture lies."""
        sparse = self._nodes[::SEARCH_STEP, ::SEARCH_STEP]
        texels = np.asarray(cv2.perspectiveTransform(sparse, np.linalg.inv(image_from_texel)))
        width, height = texture.size
        inside: NDArray[np.bool_] = np.all(np.abs(texels / [width, height] - 0.5) <= 0.5, axis=-1)
        center = apply_homography(image_from_texel, np.array([[width / 2, height / 2]]))[0]
        inside |= np.all(np.abs(sparse - center) <= SEARCH_STEP * NODE_STEP, axis=-1)
        if not np.any(inside):
            return None
        rows = _span(np.any(inside, axis=1), self._nodes.shape[0])
        columns = _span(np.any(inside, axis=0), self._nodes.shape[1])
        empty = rows.start >= rows.stop or columns.start >= columns.stop
        return None if empty else (rows, columns)

    def _sample(
        self,
        texture: PlaneTexture,
        level: tuple[int, int],
        texel_from_image: Array,
        rows: slice,
        columns: slice,
        fine: int,
    ) -> Pixels:
        """``(h, w, 4)`` premultiplied RGBA of the pixels behind these nodes, ``fine x fine`` samples averaged."""
        shrink = np.diag([0.5 ** level[0], 0.5 ** level[1], 1.0])
        shrink[0, 2], shrink[1, 2] = shrink[0, 0] / 2 - 0.5, shrink[1, 1] / 2 - 0.5
        nodes = self._nodes[rows.start - 1 : rows.stop + 1, columns.start - 1 : columns.stop + 1]
        coarse = cv2.perspectiveTransform(nodes, shrink @ texel_from_image).astype(np.float32)
        factor = NODE_STEP * fine
        whole = cv2.resize(coarse, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
        sights = np.asarray(whole, dtype=np.float32)[factor:-factor, factor:-factor]
        samples = cv2.remap(texture.level(*level), sights, NO_MAP, cv2.INTER_LINEAR)
        size = (samples.shape[1] // fine, samples.shape[0] // fine)
        return np.asarray(cv2.resize(samples, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _span(hit: NDArray[np.bool_], nodes: int) -> slice:
    """From the first to the last hit, one search step wider, within the frame."""
    found = np.flatnonzero(hit)
    start = (int(found[0]) - 1) * SEARCH_STEP
    stop = (int(found[-1]) + 1) * SEARCH_STEP + 1
    return slice(max(start, BORDER), min(stop, nodes - BORDER))


def _supersampling(pixels: int) -> int:
    """Samples per pixel and axis: more where the picture is small and every pixel counts."""
    limits = ((120_000, 4), (250_000, 3), (2_500_000, 2))
    return next((fine for limit, fine in limits if pixels <= limit), 1)


def _levels(texture: PlaneTexture, image_from_texel: Array, fine: int) -> tuple[int, int]:
    """Per axis the level whose texels are about as large as a sample, in the middle of the plane."""
    width, height = texture.size
    middle = np.array([width / 2, height / 2])
    around = apply_homography(image_from_texel, middle + np.array([[-0.5, 0], [0.5, 0], [0, -0.5], [0, 0.5]]))
    texel = fine * np.array([np.linalg.norm(around[1] - around[0]), np.linalg.norm(around[3] - around[2])])
    levels = np.clip(np.rint(-np.log2(np.maximum(texel, 1e-6))), 0, MAX_LEVEL).astype(int)
    return int(levels[0]), int(levels[1])


def compose(frame: Pixels, view: PlaneView) -> None:
    """Lay ``view`` over ``frame`` ``(H, W, 3)``, in place."""
    below = frame[view.rows, view.columns]
    rest = cv2.cvtColor(255 - view.rgba[..., 3], cv2.COLOR_GRAY2RGB)
    below[:] = cv2.add(cv2.multiply(below, rest, scale=1 / 255), cv2.cvtColor(view.rgba, cv2.COLOR_RGBA2RGB))


def shaded(view: PlaneView, shade: Floats, shine: Floats) -> PlaneView:
    """``view`` times ``shade`` ``(H, W)`` plus ``shine`` ``(H, W)`` levels, both of the whole frame."""
    cover = view.rgba[..., 3:]
    added = shine[view.rows, view.columns, None] * (cover * np.float32(1 / 255))
    color = view.rgba[..., :3] * shade[view.rows, view.columns, None] + added + np.float32(0.5)
    return PlaneView(np.dstack([np.minimum(color, 255).astype(np.uint8), cover]), view.top, view.left)


def blurred(frame: Pixels, blur: Blur) -> Pixels:
    """``frame`` as the lens and the moving camera see it."""
    seen = cv2.GaussianBlur(frame, (0, 0), blur.lens_sigma_px) if blur.lens_sigma_px > 0.2 else frame
    if blur.defocus_px > 0.3:
        seen = cv2.filter2D(seen, -1, disk_kernel(blur.defocus_px), borderType=cv2.BORDER_REPLICATE)
    if blur.motion_px > 0.3:
        streak = streak_kernel(blur.motion_px, blur.motion_deg)
        seen = cv2.filter2D(seen, -1, streak, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(seen, dtype=np.uint8)


def disk_kernel(radius_px: float) -> Floats:
    """A disk of ``radius_px`` with smooth rim, sum 1, centered."""
    half = int(np.ceil(radius_px))
    distance = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1])
    kernel = np.clip(radius_px + 0.5 - distance, 0, 1)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def streak_kernel(length_px: float, angle_deg: float) -> Floats:
    """A centered line of ``length_px``, sum 1: many points along it, each spread over its four nearest pixels."""
    half = int(np.ceil(length_px / 2)) + 1
    along = np.linspace(-length_px / 2, length_px / 2, 8 * half + 1)
    x, y = along * np.cos(np.radians(angle_deg)) + half, along * np.sin(np.radians(angle_deg)) + half
    nearness = [np.clip(1 - np.abs(np.arange(2 * half + 1)[:, None] - at), 0, 1) for at in (y, x)]
    kernel = nearness[0] @ nearness[1].T
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


class Sensor:
    """Adds shot and read noise. One bank of noise per camera, read at another place for every frame."""

    def __init__(self, width: int, height: int, strength: float, rng: np.random.Generator) -> None:
        shape = (height + NOISE_ROOM, width + NOISE_ROOM, 3)
        bank = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (3, 3), 0.45)
        self._bank = bank / bank.std() * np.float32(strength)

    def expose(self, light: Floats, sigma: Floats, rng: np.random.Generator) -> Pixels:
        """``light`` ``(H, W, 3)`` levels → ``(H, W, 3)`` uint8 with noise of spread ``sigma`` ``(H, W, 3)``."""
        height, width = light.shape[:2]
        top, left = rng.integers(NOISE_ROOM, size=2)
        noise = cv2.multiply(self._bank[top : top + height, left : left + width], sigma, scale=rng.choice([-1, 1]))
        return np.asarray(cv2.add(light, noise, dtype=cv2.CV_8U), dtype=np.uint8)


def noise_levels(light: Floats, gain: float) -> Floats:
    """Spread of the noise in levels for ``light`` in levels: shot and read noise in linear light, through the gamma."""
    encoded = np.arange(256) / 255
    linear = encoded**GAMMA
    spread = np.sqrt(gain * SHOT_NOISE * linear + (gain * READ_NOISE) ** 2)
    slope = np.maximum(linear, 2e-3) ** (1 / GAMMA - 1) / GAMMA
    table = (255 * spread * slope).astype(np.float32)
    return np.asarray(cv2.LUT(cv2.convertScaleAbs(light), table), dtype=np.float32)
