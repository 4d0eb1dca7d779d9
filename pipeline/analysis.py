"""What the answers to a session's shots say, all of it in one place: for the terminal, for JSON, for the report.

The unit is the shot, and what is independent is the condition (cell) that it was taken under: answers of several
recognizers to one picture, repeats of a shot, and frames of a burst are never taken for independent facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.score import Answer
from pipeline.statistics.contrasts import Contrast
from pipeline.statistics.detectable import Detectable
from pipeline.statistics.intervals import Rate
from pipeline.statistics.paired import Effect, Judgement, Rule
from pipeline.statistics.repeatability import Repeatability
from pipeline.statistics.slopes import Heterogeneity, Setting


@dataclass(frozen=True, slots=True)
class ArmRate:
    """Share of right answers with an arm: of one recognizer, or (``model`` None) of all of its kind together."""

    arm: str
    held_out: bool
    model: str | None
    rate: Rate


@dataclass(frozen=True, slots=True)
class Transfer:
    """What an arm gains over the baseline by recognizer, and on both kinds of recognizers, which are never one number.

    ``by_recognizer`` has surrogates first; their ``p_adjusted`` are Holm's over the recognizers of a kind. ``kept`` is the
    gain on held-out recognizers less that on surrogates, condition by condition. None: there are none of a kind.
    """

    arm: str
    baseline: str
    by_recognizer: tuple[Contrast, ...]
    surrogates: Contrast | None
    held_out: Contrast | None
    kept: Effect | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything. ``judgement`` is None without a rule; what rests on a comparison is then of the arms that there are.

    ``primary``: the rule's comparison on the held-out recognizers, with the test that was used and why (None: no
    condition has both arms). ``by_condition``: the same by recognizer and condition, both kinds of recognizers,
    ``p_adjusted`` by Holm over all of them. ``answers`` is how many were judged, ``shots`` to how many pictures,
    ``conditions`` how many there are.
    """

    rule: Rule | None
    judgement: Judgement | None
    primary: Contrast | None
    rates: tuple[ArmRate, ...]
    transfer: tuple[Transfer, ...]
    by_condition: tuple[Contrast, ...]
    detectable: Detectable | None
    repeatability: tuple[Repeatability, ...]
    heterogeneity: Heterogeneity | None
    answers: int
    shots: int
    conditions: int


def analyse(
    answers: Iterable[Answer],
    rule: Rule | None,
    *,
    seed: int,
    settings: Mapping[str, Setting] | None = None,
) -> Analysis:
    """Analyse the answers to the plain view (natural, not jittered, without noise) of a session's shots.

    ``settings``: of each cell its distance and angle, as far as they are known. ``seed`` is the plan's.
    """
    raise NotImplementedError
