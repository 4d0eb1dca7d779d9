"""Localization of a whole session: every frame once, the result kept beside the session, compared with ground truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from calibration.camera import CameraModel
from calibration.errors import BadImage, BadUsage, MissingFile
from calibration.files import (
    Document,
    parse_document,
    read_bytes,
    read_document,
    read_json,
    sha256_bytes,
    write_text,
)
from calibration.geometry import Array
from calibration.sheet import Sheet
from capture.localize import Localization, localize
from capture.picture import decode_picture
from capture.session import FrameRecord, Session
from pipeline.sessions.derived import derived_path, read_lines


class LocalizedFrame(Document):
    """One frame's localization: which sheet, its corners as captured (px), its pose, and the error if truth is known.

    ``status``: ``found``, ``missed`` (with reason) or ``failed`` (the picture cannot be read). ``corner_error_px`` is
    the mean distance of the frame's four corners from the ground truth.
    """

    index: int
    status: str
    reason: str = ""
    sheet: str | None = None
    tags: list[int] = Field(default_factory=list)
    min_side_px: float | None = None
    residual_px: float | None = None
    frame_corners_px: list[tuple[float, float]] | None = None
    tag_corners_px: list[list[tuple[float, float]]] = Field(default_factory=list)
    distance_mm: float | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None
    corner_error_px: float | None = None


_LINE = TypeAdapter(LocalizedFrame)


class Truth(Document):
    """What is needed of a simulated frame's ground truth."""

    frame_corners_px: list[tuple[float, float]] = Field(min_length=4, max_length=4)


@dataclass(frozen=True, slots=True)
class LocalizedPicture:
    """A frame's localization, and ``(H, W, 3)`` uint8 RGB where it has a picture to look at."""

    frame: LocalizedFrame
    pixels: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    """Corner errors over the found frames with ground truth, px; all None without any."""

    median: float | None
    p95: float | None
    max: float | None


def localize_session(session: Session, progress: Callable[[int], None]) -> tuple[Path, list[LocalizedFrame]]:
    """Localize every frame of the session, or read what was computed before from the same bytes by the same code."""
    path = _localizations(session)
    if path.is_file():
        return path, read_lines(path, _LINE, len(session.frames))
    found = []
    for each in localized_pictures(session):
        found.append(each.frame)
        progress(len(found))
    return path, found


def localized_pictures(session: Session) -> Iterator[LocalizedPicture]:
    """Every frame with its localization and its picture, which is decoded once for both.

    What was localized before is not localized again; what was not is kept once the last frame was given.
    """
    path = _localizations(session)
    if path.is_file():
        known = read_lines(path, _LINE, len(session.frames))
        yield from (_with_picture(frame, found) for frame, found in zip(session.frames, known, strict=True))
        return
    sheets, cameras = list(session_sheets(session).values()), session_cameras(session)
    lines = []
    for frame in session.frames:
        each = localize_frame(frame, sheets, cameras[frame.camera])
        lines.append(each.frame.model_dump_json() + "\n")
        yield each
    write_text(path, "".join(lines))


def _localizations(session: Session) -> Path:
    return derived_path(session.folder, "localizations", ".jsonl", [frame.sha256 for frame in session.frames])


def _with_picture(frame: FrameRecord, found: LocalizedFrame) -> LocalizedPicture:
    """The picture beside what is known of it; only where a sheet was found, is it of use to anybody."""
    if found.status != "found":
        return LocalizedPicture(found, None)
    try:
        return LocalizedPicture(found, stored_picture(frame))
    except BadImage as error:
        return LocalizedPicture(_failed(frame, error), None)


def session_sheets(session: Session) -> dict[str, Sheet]:
    """Id → sheet, of all sheets that the session was captured with."""
    sheets = (read_document(path, Sheet) for path in session.inputs("sheet"))
    return {sheet.id: sheet for sheet in sheets}


