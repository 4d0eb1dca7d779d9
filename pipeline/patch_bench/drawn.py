"""dpcam's own drawings of signs on random ground, so that the bench runs where there are no data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.files import sha256_bytes
from patches.artwork import artwork, artwork_labels, render
from pipeline.patch_bench.outlines import Outline, sign_outline

if TYPE_CHECKING:
    from pipeline.patch_bench.datasets import Part, Pictures

Pixels = NDArray[np.uint8]
DRAWN_PX = 128
GROUND_CELLS = 5
SIDE_SHARE = (0.74, 0.84)
SHIFT_SHARE = 0.03
TURN_DEG = 6.0
GAIN = (0.35, 1.1)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sign for each class that can be drawn, in any number of views; each is its own cluster."""

    name: str = "drawn"
    object_share: float = 0.8
    digital: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """All classes that dpcam can draw."""
        return artwork_labels()

    @property
    def digest(self) -> str:
        """That of the drawings."""
        return sha256_bytes(" ".join(artwork(label).digest for label in self.classes).encode())

    def outline(self, label: str) -> Outline | None:
        """That of the sign."""
        return sign_outline(label, self.object_share)

    def pictures(self, label: str, part: Part, side_px: int, limit: int) -> Pictures:
        """``limit`` views of the sign: size, place, turn, light and ground are random, and different in each part."""
        from pipeline.patch_bench.datasets import PARTS, Pictures

        sign = render(artwork(label), DRAWN_PX)
        dice = np.random.default_rng([self.classes.index(label), PARTS.index(part)])
        return Pictures(np.stack([_view(sign, side_px, dice) for _ in range(limit)]), np.arange(limit))


def _view(sign: Pixels, side_px: int, dice: Generator) -> Pixels:
    """``(S, S, 3)`` of the sign ``(H, W, 4)`` on a smooth ground."""
    height, width = sign.shape[:2]
    size = dice.uniform(*SIDE_SHARE) * DRAWN_PX
    turned = cv2.getRotationMatrix2D((width / 2, height / 2), dice.uniform(-TURN_DEG, TURN_DEG), size / max(sign.shape))
    centered = DRAWN_PX / 2 - np.array([width, height]) / 2
    turned[:, 2] = turned[:, 2] + centered + dice.uniform(-SHIFT_SHARE, SHIFT_SHARE, 2) * DRAWN_PX
    weighed = np.dstack([sign[..., :3] * (sign[..., 3:] / 255), sign[..., 3] / 255]).astype(np.float32)
    seen = cv2.warpAffine(weighed, turned, (DRAWN_PX, DRAWN_PX), flags=cv2.INTER_LINEAR)
    cells = dice.uniform(40, 230, (GROUND_CELLS, GROUND_CELLS, 1)) + dice.normal(0, 15, (GROUND_CELLS, GROUND_CELLS, 3))
    ground = cv2.resize(cells.astype(np.float32), (DRAWN_PX, DRAWN_PX), interpolation=cv2.INTER_CUBIC)
    picture = dice.uniform(*GAIN) * (seen[..., :3] + (1 - seen[..., 3:]) * ground)
    small = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return np.asarray(small.round().clip(0, 255), dtype=np.uint8)
