"""Pictures as bytes: the one way a stored picture becomes pixels, and pixels become a lossless file."""

from __future__ import annotations

import io
import math
import struct
import threading
import warnings

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from calibration.errors import BadImage

Pixels = NDArray[np.uint8]

KEPT_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}
"""Formats whose bytes a session stores as they came."""

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
"""Names that count as pictures in a folder, in any case."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is looked for in the bytes, whatever their name. Not all that Pillow knows: for some it runs other programs."""

MAX_PIXELS = 160_000_000
"""The largest cameras have 151 million. Decoding takes up to 8 bytes for each pixel beside the file's own bytes."""

STRIP_PIXELS = 2**20
"""How many are converted at a time, so that no second picture is needed to make one of another mode."""

ORIENTATIONS = tuple(range(1, 9))
_BODY = (ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.BodySerialNumber)
_NUMBERS = {"focal_length_mm": ExifTags.Base.FocalLength, "digital_zoom": ExifTags.Base.DigitalZoomRatio}

RGB_MODES = frozenset({"RGB", "RGBA", "RGBX"})
"""Pillow's names of what holds red, green and blue."""

# One filter and entropy coding only. On a noisy 1280x720 picture: 22 ms, 1.25 MB; with the search for filters and
# repetitions, which sensor noise leaves nothing to find for: 50 ms, 1.12 MB.
_FAST_PNG = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
]


def decode_picture(data: bytes, where: str, *, writable: bool = True) -> Pixels:
    """Bytes of a picture → ``(H, W, 3)`` uint8 RGB, upright; of several the first.

    Not ``writable``, it may come a copy cheaper.

    The EXIF orientation is applied, so that pixels are as a viewer shows them; alpha is dropped, 16 bits become 8 (the
    higher ones), color profiles are not applied. :class:`BadImage` (naming ``where``) when the bytes are no picture
    of one of ``FORMATS``, only the beginning of one, one of more than ``MAX_PIXELS``, or of numbers whose white is
    not known: 32 bits, floating point.
    """
    return _decoded(data, where, writable)[0]


def decode_kept(data: bytes, where: str) -> tuple[Pixels, str]:
    """As :func:`decode_picture`, and the suffix under which these very bytes may be stored, empty for none."""
    return _decoded(data, where, writable=True)


def _decoded(data: bytes, where: str, writable: bool) -> tuple[Pixels, str]:
    try:
        # Pillow, not OpenCV: it refuses a truncated file, where OpenCV gives half a picture on gray.
        # What it only warns of (a damaged note on the lens, a large picture) keeps nobody from seeing the picture.
        with QUIET, Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_unknown_scale(image, where)
            ImageOps.exif_transpose(image, in_place=True)
            return _rgb(image, writable), KEPT_SUFFIXES.get(image.format or "", "")
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage(f"{where} cannot be decoded: no picture of a known kind", where=where) from error
    except Image.DecompressionBombError as error:
        raise BadImage(f"{where} has more than {MAX_PIXELS} pixels", where=where) from error
    except Exception as error:  # on damaged bytes Pillow's parsers raise whatever they stumble over
        raise BadImage(f"{where} cannot be decoded: {str(error) or type(error).__name__}", where=where) from error


class _Quiet:
    """Within, what is only warned of is not said; in several threads at once, too.

    ``warnings.catch_warnings`` alone is not for threads: the first to leave would bring back what the last has to.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._caught = warnings.catch_warnings(action="ignore")
                self._caught.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._caught.__exit__(None, None, None)


QUIET = _Quiet()


def reported_settings(data: bytes) -> dict[str, str | int | float]:
    """What the EXIF note of a picture says of the camera that took it: body, lens, focal length, digital zoom.

    ``orientation`` is 1 where the note says that the picture was taken upright, another where it was turned to be so.
    Without a note, or with one that cannot be read, nothing is known.
    """
    try:
        with QUIET, Image.open(io.BytesIO(data), formats=FORMATS) as image:
            exif = image.getexif()
            note = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
    except (OSError, ValueError, SyntaxError, KeyError, struct.error, Image.DecompressionBombError):
        return {}
    body = " ".join(str(note[tag]).strip(" \0") for tag in _BODY if tag in note)
    words = {"body": body, "lens": str(note.get(ExifTags.Base.LensModel, "")).strip(" \0")}
    numbers = {name: _number(note.get(tag)) for name, tag in _NUMBERS.items()}
    turned = _number(note.get(ExifTags.Base.Orientation))
    found: dict[str, str | int | float] = {name: word for name, word in words.items() if word}
    found |= {name: number for name, number in numbers.items() if number is not None}
    return found | ({"orientation": int(turned)} if turned in ORIENTATIONS else {})


def _number(value: object) -> float | None:
    """A rational of EXIF as a number; None for what is none (0/0 stands for unknown)."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return round(number, 4) if math.isfinite(number) and number > 0 else None


def decode_color(data: bytes, where: str) -> tuple[Pixels, str]:
    """As :func:`decode_picture`, for those who measure color: the pixels, and a warning (empty for none).

    :class:`BadImage` also for pictures that hold no RGB: CMYK, gray, palettes. 16 bits become 8. Profiles are not
    applied, as frames are looked at without them, too; one of another space than sRGB is what the warning is of.
    """
    pixels = decode_picture(data, where)
    with QUIET, Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.mode not in RGB_MODES:
            kind = "gray" if image.mode in ("L", "LA", "1") or image.mode.startswith(("I", "F")) else image.mode
            raise BadImage(
                f"{where} is a {kind} picture, color is measured in RGB",
                hint="give the photograph as it came from the camera",
                where=where,
            )
        profile = image.info.get("icc_profile")
    return pixels, _other_space(profile, where) if profile else ""


def _other_space(profile: bytes, where: str) -> str:
    """What to say of an embedded ICC profile; empty for sRGB."""
    from PIL import ImageCms

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    except (OSError, ImageCms.PyCMSError):
        name = "an unreadable profile"
    return "" if "srgb" in name.lower() else f"{where} is in {name}; its numbers are taken as they are"


def _refuse_unknown_scale(image: Image.Image, where: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(f"{where} has {image.width} x {image.height} pixels, more than {MAX_PIXELS}", where=where)
    # Of whole numbers in 32 bits only PGM says what is white, and Pillow scales it to 16 bits.
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        raise BadImage(
            f"{where} holds numbers of 32 bits, of which nobody knows what is white",
            hint="save it with 8 or 16 bits",
            where=where,
        )


def _rgb(image: Image.Image, writable: bool = True) -> Pixels:
    """``(H, W, 3)`` of a picture that is loaded, strip by strip."""
    if image.mode == "RGB" and not writable:
        return np.asarray(image)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        whole = rows >= image.height
        strip = image if whole else image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels[top : top + rows] = _deep(strip) if strip.mode.startswith("I") else _eight_bit(strip)
    return pixels


def _eight_bit(image: Image.Image) -> Pixels:
    """``(H, W, 3)``; what is RGB already is not copied to become it."""
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _deep(image: Image.Image) -> Pixels:
    """``(H, W, 1)`` of a gray picture of 16 bits."""
    return np.asarray(np.asarray(image, dtype=np.uint32) >> 8, dtype=np.uint8)[..., None]


def encode_png(pixels: Pixels) -> bytes:
    """``(H, W, 3)`` uint8 RGB → PNG bytes, lossless, quick rather than small."""
    done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _FAST_PNG)
    if not done:
        raise BadImage(f"a picture of shape {pixels.shape} cannot be encoded")
    return data.tobytes()
