"""Rendering a twin, rung by rung, into a shot of a bare or blank sheet; and finding the real sticker in its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from calibration.errors import BadInput
from calibration.geometry import Array
from calibration.sheet import Sheet
from pipeline.twin.color import PrintColor, White
from pipeline.twin.ladder import Rung
from pipeline.twin.measure import Shot, noisy
from pipeline.twin.place import Place, shift_between
from pipeline.twin.render import (
    REACH_SIGMAS,
    Floats,
    Layer,
    Pixels,
    Space,
    blurred,
    draw,
    exchanged,
    laid_over,
    lit,
    pasted,
    sticker_print,
)
from pipeline.twin.shots import Sticker

SEARCHES = 4
STEP_MM = 0.5
BESIDE_MM = (np.zeros(2), np.array([STEP_MM, 0.0]), np.array([0.0, STEP_MM]))
FARTHEST = 0.1
"""A sticker is not farther from its place than this share of its size; a search that ends there has found nothing."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A twin on one rung, ``(H, W, 3)`` uint8 RGB."""

    rung: Rung
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Painter:
    """Renders one sticker. ``offset_mm`` ``(2,)``: where the real one sits, against its tags; ``seed``: of noise."""

    sticker: Sticker
    space: Space
    offset_mm: Array
    seed: int

    def rungs(self, shot: Shot, pixels: Pixels, color: PrintColor) -> Iterator[Drawn]:
        """The twin in ``(H, W, 3)`` uint8 RGB of a base, from the screen to the whole of it."""
        asked, printed = self.sticker.texture, color.of(self.sticker.texture)
        screen = self._drawn(shot, pixels, asked, np.zeros(2))
        there, dull = (self._drawn(shot, pixels, texture, self.offset_mm) for texture in (asked, printed))
        white = _white(shot, self.space).over(there)
        yield _over("screen", pixels, screen)
        yield _over("geometry", pixels, there)
        yield _over("light", pixels, lit(there, white))
        sharp = lit(dull, white)
        yield _over("print", pixels, sharp)
        soft = blurred(sharp, shot.sigma_px)
        part = exchanged(pixels, _instead(shot, pixels, sharp, white), soft)
        yield Drawn("blur", pasted(pixels, soft, part))
        yield Drawn("noise", pasted(pixels, soft, _with_noise(part, soft, shot, self.seed)))

    def cover(self, shot: Shot, pixels: Pixels) -> Pixels:
        """How much of each pixel a sticker covers in the shot, as a picture of the same size: white where all."""
        layer = blurred(self._drawn(shot, pixels, self.sticker.texture, self.offset_mm), shot.sigma_px)
        return pasted(np.zeros_like(pixels), layer, np.repeat(layer.cover[..., None], 3, axis=2))

    def place(self, shot: Shot, pixels: Pixels, color: PrintColor) -> Place | None:
        """How far a real sticker is from where its tags say that it is; None where the picture does not tell.

        The search goes on from where it ended: only small shifts are linear.
        """
        texture, offset, error_mm = color.of(self.sticker.texture), np.zeros(2), 0.0
        for _ in range(SEARCHES):
            here, right, below = (self._soft(shot, pixels, texture, offset + beside) for beside in BESIDE_MM)
            found = shift_between(pixels, here, right, below, STEP_MM)
            if found is None or float(np.abs(found.shift_mm).max()) > FARTHEST * self.sticker.sheet.frame.width_mm:
                return None
            offset, error_mm = offset + found.shift_mm, found.error_mm
        # Under blur, what does not fit is alike within an area of 4 pi sigma^2: so much less do its pixels tell.
        alike = math.sqrt(1 + 4 * math.pi * shot.sigma_px**2)
        return Place(offset, math.hypot(alike * error_mm, _tags_error_mm(shot)))

    def _soft(self, shot: Shot, pixels: Pixels, texture: Floats, offset_mm: Array) -> Layer:
        layer = self._drawn(shot, pixels, texture, offset_mm)
        return blurred(lit(layer, _white(shot, self.space).over(layer)), shot.sigma_px)

    def _drawn(self, shot: Shot, pixels: Pixels, texture: Floats, offset_mm: Array) -> Layer:
        """The patch, sharp, in the frame of the shot's own sheet."""
        own = self.sticker.sheet
        printed = replace(sticker_print(own, texture), moved=_onto(own, shot.sheet, offset_mm))
        layer = draw(printed, shot.sight, pixels.shape, self.space, REACH_SIGMAS * shot.sigma_px + 1)
        if layer is None:
            raise BadInput(f"the frame {shot.name} does not show the place of the sticker", where=shot.frame.path.name)
        return layer


def _tags_error_mm(shot: Shot) -> float:
    """How surely the tags say where the sheet is: the mean of all their corners' residuals."""
    corners = shot.sight.to_image(shot.sheet.frame.corners_mm)
    mm_per_px = shot.sheet.frame.width_mm / float(np.ptp(corners, axis=0).max())
    return (shot.residual_px or 0.0) * mm_per_px / math.sqrt(4 * len(shot.sheet.tags))


def _over(rung: Rung, pixels: Pixels, layer: Layer) -> Drawn:
    return Drawn(rung, pasted(pixels, layer, laid_over(pixels, layer)))


def _with_noise(part: Floats, layer: Layer, shot: Shot, seed: int) -> Floats:
    """As it is where the noise could not be measured."""
    if shot.noise is None:
        return part
    return noisy(part, layer, shot.noise, np.random.default_rng([seed, shot.frame.index]))


def _white(shot: Shot, space: Space) -> White:
    white = shot.white(space)
    if white is None:
        raise BadInput(f"no tag tells the light in the frame {shot.name}", where=shot.frame.path.name)
    return white


def _instead(shot: Shot, pixels: Pixels, layer: Layer, white: Floats) -> Layer:
    """What is where the sticker would be, blurred: blank paper, or what a bare sheet's empty frame shows."""
    code = white if shot.paper is not None else pixels[layer.rows, layer.columns] / 255
    plain = np.repeat(layer.cover[..., None], 3, axis=2)
    return blurred(lit(replace(layer, color=plain), code), shot.sigma_px)


def _onto(own: Sheet, other: Sheet, offset_mm: Array) -> Array:
    """``(3, 3)``: mm on the patch's sheet → mm on the shot's, whose frame may be elsewhere, and ``offset_mm`` on."""
    x, y = other.frame.corners_mm[0] - own.frame.corners_mm[0] + offset_mm
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
