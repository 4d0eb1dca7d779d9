"""``dpcam calibrate``: the board to print, and the camera model from pictures of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calibration.errors import LimitNotMet
from pipeline.cli.color import chart, color
from pipeline.cli.command import LabOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from calibration.calibrate import Calibration

group = new_group("Calibrate camera and color: print a board or a chart, photograph it, fit a model.")
FOLDER = "calibration"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(group, "camera")(camera)
    command(group, "board")(board)
    command(group, "color")(color)
    command(group, "chart")(chart)
    app.add_typer(group, name="calibrate")


def camera(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures of the board, or folders of them.")],
    board: Annotated[Path | None, typer.Option(help="Board file; the lab's or the default board otherwise.")] = None,
    camera: Annotated[str | None, typer.Option(help="Name of the camera; the lab's camera by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="Camera file; calibration/calibration.json by default.")] = None,
    limit_px: Annotated[float | None, typer.Option(min=0, help="Exit with 6 when the RMS is larger.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Fit the camera model to pictures of the board; sets that cannot support one are refused."""
    from calibration.files import write_document
    from pipeline.calibrating import CALIBRATION_FILE, board_in, calibrate_from_pictures

    folder = lab / FOLDER
    found = calibrate_from_pictures(pictures, board_in(folder, board), camera or _lab_camera(lab))
    path = out or folder / CALIBRATION_FILE
    write_document(path, found.model)
    return Result(_data(found, path), _lines(found, path), [_table(found)], _over(found, limit_px, path))


def board(
    paper: Annotated[str, typer.Option(help="Paper size, such as A4 or Letter.")] = "A4",
    squares_x: Annotated[int, typer.Option(help="Squares from left to right.")] = 7,
    squares_y: Annotated[int, typer.Option(help="Squares from top to bottom.")] = 5,
    square_mm: Annotated[float, typer.Option(help="Side of a square.")] = 36.0,
    marker_mm: Annotated[float | None, typer.Option(help="Side of a marker; 3/4 of the square by default.")] = None,
    dictionary: Annotated[str, typer.Option(help="Marker dictionary of OpenCV.")] = "DICT_5X5_50",
    out: Annotated[Path | None, typer.Option(help="Folder for both files; calibration/ of the lab by default.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Write a calibration board: a PDF at true scale and the board file that `calibrate camera` reads."""
    from calibration.board import Board
    from calibration.files import parse_document, write_bytes, write_document
    from patches.board_pdf import board_pdf
    from pipeline.calibrating import BOARD_FILE

    asked = {
        "squares_x": squares_x,
        "squares_y": squares_y,
        "square_mm": square_mm,
        "marker_mm": 0.75 * square_mm if marker_mm is None else marker_mm,
        "dictionary": dictionary,
    }
    made = parse_document(asked, Board, where="board")
    page = board_pdf(made, paper)
    document = (out or lab / FOLDER) / BOARD_FILE
    write_bytes(document.with_suffix(".pdf"), page)
    write_document(document, made)
    data = {"pdf": str(document.with_suffix(".pdf")), "board": str(document)}
    lines = [f"wrote {data['pdf']}: print it at 100 % on {paper}, keep it flat", f"wrote {data['board']}"]
    return Result(data=data, lines=lines)


def _lab_camera(lab: Path) -> str:
    from capture.cameras.open import safe_address

    return safe_address(enter_lab(lab, required=False).config.camera.uri)


def _data(found: Calibration, path: Path) -> dict[str, Any]:
    model = found.model
    return {
        "rms_px": found.rms_px,
        "views": len(found.used),
        "camera": str(path),
        "name": model.camera,
        "width": model.width,
        "height": model.height,
        "focal_px": [model.fx, model.fy],
        "focal_sd_px": found.focal_sd_px,
        "coverage": found.coverage,
        "tilt_deg": found.tilt_deg,
        "per_view_px": dict(zip(found.used, found.per_view_px, strict=True)),
        "skipped": [{"picture": skipped.name, "reason": skipped.reason} for skipped in found.skipped],
    }


def _lines(found: Calibration, path: Path) -> list[str]:
    model = found.model
    return [
        f"wrote {path}: {model.width}x{model.height}, focal length {model.fx:.1f} x {model.fy:.1f} px "
        f"(± {found.focal_sd_px:.1f}), RMS {found.rms_px:.2f} px over {len(found.used)} views",
        *(f"not used: {skipped.name}: {skipped.reason}" for skipped in found.skipped),
    ]


def _table(found: Calibration) -> Table:
    rows = tuple((name, f"{rms:.2f}") for name, rms in zip(found.used, found.per_view_px, strict=True))
    return Table("Views", ("picture", "RMS px"), rows)


def _over(found: Calibration, limit_px: float | None, path: Path) -> list[LimitNotMet]:
    if limit_px is None or found.rms_px <= limit_px:
        return []
    worst = max(zip(found.per_view_px, found.used, strict=True))
    message = f"the RMS is {found.rms_px:.2f} px, at most {limit_px:g} px accepted"
    return [LimitNotMet(message, hint=f"worst view: {worst[1]} with {worst[0]:.2f} px", where=str(path))]
