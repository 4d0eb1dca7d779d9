"""The ordinary augmentation of the field, for pictures of signs and for pictures of objects.

None of the corruptions that recognizers are tested on is among them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

PADDING_PX = 2

Augment = Callable[[np.ndarray], np.ndarray]
"""``(B, H, W, 3)`` uint8 RGB → ``(B, size, size, 3)``, each picture changed at random."""

# Plain grounds that show around a sign that was made smaller: grays, and saturated flat colors.
FLAT_GROUNDS = (
    (0, 0, 0),
    (64, 64, 64),
    (128, 128, 128),
    (192, 192, 192),
    (255, 255, 255),
    (200, 30, 30),
    (30, 140, 50),
    (30, 60, 190),
    (235, 200, 30),
    (120, 190, 235),
    (120, 90, 60),
    (220, 205, 180),
)


def augment_signs(size_px: int, seed: int) -> Augment:
    """Where the sign is, how large, and in which light.

    A photograph whose sign fills 80 % comes out with 60 to 100 %; what opens at the rim is continued or gets a plain
    color. No mirror images: they change the class.
    """
    # The package asks the index for news when it is imported, unless told not to.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations
    import cv2

    def moved(border: int, fill: tuple[int, int, int] = (0, 0, 0)) -> Any:
        return albumentations.Affine(
            scale=(0.75, 1.25),
            keep_ratio=True,
            translate_percent=(-0.06, 0.06),
            rotate=(-12, 12),
            shear=(-5, 5),
            border_mode=border,
            fill=fill,
            p=1,
        )

    continued = [moved(cv2.BORDER_REPLICATE), moved(cv2.BORDER_REFLECT_101)]
    plain = [moved(cv2.BORDER_CONSTANT, fill) for fill in FLAT_GROUNDS]
    # OneOf weighs by p: half of the pictures continued, half on plain ground.
    for each in continued:
        each.p = len(plain) / len(continued)
    each_alone = albumentations.Compose(
        [
            albumentations.OneOf(continued + plain, p=1),
            albumentations.Perspective(scale=(0.02, 0.06), border_mode=cv2.BORDER_REPLICATE, p=0.3),
            albumentations.Resize(size_px, size_px, interpolation=cv2.INTER_AREA),
            albumentations.ColorJitter(
                brightness=(0.5, 1.5), contrast=(0.5, 1.6), saturation=(0.4, 2.2), hue=(-0.02, 0.02), p=0.85
            ),
            albumentations.CLAHE(clip_limit=(1, 3), tile_grid_size=(2, 2), p=0.2),
            albumentations.RandomGamma(gamma_limit=(60, 150), p=0.3),
        ],
        seed=seed,
    )
    return lambda images: np.stack([each_alone(image=image)["image"] for image in images])


def augment_objects(size_px: int, seed: int) -> Augment:
    """Mirrored half of the time, and moved by up to :data:`PADDING_PX`; what opens is continued by reflection."""
    rng = np.random.default_rng(seed)

    def augment(images: np.ndarray) -> np.ndarray:
        pad = ((0, 0), (PADDING_PX, PADDING_PX), (PADDING_PX, PADDING_PX), (0, 0))
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(images, pad, "reflect"), (size_px, size_px), (1, 2))
        top, left = rng.integers(0, 2 * PADDING_PX + 1, (2, len(images)))
        moved = windows[np.arange(len(images)), top, left].transpose(0, 2, 3, 1)
        mirrored = rng.random(len(images)) < 0.5
        changed: np.ndarray = np.where(mirrored[:, None, None, None], moved[:, :, ::-1], moved)
        return changed

    return augment


AUGMENTATIONS: dict[str, Callable[[int, int], Augment]] = {"signs": augment_signs, "objects": augment_objects}
