"""Where samples come from: the frames of a session, or a folder of pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadImage, BadInput, MissingFile
from calibration.files import read_bytes, readable_name, sha256_bytes
from calibration.sheet import Sheet
from capture.picture import PICTURE_SUFFIXES, decode_picture
from capture.plan import Condition
from capture.session import FrameRecord, Session
from pipeline.localizing import LocalizedFrame, session_sheets, stored_picture
from pipeline.score import Crop, Missed, Sample, Shown

if TYPE_CHECKING:
    from pipeline.views import ViewOrder

MIN_VISIBLE = 0.9
"""A crop of which less than this share lies in the picture shows another object than the one that was asked for."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Folder:
    """Pictures of a folder, each with the class that its own folder's name gives, or None."""

    root: Path
    files: tuple[Path, ...]
    class_from_folder: bool
    label: str | None

    def samples(self) -> Iterator[Sample]:
        """One sample a file; the whole picture is the crop."""
        for path in self.files:
            name = readable_name(path.relative_to(self.root).as_posix())
            truth = readable_name(path.parent.name) if self.class_from_folder else self.label
            yield _file_sample(path, name, truth)


def list_folder(root: Path, *, class_from_folder: bool, label: str | None) -> Folder:
    """All pictures below ``root``; :class:`BadInput` when there is none, or one has no class folder though asked."""
    if not root.is_dir():
        raise MissingFile(f"{root} is not a folder of pictures", where=str(root))
    files = tuple(sorted(p for p in _below(root) if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file()))
    if not files:
        accepted = ", ".join(sorted(PICTURE_SUFFIXES))
        raise BadInput(f"{root} holds no picture (accepted: {accepted})", where=str(root))
    stray = next((path for path in files if class_from_folder and path.parent == root), None)
    if stray:
        raise BadInput(
            f"{stray.name} lies in {root} itself: with --class-from-folder each picture lies in its class's folder",
            where=str(stray),
        )
    return Folder(root, files, class_from_folder, label)


def _below(root: Path) -> Iterator[Path]:
    """All files below ``root``; links to folders are not followed."""

    def refuse(error: OSError) -> None:
        raise MissingFile(f"cannot read {error.filename}: {error.strerror}", where=str(error.filename)) from error

    for folder, _, names in os.walk(root, onerror=refuse):
        yield from (Path(folder, name) for name in names)


def session_samples(
    session: Session, localized: Sequence[LocalizedFrame], views: ViewOrder | None = None
) -> Iterator[Sample]:
    """One sample a frame: the natural crop, an upright box around the sticker, as a detector would cut it."""
    sheets = session_sheets(session)
    by_index = {each.index: each for each in localized}
    for frame in session.frames:
        yield _frame_sample(frame, by_index[frame.index], sheets)


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


def natural_crop(pixels: Pixels, corners_px: NDArray[np.float64]) -> Pixels:
    """The upright box around ``(4, 2)`` corners, cut from ``(H, W, 3)``; a little beyond the border is filled with it.

    :class:`Missed` when less than ``MIN_VISIBLE`` of the box lies in the picture.
    """
    low = np.floor(corners_px.min(axis=0) + 0.5).astype(int)
    high = np.maximum(np.ceil(corners_px.max(axis=0) + 0.5).astype(int), low + 1)
    size = np.array([pixels.shape[1], pixels.shape[0]])
    inside = np.clip(np.minimum(high, size) - np.maximum(low, 0), 0, None)
    if inside.prod() < MIN_VISIBLE * (high - low).prod():
        raise Missed("the sticker is outside of the picture")
    columns = np.clip(np.arange(low[0], high[0]), 0, size[0] - 1)
    rows = np.clip(np.arange(low[1], high[1]), 0, size[1] - 1)
    return np.ascontiguousarray(pixels[rows[:, None], columns[None, :]])


def _file_sample(path: Path, name: str, truth: str | None) -> Sample:
    try:
        data = read_bytes(path)
    except MissingFile as error:
        lost: Crop = ("failed", error.message)
        return Sample(name, "", "images", truth, name, name, lambda: [Shown("natural", 0, lost)])
    return Sample(name, sha256_bytes(data), "images", truth, name, name, _shown(lambda: decode_picture(data, name)))


def _shown(crop: Callable[[], Pixels]) -> Callable[[], list[Shown]]:
    """The natural view alone."""
    return lambda: [Shown("natural", 0, _status(crop))]


def _status(crop: Callable[[], Pixels]) -> Crop:
    try:
        return crop()
    except Missed as error:
        return "missed", str(error)
    except BadImage as error:
        return "failed", error.message


def _frame_sample(frame: FrameRecord, found: LocalizedFrame, sheets: Mapping[str, Sheet]) -> Sample:
    sheet = sheet_of(frame, found, sheets)
    return Sample(
        name=f"{frame.index:06d}",
        sha256=frame.sha256,
        arm=arm_of(frame, found, sheets),
        truth=sheet.target.label if sheet else None,
        cell=condition_name(frame.shot.condition) if frame.shot else "unplanned",
        cluster=f"{frame.index:06d}",
        show=_shown(_frame_crop(frame, found)),
    )


def _frame_crop(frame: FrameRecord, found: LocalizedFrame) -> Callable[[], Pixels]:
    def crop() -> Pixels:
        if found.status == "failed":
            raise BadImage(found.reason, where=frame.path.name)
        if found.frame_corners_px is None:
            raise Missed(found.reason)
        if frame.shot and found.sheet != frame.shot.sheet:
            raise Missed(f"the picture shows sheet {found.sheet}, the plan asked for {frame.shot.sheet}")
        return natural_crop(stored_picture(frame), np.array(found.frame_corners_px))

    return crop
