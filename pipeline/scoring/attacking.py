"""Attacks on captured crops: each recognizer in turn is attacked through its torch twin, each picture by itself.

What is attacked is the picture that the recognizer gets: the crop after resizing. Masks come from the localization.
A picture's attack depends on nothing but the picture, its truth, the recognizer and the seed: neither on the pictures
beside it, whose number decides how convolutions are computed and so, at times, the sign of a gradient, nor on torch's
number of threads, which is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from calibration.contract import Contract
from calibration.errors import BadModel, MissingFile
from calibration.geometry import Array
from patches.attacks import Attack, Region
from pipeline.patch_bench.provenance import code_digest
from pipeline.recognizers import Recognizer
from pipeline.scoring.sample_input import Sizes, dice_of
from pipeline.scoring.score import NoisedPicture, Seen

if TYPE_CHECKING:
    from patches.surrogates import Surrogate

Mask = NDArray[np.bool_]
PACKAGES = ("torch", "onnx2fx", "foolbox", "numpy", "opencv-python")
CODE = ("pipeline.scoring.attacking", "pipeline.scoring.sample_input", "patches.attacks")
FINE = 8
"""A pixel's share in a polygon is counted on so many points a side."""


class Twin:
    """The torch twin of a recognizer, parity checked, on the processor, with one thread; or why there is none."""

    def __init__(self, recognizer: Recognizer) -> None:
        from patches.surrogates import SurrogateSource
        from patches.trial import load_on

        self.network: Surrogate | None = None
        self.reason = ""
        try:
            self.network = load_on("cpu", [SurrogateSource(recognizer.contract, recognizer.onnx)])[0]
        except (BadModel, MissingFile) as error:
            self.reason = f"it cannot be attacked: {error.message}"


class Twins:
    """Twins for all attacks, in any thread: each is made once, and gone when no attack holds it any more."""

    def __init__(self) -> None:
        self._held: WeakValueDictionary[tuple[str, str], Twin] = WeakValueDictionary()
        self._lock = Lock()

    def of(self, recognizer: Recognizer) -> Twin:
        """Its twin."""
        key = (str(recognizer.onnx), recognizer.contract.model_dump_json())
        with self._lock:
            twin = self._held.get(key) or Twin(recognizer)
            self._held[key] = twin
        return twin


@dataclass(frozen=True, slots=True)
class Attacked:
    """A noise: what an attacker who knows the recognizer, the picture and its truth makes of it, within ``attack``.

    It is one of those of :mod:`patches.attacks`. ``severity`` is the budget in levels of 255; a sticker has all 255.
    """

    attack: Attack
    seed: int
    twins: Twins = field(default_factory=Twins, compare=False, repr=False)
    sizes: Sizes = field(default_factory=Sizes, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The attack's name without its budget: ``pgd10``, ``pgd10-object``, ``sticker``."""
        return str(self.attack).replace(f"-{self.attack.levels}", "", 1)

    @property
    def severity(self) -> int:
        """The budget, in levels of 255."""
        return self.attack.levels

    @property
    def key(self) -> JsonValue:
        """Attack, seed, code and versions."""
        versions: dict[str, JsonValue] = {name: metadata.version(name) for name in PACKAGES}
        return {"attack": str(self.attack), "seed": self.seed, "code": code_digest(CODE), "versions": versions}

    def on(self, recognizer: Recognizer) -> Callable[[Sequence[Seen]], Sequence[NoisedPicture]]:
        """Convert the recognizer. Pictures become float32 of its input size, or say why they cannot be attacked.

        Those of a model that takes bytes become bytes: rounded, they keep to the budget.
        """
        twin = self.twins.of(recognizer)
        return lambda pictures: [self._attacked(twin, each) for each in pictures]

    def _attacked(self, twin: Twin, seen: Seen) -> NoisedPicture:
        if twin.network is None:
            return "failed", twin.reason
        if seen.truth is None:
            return "not-applicable", f"{self.attack} needs the true class, and nothing is known of it"
        masks = masks_of(seen, self.attack.region, twin.network.contract)
        if isinstance(masks, str):
            return "not-applicable", f"{self.attack} {masks}"
        return self._within(masks, twin.network, seen, seen.truth)

    def _within(self, masks: Masks, network: Surrogate, seen: Seen, truth: str) -> NoisedPicture:
        from patches.attacks import attack_images

        try:
            found = attack_images(
                network,
                self.sizes.at_input(seen.pixels, network.contract)[None],
                np.array([network.index(truth)]),
                str(self.attack),
                sticker_mask=masks.sticker,
                object_mask=masks.object,
                seed=dice_of(seen.name, self.seed),
            )
        except BadModel as error:
            return "failed", error.message
        return _scored_as(found, network.contract)


def _scored_as(found: NDArray[np.float32], contract: Contract) -> NoisedPicture:
    """The only picture of a batch, in what the model takes."""
    if contract.dtype == "uint8":
        return np.asarray(np.rint(255 * found[0]), dtype=np.uint8)
    return np.asarray(found[0], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Masks:
    """Where sticker and object are, bool ``(H, W)`` at the recognizer's input; None where it does not matter."""

    sticker: Mask | None
    object: Mask | None


def masks_of(seen: Seen, region: Region, contract: Contract) -> Masks | str:
    """The masks that an attack on ``region`` needs, or why there are none; the object is what shows in the window."""
    if region == "everywhere":
        return Masks(None, None)
    if seen.frame_px is None or seen.window_px is None:
        return f"keeps to a region, and where sticker and object are in the view {seen.view!r} is not known"
    frame, window = (_share(seen.pixels, each, contract) for each in (seen.frame_px, seen.window_px))
    sticker, target = frame - window >= 0.5, window >= 0.5
    changeable = target & ~sticker if region == "object" else ~sticker
    return Masks(sticker, target) if changeable.any() else f"finds nothing in the view {seen.view!r} that it may change"


def _share(pixels: NDArray[np.uint8], corners_px: Array, contract: Contract) -> NDArray[np.float64]:
    """``(H, W)`` at the recognizer's input: the share of each pixel within the corners ``(4, 2)`` of the crop.

    Convention: pixel (0, 0) is the center of the top-left pixel, before resizing and after it.
    """
    scale = np.array([contract.width / pixels.shape[1], contract.height / pixels.shape[0]])
    starts = (corners_px + 0.5) * scale
    ends = np.roll(starts, -1, axis=0)
    x, y = (((np.arange(FINE * side) + 0.5) / FINE) for side in (contract.width, contract.height))
    # A quadrilateral seen by a camera is convex: a point is in it when it is on the same side of all edges.
    sides = [
        (end[0] - start[0]) * (y[:, None] - start[1]) - (end[1] - start[1]) * (x[None, :] - start[0])
        for start, end in zip(starts, ends, strict=True)
    ]
    inside = np.all(np.array(sides) > 0, axis=0) | np.all(np.array(sides) < 0, axis=0)
    return np.asarray(inside.reshape(contract.height, FINE, contract.width, FINE).mean(axis=(1, 3)))
