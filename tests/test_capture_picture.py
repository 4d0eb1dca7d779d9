"""Bytes of pictures of every kind become RGB as documented, or are refused with the reason; nothing else happens."""

from __future__ import annotations

import io
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from calibration.errors import BadImage
from capture.picture import MAX_PIXELS, decode_picture

RGB = np.dstack([np.full((12, 16), 200), np.full((12, 16), 90), np.tile(np.arange(0, 160, 10), (12, 1))]).astype(
    np.uint8
)
GRAY = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (12, 1))


def saved(image: Image.Image | np.ndarray, kind: str = "PNG", **more: object) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **more)
    return stream.getvalue()


def by_opencv(pixels: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def several(kind: str, **more: object) -> bytes:
    """Pictures that follow each other: first one of RGB, then black."""
    first, then = Image.fromarray(RGB), Image.new("RGB", (16, 12))
    return saved(first, kind, save_all=True, append_images=[then], **more)


def alpha(transparent: bool) -> np.ndarray:
    return np.dstack([RGB, np.full(GRAY.shape, 0 if transparent else 255, np.uint8)])


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(np.rot90(RGB), "PNG", exif=exif)


def cmyk() -> bytes:
    return saved(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=95, subsampling=0)


THREE = np.repeat(GRAY[..., None], 3, axis=2)
EXACT: dict[str, tuple[Callable[[], bytes], np.ndarray]] = {
    "rgb": (lambda: saved(RGB), RGB),
    "bmp": (lambda: saved(RGB, "BMP"), RGB),
    "tiff": (lambda: saved(RGB, "TIFF"), RGB),
    "tiff, compressed": (lambda: saved(RGB, "TIFF", compression="tiff_lzw"), RGB),
    "webp": (lambda: saved(RGB, "WEBP", lossless=True), RGB),
    "ppm": (lambda: saved(RGB, "PPM"), RGB),
    "gray": (lambda: saved(GRAY), THREE),
    "gray with alpha": (lambda: saved(Image.fromarray(GRAY).convert("LA")), THREE),
    "gray of 16 bits": (lambda: saved(GRAY.astype(np.uint16) * 257), THREE),
    "gray of 16 bits, TIFF": (lambda: saved(GRAY.astype(np.uint16) * 256 + 255, "TIFF"), THREE),
    "gray of 16 bits, PGM": (lambda: saved(GRAY.astype(np.uint16) * 257, "PPM"), THREE),
    "rgb of 16 bits": (lambda: by_opencv(RGB[..., ::-1].astype(np.uint16) * 257, ".png"), RGB),
    "rgb of 16 bits, TIFF": (lambda: by_opencv(RGB[..., ::-1].astype(np.uint16) * 257, ".tiff"), RGB),
    "alpha is dropped": (lambda: saved(alpha(transparent=True)), RGB),
    "opaque": (lambda: saved(alpha(transparent=False)), RGB),
    "palette": (lambda: saved(Image.fromarray(THREE).quantize(64)), THREE),
    "palette with a transparent color": (lambda: saved(Image.fromarray(THREE).quantize(64), transparency=0), THREE),
    "one bit": (lambda: saved(Image.fromarray(GRAY > 70)), np.where(THREE > 70, 255, 0)),
    "turned": (turned, RGB),
    "several, GIF": (lambda: several("GIF"), RGB),
    "several, WebP": (lambda: several("WEBP", lossless=True), RGB),
    "several, PNG": (lambda: several("PNG"), RGB),
    "several, TIFF": (lambda: several("TIFF"), RGB),
    "one pixel": (lambda: saved(RGB[:1, :1]), RGB[:1, :1]),
    "one row": (lambda: saved(RGB[:1]), RGB[:1]),
}


@pytest.mark.parametrize(("make", "expected"), EXACT.values(), ids=EXACT)
def test_pictures_become_rgb(make: Callable[[], bytes], expected: np.ndarray):
    pixels = decode_picture(make(), "a picture")
    assert (pixels.dtype, pixels.shape) == (np.uint8, expected.shape)
    assert (pixels == expected).all()
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@pytest.mark.parametrize(
    "make", [lambda: saved(RGB, "JPEG", quality=95, subsampling=0), cmyk, lambda: several("MPO", quality=95)]
)
def test_lossy_pictures_are_close(make: Callable[[], bytes]):
    assert np.abs(decode_picture(make(), "a picture").astype(int) - RGB).mean() < 4


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "no picture of a known kind"),
    "text": (lambda: b"this is no picture\n" * 50, "no picture of a known kind"),
    "half a JPEG": (lambda: saved(RGB, "JPEG")[:-80], "cannot be decoded"),
    "half a PNG": (lambda: saved(RGB)[:-40], "cannot be decoded"),
    "a JPEG's first bytes": (lambda: saved(RGB, "JPEG")[:20], "cannot be decoded"),
    "floating point": (lambda: saved(GRAY.astype(np.float32) / 255, "TIFF"), "nobody knows what is white"),
    "32 bits": (lambda: saved(GRAY.astype(np.int32), "TIFF"), "nobody knows what is white"),
    "too many pixels": (lambda: saved(Image.new("1", (16_001, 10_000))), f"more than {MAX_PIXELS}"),
    "far too many": (lambda: png_of(100_000, 100_000), f"more than {MAX_PIXELS}"),
    "another program's": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "known kind"),
}


