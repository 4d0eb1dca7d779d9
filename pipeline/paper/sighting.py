"""From photographs of a sheet to what the fit of the print needs; what cannot be used is refused, with its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.board import Board
from calibration.camera import CameraModel
from calibration.errors import BadInput, DpcamError
from calibration.geometry import Array
from calibration.print_fit import CameraDoubt
from calibration.print_model import Sighting
from calibration.sheet import Sheet
from calibration.solve import PlaneFit, fit_pose
from capture.localize import Localization, localize
from capture.photograph import Photograph

MIN_TAGS = 3
MIN_BOARD_CORNERS = 8
CLIPPED_SHARE = 0.5
WHITE, BLACK = 250, 5
HINT = "fill the picture with the sheet, all of its tags, flat, in focus, in even light, without flash"

CALIBRATED = CameraDoubt(focal=0.003, aspect=3e-4, center_px=2.0, k1=0.0, k2=0.0, tangential=0.0)
"""A calibration is believed up to this; where it is better, the photographs themselves say so."""

UNCALIBRATED = CameraDoubt(focal=0.4, aspect=5e-4, center_px=20.0, k1=0.1, k2=0.05, tangential=1e-3)


@dataclass(frozen=True, slots=True)
class Ground:
    """A board of known size beside the sheet: its file, what its width and height really are, and how exactly."""

    board: Board
    width_mm: float
    height_mm: float
    sd_mm: float

    @property
    def shares(self) -> tuple[float, float]:
        """The standard deviations, as shares of width and height."""
        return self.sd_mm / self.width_mm, self.sd_mm / self.height_mm

    def true_mm(self, corners_mm: Array) -> Array:
        """``(N, 2)`` corners as the file has them → as they are."""
        return corners_mm * [self.width_mm / self.board.width_mm, self.height_mm / self.board.height_mm]


def middle_mm(sheet: Sheet) -> Array:
    """``(2,)`` the middle of the sheet's tags, from which the fit counts."""
    corners = np.concatenate(list(sheet.tag_corners_mm().values()))
    return np.asarray((corners.min(axis=0) + corners.max(axis=0)) / 2, dtype=np.float64)


def camera_of(photographs: Sequence[Photograph]) -> tuple[CameraModel, CameraDoubt]:
    """About the camera of uncalibrated photographs: square pixels, the middle in the middle, a focal length by EXIF.

    :class:`BadInput` when they differ in size, so that one camera cannot be sought for all.
    """
    first = photographs[0]
    for other in photographs[1:]:
        if other.size != first.size:
            sizes = " and ".join(f"{each.name} ({each.size[0]}x{each.size[1]})" for each in (first, other))
            raise BadInput(f"{sizes} differ in size: without --camera, all must be of one camera, held one way")
    width, height = first.size
    focal = first.focal_px or 1.1 * max(width, height)
    model = CameraModel(
        camera="photographs",
        width=width,
        height=height,
        fx=focal,
        fy=focal,
        cx=(width - 1) / 2,
        cy=(height - 1) / 2,
    )
    focal_sd = 0.05 if first.focal_px else 0.4
    return model, replace(UNCALIBRATED, focal=focal_sd, center_px=0.01 * max(width, height))


def usable_sightings(
    photographs: Sequence[Photograph],
    sheet: Sheet,
    others: Sequence[Sheet],
    camera: CameraModel | None,
    ground: Ground | None,
) -> tuple[list[Sighting], list[DpcamError]]:
    """What each photograph shows, and an error for each that cannot be used."""
    sightings: list[Sighting] = []
    problems: list[DpcamError] = []
    for photograph in photographs:
        try:
            sightings.append(_sighting(photograph, sheet, others, camera, ground))
        except BadInput as error:
            problems.append(error)
    return sightings, problems


