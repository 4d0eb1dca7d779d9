"""Scores of a whole session or folder, kept beside the session: answers as lines, rows as a summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from calibration.files import write_bytes
from capture.plan import Plan
from capture.session import Session
from pipeline.derived import derived_path, read_lines
from pipeline.localizing import localize_session
from pipeline.recognizers import Provider, Recognizer, open_session
from pipeline.score import Answer, Row, score, summarize
from pipeline.sources import Folder, session_samples
from pipeline.statistics import Judgement, Rule, by_cell, judge, paired_effect

Progress = Callable[[int], None]
_ANSWER = TypeAdapter(Answer)


@dataclass(frozen=True, slots=True)
class Scores:
    """All answers, their rows, how many pictures there were, and the file that keeps the answers (None: not kept)."""

    files: int
    answers: tuple[Answer, ...]
    rows: tuple[Row, ...]
    path: Path | None


def score_session(
    session: Session, recognizers: Sequence[Recognizer], provider: Provider, progress: Progress
) -> Scores:
    """Score every frame of a session with every recognizer; what was computed before from the same is read again."""
    parameters = [
        [frame.sha256 for frame in session.frames],
        [each.contract.model_dump(mode="json") for each in recognizers],
        provider,
    ]
    path = derived_path(session.folder, "scores", ".jsonl", parameters)
    if path.is_file():
        answers = tuple(read_lines(path, _ANSWER, len(session.frames) * len(recognizers)))
    else:
        _, localized = localize_session(session, progress)
        runners = [open_session(each, provider) for each in recognizers]
        answers = tuple(score(session_samples(session, localized), runners, progress))
        _write(path, answers)
    return Scores(len(session.frames), answers, tuple(summarize(answers)), path)


def score_folder(
    folder: Folder, recognizers: Sequence[Recognizer], provider: Provider, out: Path | None, progress: Progress
) -> Scores:
    """Score every picture of a folder with every recognizer; the answers are kept in ``out`` if it is given."""
    runners = [open_session(each, provider) for each in recognizers]
    answers = tuple(score(folder.samples(), runners, progress))
    if out is not None:
        _write(out / "scores.jsonl", answers)
    return Scores(len(folder.files), answers, tuple(summarize(answers)), out / "scores.jsonl" if out else None)


def plan_rule(plan: Plan) -> Rule:
    """The rule that the plan states."""
    return Rule(plan.primary_arm, plan.baseline_arm, plan.alpha, plan.min_effect_points)


def judge_session(session: Session, answers: Sequence[Answer]) -> Judgement | None:
    """The verdict by the plan's rule over the held-out recognizers; None for a session without a plan."""
    if session.plan is None:
        return None
    rule = plan_rule(session.plan)
    held_out = [answer for answer in answers if answer.held_out and answer.correct is not None]
    cells = {
        arm: by_cell([(a.cell, bool(a.correct)) for a in held_out if a.arm == arm]) for arm in (rule.arm, rule.baseline)
    }
    effect = paired_effect(
        cells[rule.arm],
        cells[rule.baseline],
        seed=session.plan.seed,
        alpha=rule.alpha,
        null_points=rule.min_effect_points,
    )
    return judge(effect, rule)


def _write(path: Path, answers: Sequence[Answer]) -> None:
    write_bytes(path, b"".join(_ANSWER.dump_json(answer) + b"\n" for answer in answers))
