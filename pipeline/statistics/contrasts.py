"""Comparisons of two arms with the test that is valid for them, and many of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.statistics.paired import Effect

TestName = Literal["mcnemar", "sign-flip", "fisher", "shuffle"]


@dataclass(frozen=True, slots=True)
class Contrast:
    """An arm against the baseline: on one recognizer or (``model`` None) all of a kind; in one cell or (None) over all.

    ``test`` made the effect's p-value, ``why`` says for what reason it and no other. ``p_adjusted`` is the p-value after
    Holm's correction over the family that this contrast is one of; the p-value itself when it stands alone.
    """

    arm: str
    baseline: str
    held_out: bool
    model: str | None
    cell: str | None
    effect: Effect
    test: TestName
    why: str
    p_adjusted: float
