"""How raw pictures become lossless files: PNG, WebP or TIFF, and which of them keeps up with a rate here.

At 1920x1080 with sensor noise, on one core: TIFF 4 ms and 6.2 MB, PNG 48 ms and 3.6 MB, WebP 270 ms and 3.4 MB.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
from PIL import Image

from calibration.errors import BadImage
from capture.frame import Clock
from capture.picture import Pixels, encode_png
from capture.storage import SUFFIXES, Codec, Storage

_WEBP_LIMIT_PX = 16383
_HEADROOM = 0.7
"""Share of the time between two pictures that storing one may take, as other work goes on beside it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What it took to encode and store one picture."""

    codec: Codec
    seconds: float
    size: int

    def __str__(self) -> str:
        return f"{self.codec} {1000 * self.seconds:.0f} ms and {self.size / 1e6:.2f} MB"


def encode(pixels: Pixels, codec: Codec) -> bytes:
    """``(H, W, 3)`` uint8 RGB → a file's bytes, lossless; :class:`BadImage` when the format cannot hold it."""
    return _ENCODERS[codec](pixels)


def try_codecs(pixels: Pixels, storage: Storage, store: Callable[[bytes], None], clock: Clock) -> list[Trial]:
    """Encode and ``store`` a picture in one format after the other, until one is too slow; the better of two times."""
    trials: list[Trial] = []
    for codec in SUFFIXES:
        if codec == "webp" and max(pixels.shape[:2]) > _WEBP_LIMIT_PX:
            continue
        trials.append(min((_try(pixels, codec, store, clock) for _ in range(2)), key=lambda trial: trial.seconds))
        if not _keeps_up(trials[-1], storage):
            break
    return trials


def choose(trials: Sequence[Trial], storage: Storage) -> Codec:
    """The smallest that keeps up with the wanted rate, or else the quickest."""
    enough = [trial for trial in trials if _keeps_up(trial, storage)]
    if enough:
        return min(enough, key=lambda trial: trial.size).codec
    return min(trials, key=lambda trial: trial.seconds).codec


def _keeps_up(trial: Trial, storage: Storage) -> bool:
    return trial.seconds * storage.frames_per_s <= _HEADROOM


def _try(pixels: Pixels, codec: Codec, store: Callable[[bytes], None], clock: Clock) -> Trial:
    started_ns = clock.mono_ns()
    data = encode(pixels, codec)
    store(data)
    return Trial(codec, (clock.mono_ns() - started_ns) / 1e9, len(data))


def _webp(pixels: Pixels) -> bytes:
    # Pillow, not OpenCV, whose lossless WebP knows one effort only: twice the time for the same size.
    stream = io.BytesIO()
    try:
        Image.fromarray(pixels).save(stream, "WEBP", lossless=True, quality=0, method=1)
    except (OSError, ValueError) as error:
        raise BadImage(
            f"a picture of {pixels.shape[1]}x{pixels.shape[0]} cannot be stored as WebP: {error}",
            hint=f"WebP holds at most {_WEBP_LIMIT_PX} px a side; take png, tiff or auto",
        ) from error
    return stream.getvalue()


def _tiff(pixels: Pixels) -> bytes:
    uncompressed = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_NONE]
    done, data = cv2.imencode(".tiff", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), uncompressed)
    if not done:
        raise BadImage(f"a picture of shape {pixels.shape} cannot be encoded")
    return data.tobytes()


_ENCODERS: dict[Codec, Callable[[Pixels], bytes]] = {"png": encode_png, "webp": _webp, "tiff": _tiff}
