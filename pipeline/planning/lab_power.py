"""What `dpcam plan power` asks in a lab: its plan, its recognizers, and what a session has shown or somebody says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import BadInput
from calibration.files import read_document
from capture.plan import Plan
from capture.session import read_session
from pipeline.lab import Lab
from pipeline.planning.likeness import Measured, measure
from pipeline.planning.power import Likeness, Question
from pipeline.scoring.run import plan_rule, score_session
from pipeline.statistics import Rule

BASELINE_RATE = 0.8
CORRELATION = 0.5
"""Of a rig that repeats its conditions well. Half of it between recognizers and between arms, halfway
to 1 on one picture."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller says; None: from the session, the lab, or the default."""

    baseline_rate: float | None = None
    correlation: float | None = None
    between_recognizers: float | None = None
    between_arms: float | None = None
    same_picture: float | None = None
    repeats: int | None = None
    cells: int | None = None
    recognizers: int | None = None


@dataclass(frozen=True, slots=True)
class Assumption:
    """A number that the power rests on, and where it comes from: ``given``, ``default``, or a session's name."""

    name: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class PowerOrder:
    """A question, the repeats of each condition, and what was assumed: baseline rate and the correlations."""

    question: Question
    repeats: tuple[int, ...]
    assumptions: tuple[Assumption, ...]


@dataclass(frozen=True, slots=True)
class _Design:
    repeats: tuple[int, ...]
    arms: int
    rule: Rule
    seed: int


def power_order(
    lab: Lab, wish: Wish, session: Path | None, sessions: int, progress: Callable[[float, str], None]
) -> PowerOrder:
    """Take the plan of the lab (plan.json, or what lab.toml would make), and the rest as wished or measured.

    ``session``: measured in this one, which is scored if it is not yet. :class:`BadInput` when no recognizer of the
    bench is held out and none were wished for; else as from :func:`pipeline.planning.likeness.measure`.
    """
    design = _planned(read_document(lab.plan, Plan)) if lab.plan.is_file() else _configured(lab)
    cells = wish.cells or len(design.repeats)
    keeps_plan = wish.cells is None and wish.repeats is None
    repeats = design.repeats if keeps_plan else (wish.repeats or max(design.repeats),) * cells
    measured = _measured(lab, session, progress) if session else None
    assumptions = _assumptions(wish, measured, session.resolve().name if session else "")
    rate, within, between, across, picture = (each.value for each in assumptions)
    question = Question(
        baseline_rate=rate,
        likeness=Likeness(within, between, across, picture),
        cells=cells,
        recognizers=wish.recognizers or _held_out(lab),
        arms=design.arms,
        rule=design.rule,
        plan_seed=design.seed,
        seed=lab.config.lab.seed,
        sessions=sessions,
    )
    return PowerOrder(question, repeats, assumptions)


def _planned(plan: Plan) -> _Design:
    """Each condition with the number of its shots of the primary arm, as often as the baseline arm is there, too."""
    count = Counter((shot.arm, shot.condition.model_dump_json()) for shot in plan.shots)
    keys = [condition.model_dump_json() for condition in plan.conditions]
    both = (min(count[plan.primary_arm, key], count[plan.baseline_arm, key]) for key in keys)
    return _Design(tuple(each for each in both if each), len(plan.arms), plan_rule(plan), plan.seed)


def _configured(lab: Lab) -> _Design:
    verdict = lab.config.verdict
    return _Design(
        repeats=(lab.config.plan.repeats,) * len(lab.conditions()),
        arms=len({*lab.config.sheet.controls, lab.patch_arm}),
        rule=Rule(lab.patch_arm, "bare", verdict.alpha, verdict.min_effect_points),
        seed=lab.config.lab.seed,
    )


def _held_out(lab: Lab) -> int:
    count = sum(each.contract.held_out for each in lab.recognizers())
    if not count:
        raise BadInput(
            "no recognizer of the bench is held out, and the verdict rests on those that are",
            hint="say how many there will be: --recognizers N",
        )
    return count


def _measured(lab: Lab, session: Path, progress: Callable[[float, str], None]) -> Measured:
    opened = read_session(session)
    total = max(len(opened.frames), 1)
    scores = score_session(opened, lab.recognizers(), "cpu", lambda done: progress(done / total, str(done)))
    return measure(opened, scores.answers)


def _assumptions(wish: Wish, measured: Measured | None, session: str) -> tuple[Assumption, ...]:
    """Baseline rate; correlations of repeats, between recognizers, between arms, on one picture."""

    def chosen(name: str, given: float | None, seen: float | None, default: float) -> Assumption:
        if given is not None:
            return Assumption(name, given, "given")
        return Assumption(name, default, "default") if seen is None else Assumption(name, seen, session)

    seen = measured or Measured(None, None, None, None, None, 0)
    floor = max(CORRELATION, *(each or 0.0 for each in (seen.recognizers, seen.arms)))
    within = chosen("correlation of repeats", wish.correlation, seen.repeats, floor)
    half = within.value / 2
    # Measured apart from each other, they may come out larger than what they are a part of.
    between, across = (None if each is None else min(each, within.value) for each in (seen.recognizers, seen.arms))
    return (
        chosen("baseline rate", wish.baseline_rate, seen.baseline_rate, BASELINE_RATE),
        within,
        chosen("correlation between recognizers", wish.between_recognizers, between, half),
        chosen("correlation between arms", wish.between_arms, across, half),
        chosen("correlation on one picture", wish.same_picture, seen.pictures, (1 + within.value) / 2),
    )
