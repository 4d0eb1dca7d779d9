"""Photographed objects of ImageNet's classes, laid on photographs: what published networks are asked about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.contract import resize_rgb
from calibration.errors import BadInput
from calibration.files import sha256_bytes
from pipeline.imagenet_pictures import Download, apt_download
from pipeline.imagenet_scenes import Backdrops, ObjectScene, backdrops, object_scenes
from pipeline.patch_bench.outlines import Outline
from pipeline.patch_bench.provenance import code_digest

if TYPE_CHECKING:
    from pipeline.patch_bench.datasets import Part, Pictures

Pixels = NDArray[np.uint8]
Light = NDArray[np.float32]
OVERSAMPLING = 2
SIDE_SHARE = (0.55, 0.7)
"""Side of the object's square: with the turn and the shift it stays clear of a square frame on 30 % of the picture."""

SHIFT_SHARE = 0.03
TURN_DEG = 6.0
GAIN = (0.7, 1.1)
CROP_SHARE = (0.5, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Photographed:
    """Cut-outs ``(S, S, 4)`` uint8 RGBA of each class, and grounds ``(H, W, 3)`` uint8 RGB, in any number of views.

    Training and validation are different views of the same objects on the same grounds; those of the test are others.
    An object on a ground is a cluster.
    """

    scenes: Mapping[str, ObjectScene]
    grounds: Backdrops
    digest: str
    name: str = "imagenet"
    object_share: float = sum(SIDE_SHARE) / 2
    digital: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Those that have held-out cut-outs."""
        return tuple(self.scenes)

    def outline(self, label: str) -> Outline | None:
        """Objects of a class have none in common."""
        return None

    def pictures(self, label: str, part: Part, side_px: int, limit: int) -> Pictures:
        """``limit`` views: object, ground and its crop, size, place, turn and light are random, for each part anew."""
        from pipeline.patch_bench.datasets import PARTS, Pictures

        scene, held_out = self.scenes[label], part == "test"
        objects = scene.held_out if held_out else scene.artworks
        grounds = self.grounds.held_out if held_out else self.grounds.training
        choice, dice = np.random.default_rng([self.classes.index(label), PARTS.index(part)]).spawn(2)
        pairs = list(islice(_shuffled(len(objects), len(grounds), choice), limit))
        pixels = [_view(objects[one], grounds[other], side_px, dice) for one, other in pairs]
        return Pictures(np.stack(pixels), np.array([one * len(grounds) + other for one, other in pairs], np.int64))


def open_photographed(cache: Path, download: Download = apt_download) -> Photographed:
    """The objects on their grounds, fetched into ``cache`` if they are not there (170 MB to download).

    Errors are those of :func:`pipeline.imagenet_scenes.object_scenes`.
    """
    return photographed(object_scenes(cache, download), backdrops(cache, download))


def photographed(scenes: Sequence[ObjectScene], grounds: Backdrops) -> Photographed:
    """The classes that have cut-outs to judge by; :class:`BadInput` when there is nothing to lay them on."""
    if not (grounds.training and grounds.held_out):
        raise BadInput("photographs to train before and others to judge before are expected; some are missing")
    chosen = [each for each in scenes if each.held_out]
    return Photographed({each.label: each for each in chosen}, grounds, _digest(chosen, grounds))


def _digest(scenes: Sequence[ObjectScene], grounds: Backdrops) -> str:
    """That of all pictures and of what is done to them."""
    listed = [(each.label, each.artworks, each.held_out) for each in scenes]
    listed.append(("", grounds.training, grounds.held_out))
    lines = [
        f"{label} {number} {pixels.shape} {sha256_bytes(pixels.tobytes())}"
        for label, *groups in listed
        for number, group in enumerate(groups)
        for pixels in group
    ]
    return sha256_bytes("\n".join([*lines, code_digest((__name__,))]).encode())


def _shuffled(objects: int, grounds: int, dice: Generator) -> Iterator[tuple[int, int]]:
    """All pairs in random order, then all in another one, and so on."""
    pairs = list(product(range(objects), range(grounds)))
    while True:
        yield from (pairs[number] for number in dice.permutation(len(pairs)))


def _view(cut_out: Pixels, ground: Pixels, side_px: int, dice: Generator) -> Pixels:
    """``(S, S, 3)``: the object on a part of the ground, under the same light."""
    seen = _placed(cut_out, side_px, dice)
    behind = resize_rgb(_crop(ground, dice), side_px, side_px, "area")
    picture = dice.uniform(*GAIN) * (seen[..., :3] + (1 - seen[..., 3:]) * behind)
    return np.asarray(picture.round().clip(0, 255), dtype=np.uint8)


def _crop(ground: Pixels, dice: Generator) -> Pixels:
    """A random square of it."""
    side = int(dice.uniform(*CROP_SHARE) * min(ground.shape[:2]))
    top, left = (int(dice.integers(0, length - side + 1)) for length in ground.shape[:2])
    return ground[top : top + side, left : left + side]


def _placed(cut_out: Pixels, side_px: int, dice: Generator) -> Light:
    """``(S, S, 4)``: the object in its place, colors weighed with how much of each pixel it covers.

    Averaged when it is made smaller, first to its size in a picture that is finer than the one wanted.
    """
    fine = OVERSAMPLING * side_px
    weighed = _resized(_weighed(cut_out), dice.uniform(*SIDE_SHARE) * fine)
    turned = cv2.getRotationMatrix2D((0, 0), dice.uniform(-TURN_DEG, TURN_DEG), 1)
    center = (fine - 1) / 2 + dice.uniform(-SHIFT_SHARE, SHIFT_SHARE, 2) * fine
    turned[:, 2] = center - turned[:, :2] @ np.full(2, (len(weighed) - 1) / 2)
    seen = cv2.warpAffine(weighed, turned, (fine, fine), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(seen, (side_px, side_px), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _weighed(cut_out: Pixels) -> Light:
    share = cut_out[..., 3:] / 255
    return np.dstack([cut_out[..., :3] * share, share]).astype(np.float32)


def _resized(weighed: Light, size: float) -> Light:
    """Squared to whole pixels; a small one is magnified without steps."""
    side = round(size)
    how = cv2.INTER_AREA if side < len(weighed) else cv2.INTER_CUBIC
    found = cv2.resize(weighed, (side, side), interpolation=how)
    return np.asarray(found.clip(0, [255, 255, 255, 1]), dtype=np.float32)
