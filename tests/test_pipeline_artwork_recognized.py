"""dpcam's drawings and dpcam's recognizers never met in training: each is judged by the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from patches.artwork import artwork, artwork_labels, render
from pipeline.recognizers import Recognizer, load_recognizers, open_session, zoo_folder

ENOUGH = 0.95
FILLS = (0.70, 0.74, 0.78, 0.82, 0.86, 0.90)
SIZES_PX = (48, 61, 96, 200)
RECOGNIZERS = load_recognizers([zoo_folder()])


@dataclass(frozen=True, slots=True)
class Pictures:
    pixels: list[np.ndarray]
    labels: np.ndarray


def grounds() -> np.ndarray:
    """``(N, 3)``: five grays, and colors over the whole cube."""
    grays = np.repeat(np.array([[5], [64], [128], [192], [255]]), 3, axis=1)
    return np.vstack([grays, np.random.default_rng(5).integers(0, 256, (9, 3))]).astype(np.float32)


def on_ground(sign: np.ndarray, size_px: int, ground: np.ndarray) -> np.ndarray:
    """The ``(h, w, 4)`` sign in the middle of a plain square ``(size_px, size_px, 3)`` uint8."""
    picture = np.broadcast_to(ground, (size_px, size_px, 3)).copy()
    top, left = (size_px - sign.shape[0]) // 2, (size_px - sign.shape[1]) // 2
    place = picture[top : top + sign.shape[0], left : left + sign.shape[1]]
    alpha = sign[..., 3:].astype(np.float32) / 255
    place[:] = place * (1 - alpha) + sign[..., :3] * alpha
    return picture.round().astype(np.uint8)


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    pixels, labels = [], []
    for label in artwork_labels():
        for i, fill in enumerate(FILLS):
            size_px = SIZES_PX[i % len(SIZES_PX)]
            sign = render(artwork(label), round(size_px * fill))
            pixels += [on_ground(sign, size_px, ground) for ground in grounds()]
        labels += [label] * len(FILLS) * len(grounds())
    return Pictures(pixels, np.array(labels))


def test_enough_signs_and_recognizers():
    assert len(artwork_labels()) >= 12
    assert len({recognizer.contract.family for recognizer in RECOGNIZERS}) >= 6


@pytest.mark.parametrize("recognizer", RECOGNIZERS, ids=lambda recognizer: recognizer.name)
def test_every_recognizer_reads_every_sign(recognizer: Recognizer, pictures: Pictures):
    answers = np.array(recognizer.contract.labels)[open_session(recognizer).logits(pictures.pixels).argmax(axis=1)]
    right = answers == pictures.labels
    rates = {label: float(right[pictures.labels == label].mean()) for label in artwork_labels()}
    poor = {label: round(rate, 3) for label, rate in rates.items() if rate < ENOUGH}
    assert not poor
