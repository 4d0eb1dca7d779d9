"""What a report is made of: everything is handed in, nothing is looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from calibration.geometry import Array
from pipeline.result import Table
from pipeline.scoring.score import Answer, Row
from pipeline.statistics import Judgement

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ShotView:
    """One shot that was taken: its condition, how to load its frame, and what was found in it.

    ``name`` is the ``sample`` of its answers. ``picture`` loads ``(H, W, 3)`` uint8 RGB and may raise
    :class:`calibration.errors.BadInput`. Corners are ``(4, 2)`` px of that picture: of the sticker's frame (None when
    it was not found) and of each tag that was seen. A distance or angle that nobody knows is None.
    """

    name: str
    arm: str
    distance_mm: float | None
    yaw_deg: float | None
    pitch_deg: float | None
    light: str
    picture: Callable[[], Pixels]
    frame_corners_px: Array | None
    tag_corners_px: tuple[Array, ...]
    found: bool
    reason: str = ""

    @property
    def condition(self) -> str:
        """Its condition in words, without what is unknown."""
        parts = [
            f"{self.distance_mm:g} mm" if self.distance_mm is not None else "",
            f"yaw {self.yaw_deg:g}°" if self.yaw_deg is not None else "",
            f"pitch {self.pitch_deg:g}°" if self.pitch_deg is not None else "",
            f"light {self.light}" if self.light else "",
        ]
        return ", ".join(filter(None, parts)).replace(" -", " −")


@dataclass(frozen=True, slots=True)
class Skip:
    """A planned shot that was not taken, and why."""

    shot: str
    arm: str
    condition: str
    reason: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure: its title, the SVG (drawn by :mod:`pipeline.report.figures`) or PNG, and the same in words."""

    title: str
    svg: str
    words: str
    png: bytes = b""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report made of words, tables and figures; ``key`` is its anchor, ``data`` what the JSON form holds.

    Every form of the report can show one: whoever has something to add to it makes a section.
    """

    key: str
    title: str
    words: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Panel, ...] = ()
    data: JsonValue = None


INDEPENDENT = "Wilson; it takes shots as independent"


@dataclass(frozen=True, slots=True)
class ReportInput:
    """All that a report says. ``answers`` are read once, as a stream; ``shots`` are the pictures behind them.

    ``rows`` count the answers, of all views and noises; ``intervals`` says what theirs are. ``target`` is the label to
    be recognized. ``simulated``: the shots were rendered, and the page says so. ``judgement`` is None when no ``rule``
    (its text, as stated before the capture) was stated; ``baseline`` is the arm that all others are held against.
    ``planned`` is the number of shots in the plan, None without one. ``statistics`` and ``twin`` are None when they
    were not computed. ``command`` is the exact command that makes this report again.
    """

    title: str
    target: str
    simulated: bool
    judgement: Judgement | None
    rule: str
    rows: Sequence[Row]
    answers: Iterable[Answer]
    shots: Sequence[ShotView]
    skips: Sequence[Skip]
    provenance: Sequence[tuple[str, str]]
    command: str
    planned: int | None = None
    baseline: str = "bare"
    intervals: str = INDEPENDENT
    statistics: Section | None = None
    twin: Section | None = None