def _sighting(
    photograph: Photograph,
    sheet: Sheet,
    others: Sequence[Sheet],
    camera: CameraModel | None,
    ground: Ground | None,
) -> Sighting:
    found = localize(photograph.pixels, [sheet, *others], camera, sheet)
    _refuse_other(photograph, sheet, found)
    seen = _tags(found, sheet) if camera is None else _tags_on_plane(photograph, found)
    _refuse_few(photograph, sheet, seen)
    known = {tag: corners - middle_mm(sheet) for tag, corners in sheet.tag_corners_mm().items()}
    about = camera or camera_of([photograph])[0]
    fit = PlaneFit(np.eye(3), tuple(sorted(seen)), 0.0)
    ideal = {tag: about.undistort(corners) for tag, corners in seen.items()}
    pose = fit_pose(fit, ideal, known, about)
    if pose is None:
        raise BadInput(f"{photograph.name}: no pose of the sheet {sheet.id} fits", where=photograph.name)
    sheet_mm = np.concatenate([known[tag] for tag in fit.used])
    outward = np.concatenate([np.sign(known[tag] - known[tag].mean(axis=0)) for tag in fit.used])
    board_mm, board_px = _board(photograph, ground)
    return Sighting(sheet_mm, outward, np.concatenate([seen[tag] for tag in fit.used]), board_mm, board_px, pose)


def _tags(found: Localization, sheet: Sheet) -> dict[int, Array]:
    """Tag id → corners of all tags of the sheet that are seen once: an unknown lens bends the plane they lie in."""
    count = Counter(tag.id for tag in found.tags)
    return {tag.id: tag.corners for tag in found.tags if tag.id in sheet.tag_ids and count[tag.id] == 1}


def _tags_on_plane(photograph: Photograph, found: Localization) -> dict[int, Array]:
    """Tag id → corners of the tags that lie in one plane; :class:`BadInput` when they do not."""
    if not found.found:
        raise BadInput(
            f"{photograph.name}: {found.reason}{_clipped(photograph.pixels)}", hint=HINT, where=photograph.name
        )
    return {tag.id: tag.corners for tag in found.tags if tag.id in found.used}


def _refuse_other(photograph: Photograph, sheet: Sheet, found: Localization) -> None:
    name = photograph.name
    if found.sheet is None:
        what = _strangers(found) or _clipped(photograph.pixels)
        raise BadInput(f"{name} shows no tag of the sheet {sheet.id}{what}", hint=HINT, where=name)
    if found.sheet.id != sheet.id:
        other = found.sheet.id
        raise BadInput(f"{name} shows the sheet {other}, not {sheet.id}", hint=f"--sheet {other}", where=name)


def _refuse_few(photograph: Photograph, sheet: Sheet, seen: dict[int, Array]) -> None:
    needed = min(MIN_TAGS, len(sheet.tags))
    if len(seen) < needed:
        few = f"{len(seen)} of {len(sheet.tags)} tags usable, at least {needed} needed"
        clipped = _clipped(photograph.pixels)
        raise BadInput(f"{photograph.name}: {few}{clipped}", hint=HINT, where=photograph.name)


def _strangers(found: Localization) -> str:
    """The ids of tags that belong to no known sheet, as words."""
    ids = ", ".join(str(tag.id) for tag in found.tags)
    return f": its tags are {ids}" if ids else ""


def _clipped(pixels: NDArray[np.uint8]) -> str:
    """Words for a picture most of which is white or black."""
    white, black = float((pixels >= WHITE).all(axis=2).mean()), float((pixels <= BLACK).all(axis=2).mean())
    if white > CLIPPED_SHARE:
        return f": {white:.0%} of it is blown out to white"
    return f": {black:.0%} of it is black" if black > CLIPPED_SHARE else ""


def _board(photograph: Photograph, ground: Ground | None) -> tuple[Array, Array]:
    if ground is None:
        return np.empty((0, 2)), np.empty((0, 2))
    seen = ground.board.find(photograph.pixels)
    if len(seen.ids) < MIN_BOARD_CORNERS:
        raise BadInput(
            f"{photograph.name} shows {len(seen.ids)} of the board's {ground.board.corners} corners, at least "
            f"{MIN_BOARD_CORNERS} needed{_clipped(photograph.pixels)}",
            hint="the board lies beside the sheet, both whole in every photograph; or leave --reference out",
            where=photograph.name,
        )
    return ground.true_mm(seen.corners_mm), seen.corners_px
