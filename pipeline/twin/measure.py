"""What a shot says of itself before a twin is put into it, or beside it: blur, noise, light; and what a sticker does.

Everything is measured in the picture: from the tags, from the color strip, and where the real sticker is, from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.color import delta_e
from calibration.geometry import Array
from calibration.sheet import Sheet
from capture.edges import edge_blur_px
from capture.response import Noise, fit_noise, see_swatches
from capture.session import FrameRecord
from capture.sharpness import measure_blur
from pipeline.twin.color import RIM, Asked, TagLevels, White, over_white, tag_levels, white_over
from pipeline.twin.render import REACH_SIGMAS, Floats, Layer, Pixels, Sight, Space, blurred, draw, sticker_print

SPACES: tuple[Space, Space] = ("light", "code")
ORDINARY_PX = 0.5
"""The blur of an ordinary lens, where none can be measured."""

INSIDE_PX, INSIDE_SIGMAS, NOISE_SIGMAS = 0.5, 2.0, 3.0
"""How far inside of a swatch its color and its noise are read."""

PAPER_PIXELS = 4000
"""So many pixels of a blank frame tell its light."""

COVERED = 0.5
"""Of a cell of the rectified frame at least so much is sticker where colors are compared."""

RECTIFIED = (8, 96)


@dataclass(frozen=True, slots=True)
class Shot:
    """A shot as it is measured. ``sigma_px``: Gaussian blur; ``tags``: black and white under either way of averaging.

    ``paper``: places ``(N, 2)`` px and code values ``(N, 3)`` of a blank frame, None for other arms.
    """

    frame: FrameRecord
    sheet: Sheet
    sight: Sight
    arm: str
    cell: str
    light: str
    residual_px: float | None
    sigma_px: float
    noise: Noise | None
    tags: Mapping[Space, tuple[TagLevels, ...]]
    strips: Mapping[Space, Mapping[Asked, Array]]
    paper: tuple[Array, Array] | None

    @property
    def name(self) -> str:
        """Its name as a sample."""
        return f"{self.frame.index:06d}"

    @property
    def cluster(self) -> str:
        """The planned shot that the frame was taken for."""
        return f"{self.frame.shot.index:06d}" if self.frame.shot else self.name

    def white(self, space: Space) -> White | None:
        """The white of blank paper over the picture."""
        return white_over(self.tags[space], self.paper)

    def white_level(self, space: Space) -> float | None:
        """The white of blank paper in the middle of the frame, in levels of 255, mean over channels."""
        white = self.white(space)
        return (
            None
            if white is None
            else float(255 * white.at(self.sight.to_image(self.sheet.frame.center_mm[None])).mean())
        )

    @property
    def noise_levels(self) -> float | None:
        """Standard deviation of mid-gray in levels of 255."""
        return None if self.noise is None else 255 * math.sqrt(self.noise.shot / 4 + self.noise.read**2)


def look(
    frame: FrameRecord,
    pixels: Pixels,
    sheet: Sheet,
    sight: Sight,
    seen_tags: dict[int, Array],
    *,
    arm: str,
    cell: str,
    light: str,
    residual_px: float | None,
) -> Shot:
    """Measure ``(H, W, 3)`` uint8 RGB in which ``sheet`` is where ``sight`` says."""
    sigma = _sigma_px(pixels, seen_tags)
    tags = {space: tuple(tag_levels(pixels, sheet, sight, sigma, space)) for space in SPACES}
    return Shot(
        frame=frame,
        sheet=sheet,
        sight=sight,
        arm=arm,
        cell=cell,
        light=light,
        residual_px=residual_px,
        sigma_px=sigma,
        noise=fit_noise(see_swatches(pixels, sheet.strip, sight.to_image, INSIDE_PX + NOISE_SIGMAS * sigma)),
        tags=tags,
        strips={space: _strip(pixels, sheet, sight, sigma, tags[space]) for space in SPACES},
        paper=_paper(pixels, sheet, sight, sigma) if sheet.arm == "blank" else None,
    )


def _sigma_px(pixels: Pixels, tags: dict[int, Array]) -> float:
    """Blur of any direction as one Gaussian of the same mean variance; a streak of length L has L^2 / 12."""
    measured = measure_blur(pixels, tags)
    if measured is not None:
        return math.sqrt(measured.defocus_px**2 + measured.motion_px**2 / 24)
    rough = edge_blur_px(pixels, tags)
    return ORDINARY_PX if rough is None else rough


def _strip(
    pixels: Pixels, sheet: Sheet, sight: Sight, sigma: float, tags: tuple[TagLevels, ...]
) -> Mapping[Asked, Array]:
    white = white_over(tags)
    if white is None:
        return {}
    seen = see_swatches(pixels, sheet.strip, sight.to_image, INSIDE_PX + INSIDE_SIGMAS * sigma)
    return over_white(seen, white, sheet, sight)


def _paper(pixels: Pixels, sheet: Sheet, sight: Sight, sigma: float) -> tuple[Array, Array] | None:
    layer = draw(sticker_print(sheet, np.ones((1, 1, 3))), sight, pixels.shape, "code", REACH_SIGMAS * sigma)
    if layer is None:
        return None
    places = np.argwhere(blurred(layer, sigma).cover > RIM)
    places = places[:: max(len(places) // PAPER_PIXELS, 1)] + np.array([layer.top, layer.left])
    return places[:, ::-1].astype(np.float64), pixels[places[:, 0], places[:, 1]] / 255


def noisy(part: Floats, layer: Layer, noise: Noise, random: np.random.Generator) -> Floats:
    """Code values ``(h, w, 3)`` with the sensor's noise where the print covers them; light is their square."""
    light = np.square(np.clip(part, 0, 1))
    spread = np.sqrt(noise.shot * light + noise.read**2) * layer.cover[..., None]
    return np.sqrt(np.clip(light + spread * random.standard_normal(part.shape), 0, None))


def rectified(pixels: Pixels, sight: Sight, sheet: Sheet, side: int) -> Pixels:
    """The sheet's frame as ``(side, side, 3)`` uint8, averaged over each cell's area."""
    corners = sight.to_image(sheet.frame.corners_mm)
    finer = max(1, math.ceil(float(np.ptp(corners, axis=0).max()) / side))
    steps = (np.arange(side * finer) + 0.5) / (side * finer)
    box = sheet.frame
    grid = np.stack(np.meshgrid(box.x_mm + steps * box.width_mm, box.y_mm + steps * box.height_mm), axis=-1)
    places = sight.to_image(grid.reshape(-1, 2)).reshape(grid.shape).astype(np.float32)
    seen = cv2.remap(pixels, places, np.empty(0, np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(seen, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def rectified_side(shot: Shot) -> int:
    """Cells along the rectified frame: no finer than the picture."""
    corners = shot.sight.to_image(shot.sheet.frame.corners_mm)
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    return int(np.clip(sides.min(), *RECTIFIED))


def color_difference(first: Pixels, second: Pixels, covered: Pixels) -> float | None:
    """Mean CIEDE2000 of two rectified frames where ``covered`` ``(n, n, 3)`` says that the sticker is, or None."""
    inside = covered[..., 0] >= 255 * COVERED
    if not inside.any():
        return None
    return float(delta_e(first[inside] / 255, second[inside] / 255).mean())
