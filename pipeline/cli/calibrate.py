"""``dpcam calibrate``: the board to print, and the camera model from pictures of it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from calibration.errors import BadUsage, LimitNotMet
from pipeline.cli.color import chart, color
from pipeline.cli.command import LabOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.cli.output import note
from pipeline.cli.paper import PngOption
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from calibration.board import Board
    from capture.board_hunt import Hint
    from pipeline.calibrating.camera import BoardViews, Calibrated

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
    pictures: Annotated[
        list[Path] | None, typer.Argument(help="Pictures of the board, or folders of them.", show_default=False)
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="From the camera itself: hold the board before it.")] = False,
    refit: Annotated[Path | None, typer.Option(help="From what an older camera file was made from.")] = None,
    check: Annotated[
        list[Path] | None, typer.Option(help="A second set of pictures (a folder, or repeat) to compare with.")
    ] = None,
    board: Annotated[Path | None, typer.Option(help="Board file; the lab's or the default board otherwise.")] = None,
    camera: Annotated[str | None, typer.Option(help="Address of the camera; the lab's camera by default.")] = None,
    lens: Annotated[
        Literal["auto", "none", "k1", "k1k2", "brown4", "brown5", "rational8"],
        typer.Option(help="Distortion model; auto: what the pictures support."),
    ] = "auto",
    views: Annotated[int, typer.Option(help="With --live: so many views at least.", min=8, max=500)] = 15,
    seconds: Annotated[float, typer.Option(help="With --live: no longer than this.", min=1)] = 600.0,
    out: Annotated[Path | None, typer.Option(help="Camera file; calibration/calibration.json by default.")] = None,
    limit_px: Annotated[float | None, typer.Option(min=0, help="Exit with 6 when the RMS is larger.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Fit the camera model to views of the board; sets that cannot support one are refused."""
    from capture.cameras.open import safe_address
    from pipeline.calibrating.camera import (
        CALIBRATION_FILE,
        CalibrationOrder,
        board_in,
        calibrate,
        views_in_pictures,
        views_of_file,
    )

    _one_source(pictures, live, refit)
    if refit and board:
        raise BadUsage(f"{refit} has its own board, --board {board} is not for --refit", where="--board")
    folder, opened = lab / FOLDER, enter_lab(lab, {"camera.uri": camera}, required=False)
    uri = opened.camera_uri
    if refit:
        seen = views_of_file(refit)
        seen = replace(seen, camera=safe_address(uri)) if camera else seen
    elif live:
        seen = _watch(uri, board_in(folder, board), folder, views, seconds)
    else:
        seen = views_in_pictures(pictures or [], board_in(folder, board), safe_address(uri))
    order = CalibrationOrder(
        out=out or folder / CALIBRATION_FILE,
        lens=None if lens == "auto" else lens,
        check=views_in_pictures(check, seen.board, seen.camera) if check else None,
        distances_mm=list(dict.fromkeys(each.distance_mm for each in opened.conditions())),
    )
    found = calibrate(seen, order)
    return Result(_data(found, order.out), _lines(found, order.out), _tables(found), _over(found, limit_px, order.out))


