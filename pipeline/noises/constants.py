"""The published constants of the 15 corruptions, five severities each, as data.

Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
arXiv 1903.12261, and the code that made the two data sets: ``make_imagenet_c.py`` (ImageNet-C, pictures of 224 px) and
``make_cifar_c.py`` (CIFAR-10-C, 32 px) in github.com/hendrycks/robustness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar, get_args

Table = Literal["imagenet", "cifar"]
"""Whose constants: those of ImageNet-C or those of CIFAR-10-C."""

TABLES: tuple[Table, ...] = get_args(Table)
SEVERITIES = (1, 2, 3, 4, 5)
SMALL_SIDE_PX = 96
"""Pictures whose shorter side is at most this long get the constants of CIFAR-10-C, all others those of ImageNet-C."""

ConstantsT = TypeVar("ConstantsT")


def table_for(height_px: int, width_px: int) -> Table:
    """The table for pictures of that size: ``cifar`` up to a shorter side of :data:`SMALL_SIDE_PX`."""
    return "cifar" if min(height_px, width_px) <= SMALL_SIDE_PX else "imagenet"


@dataclass(frozen=True, slots=True)
class Levels(Generic[ConstantsT]):
    """The constants of one corruption for severities 1 to 5, in both tables."""

    imagenet: tuple[ConstantsT, ...]
    cifar: tuple[ConstantsT, ...]

    def at(self, table: Table, severity: int) -> ConstantsT:
        """The constants for a severity from 1 to 5."""
        row: tuple[ConstantsT, ...] = self.imagenet if table == "imagenet" else self.cifar
        return row[severity - 1]


class Defocus(NamedTuple):
    """A disk of light, and the Gaussian that smooths its rim."""

    radius_px: float
    rim_px: float


class Glass(NamedTuple):
    """Blur, pixels that copy a neighbor at most ``reach_px`` away, ``rounds`` times, and blur again."""

    sigma_px: float
    reach_px: int
    rounds: int


class Motion(NamedTuple):
    """Half a Gaussian along a line of ``2 * radius_px + 1`` pixels."""

    radius_px: int
    sigma_px: float


class Zoom(NamedTuple):
    """Zoom factors from 1 to ``stop``, which is left out as in ``numpy.arange``."""

    stop: float
    step: float


class Snow(NamedTuple):
    """Flakes: normal noise, zoomed, nothing below ``threshold``, smeared by wind; and how much of the picture stays."""

    mean: float
    spread: float
    zoom: float
    threshold: float
    radius_px: int
    sigma_px: float
    kept: float


class Frost(NamedTuple):
    """Weights of picture and frost, and the scale of the frost: CIFAR-10-C shrinks it before it cuts a piece out."""

    picture: float
    frost: float
    scale: float


class Fog(NamedTuple):
    """Thickness of the fog, and how fast its detail fades from one scale to the next finer one."""

    thickness: float
    decay: float


class Elastic(NamedTuple):
    """Displacement, its smoothness, and jitter of an affine map; all in shares of the picture's shorter side."""

    amplitude: float
    sigma: float
    jitter: float


_ELASTIC_SIDE = 244 / 224
"""ImageNet-C's shares are of 244 px, a slip of the pen for 224 that its authors kept; so do we."""


def _elastic(*rows: tuple[float, float, float], side: float = 1.0) -> tuple[Elastic, ...]:
    return tuple(Elastic(*(side * share for share in row)) for row in rows)


GAUSSIAN_NOISE = Levels((0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.06, 0.08, 0.09, 0.10))
"""Standard deviation; pictures reach from 0 to 1."""

SHOT_NOISE = Levels((60, 25, 12, 5, 3), (500, 250, 100, 75, 50))
"""Photons of a white pixel."""

IMPULSE_NOISE = Levels((0.03, 0.06, 0.09, 0.17, 0.27), (0.01, 0.02, 0.03, 0.05, 0.07))
"""Share of values that become 0 or 1."""

DEFOCUS_BLUR = Levels(
    (Defocus(3, 0.1), Defocus(4, 0.5), Defocus(6, 0.5), Defocus(8, 0.5), Defocus(10, 0.5)),
    (Defocus(0.3, 0.4), Defocus(0.4, 0.5), Defocus(0.5, 0.6), Defocus(1, 0.2), Defocus(1.5, 0.1)),
)
GLASS_BLUR = Levels(
    (Glass(0.7, 1, 2), Glass(0.9, 2, 1), Glass(1, 2, 3), Glass(1.1, 3, 2), Glass(1.5, 4, 2)),
    (Glass(0.05, 1, 1), Glass(0.25, 1, 1), Glass(0.4, 1, 1), Glass(0.25, 1, 2), Glass(0.4, 1, 2)),
)
MOTION_BLUR = Levels(
    (Motion(10, 3), Motion(15, 5), Motion(15, 8), Motion(15, 12), Motion(20, 15)),
    (Motion(6, 1), Motion(6, 1.5), Motion(6, 2), Motion(8, 2), Motion(9, 2.5)),
)
ZOOM_BLUR = Levels(
    (Zoom(1.11, 0.01), Zoom(1.16, 0.01), Zoom(1.21, 0.02), Zoom(1.26, 0.02), Zoom(1.31, 0.03)),
    (Zoom(1.06, 0.01), Zoom(1.11, 0.01), Zoom(1.16, 0.01), Zoom(1.21, 0.01), Zoom(1.26, 0.01)),
)
SNOW = Levels(
    (
        Snow(0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        Snow(0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        Snow(0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        Snow(0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        Snow(0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    (
        Snow(0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        Snow(0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        Snow(0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        Snow(0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        Snow(0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
)
FROST = Levels(
    (Frost(1, 0.4, 1), Frost(0.8, 0.6, 1), Frost(0.7, 0.7, 1), Frost(0.65, 0.7, 1), Frost(0.6, 0.75, 1)),
    (
        Frost(1, 0.2, 0.2),
        Frost(1, 0.3, 0.2),
        Frost(0.9, 0.4, 0.2),
        Frost(0.85, 0.4, 0.2),
        Frost(0.75, 0.45, 0.2),
    ),
)
FOG = Levels(
    (Fog(1.5, 2), Fog(2, 2), Fog(2.5, 1.7), Fog(2.5, 1.5), Fog(3, 1.4)),
    (Fog(0.2, 3), Fog(0.5, 3), Fog(0.75, 2.5), Fog(1, 2), Fog(1.5, 1.75)),
)
BRIGHTNESS = Levels((0.1, 0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3))
"""Added to the value of hue, saturation, value."""

CONTRAST = Levels((0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15))
"""What is left of the difference to each channel's mean."""

ELASTIC_TRANSFORM = Levels(
    _elastic(
        (2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02), side=_ELASTIC_SIDE
    ),
    _elastic((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
)
PIXELATE = Levels((0.6, 0.5, 0.4, 0.3, 0.25), (0.95, 0.9, 0.85, 0.75, 0.65))
"""Scale of the small picture."""

JPEG_COMPRESSION = Levels((25, 18, 15, 10, 7), (80, 65, 58, 50, 40))
"""JPEG quality."""
