"""Augmentation: shapes, decided by the seed; objects are mirrored and moved, signs never mirrored."""

from __future__ import annotations

import numpy as np
import pytest

from patches.augment import AUGMENTATIONS, PADDING_PX, augment_objects

SIZES = {"signs": (64, 48), "objects": (32, 32)}
"""Side of the pictures that come in, and of those that go out."""


def noise(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("subject", AUGMENTATIONS)
def test_shape_type_and_seed(subject: str):
    inside, outside = SIZES[subject]
    images = noise(12, inside)
    kept = images.copy()
    first, again, other = (AUGMENTATIONS[subject](outside, seed)(images) for seed in (5, 5, 6))
    assert (first.shape, first.dtype) == ((12, outside, outside, 3), np.uint8)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(images, kept)


def test_every_batch_is_drawn_anew():
    augment = augment_objects(32, 5)
    images = noise(12, 32)
    assert not np.array_equal(augment(images), augment(images))


def sides() -> np.ndarray:
    """400 pictures that are bright on the left."""
    images = np.zeros((400, 32, 32, 3), np.uint8)
    images[:, :, :12] = 200
    return images


def test_objects_are_mirrored_about_half_of_the_time():
    changed = augment_objects(32, 1)(sides()).astype(float)
    mirrored = changed[:, :, 16:].mean((1, 2, 3)) > changed[:, :, :16].mean((1, 2, 3))
    assert 0.4 < mirrored.mean() < 0.6


def test_signs_are_never_mirrored():
    images = np.zeros((60, 64, 64, 3), np.uint8)
    images[:, 16:48, 16:32], images[:, 16:48, 32:48] = 200, 60
    changed = AUGMENTATIONS["signs"](48, 1)(images).astype(float)[:, 18:30]
    assert (changed[:, :, 14:22].mean((1, 2, 3)) > changed[:, :, 26:34].mean((1, 2, 3))).all()


def test_objects_are_moved_by_no_more_than_the_padding_and_by_all_of_it():
    images = np.zeros((400, 32, 32, 3), np.uint8)
    images[:, 16, 16] = 255
    changed = augment_objects(32, 2)(images)
    picture, row, column = np.nonzero(changed[..., 0])
    assert np.array_equal(picture, np.arange(400))
    steps = range(-PADDING_PX, PADDING_PX + 1)
    assert set(row - 16) == set(steps)
    # Mirrored, the column 16 is 15.
    assert set(column - 16) == set(steps) | {-1 - step for step in steps}


def test_what_opens_is_a_reflection_and_not_black():
    assert augment_objects(32, 3)(np.full((50, 32, 32, 3), 90, np.uint8)).min() == 90
