"""Photographs that somebody took of a sheet with any camera: read, turned as the sensor saw them."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.files import read_bytes, readable_name, sha256_bytes
from capture.picture import decode_picture

QUARTER_TURNS = {3: 2, 6: 1, 8: -1}
"""EXIF orientation → quarter turns, counterclockwise, that take an upright picture back to the sensor's."""

FILM_DIAGONAL_MM = 43.27


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture file. ``pixels``: ``(H, W, 3)`` uint8 RGB, upright. ``orientation``: what EXIF says, 1 without.

    ``focal_px``: by the 35 mm equivalent that EXIF gives, None without.
    """

    name: str
    sha256: str
    pixels: NDArray[np.uint8]
    orientation: int = 1
    focal_px: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def as_sensed(self) -> Photograph:
        """As the sensor saw it, however the camera was held: its lens knows nothing of up and down."""
        turns = QUARTER_TURNS.get(self.orientation, 0)
        return replace(self, pixels=np.ascontiguousarray(np.rot90(self.pixels, turns)), orientation=1)

    def as_seen_by(self, camera: CameraModel) -> Photograph:
        """Turned as the calibration was taken; :class:`BadInput` when the sizes differ either way."""
        for each in (self.as_sensed, self):
            if each.size == (camera.width, camera.height):
                return each
        width, height = self.size
        raise BadInput(
            f"{self.name} is {width}x{height}, the camera calibration is for {camera.width}x{camera.height}",
            hint="photograph as the calibration was taken, uncropped and unscaled; or leave --camera out",
            where=self.name,
        )


def read_photograph(path: Path) -> Photograph:
    """Read a picture file of any mode (gray, CMYK, 16 bits).

    :class:`calibration.errors.MissingFile` or :class:`calibration.errors.BadImage` when that cannot be.
    """
    data, name = read_bytes(path), readable_name(str(path))
    pixels = decode_picture(data, name)
    orientation, film_mm = _exif(data)
    focal = film_mm * float(np.hypot(*pixels.shape[:2])) / FILM_DIAGONAL_MM if film_mm else None
    return Photograph(name, sha256_bytes(data), pixels, orientation, focal)


def _exif(data: bytes) -> tuple[int, float]:
    """Orientation, and the focal length on 35 mm film (0 when it is not known)."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
        exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        film = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm, 0)
    return (orientation if isinstance(orientation, int) else 1), _positive(film)


def _positive(value: object) -> float:
    """EXIF holds whatever a camera wrote."""
    return float(value) if isinstance(value, int | float) and 0 < value < 10000 else 0.0
