"""Digital twins of a session: the patch of one arm rendered into the bare and blank shots, scored, and compared.

What belongs to the picture (where the sheet is, light, blur, noise) is measured in the shot that the twin stands in;
what belongs to the sticker (its color, where it sits on its sheet) in the real shots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from pydantic import TypeAdapter

from calibration.camera import CameraModel
from calibration.color import ColorResponse
from calibration.errors import BadInput
from calibration.files import read_bytes, sha256_bytes, write_bytes
from calibration.geometry import Array
from calibration.sheet import Sheet
from calibration.solve import fit_plane
from capture.picture import decode_picture
from capture.session import FrameRecord, Session
from pipeline.derived import derived_path
from pipeline.localizing import LocalizedPicture, localized_pictures, session_camera, session_sheets, stored_picture
from pipeline.recognizers import Provider, Recognizer, Runner, open_session
from pipeline.score import Missed, softmax, true_label
from pipeline.sources import condition_name, natural_crop
from pipeline.twin import LeftOut, Measures, Rung, TwinAnswer, TwinCell, TwinFiles, Twins
from pipeline.twin_color import PrintColor, print_color
from pipeline.twin_figure import twin_png
from pipeline.twin_gap import ladders
from pipeline.twin_measure import Shot, color_difference, look, misplaced, noisy, rectified, rectified_side
from pipeline.twin_render import (
    REACH_SIGMAS,
    Floats,
    Layer,
    Pixels,
    Sight,
    Space,
    blurred,
    draw,
    exchanged,
    laid_over,
    lit,
    pasted,
    sticker_print,
)

BASES = ("bare", "blank")
"""The arms that twins stand in: nothing is printed there that the patch would have to hide."""

_TWINS = TypeAdapter(Twins)


@dataclass(frozen=True, slots=True)
class TwinOrder:
    """What to compare. ``arm``: the plan's patch by default; ``response``: color of the print, measured properly."""

    arm: str | None = None
    provider: Provider = "cpu"
    response: ColorResponse | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Sticker:
    """The patch arm's sheet and texture ``(n, n, 3)``, shares of full scale."""

    sheet: Sheet
    texture: Floats


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a real shot showed of its sticker: it rectified, and ``(4, 2)`` mm and px from where it should be."""

    rectified: Pixels
    offset_mm: Array | None
    offset_px: Array | None


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A twin on one rung: the picture, and where it covers it."""

    rung: Rung
    pixels: Pixels


def twin_session(
    session: Session, recognizers: Sequence[Recognizer], order: TwinOrder, progress: Callable[[float], None]
) -> tuple[Twins, TwinFiles]:
    """Make the twins of a session, or read what was made before from the same; they and their figure are kept.

    :class:`BadInput` when the session has no plan, no such arm, or no condition with a real shot and a base.
    """
    files = _files(session, recognizers, order)
    if files.json.is_file():
        return _TWINS.validate_json(read_bytes(files.json)), files
    made = twins(session, recognizers, order, progress)
    write_bytes(files.figure, twin_png(made))
    write_bytes(files.json, _TWINS.dump_json(made, indent=1))
    return made, files


def twins(
    session: Session, recognizers: Sequence[Recognizer], order: TwinOrder, progress: Callable[[float], None]
) -> Twins:
    """Measure all shots of the arm and of the bases, render, score, compare. ``progress`` is told the share done."""
    arm = _arm(session, order)
    sticker = _sticker(session, arm)
    shots, left_out = _shots(session, arm, progress)
    cells = _cells(shots, arm)
    if not cells:
        reason = f" ({left_out[0].reason})" if left_out else ""
        raise BadInput(
            f"{session.folder}: no condition has a usable shot of {arm!r} and one of {' or '.join(BASES)}{reason}",
            where=str(session.folder),
        )
    space = _space(shots)
    judges, unable = _judges(recognizers, order.provider, sticker.sheet.target.label)
    found, answers = [], []
    for number, (cell, (bases, real)) in enumerate(cells.items()):
        work = _Cell(sticker, space, _color(shots, arm, real, space, order.response), judges, order.seed)
        found.append(work.compare(cell, bases, real))
        answers += work.answers
        progress(0.5 + (number + 1) / len(cells) / 2)
    return Twins(
        arm=arm,
        bases=tuple(base for base in BASES if any(shot.arm == base for shot in shots)),
        averages=space,
        cells=tuple(found),
        measures=_mean([cell.measures for cell in found]),
        ladders=ladders(answers, seed=order.seed),
        answers=tuple(answers),
        left_out=(*left_out, *unable),
    )


