"""What ink makes of a patch: a soft proof through the printer's ICC profile, and which colors it cannot print.

Convention: colors are compared in CIELAB under D50, relative to the paper's white, as by an eye that has adapted to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from calibration.errors import BadInput, MissingFile

Picture = NDArray[np.uint8]
LAB: Final = "LAB"
MODES = {"CMYK": "CMYK", "RGB ": "RGB", "GRAY": "L"}
OUTPUT = "prtr"
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
CAUGHT = 3.0
"""CIEDE2000 from which a color counts as out of gamut: the tables of a profile alone make errors up to about 2."""


@dataclass(frozen=True, slots=True)
class Gamut:
    """How far printed colors are from those asked for, CIEDE2000 over all texels, and the share beyond ``limit``."""

    out_of_gamut: float
    limit: float
    mean: float
    median: float
    p95: float
    worst: float


@dataclass(frozen=True, slots=True)
class PrinterProfile:
    """An ICC profile of an output device: its description and color space (CMYK, RGB or GRAY)."""

    path: Path
    description: str
    space: str
    profile: ImageCms.ImageCmsProfile

    @property
    def mode(self) -> str:
        """Pillow's name for pictures in its inks."""
        return MODES[self.space]


def read_profile(path: Path) -> PrinterProfile:
    """Read a profile; :class:`MissingFile`, or :class:`BadInput` when it is none or none of a printer."""
    if not path.is_file():
        raise MissingFile(
            f"there is no ICC profile {path}", hint="Debian: apt-get install libgs-common", where=str(path)
        )
    try:
        profile = ImageCms.getOpenProfile(str(path))
        kind, space, name = (
            getattr(profile.profile, field) for field in ("device_class", "xcolor_space", "profile_description")
        )
    except (OSError, ImageCms.PyCMSError) as error:
        raise BadInput(f"{path} is no ICC profile: {error}", where=str(path)) from error
    if kind != OUTPUT or space not in MODES:
        raise BadInput(
            f"{path.name} ({name}) is no profile of a printer in CMYK, RGB or gray: its class is {kind!r}, its space "
            f"{space.strip()!r}",
            where=str(path),
        )
    return PrinterProfile(path, (name or path.stem).strip(), space, profile)


def soft_proof(picture: Picture, profile: PrinterProfile) -> Picture:
    """``(H, W, 3)`` uint8 sRGB → the same as it would look printed, on the tint of the profile's paper.

    :class:`BadInput` when the profile holds no tables in both directions.
    """
    screen = ImageCms.createProfile("sRGB")
    flags = ImageCms.Flags.SOFTPROOFING | ImageCms.Flags.BLACKPOINTCOMPENSATION
    paper = ImageCms.Intent.ABSOLUTE_COLORIMETRIC
    with _usable(profile):
        proof = ImageCms.buildProofTransform(screen, screen, profile.profile, "RGB", "RGB", INTENT, paper, flags)
        return _applied(proof, Image.fromarray(picture))


def gamut_of(colors: Picture, profile: PrinterProfile, limit: float = CAUGHT) -> Gamut:
    """Print ``(N, 3)`` uint8 sRGB colors and compare; :class:`BadInput` for no colors or an unusable profile.

    CIEDE2000: Sharma, Wu, Dalal 2005. Lab has 8 bits a channel here, which adds up to about 0.7.
    """
    from colour.difference import delta_E_CIE2000

    if not len(colors):
        raise BadInput("there are no colors to print")
    asked = Image.fromarray(colors[None])
    screen, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile(LAB)
    with _usable(profile):
        ink = ImageCms.buildTransform(screen, profile.profile, "RGB", profile.mode, INTENT)
        back = ImageCms.buildTransform(profile.profile, lab, profile.mode, LAB, INTENT)
        seen = _applied(back, ink.apply(asked))
    meant = _applied(ImageCms.buildTransform(screen, lab, "RGB", LAB, INTENT), asked)
    far = delta_E_CIE2000(_lab(meant), _lab(seen))[0]
    return Gamut(
        out_of_gamut=float(np.mean(far > limit)),
        limit=limit,
        mean=float(far.mean()),
        median=float(np.median(far)),
        p95=float(np.percentile(far, 95)),
        worst=float(far.max()),
    )


def _applied(transform: ImageCms.ImageCmsTransform, picture: Image.Image) -> Picture:
    return np.array(transform.apply(picture), dtype=np.uint8)


def _lab(stored: Picture) -> NDArray[np.float64]:
    """Pillow's bytes of Lab, lightness in 255ths, a and b as signed bytes → CIELAB."""
    lightness = stored[..., :1] * (100 / 255)
    return np.concatenate([lightness, stored[..., 1:].view(np.int8).astype(np.float64)], axis=-1)


@contextlib.contextmanager
def _usable(profile: PrinterProfile) -> Iterator[None]:
    """Within: what the profile does not hold becomes a :class:`BadInput`."""
    try:
        yield
    except (ImageCms.PyCMSError, OSError) as error:
        raise BadInput(f"{profile.path.name} cannot be printed through: {error}", where=str(profile.path)) from error