def session_cameras(session: Session) -> dict[str, CameraModel | None]:
    """Name of each camera → the calibration that it was captured with, or None."""
    paths = session.inputs("camera")
    names = [camera.folder for camera in session.header.cameras]
    if len(names) == 1:
        return {names[0]: read_document(paths[0], CameraModel) if paths else None}
    by_name = {path.stem: read_document(path, CameraModel) for path in paths}
    return {name: by_name.get(name) for name in names}


def session_camera(session: Session) -> CameraModel | None:
    """The calibration of the one camera of a session, or None; :class:`BadUsage` when it has several cameras.

    Whoever asks compares frames that one camera took.
    """
    models = session_cameras(session)
    if len(models) > 1:
        raise BadUsage(
            f"the session {session.folder} is of {len(models)} cameras ({session.header.camera_words}); "
            "this is measured of one",
            where=str(session.folder),
        )
    return next(iter(models.values()))


def stored_picture(frame: FrameRecord, *, writable: bool = True) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8 RGB of a frame as it was recorded.

    :class:`BadImage` when its file is gone, holds other bytes than were journaled, or is no picture.
    """
    name = frame.path.name
    try:
        data = read_bytes(frame.path)
    except MissingFile as error:
        raise BadImage(f"the frame {name} is missing", where=name) from error
    if sha256_bytes(data) != frame.sha256:
        raise BadImage(f"the frame {name} holds other bytes than were recorded", where=name)
    return decode_picture(data, name, writable=writable)


def localize_frame(frame: FrameRecord, sheets: Sequence[Sheet], camera: CameraModel | None) -> LocalizedPicture:
    """Localize one stored frame; a picture that cannot be read becomes ``failed``."""
    try:
        pixels = stored_picture(frame)
    except BadImage as error:
        return LocalizedPicture(_failed(frame, error), None)
    wanted = next((sheet for sheet in sheets if frame.shot and sheet.id == frame.shot.sheet), None)
    return LocalizedPicture(_describe(frame, localize(pixels, sheets, camera, wanted)), pixels)


def _failed(frame: FrameRecord, error: BadImage) -> LocalizedFrame:
    return LocalizedFrame(index=frame.index, status="failed", reason=error.message)


def summarize_errors(frames: Sequence[LocalizedFrame]) -> ErrorSummary:
    """Median, 95th percentile and maximum of the corner errors."""
    errors = [frame.corner_error_px for frame in frames if frame.corner_error_px is not None]
    if not errors:
        return ErrorSummary(None, None, None)
    return ErrorSummary(float(np.median(errors)), float(np.quantile(errors, 0.95)), float(max(errors)))


def _describe(frame: FrameRecord, found: Localization) -> LocalizedFrame:
    if not found.found or found.sheet is None:
        sheet = found.sheet.id if found.sheet else None
        return LocalizedFrame(
            index=frame.index, status="missed", reason=found.reason, sheet=sheet, tags=[tag.id for tag in found.tags]
        )
    corners = found.to_image(found.sheet.frame.corners_mm)
    view = found.view
    return LocalizedFrame(
        index=frame.index,
        status="found",
        sheet=found.sheet.id,
        tags=list(found.used),
        min_side_px=found.min_side_px,
        residual_px=found.residual_px,
        frame_corners_px=[(float(x), float(y)) for x, y in corners],
        tag_corners_px=[[(float(x), float(y)) for x, y in tag.corners] for tag in found.tags if tag.id in found.used],
        distance_mm=view.distance_mm if view else None,
        yaw_deg=view.yaw_deg if view else None,
        pitch_deg=view.pitch_deg if view else None,
        roll_deg=view.roll_deg if view else None,
        corner_error_px=_corner_error(frame, corners),
    )


def _corner_error(frame: FrameRecord, corners: Array) -> float | None:
    if frame.truth is None:
        return None
    content = read_json(frame.truth)
    if not isinstance(content, dict) or "frame_corners_px" not in content:
        return None
    kept = {"frame_corners_px": content["frame_corners_px"]}
    truth = parse_document(kept, Truth, where=str(frame.truth))
    return float(np.linalg.norm(corners - np.array(truth.frame_corners_px), axis=1).mean())
