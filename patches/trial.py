"""Patches on trial: what recognizers answer to pictures, as they are and under attack. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.errors import BadInput
from patches.ascent import device_of
from patches.attacks import attack_images
from patches.device import device_named
from patches.surrogates import Surrogate, SurrogateSource, load_surrogates

Pixels = NDArray[np.uint8]
Light = NDArray[np.float32]
Answers = NDArray[np.int64]
BATCH = 64


def answers(recognizer: Surrogate, pictures: Pixels | Light) -> Answers:
    """``(B, H, W, 3)`` RGB, uint8 or float32 in [0, 1] → ``(B,)`` class indices; :data:`BATCH` pictures at a time."""
    if pictures.ndim != 4 or pictures.shape[3] != 3 or pictures.dtype not in (np.uint8, np.float32):
        raise BadInput(f"pictures are (B, H, W, 3) uint8 or float32, got {pictures.shape} {pictures.dtype}")
    found = [_answer(recognizer, pictures[part]) for part in _parts(len(pictures))]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def attack_answers(
    recognizer: Surrogate,
    pictures: Pixels,
    truth: int,
    attack: str,
    *,
    sticker_mask: NDArray[np.bool_],
    object_mask: NDArray[np.bool_],
    seed: int,
) -> Answers:
    """``(B,)`` class indices that remain when ``pictures`` of class ``truth`` are attacked, white-box.

    The attacker knows the recognizer and the picture as it is, patch and all. Masks: bool ``(H, W)``. Each part of
    :data:`BATCH` pictures has its own seed, the same whatever the pictures are.
    """
    found = []
    for number, part in enumerate(_parts(len(pictures))):
        images = pictures[part]
        adversarial = attack_images(
            recognizer,
            images,
            np.full(len(images), truth, np.int64),
            attack,
            sticker_mask=sticker_mask,
            object_mask=object_mask,
            seed=seed + number,
        )
        found.append(_answer(recognizer, adversarial))
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def load_on(device: str, sources: Sequence[SurrogateSource]) -> list[Surrogate]:
    """The recognizers, ready on a device. torch gets a single thread: several processes share the cores.

    Errors are those of :func:`patches.surrogates.load_surrogates` and :func:`patches.device.device_named`.
    """
    torch.set_num_threads(1)
    place = device_named(device)
    return [each.on(place) for each in load_surrogates(sources)]


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, BATCH):
        yield slice(start, start + BATCH)


def _answer(recognizer: Surrogate, pictures: Pixels | Light) -> Answers:
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).to(device_of(recognizer)).permute(0, 3, 1, 2).float()
    if pictures.dtype == np.uint8:
        pixels = pixels / 255
    with torch.no_grad():
        found: Answers = recognizer.logits(pixels).argmax(dim=1).numpy(force=True)
    return found