def _files(session: Session, recognizers: Sequence[Recognizer], order: TwinOrder) -> TwinFiles:
    response = order.response.model_dump(mode="json") if order.response else None
    parameters: Any = [
        [frame.sha256 for frame in session.frames],
        [each.contract.model_dump(mode="json") for each in recognizers],
        [_arm(session, order), order.provider, order.seed, response],
    ]
    path = derived_path(session.folder, "twin", ".json", parameters)
    return TwinFiles(path, path.with_suffix(".png"))


def _arm(session: Session, order: TwinOrder) -> str:
    if session.plan is None:
        raise BadInput(
            f"{session.folder} was taken without a plan: nobody knows which shots show the same condition",
            where=str(session.folder),
        )
    arm = order.arm or session.plan.primary_arm
    printed = [name for name in session.plan.arms if name not in BASES]
    if arm not in printed:
        raise BadInput(f"no arm with a texture is named {arm!r}; the plan has {', '.join(printed)}", where="--arm")
    return arm


def _sticker(session: Session, arm: str) -> _Sticker:
    sheet = next((sheet for sheet in session_sheets(session).values() if sheet.arm == arm), None)
    if sheet is None or sheet.texture is None:
        raise BadInput(f"{session.folder} has no sheet of the arm {arm!r} with a texture", where=str(session.folder))
    path = next((path for path in session.inputs("sheet-file") if path.name == sheet.texture), None)
    data = read_bytes(path) if path else b""
    if path is None or sha256_bytes(data) != sheet.texture_sha256:
        raise BadInput(f"the texture {sheet.texture} of {sheet.id} is not what its sheet declares", where=sheet.texture)
    return _Sticker(sheet, decode_picture(data, sheet.texture) / 255)


def _shots(session: Session, arm: str, progress: Callable[[float], None]) -> tuple[list[Shot], list[LeftOut]]:
    """All usable shots of the arm and of the bases, measured; and why others are not."""
    sheets, camera = session_sheets(session), session_camera(session)
    shots: list[Shot] = []
    left_out: list[LeftOut] = []
    for number, (frame, each) in enumerate(zip(session.frames, localized_pictures(session), strict=True)):
        if frame.shot and frame.shot.arm in (arm, *BASES):
            sheet = sheets.get(each.frame.sheet or "")
            try:
                shots.append(_measured(frame, each, sheet, camera))
            except Missed as error:
                left_out.append(LeftOut(f"{frame.index:06d}", str(error)))
        progress((number + 1) / len(session.frames) / 2)
    return shots, left_out


def _measured(frame: FrameRecord, each: LocalizedPicture, sheet: Sheet | None, camera: CameraModel | None) -> Shot:
    """:class:`Missed` when nothing can be rendered there."""
    found, pixels = each.frame, each.pixels
    if pixels is None or sheet is None or frame.shot is None:
        raise Missed(found.reason)
    if sheet.id != frame.shot.sheet:
        raise Missed(f"it shows sheet {sheet.id}, the plan asked for {frame.shot.sheet}")
    tags = dict(zip(sorted(found.tags), (np.array(corners) for corners in found.tag_corners_px), strict=True))
    ideal = {tag: camera.undistort(corners) if camera else corners for tag, corners in tags.items()}
    plane = fit_plane(ideal, sheet.tag_corners_mm())
    if plane is None:
        raise Missed("its tags do not lie in a plane")
    sight = Sight(plane.homography, camera)
    natural_crop(pixels, sight.to_image(sheet.frame.corners_mm))
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


def _cells(shots: Iterable[Shot], arm: str) -> dict[str, tuple[list[Shot], list[Shot]]]:
    """Condition → shots of the bases and of the arm, for those that have both."""
    cells: dict[str, tuple[list[Shot], list[Shot]]] = {}
    for shot in shots:
        cells.setdefault(shot.cell, ([], []))[shot.arm == arm].append(shot)
    return {cell: both for cell, both in sorted(cells.items()) if both[0] and both[1]}


def _space(shots: Sequence[Shot]) -> Space:
    """What the camera averages, light or code values: that under which its tags look as they do."""
    spaces: tuple[Space, Space] = ("light", "code")
    misfit = {space: sum(tag.misfit**2 for shot in shots for tag in shot.tags[space]) for space in spaces}
    return min(spaces, key=lambda space: misfit[space])


def _color(
    shots: Sequence[Shot], arm: str, real: Sequence[Shot], space: Space, response: ColorResponse | None
) -> PrintColor:
    """The color of the print from all real shots under the light of these."""
    alike = [shot for shot in shots if shot.arm == arm and shot.light == real[0].light]
    return print_color(
        [shot.strips[space] for shot in alike], [tag for shot in alike for tag in shot.tags[space]], response
    )


