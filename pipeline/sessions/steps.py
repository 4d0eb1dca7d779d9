"""What ``dpcam capture`` means in a lab: camera, plan, sheets, session."""

from __future__ import annotations

from pathlib import Path

from calibration.errors import MissingFile
from calibration.files import files_of_format, read_document
from calibration.sheet import SHEET_FORMAT
from capture.plan import Plan
from pipeline.config import LAB_FILE
from pipeline.lab import Lab
from pipeline.sessions.capturing import CameraOrder, CaptureOrder, plan_sheets, unfinished_session
from pipeline.sessions.continuing import AT_FIRST, next_beginning


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
