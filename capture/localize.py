"""Where the sheet is in a picture: tags → homography, pose, residual, verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.geometry import Array, View, apply_homography, view_from_pose
from calibration.sheet import Sheet
from calibration.solve import PlaneFit, fit_plane, fit_pose
from calibration.tags import TagSighting, detect, to_gray

MIN_TAGS = 2
MAX_RESIDUAL_PX = 2.0


@dataclass(frozen=True, slots=True)
class Localization:
    """What was found of one sheet in one picture.

    ``found`` is the verdict, ``reason`` says why not. ``homography`` is ``H_image_sheet`` ``(3, 3)`` in pixels of the
    ideal pinhole camera when ``camera`` is given, of the picture as it is otherwise. ``view`` needs a camera.
    """

    found: bool
    reason: str
    sheet: Sheet | None
    tags: tuple[TagSighting, ...]
    homography: Array | None = None
    used: tuple[int, ...] = ()
    residual_px: float | None = None
    view: View | None = None
    camera: CameraModel | None = None

    def to_image(self, points_mm: Array) -> Array:
        """``(N, 2)`` sheet mm → ``(N, 2)`` pixels of the picture as captured; :class:`BadInput` when not found."""
        if self.homography is None:
            raise BadInput("the sheet was not found in this picture: there is no homography")
        ideal = apply_homography(self.homography, points_mm)
        return self.camera.distort(ideal) if self.camera else ideal

    @property
    def min_side_px(self) -> float | None:
        """Shortest side of the used tags, px."""
        return min((tag.side_px for tag in self.tags if tag.id in self.used), default=None)


def localize(
    pixels: NDArray[np.uint8],
    sheets: Sequence[Sheet],
    camera: CameraModel | None = None,
    expected: Sheet | None = None,
) -> Localization:
    """Find which of ``sheets`` is in ``(H, W, 3)`` uint8 RGB, and where.

    Tag ids are unique over the sheets, so the picture says itself which sticker it shows. Ids that belong to no sheet
    and ids seen twice are ignored. ``expected`` makes the search thorough for that sheet; another one that is found
    instead is reported as found, and it is the caller's to compare.
    """
    wanted = expected.tag_ids if expected else frozenset()
    return localize_tags(detect(to_gray(pixels), wanted), sheets, camera, pixels.shape)


def localize_tags(
    sightings: Sequence[TagSighting], sheets: Sequence[Sheet], camera: CameraModel | None, shape: tuple[int, ...]
) -> Localization:
    """As :func:`localize`, from the tags that were seen in a picture of ``shape`` ``(H, W, ...)``."""
    tags = tuple(sightings)
    known = _once_only(tags)
    sheet = _most_seen(sheets, known)
    if sheet is None:
        return Localization(False, "no tag of a known sheet", None, tags, camera=camera)
    seen = {i: corners for i, corners in known.items() if i in sheet.tag_ids}
    if camera is not None:
        _check_resolution(shape, camera)
        seen = {i: camera.undistort(corners) for i, corners in seen.items()}
    return _judge(sheet, tags, seen, fit_plane(seen, sheet.tag_corners_mm()), camera)


def _judge(
    sheet: Sheet,
    tags: tuple[TagSighting, ...],
    seen: dict[int, Array],
    fit: PlaneFit | None,
    camera: CameraModel | None,
) -> Localization:
    if fit is None or len(fit.used) < MIN_TAGS:
        count = len(fit.used) if fit else 0
        reason = f"{count} of {len(sheet.tags)} tags usable, at least {MIN_TAGS} needed"
        return Localization(False, reason, sheet, tags, camera=camera)
    pose = fit_pose(fit, seen, sheet.tag_corners_mm(), camera) if camera else None
    view = view_from_pose(pose, sheet.target.box.center_mm) if pose else None
    found = fit.residual_px <= MAX_RESIDUAL_PX
    reason = "" if found else f"residual {fit.residual_px:.2f} px, at most {MAX_RESIDUAL_PX} px accepted"
    return Localization(found, reason, sheet, tags, fit.homography, fit.used, fit.residual_px, view, camera)


def _once_only(tags: Sequence[TagSighting]) -> dict[int, Array]:
    """Corners by id, without ids that were seen twice: one of the two is a ghost or a copy, nobody knows which."""
    count = Counter(tag.id for tag in tags)
    return {tag.id: tag.corners for tag in tags if count[tag.id] == 1}


def _most_seen(sheets: Sequence[Sheet], known: dict[int, Array]) -> Sheet | None:
    best = max(sheets, key=lambda sheet: len(sheet.tag_ids & set(known)), default=None)
    return best if best and best.tag_ids & set(known) else None


def _check_resolution(shape: tuple[int, ...], camera: CameraModel) -> None:
    height, width = shape[:2]
    if (width, height) != (camera.width, camera.height):
        raise BadInput(
            f"the camera calibration is for {camera.width}x{camera.height}, the picture is {width}x{height}",
            hint="calibrate the camera at the resolution that it captures with",
        )
