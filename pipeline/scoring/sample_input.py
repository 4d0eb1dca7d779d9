"""What noises need of a sample: its crop at a recognizer's input, and dice of its own."""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray

from calibration.contract import Contract, resize_rgb
from calibration.files import sha256_bytes

Pixels = NDArray[np.uint8]


def dice_of(name: str, seed: int) -> int:
    """The seed of a sample's own randomness, 63 bits: the same in every batch, order, process and view."""
    return int(sha256_bytes(f"{seed} {name}".encode())[:16], 16) >> 1


class Sizes:
    """Crops at the input size, made once for all noises on all recognizers, kept as long as the crop itself.

    A large picture takes longer to shrink than to corrupt and to score.
    """

    def __init__(self) -> None:
        self._made: dict[int, tuple[weakref.ref[Pixels], dict[tuple[int, int, str], Pixels]]] = {}

    def at_input(self, pixels: Pixels, contract: Contract) -> Pixels:
        """``(H, W, 3)`` uint8 resized as the recognizer gets it; not to be written to."""
        made = self._of(pixels)
        size = (contract.height, contract.width, contract.resize)
        if size not in made:
            made[size] = resize_rgb(pixels, *size)
        return made[size]

    def _of(self, pixels: Pixels) -> dict[tuple[int, int, str], Pixels]:
        number = id(pixels)
        held = self._made.get(number)
        # A number may come again, but not as long as the picture that has it is there.
        if held is None or held[0]() is not pixels:
            held = weakref.ref(pixels, lambda _: self._made.pop(number, None)), {}
            self._made[number] = held
        return held[1]
