"""``dpcam print verify``: what the printer did, measured from photographs."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibration.errors import BadUsage, LimitNotMet
from pipeline.cli.command import LabOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from calibration.board import Board
    from pipeline.paper.sighting import Ground
    from pipeline.paper.verifying import Certificate, PrintProof, ProofOrder, Ruler

below_print = new_group("What belongs to printing.")
MAX_LIMIT = 0.2
MAX_STRETCH = 0.03
"""Between a board's width and height, as a share: printers and paper do 1 % at worst."""

ROWS = (
    ("scale in x", "scale_x", 100, "%"),
    ("scale in y", "scale_y", 100, "%"),
    ("x over y", "anisotropy", 100, "%"),
    ("skew", "skew_deg", 1, "deg"),
    ("flatness", "flatness_mm", 1, "mm"),
    ("sticker off its target", "placement_mm", 1, "mm"),
    ("sticker turned", "placement_deg", 1, "deg"),
)
"""Words, key, factor and unit of what is measured."""

NO_YARDSTICK_HINT = "--reference BOARD.json --reference-mm WIDTHxHEIGHT, or --ruler-mm LENGTH"


@command(below_print, "verify")
def verify(
    photos: Annotated[list[Path], typer.Argument(help="Photographs of the sheet, or folders of them; best are three.")],
    sheet: Annotated[str, typer.Option(help="Id of the sheet, as printed on it, or its JSON file.", metavar="ID")],
    reference: Annotated[
        Path | None,
        typer.Option(help="Board file of a calibration board that lies beside the sheet.", metavar="BOARD"),
    ] = None,
    reference_mm: Annotated[
        str | None,
        typer.Option("--reference-mm", help="Outer size of its chessboard, as measured on it.", metavar="WIDTHxHEIGHT"),
    ] = None,
    ruler_mm: Annotated[
        float | None,
        typer.Option("--ruler-mm", help="Length of the sheet's printed ruler, by a real one.", metavar="LENGTH"),
    ] = None,
    measured_sd_mm: Annotated[
        float, typer.Option("--measured-sd-mm", help="How exact those are (one standard deviation).")
    ] = 0.1,
    camera: Annotated[
        Path | None, typer.Option(help="Camera file of `dpcam calibrate camera`; else sought in the photographs.")
    ] = None,
    limit: Annotated[str, typer.Option(help="Largest deviation of a scale from 1; more exits with 6.")] = "1%",
    out: Annotated[Path | None, typer.Option(help="Gets the certificate; the sheet's folder by default.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Measure scale, skew, flatness and placement of a printed sheet, and certify them: JSON and picture."""
    from calibration.camera import CameraModel
    from calibration.files import read_document
    from pipeline.calibrating.camera import picture_files
    from pipeline.lab import read_sheets
    from pipeline.paper.verifying import PrintProof, ProofOrder, find_sheet, prove

    ground = _ground(reference, reference_mm, measured_sd_mm)
    sheets = enter_lab(lab, required=False).sheets
    wanted, folder = find_sheet(sheet, sheets)
    ruler = _ruler(ruler_mm, wanted.ruler.width_mm, measured_sd_mm)
    model = read_document(camera, CameraModel) if camera else None
    others = [other for other in read_sheets(folder) if other.id != wanted.id]
    order = ProofOrder(wanted, folder, others, model, ground, ruler, _limit(limit))
    proof = prove(picture_files(photos), order)
    if not isinstance(proof, PrintProof):
        return Result(errors=proof)
    return _certified(order, proof, out or folder)


def _certified(order: ProofOrder, proof: PrintProof, out: Path) -> Result:
    """Write the certificate, both forms; the answer is what it says."""
    from calibration.files import sha256_bytes, write_bytes, write_document
    from capture.picture import encode_png
    from pipeline.paper.proof_picture import proof_picture
    from pipeline.paper.verifying import certificate

    found = certificate(order, proof, datetime.now(UTC).isoformat(timespec="seconds"))
    # A sheet is printed more than once, and each print proved by its own photographs.
    prints = sha256_bytes("".join(sorted(each.sha256 for each in found.photographs)).encode())
    path = out / f"{found.sheet}-certificate-{prints[:8]}.json"
    picture = path.with_suffix(".png")
    shown = [f"{word}: {value} ({low} to {high})" for word, value, low, high in _rows(found) if value]
    head = [f"{found.verdict}: {found.reason}", f"sheet {found.sheet}, {found.created_utc}", *shown]
    write_bytes(picture, encode_png(proof_picture(proof.photographs, proof.fit, order.sheet, head)))
    write_document(path, found)
    return Result(
        data={**found.model_dump(mode="json"), "certificate": str(path), "picture": str(picture)},
        lines=[*_remarks(found), f"{found.verdict}: {found.reason}", f"certificate: {path}, {picture}"],
        tables=[Table(f"Sheet {found.sheet}", ("", "measured", "from", "to"), tuple(_rows(found)))],
        errors=_over(found, path),
    )


def _rows(found: Certificate) -> list[tuple[str, str, str, str]]:
    """Words, value and interval of what was measured, with its unit; empty where it was not."""

    def said(value: float | None, factor: float, unit: str) -> str:
        return "" if value is None else f"{factor * value:z.2f} {unit}"

    ends = [found, found.low, found.high]
    return [
        (words, *(said(getattr(end, key), factor, unit) for end in ends))  # type: ignore[misc]
        for words, key, factor, unit in ROWS
    ]


def _remarks(found: Certificate) -> list[str]:
    remarks = []
    if not found.calibrated:
        remarks.append("the camera is not calibrated: its focal length and distortion were sought in the photographs")
    if found.placement_reason:
        remarks.append(f"no placement: {found.placement_reason}")
    return remarks


def _over(found: Certificate, path: Path) -> list[LimitNotMet]:
    if found.verdict == "PASS":
        return []
    hint = "more photographs, nearer to the sheet, from the left, the right and above"
    if found.verdict == "FAIL":
        hint = "print again at 100 %, without fitting to the page: dpcam print LABEL --to PRINTER"
    elif not found.reference:
        hint = NO_YARDSTICK_HINT
    return [LimitNotMet(f"{found.verdict}: {found.reason}", hint=hint, where=str(path))]


def _ground(reference: Path | None, size: str | None, sd_mm: float) -> Ground | None:
    """The board beside the sheet, with its measured size: what its file says is what was asked of a printer, too."""
    from calibration.board import Board
    from calibration.files import read_document
    from pipeline.paper.sighting import Ground

    if reference is None and size is None:
        return None
    if reference is None or size is None:
        raise BadUsage(
            "--reference and --reference-mm go together: a board is true only once it was measured",
            hint="measure its chessboard, outer edge to outer edge, with calipers or a steel ruler",
        )
    width, _, height = size.lower().partition("x")
    board = read_document(reference, Board)
    accepted = "WIDTHxHEIGHT, such as 251.8x179.9"
    measured = [_length(text, "--reference-mm", accepted, given=size) for text in (width, height)]
    for length, nominal in zip(measured, (board.width_mm, board.height_mm), strict=True):
        _refuse_far("--reference-mm", length, nominal, "the board's file says")
    _refuse_shape(measured, board)
    return Ground(board, measured[0], measured[1], _spread(sd_mm))


def _ruler(length_mm: float | None, nominal_mm: float, sd_mm: float) -> Ruler | None:
    from pipeline.paper.verifying import Ruler

    if length_mm is None:
        return None
    length = _length(str(length_mm), "--ruler-mm", "a length", given=f"{length_mm:g}")
    _refuse_far("--ruler-mm", length, nominal_mm, "that of the sheet should have")
    return Ruler(length, _spread(sd_mm))


def _length(text: str, option: str, accepted: str, *, given: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise BadUsage(f"{option} has {given!r}; accepted is {accepted}, in mm")
    return value


def _refuse_far(option: str, length: float, nominal: float, expected: str) -> None:
    """No printer is off by so much; a length in inches, or of something else, is."""
    if not 0.5 < length / nominal < 2:
        raise BadUsage(f"{option} says {length:g} mm, {expected} {nominal:g} mm: another one, or inches?")


def _refuse_shape(measured: list[float], board: Board) -> None:
    """Width and height swapped, or measured a square short, would be a scale, and a wrong one."""
    stretched = (measured[0] / board.width_mm) / (measured[1] / board.height_mm)
    if not 1 - MAX_STRETCH < stretched < 1 + MAX_STRETCH:
        raise BadUsage(
            f"--reference-mm says {measured[0]:g} x {measured[1]:g} mm, the board's file {board.width_mm:g} x "
            f"{board.height_mm:g} mm: no printer stretches a board so",
            hint="width first, then height, of the whole chessboard, outer edge to outer edge",
        )


def _spread(sd_mm: float) -> float:
    if not 0 < sd_mm < math.inf:
        raise BadUsage(f"--measured-sd-mm is {sd_mm:g}; a positive number of mm is accepted")
    return sd_mm


def _limit(text: str) -> float:
    """A share: ``1%`` or ``0.01``."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value <= MAX_LIMIT:
        raise BadUsage(f"--limit is {text!r}; accepted is a share from 0 to {MAX_LIMIT:g}, such as 1% or 0.01")
    return value
