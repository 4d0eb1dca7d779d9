"""What the answers to a session's shots say, all of it in one place: for the terminal, for JSON, for the report.

The unit is the shot, and what is independent is the condition (cell) that it was taken under: answers of several
recognizers to one picture, repeats of a shot, and frames of a burst are never taken for independent facts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from capture.plan import Condition
from pipeline.scoring.score import Answer
from pipeline.statistics.columns import Columns, Counts, Judged
from pipeline.statistics.contrasts import Comparing, Contrast, with_holm
from pipeline.statistics.detectable import Detectable, detectable
from pipeline.statistics.intervals import Rate, clustered_rate
from pipeline.statistics.paired import Effect, Judgement, Rule, effect_of, judge
from pipeline.statistics.repeatability import Repeatability, repeatability
from pipeline.statistics.slopes import Heterogeneity, Setting, heterogeneity

BASELINE, ALPHA = "bare", 0.05


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

    ``by_recognizer`` has surrogates first; their ``p_adjusted`` are Holm's over the recognizers of a kind. ``kept`` is
    the gain on held-out recognizers less that on surrogates, condition by condition. None: there are none of a kind.
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

    ``settings``: of each cell its distance and angle, as far as they are known. ``seed`` is the plan's. Without a rule,
    arms are compared with ``bare``, where there is one.
    """
    columns = Columns.of(_judged(answers))
    asked = rule or Rule("", BASELINE, ALPHA, 0.0)
    comparing = Comparing(columns, asked.arm, asked.baseline, seed, asked.alpha)
    primary = comparing.over_cells(held_out=True, null_points=asked.min_effect_points) if rule else None
    return Analysis(
        rule=rule,
        judgement=judge(_by_permutation(comparing, asked), asked) if rule else None,
        primary=primary,
        rates=tuple(_rates(columns, 1 - asked.alpha)),
        transfer=tuple(_transfer(replace(comparing, arm=arm)) for arm in columns.arms if arm != asked.baseline),
        by_condition=_by_condition(comparing) if rule else (),
        detectable=_detectable(comparing, asked) if rule else None,
        repeatability=tuple(
            repeatability(columns, arm, held_out=kind, seed=seed, alpha=asked.alpha)
            for kind in _kinds(columns)
            for arm in columns.arms
        ),
        heterogeneity=heterogeneity(columns, asked.arm, asked.baseline, settings or {}, seed=seed, alpha=asked.alpha)
        if rule
        else None,
        answers=len(columns.right),
        shots=len(columns.cluster_arm),
        conditions=len(columns.cells),
    )


def settings_of(conditions: Iterable[tuple[str, Condition]]) -> dict[str, Setting]:
    """Of cells, by name, and their conditions."""
    return {name: Setting.of(each.distance_mm, each.yaw_deg, each.pitch_deg) for name, each in conditions}


def _judged(answers: Iterable[Answer]) -> Iterator[Judged]:
    """Those that are right or wrong, of the plain view."""
    for each in answers:
        plain = (each.view, each.repeat, each.noise) == ("natural", 0, "none")
        if plain and each.correct is not None:
            yield Judged(
                each.arm, each.model, each.held_out, each.cell, each.cluster or each.sample, bool(each.correct)
            )


def _kinds(columns: Columns) -> list[bool]:
    """Held out or not, as far as there are recognizers of the kind."""
    return [kind for kind in (False, True) if (columns.held_out == kind).any()]


def _rates(columns: Columns, confidence: float) -> Iterator[ArmRate]:
    """Each recognizer, and all of its kind together; over cells, or over shots where there is but one cell."""
    count = columns.by_cell if len(columns.cells) > 1 else columns.by_cluster
    for kind, arm in itertools.product(_kinds(columns), columns.arms):
        models = [name for name, held_out in zip(columns.models, columns.held_out, strict=True) if held_out == kind]
        for model in (*models, None):
            counts = count(columns.where(arm=arm, model=model, held_out=kind))
            counts = counts.only(counts.n > 0)
            yield ArmRate(arm, kind, model, clustered_rate(counts.right, counts.n, confidence))


def _transfer(comparing: Comparing) -> Transfer:
    columns = comparing.columns
    by_kind: dict[bool, tuple[Contrast, ...]] = {}
    for kind in (False, True):
        models = [name for name, held_out in zip(columns.models, columns.held_out, strict=True) if held_out == kind]
        found = [comparing.over_cells(held_out=kind, model=model) for model in models]
        by_kind[kind] = with_holm([each for each in found if each])
    return Transfer(
        arm=comparing.arm,
        baseline=comparing.baseline,
        by_recognizer=(*by_kind[False], *by_kind[True]),
        surrogates=comparing.over_cells(held_out=False),
        held_out=comparing.over_cells(held_out=True),
        kept=comparing.gain_kept(),
    )


def _by_condition(comparing: Comparing) -> tuple[Contrast, ...]:
    columns = comparing.columns
    if not {comparing.arm, comparing.baseline} <= set(columns.arms):
        return ()
    models = sorted(zip(columns.held_out, columns.models, strict=True))
    return with_holm(
        [each for held_out, model in models for each in comparing.in_each_cell(model, held_out=bool(held_out))]
    )


def _by_permutation(comparing: Comparing, rule: Rule) -> Effect | None:
    """What the verdict rests on: the very test that ``dpcam plan power`` simulates."""
    arms = _held_out_counts(comparing)
    return effect_of(*arms, seed=comparing.seed, alpha=rule.alpha, null_points=rule.min_effect_points)


def _detectable(comparing: Comparing, rule: Rule) -> Detectable:
    return detectable(*_held_out_counts(comparing), rule, seed=comparing.seed)


def _held_out_counts(comparing: Comparing) -> tuple[Counts, Counts]:
    columns = comparing.columns
    treated, baseline = (
        columns.by_cell(columns.where(arm=arm, held_out=True)) for arm in (comparing.arm, comparing.baseline)
    )
    return treated, baseline
