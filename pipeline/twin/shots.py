"""What twins are made from: the patch's texture, the usable shots of it and of the bases, measured one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.camera import CameraModel
from calibration.color import ColorResponse
from calibration.errors import BadInput
from calibration.files import read_bytes, sha256_bytes
from calibration.sheet import Sheet
from calibration.solve import fit_plane
from capture.picture import decode_picture
from capture.session import FrameRecord, Session
from pipeline.scoring.score import Missed
from pipeline.scoring.sources import condition_name
from pipeline.scoring.views import natural_crop
from pipeline.sessions.localizing import LocalizedPicture, localized_pictures, session_camera, session_sheets
from pipeline.twin.color import PrintColor, print_color
from pipeline.twin.ladder import LeftOut
from pipeline.twin.measure import SPACES, Shot, look
from pipeline.twin.render import Floats, Sight, Space

BASES = ("bare", "blank")
"""The arms that twins stand in: nothing is printed there that the patch would have to hide."""


@dataclass(frozen=True, slots=True)
class Sticker:
    """The patch arm's sheet and texture ``(n, n, 3)``, shares of full scale."""

    sheet: Sheet
    texture: Floats


@dataclass(frozen=True, slots=True)
class Pair:
    """The shots of one condition: those that twins stand in, and those of the real sticker."""

    cell: str
    bases: tuple[Shot, ...]
    real: tuple[Shot, ...]


def arm_to_twin(session: Session, arm: str | None) -> str:
    """The arm that is meant, the plan's own patch by default; :class:`BadInput` where no twin of it can be made."""
    if session.plan is None:
        raise BadInput(
            f"{session.folder} was taken without a plan: nobody knows which shots show the same condition",
            where=str(session.folder),
        )
    wanted = arm or session.plan.primary_arm
    printed = [name for name in session.plan.arms if name not in BASES]
    if wanted not in printed:
        raise BadInput(f"no arm with a texture is named {wanted!r}; the plan has {', '.join(printed)}", where="--arm")
    return wanted


def read_sticker(session: Session, arm: str) -> Sticker:
    """The texture as it went to the printer, from the session's own copy of it."""
    sheet = next((sheet for sheet in session_sheets(session).values() if sheet.arm == arm), None)
    if sheet is None or sheet.texture is None:
        raise BadInput(f"{session.folder} has no sheet of the arm {arm!r} with a texture", where=str(session.folder))
    path = next((path for path in session.inputs("sheet-file") if path.name == sheet.texture), None)
    data = read_bytes(path) if path else b""
    if sha256_bytes(data) != sheet.texture_sha256:
        raise BadInput(f"the texture {sheet.texture} is not the one that {sheet.id} declares", where=sheet.texture)
    return Sticker(sheet, decode_picture(data, sheet.texture) / 255)


def measured_shots(
    session: Session, arm: str, progress: Callable[[float], None]
) -> tuple[list[Shot], tuple[LeftOut, ...]]:
    """All usable shots of the arm and of the bases, measured; and why others are not."""
    sheets, camera = session_sheets(session), session_camera(session)
    shots: list[Shot] = []
    left_out: list[LeftOut] = []
    for number, (frame, each) in enumerate(zip(session.frames, localized_pictures(session), strict=True)):
        if frame.shot and frame.shot.arm in (arm, *BASES):
            try:
                shots.append(_measured(frame, each, sheets, camera))
            except Missed as error:
                left_out.append(LeftOut(f"{frame.index:06d}", str(error)))
        progress((number + 1) / len(session.frames))
    return shots, tuple(left_out)


def _measured(
    frame: FrameRecord, each: LocalizedPicture, sheets: Mapping[str, Sheet], camera: CameraModel | None
) -> Shot:
    """:class:`Missed` when nothing can be rendered there."""
    found, pixels, sheet = each.frame, each.pixels, sheets.get(each.frame.sheet or "")
    if pixels is None or sheet is None or frame.shot is None:
        raise Missed(found.reason)
    if sheet.id != frame.shot.sheet:
        raise Missed(f"the picture shows sheet {sheet.id}, the plan asked for {frame.shot.sheet}")
    tags = dict(zip(sorted(found.tags), (np.array(corners) for corners in found.tag_corners_px), strict=True))
    ideal = {tag: camera.undistort(corners) if camera else corners for tag, corners in tags.items()}
    plane = fit_plane(ideal, sheet.tag_corners_mm())
    if plane is None:
        raise Missed("its tags do not lie in a plane")
    sight = Sight(plane.homography, camera)
    crop = natural_crop(pixels, sight.to_image(sheet.frame.corners_mm))
    if isinstance(crop, tuple):
        raise Missed(crop[1])
    shot = look(
        frame,
        pixels,
        sheet,
        sight,
        tags,
        arm=frame.shot.arm,
        cell=condition_name(frame.shot.condition),
        light=frame.shot.condition.light,
        residual_px=found.residual_px,
    )
    if not all(shot.tags.values()):
        raise Missed("its tags are too small to tell the light")
    return shot


def pairs(shots: Iterable[Shot], arm: str) -> list[Pair]:
    """The conditions that have both a base and the arm, in order of their names."""
    by_cell: dict[str, list[Shot]] = {}
    for shot in shots:
        by_cell.setdefault(shot.cell, []).append(shot)
    found = [
        Pair(cell, tuple(s for s in own if s.arm != arm), tuple(s for s in own if s.arm == arm))
        for cell, own in sorted(by_cell.items())
    ]
    return [pair for pair in found if pair.bases and pair.real]


def averaged_by_lens(shots: Sequence[Shot]) -> Space:
    """What the lens averages, light or code values: that under which the tags look as they do."""
    misfit = {space: sum(tag.misfit**2 for shot in shots for tag in shot.tags[space]) for space in SPACES}
    return min(SPACES, key=lambda space: misfit[space])


def print_colors(real: Sequence[Shot], space: Space, response: ColorResponse | None) -> Mapping[str, PrintColor]:
    """Light → color of the print, from all real shots under that light."""
    by_light: dict[str, list[Shot]] = {}
    for shot in real:
        by_light.setdefault(shot.light, []).append(shot)
    return {
        light: print_color(
            [shot.strips[space] for shot in alike], [tag for shot in alike for tag in shot.tags[space]], response
        )
        for light, alike in by_light.items()
    }
