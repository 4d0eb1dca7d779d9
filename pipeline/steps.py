"""The steps of an experiment in a lab: order of capture, report."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.errors import MissingFile
from calibration.files import files_of_format, read_document
from calibration.sheet import SHEET_FORMAT, Sheet
from capture.plan import Plan
from capture.session import FrameRecord, Session, SkipRecord
from pipeline.capturing import CameraOrder, CaptureOrder, plan_sheets, unfinished_session
from pipeline.config import LAB_FILE
from pipeline.continuing import AT_FIRST, next_beginning
from pipeline.derived import code_version, derived_path
from pipeline.lab import Lab
from pipeline.localizing import LocalizedFrame, localize_session, session_sheets, stored_picture
from pipeline.recognizers import Provider, Recognizer
from pipeline.report.page import ReportInput, ShotView, Skip, write_report
from pipeline.scoring import Scores, judge_session, plan_rule, score_session
from pipeline.sources import arm_of, condition_name
from pipeline.statistics import Judgement


@dataclass(frozen=True, slots=True)
class Report:
    """A report's file and size in bytes, and what it says."""

    path: Path
    size: int
    scores: Scores
    judgement: Judgement | None


def capture_order(
    lab: Lab,
    *,
    frames: int | None = None,
    plan: Path | None = None,
    use_plan: bool = True,
    resume: Path | None = None,
    new: bool = False,
    gate: bool = True,
    operator: str = "",
    out: Path | None = None,
) -> CaptureOrder:
    """What ``dpcam capture`` means here.

    A simulated camera always follows the plan, a live one unless a number of frames is asked for, and pictures on
    disk only when a plan is named. An unfinished session of the same plan is resumed unless ``new``; of a plan that was
    extended, what sealed sessions have taken is not taken again.
    """
    uri = lab.camera_uri
    sessions = out or lab.sessions
    is_lab = (lab.folder / LAB_FILE).is_file()
    chosen = plan or _default_plan(lab, uri, frames, is_lab) if use_plan else None
    if chosen and not chosen.is_file():
        raise MissingFile(f"there is no plan {chosen}", hint="dpcam plan", where=str(chosen))
    sheets = plan_sheets(chosen, lab.sheets) if chosen else tuple(files_of_format(lab.sheets, SHEET_FORMAT))
    begin = AT_FIRST
    if chosen and not resume and not new:
        resume = unfinished_session(sessions, chosen)
        begin = begin if resume else next_beginning(sessions, read_document(chosen, Plan))
    calibration = lab.config.camera.calibration
    return CaptureOrder(
        uri=uri,
        sessions=sessions,
        sheets=sheets,
        plan=chosen,
        calibration=lab.folder / calibration if calibration else None,
        lab_file=lab.folder / LAB_FILE if is_lab else None,
        resume=resume,
        frames=frames,
        gate=gate,
        limits=lab.config.gate.limits,
        retries=lab.config.gate.retries,
        operator=operator,
        seed=lab.config.lab.seed,
        rig=lab.config.rig,
        timing=lab.config.camera.timing,
        settings=lab.config.camera.settings,
        others=tuple(
            CameraOrder(address, lab.folder / each.calibration if each.calibration else None, each.settings)
            for address, each in zip(lab.other_camera_uris, lab.config.camera.others, strict=True)
        ),
        begin=begin,
        storage=lab.config.capture.storage,
    )


def report_session(
    session: Session,
    recognizers: Sequence[Recognizer],
    provider: Provider,
    out: Path | None,
    progress: Callable[[int], None],
) -> Report:
    """Localize, score and judge a session, and write its report."""
    _, localized = localize_session(session, progress)
    scores = score_session(session, recognizers, provider, progress)
    judgement = judge_session(session, scores.answers)
    sheets = session_sheets(session)
    path = out or derived_path(session.folder, "report", ".html", [scores.path.name if scores.path else ""])
    content = ReportInput(
        title=f"dpcam report: {session.header.id}",
        target=session.plan.target if session.plan else "unknown",
        simulated=any(camera.identity.startswith("sim") for camera in session.header.cameras),
        judgement=judgement,
        rule=_rule_text(session),
        rows=scores.rows,
        answers=scores.answers,
        shots=[_shot_view(frame, found, sheets) for frame, found in zip(session.frames, localized, strict=True)],
        skips=[_skip(skip) for skip in session.skips],
        provenance=_provenance(session, recognizers, scores),
        command=f"dpcam report {shlex.quote(str(session.folder))}",
        planned=len(session.plan.shots) if session.plan else None,
    )
    return Report(path, write_report(content, path), scores, judgement)


def _default_plan(lab: Lab, uri: str, frames: int | None, is_lab: bool) -> Path | None:
    if uri.startswith("sim"):
        if not is_lab:
            raise MissingFile(
                f"the simulated camera follows a plan, and {lab.folder.resolve()} is no lab",
                hint="dpcam init DIR, then capture in it",
                where=LAB_FILE,
            )
        return lab.plan
    on_disk = uri.startswith(("folder:", "video:")) or (Path(uri).exists() and not uri.startswith("/dev/"))
    return lab.plan if is_lab and frames is None and not on_disk and lab.plan.is_file() else None


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
    header = session.header
    facts = [
        ("session", header.id),
        ("captured", header.created_utc),
        ("camera", header.camera_words),
        ("host", f"{header.machine.host}, {header.machine.system}, Python {header.machine.python}"),
        ("seed", str(header.seed)),
        ("dpcam", code_version()),
        ("packages at capture", ", ".join(f"{name} {version}" for name, version in header.machine.versions.items())),
        ("answers", scores.path.name if scores.path else "not kept"),
    ]
    facts += [(f"recognizer {each.name}", f"sha256 {each.contract.sha256}") for each in recognizers]
    facts += [(f"input {record.path}", f"sha256 {record.sha256}") for record in header.inputs]
    return facts
