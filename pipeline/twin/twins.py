"""Digital twins of a session: the patch of one arm rendered into the bare and blank shots, scored, and compared.

What belongs to the picture (where the sheet is, light, blur, noise) is measured in the shot that the twin stands in;
what belongs to the sticker (its color, where it sits on its sheet) in the real shots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from calibration.color import ColorResponse
from calibration.errors import BadInput
from calibration.files import read_bytes, write_bytes
from capture.session import Session
from pipeline.recognizers import Provider, Recognizer, Runner, open_session
from pipeline.scoring.answering import softmax
from pipeline.scoring.score import true_label
from pipeline.scoring.views import natural_crop
from pipeline.sessions.derived import derived_path
from pipeline.sessions.localizing import stored_picture
from pipeline.twin.color import PrintColor
from pipeline.twin.figure import twin_png
from pipeline.twin.gap import ladders
from pipeline.twin.ladder import PROMISED, TWIN, LeftOut, Measures, Rung, TwinAnswer, TwinCell, TwinFiles, Twins
from pipeline.twin.measure import Shot, color_difference, rectified, rectified_side
from pipeline.twin.place import Place, together
from pipeline.twin.render import Pixels, Space
from pipeline.twin.rungs import Painter
from pipeline.twin.shots import (
    BASES,
    Pair,
    Sticker,
    arm_to_twin,
    averaged_by_lens,
    measured_shots,
    pairs,
    print_colors,
    read_sticker,
)

_TWINS = TypeAdapter(Twins)
MEASURING = 0.5
"""The share of the work that is done once all shots are measured, for the progress bar."""


@dataclass(frozen=True, slots=True)
class TwinOrder:
    """What to compare. ``arm``: the plan's patch by default; ``response``: color of the print, measured properly."""

    arm: str | None = None
    provider: Provider = "cpu"
    response: ColorResponse | None = None
    seed: int = 0


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
                cluster=shot.cluster,
                arm=shot.arm,
                cell=shot.cell,
                model=contract.name,
                held_out=contract.held_out,
                rung=rung,
                true_probability=float(score[self.truth]),
                predicted=contract.labels[best],
                correct=best == self.truth,
            )


@dataclass(frozen=True, slots=True)
class _Off:
    """CIEDE2000: whole twin and screen against the real stickers, and two twins that differ in their noise alone."""

    twin: float | None
    screen: float | None
    noise: float | None