def _judges(recognizers: Sequence[Recognizer], provider: Provider, label: str) -> tuple[list[_Judge], list[LeftOut]]:
    judges, unable = [], []
    for each in recognizers:
        truth = true_label(label, each.contract.labels)
        if truth is None:
            unable.append(LeftOut(each.name, f"{label!r} is none of its labels"))
        else:
            judges.append(_Judge(open_session(each, provider), each.contract.labels.index(truth)))
    if not judges:
        raise BadInput(f"no recognizer knows {label!r}")
    return judges, unable


@dataclass(frozen=True, slots=True)
class _Judge:
    """A recognizer that runs, and the number of the true class."""

    runner: Runner
    truth: int

    def answers(self, shot: Shot, rungs: Sequence[Rung | None], crops: Sequence[Pixels]) -> Iterator[TwinAnswer]:
        contract = self.runner.contract
        scores = softmax(self.runner.logits(list(crops)), contract.output)
        for rung, score in zip(rungs, scores, strict=True):
            best = int(score.argmax())
            yield TwinAnswer(
                sample=shot.name,
                arm=shot.arm,
                cell=shot.cell,
                model=contract.name,
                held_out=contract.held_out,
                rung=rung,
                true_probability=float(score[self.truth]),
                predicted=contract.labels[best],
                correct=best == self.truth,
            )


