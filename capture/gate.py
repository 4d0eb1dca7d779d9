"""The gate of a capture: each picture localized, held against its shot, against the one before, and judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.camera import CameraModel
from calibration.sheet import Sheet
from capture.frame import Frame
from capture.localize import Localization
from capture.plan import Shot
from capture.quality import Limits, Verdict, judge, measure, moved_px
from capture.tracking import Tracker

GLANCE = 64
"""One row in so many is compared first: the noise of a sensor shows in any."""


class SheetGate:
    """Judges the pictures of one camera as they come; see :data:`capture.taking.Gate`. Not for two threads."""

    def __init__(
        self, sheets: Sequence[Sheet], camera: CameraModel | None = None, limits: Limits | None = None
    ) -> None:
        self._sheets = {sheet.id: sheet for sheet in sheets}
        self._tracker = Tracker(sheets, camera)
        self._limits = limits or Limits()
        self._before: Frame | None = None
        self._look: tuple[Shot | None, Localization] | None = None

    @property
    def localization(self) -> Localization | None:
        """Where the sheet is in the picture that was judged last; None before the first."""
        return self._look[1] if self._look else None

    def __call__(self, frame: Frame, shot: Shot | None) -> Verdict:
        """The verdict on the next picture; :class:`calibration.errors.BadInput` when it does not fit the camera."""
        wanted = self._sheets.get(shot.sheet) if shot else None
        found = self._tracker.localize(frame.pixels, wanted)
        before, self._before = self._before, frame
        look, self._look = self._look, (shot, found)
        if wanted and found.found and found.sheet != wanted:
            reason = f"the picture shows the sheet {found.sheet.id if found.sheet else '?'}, not {wanted.id}"
            return Verdict(False, reason, measure(frame.pixels, found, self._limits))
        moved = moved_px(look[1], found) if look and shot and look[0] == shot else None
        duplicate = before is not None and not self._limits.duplicates and _same(before, frame)
        return judge(frame.pixels, found, self._limits, moved_px=moved, duplicate=duplicate)


def _same(one: Frame, other: Frame) -> bool:
    """Whether two pictures are the same, byte for byte."""
    if one.encoded and other.encoded:
        return one.encoded == other.encoded
    alike = np.array_equal(one.pixels[::GLANCE], other.pixels[::GLANCE])
    return alike and np.array_equal(one.pixels, other.pixels)