def twin_session(
    session: Session, recognizers: Sequence[Recognizer], order: TwinOrder, progress: Callable[[float], None]
) -> tuple[Twins, TwinFiles]:
    """Make the twins of a session, or read what was made before from the same; they and their figure are kept.

    Errors as :func:`twins`.
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
    """Measure all shots of the arm and of the bases, render, score, compare. ``progress`` is told the share done.

    :class:`BadInput` when the session has no plan, no such arm, or no condition with a real shot and a base;
    :class:`BadModel` when a recognizer fails.
    """
    arm = arm_to_twin(session, order.arm)
    sticker = read_sticker(session, arm)
    judges, unable = _judges(recognizers, order.provider, sticker.sheet.target.label)
    shots, left_out = measured_shots(session, arm, lambda share: progress(MEASURING * share))
    found = pairs(shots, arm)
    if not found:
        reason = f" ({left_out[0].reason})" if left_out else ""
        raise BadInput(
            f"{session.folder}: no condition has a usable shot of {arm!r} and one of {' or '.join(BASES)}{reason}",
            where=str(session.folder),
        )
    work = _Work(sticker, found, averaged_by_lens(shots), judges, order)
    cells = []
    for number, pair in enumerate(found):
        cells.append(work.compare(pair))
        progress(MEASURING + (1 - MEASURING) * (number + 1) / len(found))
    return Twins(
        arm=arm,
        bases=tuple(base for base in BASES if any(shot.arm == base for pair in found for shot in pair.bases)),
        averages=work.space,
        cells=tuple(cells),
        measures=_mean([cell.measures for cell in cells]),
        ladders=ladders(work.answers, seed=order.seed),
        answers=tuple(work.answers),
        left_out=(*left_out, *unable),
    )


def _files(session: Session, recognizers: Sequence[Recognizer], order: TwinOrder) -> TwinFiles:
    response = order.response.model_dump(mode="json") if order.response else None
    parameters: Any = [
        [frame.sha256 for frame in session.frames],
        [each.contract.model_dump(mode="json") for each in recognizers],
        [arm_to_twin(session, order.arm), order.provider, order.seed, response],
    ]
    path = derived_path(session.folder, "twin", ".json", parameters)
    return TwinFiles(path, path.with_suffix(".png"))


def _judges(
    recognizers: Sequence[Recognizer], provider: Provider, label: str
) -> tuple[list[_Judge], tuple[LeftOut, ...]]:
    truths = {each.name: true_label(label, each.contract.labels) for each in recognizers}
    able = [(each, truth) for each in recognizers if (truth := truths[each.name]) is not None]
    if not able:
        raise BadInput(f"none of {', '.join(truths) or 'no recognizers'} knows {label!r}", where="--models")
    judges = [_Judge(open_session(each, provider), each.contract.labels.index(truth)) for each, truth in able]
    unable = [name for name, truth in truths.items() if truth is None]
    return judges, tuple(LeftOut(name, f"{label!r} is none of its labels") for name in unable)


class _Work:
    """The work on all conditions; ``answers`` are collected.

    Where the sticker sits on its sheet is the same in all its pictures: those that tell are taken together.
    """

    def __init__(
        self, sticker: Sticker, found: Sequence[Pair], space: Space, judges: Sequence[_Judge], order: TwinOrder
    ) -> None:
        real = [shot for pair in found for shot in pair.real]
        self.space = space
        self.answers: list[TwinAnswer] = []
        self._judges = judges
        self._colors = print_colors(real, space, order.response)
        self._known = self._place(Painter(sticker, space, np.zeros(2), order.seed), real)
        # What is no more than its error would only add that error to the twin.
        offset = self._known.shift_mm if self._known and self._known.sure else np.zeros(2)
        self._painter = Painter(sticker, space, offset, order.seed)
        self._again = Painter(sticker, space, offset, order.seed + 1)

    def compare(self, pair: Pair) -> TwinCell:
        """Score the real shots, render into every base, score, measure the difference."""
        side = min(rectified_side(shot) for shot in (*pair.bases, *pair.real))
        seen = [self._see(shot, side) for shot in pair.real]
        off = [self._into(shot, seen, side) for shot in pair.bases]
        measures = Measures(
            offset_px=_average(self._offset_px(shot) for shot in pair.real),
            offset_mm=float(np.linalg.norm(self._known.shift_mm)) if self._known else None,
            offset_error_mm=self._known.error_mm if self._known else None,
            residual_px=_average(shot.residual_px for shot in (*pair.bases, *pair.real)),
            delta_e=_average(each.twin for each in off),
            delta_e_screen=_average(each.screen for each in off),
            delta_e_noise=_average(each.noise for each in off),
            blur_px=_average(shot.sigma_px for shot in pair.bases),
            blur_px_real=_average(shot.sigma_px for shot in pair.real),
            noise_levels=_average(shot.noise_levels for shot in pair.bases),
            noise_levels_real=_average(shot.noise_levels for shot in pair.real),
            white=_average(shot.white_level(self.space) for shot in pair.bases),
            white_real=_average(shot.white_level(self.space) for shot in pair.real),
            colors=self._color(pair.real[0]).colors,
        )
        return TwinCell(
            pair.cell, tuple(shot.name for shot in pair.bases), tuple(shot.name for shot in pair.real), measures
        )

    def _color(self, shot: Shot) -> PrintColor:
        return self._colors[shot.light]

    def _place(self, painter: Painter, real: Sequence[Shot]) -> Place | None:
        """Where the sticker sits, from all real shots that tell."""
        looked = (painter.place(shot, stored_picture(shot.frame), self._color(shot)) for shot in real)
        return together([each for each in looked if each is not None])

    def _offset_px(self, shot: Shot) -> float | None:
        if self._known is None:
            return None
        corners = shot.sheet.frame.corners_mm
        moved = shot.sight.to_image(corners + self._known.shift_mm) - shot.sight.to_image(corners)
        return float(np.linalg.norm(moved, axis=1).mean())

    def _see(self, shot: Shot, side: int) -> Pixels:
        """Score a real shot; its frame rectified."""
        pixels = stored_picture(shot.frame)
        self._score(shot, ["real"], [pixels])
        return rectified(pixels, shot.sight, shot.sheet, side)

    def _into(self, shot: Shot, seen: Sequence[Pixels], side: int) -> _Off:
        """Score the twins in one base, and hold them against the real stickers."""
        pixels, color = stored_picture(shot.frame), self._color(shot)
        drawn = {each.rung: each.pixels for each in self._painter.rungs(shot, pixels, color)}
        self._score(shot, [None, *drawn], [pixels, *drawn.values()])
        *_, again = self._again.rungs(shot, pixels, color)
        cover, screen, twin, other = (
            rectified(picture, shot.sight, shot.sheet, side)
            for picture in (self._painter.cover(shot, pixels), drawn[PROMISED], drawn[TWIN], again.pixels)
        )
        return _Off(
            twin=_average(color_difference(twin, real, cover) for real in seen),
            screen=_average(color_difference(screen, real, cover) for real in seen),
            noise=color_difference(twin, other, cover) if shot.noise else None,
        )

    def _score(self, shot: Shot, rungs: Sequence[Rung | None], pictures: Sequence[Pixels]) -> None:
        corners = shot.sight.to_image(shot.sheet.frame.corners_mm)
        # A shot whose crop leaves the picture was left out when it was measured.
        cut = (natural_crop(picture, corners) for picture in pictures)
        crops = [crop for crop in cut if not isinstance(crop, tuple)]
        for judge in self._judges:
            self.answers += judge.answers(shot, rungs, crops)


def _average(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _mean(cells: Sequence[Measures]) -> Measures:
    """Over cells."""
    names = [name for name in Measures.__slots__ if name != "colors"]
    means = {name: _average(getattr(cell, name) for cell in cells) for name in names}
    return Measures(**means, colors=min(cell.colors for cell in cells))
