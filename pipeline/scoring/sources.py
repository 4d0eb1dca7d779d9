"""Where samples come from: the frames of a session, or a folder of pictures."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from calibration.camera import CameraModel
from calibration.errors import BadImage, BadInput, MissingFile
from calibration.files import readable_name, sha256_bytes, sha256_file
from calibration.region import Sticker
from calibration.sheet import Sheet
from capture.picture import PICTURE_SUFFIXES, decode_picture
from capture.plan import Condition
from capture.session import FrameRecord, Session
from pipeline.scoring.score import Sample, Shown, Status
from pipeline.scoring.views import ViewOrder, nothing_shown, place, views
from pipeline.sessions.localizing import LocalizedFrame, session_cameras, session_sheets, stored_picture

NATURAL = ViewOrder()

MAX_BYTES = 2**30
"""Larger files are no pictures that can be decoded: they are not read."""

HELD_BYTES = 2**20
"""Files up to this size are read once. They are held until they are decoded, some dozens at a time."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Pictures of a folder, each with the class that its own folder's name gives, or None.

    ``ignored``: what else is in it, by name: files with other suffixes, and links to folders, which are not followed.
    """

    root: Path
    files: tuple[Path, ...]
    class_from_folder: bool
    label: str | None
    ignored: tuple[str, ...] = ()

    def samples(self) -> Iterator[Sample]:
        """One sample a file, itself a cluster; the whole picture is what a recognizer is shown."""
        for path in self.files:
            name = _name(path, self.root)
            truth = readable_name(path.parent.name) if self.class_from_folder else self.label
            content = _content(path, name)
            yield Sample(name, content.sha256, "images", truth, name, name, partial(_show_file, path, name, content))


def list_folder(root: Path, *, class_from_folder: bool, label: str | None) -> Folder:
    """All that is named like a picture below ``root``, links that lead nowhere and what is no file included.

    These cannot be scored, and become ``failed``: nothing that looks like a picture is left out in silence.
    :class:`BadInput` when there is none, or one has no class folder though asked.
    """
    if not root.is_dir():
        raise MissingFile(f"{root} is not a folder of pictures", where=str(root))
    found = sorted(_below(root))
    files = tuple(path for path, linked in found if path.suffix.lower() in PICTURE_SUFFIXES and not linked)
    if not files:
        accepted = ", ".join(sorted(PICTURE_SUFFIXES))
        raise BadInput(f"{root} holds no picture (accepted: {accepted})", where=str(root))
    stray = next((path for path in files if class_from_folder and path.parent == root), None)
    if stray:
        raise BadInput(
            f"{stray.name} lies in {root} itself: with --class-from-folder each picture lies in its class's folder",
            where=str(stray),
        )
    taken = set(files)
    ignored = tuple(_name(path, root) for path, _ in found if path not in taken)
    return Folder(root, files, class_from_folder, label, ignored)


def _below(root: Path) -> Iterator[tuple[Path, bool]]:
    """All files below ``root``, and links to folders, which are not followed; whether it is one of these."""

    def refuse(error: OSError) -> None:
        raise MissingFile(f"cannot read {error.filename}: {error.strerror}", where=str(error.filename)) from error

    try:
        for folder, folders, names in os.walk(root, onerror=refuse):
            yield from ((Path(folder, name), False) for name in names)
            yield from ((path, True) for name in folders if (path := Path(folder, name)).is_symlink())
    except OSError as error:
        refuse(error)


def _name(path: Path, root: Path) -> str:
    """The name as text, no two the same: what is no UTF-8 becomes an escape, so a backslash does, too."""
    return readable_name(path.relative_to(root).as_posix().replace("\\", "\\\\"))


@dataclass(frozen=True, slots=True)
class _Content:
    """The digest of a file's bytes, empty where they cannot be read; and the bytes themselves, if they are few."""

    sha256: str
    data: bytes | None = None


def _content(path: Path, name: str) -> _Content:
    """What cannot be read :func:`_show_file` says."""
    try:
        _refuse_unreadable(path, name)
        if path.stat().st_size > HELD_BYTES:
            return _Content(sha256_file(path))
        data = path.read_bytes()
    except (BadImage, MissingFile, OSError):
        return _Content("")
    return _Content(sha256_bytes(data), data)


def _show_file(path: Path, name: str, content: _Content) -> list[Shown]:
    try:
        data = content.data or _bytes(path, name, content.sha256)
        return [Shown("natural", 0, decode_picture(data, name, writable=False))]
    except BadImage as error:
        return nothing_shown(NATURAL, "failed", error.message)