def board(
    paper: Annotated[str, typer.Option(help="Paper size, such as A4 or Letter.")] = "A4",
    squares_x: Annotated[int, typer.Option(help="Squares from left to right.")] = 10,
    squares_y: Annotated[int, typer.Option(help="Squares from top to bottom.")] = 7,
    square_mm: Annotated[float, typer.Option(help="Side of a square.")] = 25.0,
    marker_mm: Annotated[float | None, typer.Option(help="Side of a marker; 3/4 of the square by default.")] = None,
    dictionary: Annotated[str, typer.Option(help="Marker dictionary of OpenCV.")] = "DICT_5X5_50",
    pattern: Annotated[str, typer.Option(help="charuco, apriltag, or chessboard.")] = "charuco",
    first_tag: Annotated[int, typer.Option(help="Id of its first AprilTag; sheets have those below 500.")] = 500,
    png: PngOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for both files; calibration/ of the lab by default.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Write a calibration board: a PDF at true scale and the board file that `calibrate camera` reads."""
    from calibration.board import Board
    from calibration.files import parse_document, write_bytes, write_document
    from patches.board_pdf import board_pdf
    from pipeline.calibrating.camera import BOARD_FILE
    from pipeline.paper.sheets import draw_page

    asked = {
        "squares_x": squares_x,
        "squares_y": squares_y,
        "square_mm": square_mm,
        "marker_mm": 0.75 * square_mm if marker_mm is None else marker_mm,
        "dictionary": dictionary,
        "pattern": pattern,
        "first_tag": first_tag,
    }
    made = parse_document(asked, Board, where="board")
    page = board_pdf(made, paper)
    document = (out or lab / FOLDER) / BOARD_FILE
    write_bytes(document.with_suffix(".pdf"), page)
    write_document(document, made)
    pdf = document.with_suffix(".pdf")
    pictures = draw_page(pdf, png)
    data = {"pdf": str(pdf), "board": str(document), "png": [str(path) for path in pictures]}
    lines = [f"wrote {pdf}: print it at 100 % on {paper}, keep it flat"]
    lines += [f"wrote {path}" for path in (*pictures, document)]
    return Result(data=data, lines=lines)


def _one_source(pictures: list[Path] | None, live: bool, refit: Path | None) -> None:
    named = [name for name, given in (("PICTURES", pictures), ("--live", live), ("--refit", refit)) if given]
    if len(named) != 1:
        said = " and ".join(named) if named else "nothing"
        raise BadUsage(
            f"calibrate from pictures, from the camera (--live), or from a camera file (--refit); got {said}"
        )


def _watch(uri: str, board: Board, folder: Path, views: int, seconds: float) -> BoardViews:
    from capture.frame import Clock
    from capture.stop import stop_flag
    from pipeline.calibrating.camera import views_before_camera

    said = ""

    def tell(hint: Hint) -> None:
        nonlocal said
        why = f"; not this one: {hint.reason}" if hint.reason else ""
        line = f"{len(hint.views)} views{why}; next: {hint.missing[0] if hint.missing else 'more of the same'}"
        if line != said:
            note(line)
        said = line

    with stop_flag() as stop:
        return views_before_camera(uri, board, folder, most=views, seconds=seconds, tell=tell, stop=stop, clock=Clock())


def _data(done: Calibrated, path: Path) -> dict[str, Any]:
    found, model = done.calibration, done.model
    return {
        "rms_px": found.rms_px,
        "crossval_px": found.crossval.rms_px,
        "uncertainty_px": found.uncertainty_px,
        "camera": str(path),
        "views": len(found.used),
        "name": model.camera,
        "width": model.width,
        "height": model.height,
        "settings": dict(model.settings),
        "focal_px": [model.fx, model.fy],
        "focal_sd_px": found.focal_sd_px,
        "lens": model.lens,
        "distortion": list(model.distortion),
        "lenses": {trial.lens: trial.held_out_px for trial in found.lenses},
        "uncertainty": [asdict(place) for place in found.places],
        "crossval": asdict(found.crossval),
        "coverage": found.coverage.share,
        "coverage_picture": str(done.coverage),
        "missing": list(found.coverage.missing),
        "tilt_deg": found.tilt_deg,
        "per_view_px": dict(zip(found.used, found.per_view_px, strict=True)),
        "corners_off": found.corners_off,
        "skipped": [{"picture": skipped.name, "reason": skipped.reason} for skipped in found.skipped],
    }


def _lines(done: Calibrated, path: Path) -> list[str]:
    found, model = done.calibration, done.model
    return [
        f"wrote {path}: {model.width}x{model.height}, focal length {model.fx:.1f} x {model.fy:.1f} px "
        f"(± {found.focal_sd_px:.1f}), lens {model.lens}, RMS {found.rms_px:.2f} px over {len(found.used)} views",
        f"halves or sets of views disagree by {found.crossval.rms_px:.2f} px; "
        f"where patches appear, projections are known to {found.uncertainty_px:.2f} px",
        f"wrote {done.coverage}",
        *(f"better with: {what}" for what in found.coverage.missing),
        *(f"not used: {skipped.name}: {skipped.reason}" for skipped in found.skipped),
    ]


def _tables(done: Calibrated) -> list[Table]:
    found = done.calibration
    views = tuple((name, f"{rms:.2f}") for name, rms in zip(found.used, found.per_view_px, strict=True))
    lenses = tuple((each.lens, "-" if each.held_out_px is None else f"{each.held_out_px:.3f}") for each in found.lenses)
    places = tuple(
        (f"{each.distance_mm:g}", *(f"{sd:.3f}" for sd in (each.center_px, each.middle_px, each.anywhere_px)))
        for each in found.places
    )
    return [
        Table("Views", ("picture", "RMS px"), views),
        Table("Lenses", ("lens", "held-out RMS px"), lenses),
        Table("Uncertainty of projections, px", ("at mm", "center", "middle half", "anywhere"), places),
    ]


def _over(done: Calibrated, limit_px: float | None, path: Path) -> list[LimitNotMet]:
    found = done.calibration
    if limit_px is None or found.rms_px <= limit_px:
        return []
    worst = max(zip(found.per_view_px, found.used, strict=True))
    message = f"the RMS is {found.rms_px:.2f} px, at most {limit_px:g} px accepted"
    return [LimitNotMet(message, hint=f"worst view: {worst[1]} with {worst[0]:.2f} px", where=str(path))]