def png_of(width: int, height: int) -> bytes:
    """A PNG that says that it is so large."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_picture_is_refused_by_name(make: Callable[[], bytes], reason: str):
    with pytest.raises(BadImage, match=reason) as caught:
        decode_picture(make(), "stop/a.png")
    assert caught.value.message.startswith("stop/a.png ")
    assert caught.value.where == "stop/a.png"


def test_a_hundred_megapixels_are_a_picture():
    """In strips: beside what Pillow holds, there is the result and little else."""
    wide = Image.new("1", (12_500, 8_000))
    wide.paste(1, (12_000, 7_900, 12_500, 8_000))
    pixels = decode_picture(saved(wide), "a picture")
    assert pixels.shape == (8_000, 12_500, 3)
    assert [int(pixels[y, x, 0]) for y, x in ((0, 0), (7_899, 12_100), (7_901, 12_100), (7_999, 12_499))] == [
        0,
        0,
        255,
        255,
    ]
    assert int(np.count_nonzero(pixels[..., 1])) == 500 * 100


# Damage

WHOLE = [
    saved(RGB), saved(RGB, "JPEG"), saved(RGB, "BMP"), saved(RGB, "TIFF"), saved(RGB, "TIFF", compression="tiff_lzw"),
    saved(RGB, "WEBP"), saved(RGB, "PPM"), several("GIF"), several("PNG"), several("WEBP"), cmyk(), turned(),
    saved(GRAY.astype(np.uint16)), saved(Image.fromarray(RGB).quantize(8)), saved(Image.fromarray(GRAY > 9)),
]  # fmt: skip


@settings(max_examples=400)
@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6), st.data())
def test_damaged_bytes_are_a_picture_or_refused(whole: bytes, changes: list[tuple[float, int]], data: st.DataObject):
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)
    for place, value in changes if damaged else []:
        damaged[int(place * len(damaged))] = value
    outcome = decoded_or_why_not(bytes(damaged))
    if isinstance(outcome, str):
        assert outcome.startswith("x ")
        return
    assert (outcome.dtype, outcome.ndim, outcome.shape[2]) == (np.uint8, 3, 3)
    assert outcome.size


def decoded_or_why_not(data: bytes) -> np.ndarray | str:
    try:
        return decode_picture(data, "x")
    except BadImage as error:
        return error.message


# Threads


def test_threads_leave_the_warnings_as_they_were():
    """A note that cannot be read is warned of; here warnings are errors, in whatever thread."""
    whole = saved(np.zeros((300, 300, 3), np.uint8), "JPEG")
    note = b"\xff\xe1\x00\x20Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\3\0\0\0\1\0\x63\0\0"
    noted = whole[:2] + note + whole[2:]
    before = list(warnings.filters)
    barrier = threading.Barrier(8)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def decode(_: int) -> int:
        barrier.wait(timeout=30)
        return sum(decode_picture(noted, "x").shape[0] for _ in range(20))

    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(decode, range(8))) == [6000] * 8
    finally:
        sys.setswitchinterval(interval)
    assert warnings.filters == before