def _bytes(path: Path, name: str, digest: str) -> bytes:
    """The bytes of that digest, read again."""
    _refuse_unreadable(path, name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _cannot_read(name, error) from error
    if sha256_bytes(data) != digest:
        raise BadImage(f"{name} changed while it was scored", where=name)
    return data


def _refuse_unreadable(path: Path, name: str) -> None:
    """What is no file is not even opened: a pipe would never end."""
    try:
        found = path.stat()
    except OSError as error:
        raise _cannot_read(name, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise BadImage(f"{name} is no file but a pipe, a socket or a device", where=name)
    if found.st_size > MAX_BYTES:
        raise BadImage(f"{name} has {found.st_size} bytes; at most {MAX_BYTES} are read", where=name)


def _cannot_read(name: str, error: OSError) -> BadImage:
    # By the name that can be written down: the path itself may hold bytes that are no text.
    return BadImage(f"cannot read {name}: {error.strerror or error}", where=name)


def session_samples(
    session: Session, localized: Sequence[LocalizedFrame], views: ViewOrder = NATURAL
) -> Iterator[Sample]:
    """One sample a frame, shown in the views that are asked for. Frames of one shot are one cluster."""
    lab = _Lab(session_sheets(session), session_cameras(session), views)
    by_index = {each.index: each for each in localized}
    for frame in session.frames:
        yield _frame_sample(frame, by_index[frame.index], lab)


def sheet_of(frame: FrameRecord, found: LocalizedFrame, sheets: Mapping[str, Sheet]) -> Sheet | None:
    """The sheet that the plan wanted, or, without a plan, the one that the tags named."""
    return sheets.get(frame.shot.sheet if frame.shot else found.sheet or "")


def arm_of(frame: FrameRecord, found: LocalizedFrame, sheets: Mapping[str, Sheet]) -> str:
    """The arm that the plan wanted, or, without a plan, that of the sheet in the picture."""
    sheet = sheet_of(frame, found, sheets)
    return frame.shot.arm if frame.shot else sheet.arm if sheet else "unknown"


def condition_name(condition: Condition) -> str:
    """A condition in words, the same for the same condition: the cell of the paired comparison."""
    parts = [f"{condition.distance_mm:g} mm", f"yaw {condition.yaw_deg:g}°"]
    parts += [f"pitch {condition.pitch_deg:g}°"] if condition.pitch_deg else []
    parts += [f"roll {condition.roll_deg:g}°"] if condition.roll_deg else []
    parts += [condition.light, *(f"{key} {value}" for key, value in sorted(condition.extra.items()))]
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class _Lab:
    """What is known of a session besides its frames."""

    sheets: Mapping[str, Sheet]
    cameras: Mapping[str, CameraModel | None]
    views: ViewOrder


def _frame_sample(frame: FrameRecord, found: LocalizedFrame, lab: _Lab) -> Sample:
    sheet = sheet_of(frame, found, lab.sheets)
    name = f"{frame.index:06d}"
    return Sample(
        name=name,
        sha256=frame.sha256,
        arm=arm_of(frame, found, lab.sheets),
        truth=sheet.target.label if sheet else None,
        cell=condition_name(frame.shot.condition) if frame.shot else "unplanned",
        cluster=f"shot {frame.shot.index}" if frame.shot else name,
        show=lambda: _show_frame(frame, found, lab, name),
    )


def _show_frame(frame: FrameRecord, found: LocalizedFrame, lab: _Lab, name: str) -> list[Shown]:
    nothing = _nothing_to_see(frame, found)
    if nothing or found.sheet is None or found.frame_corners_px is None:
        return nothing_shown(lab.views, *(nothing or ("missed", found.reason)))
    sheet = lab.sheets[found.sheet]
    camera, sticker = lab.cameras[frame.camera], _sticker(sheet, lab.sheets.values())
    where = place(sheet, np.array(found.frame_corners_px), camera, sticker)
    try:
        return views(stored_picture(frame, writable=False), where, lab.views, name)
    except BadImage as error:
        return nothing_shown(lab.views, "failed", error.message)


def _nothing_to_see(frame: FrameRecord, found: LocalizedFrame) -> tuple[Status, str] | None:
    """Status and reason where what was asked for is not in the frame."""
    if found.status != "found":
        return ("failed" if found.status == "failed" else "missed"), found.reason
    if frame.shot and found.sheet != frame.shot.sheet:
        return "missed", f"the picture shows sheet {found.sheet}, the plan asked for {frame.shot.sheet}"
    return None


def _sticker(sheet: Sheet, sheets: Iterable[Sheet]) -> Sticker | None:
    """The sticker's shape; of a bare sheet that of the others, in whose place it is."""
    alike = (
        each for each in (sheet, *sheets) if each.sticker and (each.frame, each.inner) == (sheet.frame, sheet.inner)
    )
    return next((each.sticker for each in alike), None)
