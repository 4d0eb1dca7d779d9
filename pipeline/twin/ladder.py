"""What a digital twin says: the ladder from the screen to the photograph, rung by rung, in points, and plain measures.

A *twin* is a shot of a bare or blank sheet into which the patch is rendered. The *rungs* go from what the screen
promised to what a perfect print would have looked like there; the last step leads to the real sticker. All numbers
are frozen values; :mod:`pipeline.twin.twins` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Rung = Literal["screen", "geometry", "light", "print", "blur", "noise", "real"]
Factor = Literal["geometry", "color", "blur and noise", "unexplained"]

RUNGS: tuple[Rung, ...] = ("screen", "geometry", "light", "print", "blur", "noise", "real")
"""In this order one property after the other is taken from the pictures; each step's share hangs on the order."""

PROMISED: Rung = "screen"
TWIN: Rung = "noise"
"""The first and the last rung that is rendered: what the screen promised, and the whole twin."""

FACTOR_OF: Mapping[Rung, Factor] = {
    "geometry": "geometry",
    "light": "color",
    "print": "color",
    "blur": "blur and noise",
    "noise": "blur and noise",
    "real": "unexplained",
}
"""What the step that leads to a rung is put down to."""


@dataclass(frozen=True, slots=True)
class Change:
    """A difference in percentage points with its interval over cells; no interval with fewer than two cells."""

    points: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One rung: mean true probability and accuracy over cells, in percent."""

    rung: Rung
    probability: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Step:
    """What one factor, or a rung of the ladder, changed: true probability and accuracy, in points."""

    name: str
    probability: Change
    accuracy: Change


@dataclass(frozen=True, slots=True)
class Spread:
    """How much a cell's gap moves when nothing changed, from ``cells`` cells with repeats: standard deviations.

    In points: of a cell's gap, and of the mean gap over all cells.
    """

    cell_probability: float
    cell_accuracy: float
    mean_probability: float
    mean_accuracy: float
    cells: int


@dataclass(frozen=True, slots=True)
class Ladder:
    """The way from screen to photograph for one recognizer, or for all of a kind together (``recognizer`` is None).

    ``levels``: one for each of :data:`RUNGS`. ``base``: the shots as they were, nothing rendered in, in percent.
    ``steps``: what leads to each rung but the first, in order; ``factors``: the same, put together. ``lost``: the whole
    way, real against screen; ``gap``: real against the whole twin. ``spread`` is None where no cell has repeats.
    """

    recognizer: str | None
    held_out: bool
    cells: int
    base: Level
    levels: tuple[Level, ...]
    steps: tuple[Step, ...]
    factors: tuple[Step, ...]
    lost: Step
    gap: Step
    spread: Spread | None


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured, without any recognizer; None where pictures do not tell. Means over what they are of.

    ``offset_px``, ``offset_mm``: how far the real sticker is from where its tags say, in the picture and on paper, and
    the standard error of that; what is less than two of these is taken for nothing. ``residual_px``: of the
    localization. ``delta_e``: CIEDE2000 between real sticker and whole twin in the rectified frame, ``delta_e_screen``
    between real sticker and screen, ``delta_e_noise`` between twins that differ in their noise alone. ``blur_px``:
    Gaussian sigma in the shots that the twins stand in and in the real ones. ``noise_levels``: at mid-gray, likewise.
    ``white``: code values of blank paper at the frame, likewise, mean over channels. ``colors``: swatches behind the
    color of the print.
    """

    offset_px: float | None
    offset_mm: float | None
    offset_error_mm: float | None
    residual_px: float | None
    delta_e: float | None
    delta_e_screen: float | None
    delta_e_noise: float | None
    blur_px: float | None
    blur_px_real: float | None
    noise_levels: float | None
    noise_levels_real: float | None
    white: float | None
    white_real: float | None
    colors: int


@dataclass(frozen=True, slots=True)
class TwinCell:
    """One condition: the shots that twins stand in, those of the real sticker, and what was measured in them."""

    cell: str
    bases: tuple[str, ...]
    real: tuple[str, ...]
    measures: Measures


@dataclass(frozen=True, slots=True)
class TwinAnswer:
    """What a recognizer said to a twin on one rung, to the shot below it (``rung`` None), or to the real sticker.

    ``cluster``: the shot that its frame belongs to; frames of a burst are no repeats.
    """

    sample: str
    cluster: str
    arm: str
    cell: str
    model: str
    held_out: bool
    rung: Rung | None
    true_probability: float
    predicted: str
    correct: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame or a recognizer that could not take part, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Twins:
    """All of it. ``arm``: the patch; ``bases``: the arms that the twins stand in; ``averages``: what its lens does.

    ``ladders``: for each kind of recognizer first all together (``recognizer`` None), then one by one; held-out first.
    """

    arm: str
    bases: tuple[str, ...]
    averages: Literal["light", "code"]
    cells: tuple[TwinCell, ...]
    measures: Measures
    ladders: tuple[Ladder, ...]
    answers: tuple[TwinAnswer, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class TwinFiles:
    """Where twins are kept: their JSON, and the figure."""

    json: Path
    figure: Path
