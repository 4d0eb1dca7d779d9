"""Localization from frame to frame: the tags are looked for where the last picture says that they are.

The parts around them are measured exactly as they are within the whole picture (:mod:`calibration.tags`), so a tracked
picture has the same answer as a whole one, or it is searched whole: at every doubt, and every so many pictures anyway.
What is outside of those parts is not seen meanwhile: another sheet beside the tracked one, or a second tag of an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.geometry import Array
from calibration.sheet import Sheet
from calibration.tags import CELLS, TagSighting, Window, detect_in
from capture.localize import Localization, localize, localize_tags

RESCAN_FRAMES = 15
"""Every so many pictures one is searched whole: half a second of video."""

MARGIN_TAGS, MARGIN_PX = 0.35, 24.0
"""So far beyond a tag's predicted place it is looked for: a share of its size, and pixels on top."""

EDGE_PX = 12.0
"""A tag whose white border comes nearer to the end of its part may have been measured with less than it needs."""

GROWTH, GROWTH_PX = 1.5, 0.25
"""A residual that is larger than the last one by so much is a doubt."""


@dataclass(frozen=True, slots=True)
class _Track:
    """What the last picture says of the next: its localization, where all tags of its sheet are, where they will be.

    ``here`` and ``next``: id → ``(4, 2)`` px; ``shape`` of the picture; ``age``: pictures since one was searched whole.
    """

    last: Localization
    sheet: Sheet
    shape: tuple[int, ...]
    here: dict[int, Array]
    next: dict[int, Array]
    age: int


class Tracker:
    """Localizes pictures of one camera, one after the other; see :func:`capture.localize.localize`.

    ``rescan_frames``: every so many pictures one is searched whole whatever is tracked; 1 searches all of them so.
    """

    def __init__(
        self, sheets: Sequence[Sheet], camera: CameraModel | None = None, *, rescan_frames: int = RESCAN_FRAMES
    ) -> None:
        self._sheets = tuple(sheets)
        self._camera = camera
        self._rescan_frames = rescan_frames
        self._track: _Track | None = None
        self._doubt = ""

    @property
    def doubt(self) -> str:
        """Why the last picture was searched whole; empty when it was tracked."""
        return self._doubt

    def localize(self, pixels: NDArray[np.uint8], expected: Sheet | None = None) -> Localization:
        """Localize the next picture, ``(H, W, 3)`` uint8 RGB; errors and ``expected`` as in :func:`localize`.

        ``tags`` of a tracked picture are those near the sheet's places only.
        """
        track = self._track
        near = self._near(track, pixels, expected)
        found = near or localize(pixels, self._sheets, self._camera, expected)
        steady = track if near or (track and self._is_due(track)) else None
        self._track = self._follow(found, pixels.shape, steady, track.age + 1 if near and track else 0)
        return found

    def _near(self, track: _Track | None, pixels: NDArray[np.uint8], expected: Sheet | None) -> Localization | None:
        """The picture's localization by tracking; None at a doubt, which is kept."""
        self._doubt = self._doubt_before(track, pixels.shape, expected)
        if track is None or self._doubt:
            return None
        windows = _windows(track)
        found = localize_tags(detect_in(pixels, windows), self._sheets, self._camera, pixels.shape)
        self._doubt = _doubt_after(track, found, windows)
        return None if self._doubt else found

    def _doubt_before(self, track: _Track | None, shape: tuple[int, ...], expected: Sheet | None) -> str:
        if track is None:
            return "there is nothing to follow"
        if self._is_due(track):
            return f"one picture in {self._rescan_frames} is searched whole"
        if expected and expected != track.sheet:
            return "another sheet is expected"
        return "" if shape == track.shape else "the picture has another size"

    def _is_due(self, track: _Track) -> bool:
        return track.age + 1 >= self._rescan_frames

    def _follow(self, found: Localization, shape: tuple[int, ...], former: _Track | None, age: int) -> _Track | None:
        """What is followed from here on; None when nothing was found, or it is not clear what.

        ``former``: what was followed up to here without a jump, so that it goes on as it moved.
        """
        if not found.found or found.sheet is None or not _unmistakable(found, self._sheets):
            return None
        here = {tag: found.to_image(corners) for tag, corners in found.sheet.tag_corners_mm().items()}
        before = former.here if former and former.sheet == found.sheet else here
        coming = {tag: 2 * corners - before[tag] for tag, corners in here.items()}
        return _Track(found, found.sheet, shape, here, coming, age)


def _unmistakable(found: Localization, sheets: Sequence[Sheet]) -> bool:
    """Whether no other known sheet is in the picture, and no id twice: a part of it would not show which one counts."""
    known = frozenset().union(*(sheet.tag_ids for sheet in sheets))
    seen = [tag.id for tag in found.tags if tag.id in known]
    return len(set(seen)) == len(seen) and found.sheet is not None and found.sheet.tag_ids >= set(seen)


def _windows(track: _Track) -> list[Window]:
    """Where each tag is, if it stays and if it goes on as before, with a margin; what overlaps is one."""
    windows: list[Window] = []
    for tag, corners in track.here.items():
        margin = MARGIN_TAGS * _extent(corners) + MARGIN_PX
        window = Window.around(np.concatenate([corners, track.next[tag]]), margin, track.shape)
        if not window.empty:
            windows = _with(window, windows)
    return windows


def _with(window: Window, windows: list[Window]) -> list[Window]:
    """The windows with one more, joined to those that it meets until none do."""
    met = next((other for other in windows if other.meets(window)), None)
    if met is None:
        return [*windows, window]
    return _with(window.joined(met), [other for other in windows if other is not met])


def _doubt_after(track: _Track, found: Localization, windows: Sequence[Window]) -> str:
    last = track.last
    if not found.found or found.sheet != track.sheet:
        return "the sheet is not where it was"
    if len(found.used) < len(last.used):
        return "fewer tags are where they were"
    if (found.residual_px or 0.0) > GROWTH * (last.residual_px or 0.0) + GROWTH_PX:
        return "the tags fit less well than before"
    tags = (tag for tag in found.tags if tag.id in found.used)
    return "" if all(_well_inside(tag, windows, track.shape) for tag in tags) else "a tag is leaving its place"


def _well_inside(tag: TagSighting, windows: Sequence[Window], shape: tuple[int, ...]) -> bool:
    """Whether the tag with its white border is away from the ends of its window that are not the picture's own."""
    reach = _extent(tag.corners) / CELLS + EDGE_PX
    needed = Window.around(tag.corners, reach, shape)
    return any(window.joined(needed) == window for window in windows)


def _extent(corners: Array) -> float:
    return float(np.ptp(corners, axis=0).max())
