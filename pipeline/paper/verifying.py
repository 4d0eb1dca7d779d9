"""Proof of print: photographs of a printed sheet → measured scale, skew, flatness, placement, and a certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import Field

from calibration.camera import CameraModel
from calibration.errors import BadInput, DpcamError, MissingFile
from calibration.files import Document, files_of_format, read_document, sha256_bytes
from calibration.print_fit import GROUND_SD_MM, Estimate, PrintFit, Yardstick, fit_print
from calibration.sheet import SHEET_FORMAT, Sheet
from capture.photograph import Photograph, read_photograph
from pipeline.paper.placing import Placement, Unplaced, place_sticker
from pipeline.paper.sighting import CALIBRATED, Ground, camera_of, usable_sightings

MAX_TAG_PX, MAX_BOARD_PX = 1.5, 1.5
"""Corners that fit no better than this are not those of one flat sheet, and one board beside it that stayed there."""

MAX_OFF = 3.0
"""A board farther off the sheet's plane than this many standard deviations does not lie in it."""

VerdictWord = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True, slots=True)
class Ruler:
    """The sheet's printed ruler, as somebody measured it with a real one; standard deviation of that."""

    length_mm: float
    sd_mm: float


@dataclass(frozen=True, slots=True)
class ProofOrder:
    """Which sheet is to be proved, with what: ``folder`` holds its files, ``others`` may be seen by mistake."""

    sheet: Sheet
    folder: Path
    others: Sequence[Sheet]
    camera: CameraModel | None
    ground: Ground | None
    ruler: Ruler | None
    limit: float

    @property
    def yardstick(self) -> Yardstick:
        """What of known length there is."""
        board = self.ground.shares if self.ground else None
        nominal = self.sheet.ruler.width_mm
        ruler = (self.ruler.length_mm / nominal, self.ruler.sd_mm / nominal) if self.ruler else None
        return Yardstick(board, ruler)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and the sentence that says why."""

    word: VerdictWord
    reason: str


@dataclass(frozen=True, slots=True)
class PrintProof:
    """What was measured, and what follows."""

    photographs: tuple[Photograph, ...]
    fit: PrintFit
    placement: Placement | Unplaced
    verdict: Judgement


class Bounds(Document):
    """One end of each interval of 95 %; None for what was not measured."""

    scale_x: float | None
    scale_y: float | None
    anisotropy: float
    skew_deg: float
    flatness_mm: float
    placement_mm: float | None
    placement_deg: float | None


class ProvenPhotograph(Document):
    """One of the photographs: its file, its bytes, and how well the corners in it fit (RMS, px)."""

    file: str
    sha256: str
    residual_px: float


class Measured(Document):
    """What has a known length: a board's outer size, or the printed ruler's length, in mm as measured."""

    what: Literal["board", "ruler"]
    size_mm: tuple[float, ...]
    sd_mm: float


class Certificate(Document):
    """What photographs prove of a printed sheet. Scales are 1 where the print is true, null without a reference.

    ``anisotropy`` is scale_x over scale_y. ``placement_x_mm``, ``placement_y_mm``, ``placement_deg``: the sticker's
    against its target (right, down, clockwise positive), ``placement_mm`` the length of that shift; null with
    ``placement_reason`` where the target was not seen. ``low``, ``high``: intervals of 95 %. ``limit``: the largest
    deviation of a scale from 1 that passes.
    """

    format: Literal["dpcam.certificate"] = "dpcam.certificate"
    version: Literal[1] = 1
    sheet: str
    sheet_sha256: str
    created_utc: str
    dpcam: str
    verdict: VerdictWord
    reason: str
    limit: float
    scale_x: float | None
    scale_y: float | None
    anisotropy: float
    skew_deg: float
    flatness_mm: float
    placement_mm: float | None
    placement_x_mm: float | None
    placement_y_mm: float | None
    placement_deg: float | None
    placement_reason: str = ""
    low: Bounds
    high: Bounds
    reference: list[Measured] = Field(default_factory=list)
    camera: CameraModel
    calibrated: bool
    tag_px: float
    board_px: float | None
    board_off_mm: float | None
    photographs: list[ProvenPhotograph]


def find_sheet(name: str, folder: Path) -> tuple[Sheet, Path]:
    """The sheet of that id in ``folder``, or that of a file, and the folder in which it lies.

    :class:`MissingFile` names those that are there.
    """
    for path in (folder / f"{name}.json", Path(name)):
        if path.is_file():
            return read_document(path, Sheet), path.parent
    known = [path.stem for path in files_of_format(folder, SHEET_FORMAT)]
    raise MissingFile(
        f"there is no sheet {name!r} in {folder}; there are {', '.join(known) or 'none'}",
        hint="give the id that is printed on the sheet, or its JSON file",
    )


def prove(paths: Sequence[Path], order: ProofOrder) -> PrintProof | list[DpcamError]:
    """Measure and judge from picture files, or an error for each of them that cannot be used.

    :class:`BadInput` when the photographs do not go together.
    """
    photographs, unread = _read(paths, order.camera)
    return prove_photographs(photographs, order, unread)


def prove_photographs(
    photographs: Sequence[Photograph], order: ProofOrder, unread: Sequence[DpcamError] = ()
) -> PrintProof | list[DpcamError]:
    """As :func:`prove`, from pictures; ``unread``: what is known to be wrong with others that belong to them."""
    sightings, unseen = usable_sightings(photographs, order.sheet, order.others, order.camera, order.ground)
    if unread or unseen:
        return [*unread, *unseen]
    camera, doubt = (order.camera, CALIBRATED) if order.camera else camera_of(photographs)
    fit = fit_print(sightings, camera, doubt, order.yardstick)
    _refuse_misfit(fit, photographs)
    placement = place_sticker(photographs, fit, order.sheet, order.folder)
    verdict = judge(fit.scale_x, fit.scale_y, fit.ratio, order.limit)
    return PrintProof(tuple(photographs), fit, placement, verdict)


def _read(paths: Sequence[Path], camera: CameraModel | None) -> tuple[list[Photograph], list[DpcamError]]:
    """The pictures, turned as the sensor saw them, and an error for each that cannot be used."""
    found: list[Photograph] = []
    problems: list[DpcamError] = []
    for path in paths:
        try:
            photograph = read_photograph(path)
            _refuse_again(photograph, found)
            found.append(photograph.as_seen_by(camera) if camera else photograph.as_sensed)
        except BadInput as error:
            problems.append(error)
    return found, problems


def _refuse_again(photograph: Photograph, before: Sequence[Photograph]) -> None:
    for other in before:
        if other.sha256 == photograph.sha256:
            raise BadInput(
                f"{photograph.name} and {other.name} are the same picture: it would count twice", where=photograph.name
            )


def _refuse_misfit(fit: PrintFit, photographs: Sequence[Photograph]) -> None:
    worst = photographs[max(range(len(photographs)), key=lambda i: fit.per_photo_px[i])].name
    if fit.tag_px > MAX_TAG_PX or (fit.board_px or 0.0) > MAX_BOARD_PX:
        what = "the sheet and the board beside it" if fit.board_px else "the sheet"
        raise BadInput(
            f"{what} fit no common plane: corners are off by {max(fit.tag_px, fit.board_px or 0.0):.1f} px, at most "
            f"{MAX_TAG_PX:g} accepted; worst in {worst}",
            hint="both flat on one ground, nothing moved between the photographs, one camera, one zoom",
        )
    if fit.off_mm and abs(fit.off_mm.value) > MAX_OFF * GROUND_SD_MM:
        raise BadInput(
            f"the board stands {abs(fit.off_mm.value):.1f} mm off the plane of the sheet, at most "
            f"{MAX_OFF * GROUND_SD_MM:g} mm accepted",
            hint="lay both on the same flat ground",
        )


def judge(scale_x: Estimate | None, scale_y: Estimate | None, ratio: Estimate, limit: float) -> Judgement:
    """PASS: both intervals lie within 1 ± ``limit``; FAIL: one lies outside; else INCONCLUSIVE.

    Without a reference a print can fail, when its two scales differ by more than both limits allow, but not pass.
    """
    if scale_x is None or scale_y is None:
        return _judge_ratio(ratio, limit)
    within = f"of 1 ± {100 * limit:g} %"
    for axis, scale in (("x", scale_x), ("y", scale_y)):
        if scale.high < 1 - limit or scale.low > 1 + limit:
            return Judgement("FAIL", f"scale in {axis} is {scale_words(scale)}, outside {within}")
    for axis, scale in (("x", scale_x), ("y", scale_y)):
        if scale.low < 1 - limit or scale.high > 1 + limit:
            return Judgement("INCONCLUSIVE", f"scale in {axis} is {scale_words(scale)}, not surely inside {within}")
    return Judgement("PASS", f"scales are {scale_words(scale_x)} and {scale_words(scale_y)}, inside {within}")


def _judge_ratio(ratio: Estimate, limit: float) -> Judgement:
    widest = (1 + limit) / (1 - limit)
    if ratio.low > widest or ratio.high < 1 / widest:
        words = f"scale in x is {ratio.value:.4f} of that in y: both cannot be inside of 1 ± {100 * limit:g} %"
        return Judgement("FAIL", words)
    return Judgement("INCONCLUSIVE", "the scale is not known: the photographs show nothing of known length")


def scale_words(scale: Estimate) -> str:
    """A scale with its interval, in percent."""
    return f"{100 * scale.value:.2f} % ({100 * scale.low:.2f} to {100 * scale.high:.2f})"


def certificate(order: ProofOrder, proof: PrintProof, created_utc: str) -> Certificate:
    """What was measured, as a document."""
    fit, placed = proof.fit, proof.placement if isinstance(proof.placement, Placement) else None
    return Certificate(
        sheet=order.sheet.id,
        sheet_sha256=sha256_bytes(order.sheet.model_dump_json().encode()),
        created_utc=created_utc,
        dpcam=version("dpcam"),
        verdict=proof.verdict.word,
        reason=proof.verdict.reason,
        limit=order.limit,
        scale_x=fit.scale_x.value if fit.scale_x else None,
        scale_y=fit.scale_y.value if fit.scale_y else None,
        anisotropy=fit.ratio.value,
        skew_deg=fit.skew_deg.value,
        flatness_mm=fit.flatness_mm.value,
        placement_mm=placed.mm.value if placed else None,
        placement_x_mm=placed.x_mm.value if placed else None,
        placement_y_mm=placed.y_mm.value if placed else None,
        placement_deg=placed.deg.value if placed else None,
        placement_reason=proof.placement.reason if isinstance(proof.placement, Unplaced) else "",
        low=_bounds(fit, placed, "low"),
        high=_bounds(fit, placed, "high"),
        reference=_references(order),
        camera=fit.camera,
        calibrated=order.camera is not None,
        tag_px=fit.tag_px,
        board_px=fit.board_px,
        board_off_mm=fit.off_mm.value if fit.off_mm else None,
        photographs=[
            ProvenPhotograph(file=Path(each.name).name, sha256=each.sha256, residual_px=residual)
            for each, residual in zip(proof.photographs, fit.per_photo_px, strict=True)
        ],
    )


def _bounds(fit: PrintFit, placed: Placement | None, end: Literal["low", "high"]) -> Bounds:
    def of(estimate: Estimate | None) -> float | None:
        return None if estimate is None else getattr(estimate, end)

    return Bounds(
        scale_x=of(fit.scale_x),
        scale_y=of(fit.scale_y),
        anisotropy=getattr(fit.ratio, end),
        skew_deg=getattr(fit.skew_deg, end),
        flatness_mm=getattr(fit.flatness_mm, end),
        placement_mm=of(placed.mm if placed else None),
        placement_deg=of(placed.deg if placed else None),
    )


def _references(order: ProofOrder) -> list[Measured]:
    found = []
    if order.ground:
        size = (order.ground.width_mm, order.ground.height_mm)
        found.append(Measured(what="board", size_mm=size, sd_mm=order.ground.sd_mm))
    if order.ruler:
        found.append(Measured(what="ruler", size_mm=(order.ruler.length_mm,), sd_mm=order.ruler.sd_mm))
    return found