class _Cell:
    """The work on the shots of one condition; ``answers`` are collected."""

    def __init__(self, sticker: _Sticker, space: Space, color: PrintColor, judges: Sequence[_Judge], seed: int) -> None:
        self.sticker = sticker
        self.space = space
        self.color = color
        self.judges = judges
        self.seed = seed
        self.answers: list[TwinAnswer] = []

    def compare(self, cell: str, bases: Sequence[Shot], real: Sequence[Shot]) -> TwinCell:
        """Render into every base, score all, measure the difference."""
        side = min(rectified_side(shot) for shot in (*bases, *real))
        seen = [self._see(shot, side) for shot in real]
        offsets = [each.offset_mm for each in seen if each.offset_mm is not None]
        moved = _moved(self.sticker.sheet, np.median(offsets, axis=0)) if offsets else None
        off = [self._into(shot, moved, seen, side) for shot in bases]
        pixels_off = [each.offset_px for each in seen if each.offset_px is not None]
        measures = Measures(
            offset_px=_average(float(np.linalg.norm(each, axis=1).mean()) for each in pixels_off),
            offset_mm=_average(float(np.linalg.norm(each, axis=1).mean()) for each in offsets),
            residual_px=_average(shot.residual_px for shot in (*bases, *real)),
            delta_e=_average(each["noise"] for each in off),
            delta_e_screen=_average(each["screen"] for each in off),
            blur_px=_average(shot.sigma_px for shot in bases),
            blur_px_real=_average(shot.sigma_px for shot in real),
            noise_levels=_average(shot.noise_levels for shot in bases),
            noise_levels_real=_average(shot.noise_levels for shot in real),
            white=_average(self._white_level(shot) for shot in bases),
            white_real=_average(self._white_level(shot) for shot in real),
            colors=self.color.colors,
        )
        return TwinCell(cell, tuple(shot.name for shot in bases), tuple(shot.name for shot in real), measures)

    def _white_level(self, shot: Shot) -> float | None:
        white = shot.white(self.space)
        center = shot.sight.to_image(shot.sheet.frame.center_mm[None])
        return None if white is None else float(255 * white.at(center).mean())

    def _see(self, shot: Shot, side: int) -> _Seen:
        """Score a real shot and measure its sticker."""
        pixels = stored_picture(shot.frame)
        self._score(shot, ["real"], [pixels])
        offset_px = self._offset(shot, pixels)
        offset_mm = None
        if offset_px is not None:
            corners = self.sticker.sheet.frame.corners_mm
            offset_mm = shot.sight.to_sheet(shot.sight.to_image(corners) + offset_px) - corners
        return _Seen(rectified(pixels, shot.sight, shot.sheet, side), offset_mm, offset_px)

    def _offset(self, shot: Shot, pixels: Pixels) -> Array | None:
        """How far the real sticker is from its place: its own twin is drawn over it and brought to fit."""
        white = shot.white(self.space)
        layer = self._drawn(shot, pixels, self.color.of(self.sticker.texture), None)
        if layer is None or white is None:
            return None
        soft = blurred(lit(layer, white.over(layer)), shot.sigma_px)
        return misplaced(pixels, shot, soft, laid_over(pixels, soft))

    def _into(self, shot: Shot, moved: Array | None, seen: Sequence[_Seen], side: int) -> Mapping[Rung, float | None]:
        """Score the twins in one base; CIEDE2000 to the real stickers by rung."""
        pixels = stored_picture(shot.frame)
        drawn = list(self._rungs(shot, pixels, moved))
        self._score(shot, [None, *(each.rung for each in drawn)], [pixels, *(each.pixels for each in drawn)])
        covered = rectified(self._covered(shot, pixels), shot.sight, shot.sheet, side)
        return {
            each.rung: _average(
                color_difference(rectified(each.pixels, shot.sight, shot.sheet, side), other.rectified, covered)
                for other in seen
            )
            for each in drawn
            if each.rung in ("screen", "noise")
        }

    def _covered(self, shot: Shot, pixels: Pixels) -> Pixels:
        """White where a blurred sticker covers all of a pixel, as a picture."""
        layer = self._drawn(shot, pixels, self.sticker.texture, None)
        whole = np.zeros_like(pixels)
        if layer is None:
            return whole
        cover = blurred(layer, shot.sigma_px).cover
        return pasted(whole, layer, np.repeat(cover[..., None], 3, axis=2))

    def _score(self, shot: Shot, rungs: Sequence[Rung | None], pictures: Sequence[Pixels]) -> None:
        corners = shot.sight.to_image(shot.sheet.frame.corners_mm)
        crops = [natural_crop(picture, corners) for picture in pictures]
        for judge in self.judges:
            self.answers += judge.answers(shot, rungs, crops)

    def _drawn(self, shot: Shot, pixels: Pixels, texture: Floats, moved: Array | None) -> Layer | None:
        """The patch at its place on the base's sheet; sheets of one lab have their frames at the same place."""
        own = self.sticker.sheet
        at = replace(sticker_print(own, texture), moved=_between(own, shot.sheet, moved))
        return draw(at, shot.sight, pixels.shape, self.space, REACH_SIGMAS * shot.sigma_px + 1)

    def _rungs(self, shot: Shot, pixels: Pixels, moved: Array | None) -> Iterator[_Drawn]:
        """The twin, rung by rung."""
        asked, printed = self.sticker.texture, self.color.of(self.sticker.texture)
        screen, there = (self._drawn(shot, pixels, asked, each) for each in (None, moved))
        dull = self._drawn(shot, pixels, printed, moved)
        white = shot.white(self.space)
        if screen is None or there is None or dull is None or white is None:
            raise BadInput(f"nothing can be rendered into the frame {shot.name}", where=shot.name)
        over = white.over(dull)
        yield _Drawn("screen", pasted(pixels, screen, laid_over(pixels, screen)))
        yield _Drawn("geometry", pasted(pixels, there, laid_over(pixels, there)))
        lighted = lit(there, over)
        yield _Drawn("light", pasted(pixels, lighted, laid_over(pixels, lighted)))
        sharp = lit(dull, over)
        yield _Drawn("print", pasted(pixels, sharp, laid_over(pixels, sharp)))
        soft = blurred(sharp, shot.sigma_px)
        part = exchanged(pixels, self._instead(shot, pixels, sharp, over), soft)
        yield _Drawn("blur", pasted(pixels, soft, part))
        if shot.noise is not None:
            part = noisy(part, soft, shot.noise, np.random.default_rng([self.seed, shot.frame.index]))
        yield _Drawn("noise", pasted(pixels, soft, part))

    def _instead(self, shot: Shot, pixels: Pixels, layer: Layer, white: Floats) -> Layer:
        """What is where the sticker would be, blurred: blank paper, or what a bare sheet's empty frame shows."""
        code = white if shot.paper is not None else pixels[layer.rows, layer.columns] / 255
        plain = np.repeat(layer.cover[..., None], 3, axis=2)
        return blurred(lit(replace(layer, color=plain), code), shot.sigma_px)


def _between(own: Sheet, other: Sheet, moved: Array | None) -> Array | None:
    """mm on the patch's sheet → mm on the base's, with what the sticker is misplaced by."""
    shift = other.frame.corners_mm[0] - own.frame.corners_mm[0]
    if moved is None and not shift.any():
        return None
    onto = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
    return onto if moved is None else onto @ moved


def _moved(sheet: Sheet, offset_mm: Array) -> Array:
    """``(3, 3)``: mm where the frame should be → mm where it is, from ``(4, 2)`` of its corners."""
    corners = sheet.frame.corners_mm.astype(np.float32)
    moved = (sheet.frame.corners_mm + offset_mm).astype(np.float32)
    return np.asarray(cv2.getPerspectiveTransform(corners, moved), dtype=np.float64)


def _average(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _mean(cells: Sequence[Measures]) -> Measures:
    """Over cells."""
    names = [name for name in Measures.__slots__ if name != "colors"]
    means = {name: _average(getattr(cell, name) for cell in cells) for name in names}
    return Measures(**means, colors=min(cell.colors for cell in cells))
