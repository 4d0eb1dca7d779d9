"""The report of a session: localized, scored, judged, written in the form that was asked for."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.sheet import Sheet
from capture.new_session import this_machine
from capture.session import FrameRecord, Session, SkipRecord
from pipeline.derived import code_version, derived_path
from pipeline.localizing import LocalizedFrame, localize_session, session_sheets, stored_picture
from pipeline.recognizers import Provider, Recognizer
from pipeline.report.content import ReportInput, ShotView, Skip
from pipeline.report.forms import SUFFIXES, Form, form_of, write_form
from pipeline.scoring import Scores, judge_session, plan_rule, score_session
from pipeline.session_view import happened
from pipeline.sources import arm_of, condition_name
from pipeline.statistics import Judgement


@dataclass(frozen=True, slots=True)
class Report:
    """A report's file, its size in bytes and its form, and what it says."""

    path: Path
    size: int
    form: Form
    scores: Scores
    judgement: Judgement | None


def report_session(
    session: Session,
    recognizers: Sequence[Recognizer],
    provider: Provider,
    out: Path | None,
    progress: Callable[[int], None],
    *,
    form: Form | None = None,
    lab: Path | None = None,
) -> Report:
    """Localize, score and judge a session, and write its report.

    ``form``: by the name of ``out`` when it is None. ``lab``: the folder that was named, for the command to reproduce.
    """
    _, localized = localize_session(session, progress)
    scores = score_session(session, recognizers, provider, progress)
    judgement = judge_session(session, scores.answers)
    content = _content(
        session, recognizers, scores, localized, judgement, _command(session, recognizers, provider, lab)
    )
    form = form or form_of(out)
    basis = [scores.path.name if scores.path else "", content.command]
    path = out or derived_path(session.folder, "report", SUFFIXES[form], basis)
    return Report(path, write_form(content, path, form), form, scores, judgement)


def _content(
    session: Session,
    recognizers: Sequence[Recognizer],
    scores: Scores,
    localized: Sequence[LocalizedFrame],
    judgement: Judgement | None,
    command: str,
) -> ReportInput:
    sheets = session_sheets(session)
    plan = session.plan
    return ReportInput(
        title=f"Session {session.header.id}",
        target=plan.target if plan else "unknown",
        simulated=is_simulated(session),
        judgement=judgement,
        rule=_rule_text(session),
        rows=scores.rows,
        answers=scores.answers,
        shots=[_shot_view(frame, found, sheets) for frame, found in zip(session.frames, localized, strict=True)],
        skips=[_skip(skip) for skip in session.skips],
        provenance=_provenance(session, recognizers, scores),
        command=command,
        planned=len(plan.shots) if plan else None,
        baseline=plan.baseline_arm if plan else "bare",
    )


def is_simulated(session: Session) -> bool:
    """Whether its shots were rendered."""
    return any(camera.identity.startswith("sim") for camera in session.header.cameras)


def _command(session: Session, recognizers: Sequence[Recognizer], provider: Provider, lab: Path | None) -> str:
    models = ",".join(each.name for each in recognizers)
    words = ["dpcam", "report", str(session.folder), "--models", models, "--provider", provider]
    return shlex.join([*words, "--lab", str(lab)] if lab else words)


def _rule_text(session: Session) -> str:
    if session.plan is None:
        return ""
    rule = plan_rule(session.plan)
    return (
        f"PASS when {rule.arm} beats {rule.baseline} on held-out recognizers by more than {rule.min_effect_points:g} "
        f"points: the whole {100 * (1 - rule.alpha):g} % interval above, and a paired permutation test over conditions "
        f"with p < {rule.alpha:g}."
    )


def _shot_view(frame: FrameRecord, found: LocalizedFrame, sheets: Mapping[str, Sheet]) -> ShotView:
    condition = frame.shot.condition if frame.shot else None
    return ShotView(
        name=f"{frame.index:06d}",
        arm=arm_of(frame, found, sheets),
        distance_mm=condition.distance_mm if condition else found.distance_mm,
        yaw_deg=condition.yaw_deg if condition else found.yaw_deg,
        pitch_deg=condition.pitch_deg if condition else found.pitch_deg,
        light=condition.light if condition else "",
        picture=lambda: stored_picture(frame),
        frame_corners_px=np.array(found.frame_corners_px) if found.frame_corners_px else None,
        tag_corners_px=tuple(np.array(corners) for corners in found.tag_corners_px),
        found=found.status == "found",
        reason=found.reason,
    )


def _skip(skip: SkipRecord) -> Skip:
    if skip.shot is None:
        return Skip("", "", "", skip.reason)
    return Skip(str(skip.shot.index), skip.shot.arm, condition_name(skip.shot.condition), skip.reason)


def _provenance(session: Session, recognizers: Sequence[Recognizer], scores: Scores) -> list[tuple[str, str]]:
    header, plan = session.header, session.plan
    facts = [
        ("session", header.id),
        ("captured", header.created_utc),
        ("camera", header.camera_words),
        ("host", f"{header.machine.host}, {header.machine.system}, Python {header.machine.python}"),
        ("seed of the capture", str(header.seed)),
        *([("seed of the plan and of the verdict", str(plan.seed))] if plan else []),
        ("dpcam", code_version()),
        ("packages at capture", _versions(header.machine.versions)),
        ("packages at this report", _versions(this_machine().versions)),
        ("answers", scores.path.name if scores.path else "not kept"),
    ]
    facts += [(f"setting {name}", str(value)) for name, value in happened(session).settings.items()]
    facts += [(f"recognizer {each.name}", f"sha256 {each.contract.sha256}") for each in recognizers]
    facts += [(f"input {record.path}", f"sha256 {record.sha256}") for record in header.inputs]
    return facts


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
