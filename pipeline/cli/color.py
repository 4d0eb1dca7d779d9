"""Color at the command line: a chart to print, the response from photographs of it, drift over a session."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calibration.errors import BadInput, DpcamError, Incomplete, LimitNotMet
from pipeline.cli.command import LabOption, SeedOption
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.cli.paper import DateOption, OperatorOption, PngOption, sheet_flags
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from calibration.color import ColorResponse
    from patches.spec import TransformSpec
    from pipeline.calibrating.color_drift import FrameColor, SessionColor

FOLDER = "calibration"
NAMED = 5


def chart(
    paper: Annotated[str, typer.Option(help="Paper size, such as A4 or Letter.")] = "A4",
    first_tag_id: Annotated[int | None, typer.Option(help="Its first tag's id; the family's last by default.")] = None,
    date: DateOption = None,
    operator: OperatorOption = None,
    png: PngOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for both files; calibration/ of the lab by default.")] = None,
    seed: SeedOption = None,
    lab: LabOption = Path(),
) -> Result:
    """Write a color chart: a PDF at true scale and the sheet file that `calibrate color` reads."""
    from patches.chart import FIRST_TAG_ID, ChartOrder
    from pipeline.calibrating.color import write_chart
    from pipeline.paper.sheets import draw_page

    first = FIRST_TAG_ID if first_tag_id is None else first_tag_id
    said = enter_lab(lab, sheet_flags(None, None, date, operator), required=False).config.sheet
    made = write_chart(out or lab / FOLDER, ChartOrder(paper, first, seed or 0, said.date, said.operator))
    pictures = draw_page(made.pdf, png)
    data = {"chart": made.chart.id, "pdf": str(made.pdf), "sheet": str(made.sheet), "fields": len(made.chart.strip)}
    lines = [f"wrote {made.pdf}: print it at 100 % on {paper}, as the patches will be"]
    lines += [f"wrote {path}" for path in (*pictures, made.sheet)]
    return Result(data=data | {"png": [str(path) for path in pictures]}, lines=lines)


def color(
    photos: Annotated[list[Path], typer.Argument(help="Photographs of the chart, or folders of them.")],
    sheet: Annotated[str, typer.Option(help="The chart: its file, or its id in the lab.", metavar="CHART")],
    out: Annotated[Path | None, typer.Option(help="Color file; calibration/color.json of the lab by default.")] = None,
    spec: Annotated[
        Path | None,
        typer.Option(help="Also put the response into this transform file; a new one has the lab's other ranges."),
    ] = None,
    camera: Annotated[str | None, typer.Option(help="Name of the camera; the lab's camera by default.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="Camera file, to take its distortion off.")] = None,
    limit: Annotated[float | None, typer.Option(min=0, help="Exit with 6 when delta_e_after is larger.")] = None,
    seed: SeedOption = None,
    lab: LabOption = Path(),
) -> Result:
    """Measure what printer, paper and camera make of color, from photographs of the chart."""
    from calibration.camera import CameraModel
    from calibration.files import read_document, write_document
    from calibration.sheet import Sheet
    from pipeline.calibrating.color import COLOR_FILE, measure_color, print_spec

    model = read_document(calibration, CameraModel) if calibration else None
    name = model.camera if model and not camera else _camera_name(lab, camera)
    measured = measure_color(photos, read_document(_chart_file(sheet, lab), Sheet), name, model, seed or 0)
    found, path = measured.response, out or lab / FOLDER / COLOR_FILE
    exported = print_spec(found, _base(spec, lab)) if spec else None
    write_document(path, found)
    if spec and exported:
        write_document(spec, exported)
    data = _data(found, path, spec) | {"skipped": [each.message for each in measured.skipped]}
    errors = [*_skipped(measured.skipped), *_over(found, limit, path)]
    return Result(data, _lines(found, path, spec), [_candidates(found)], errors)


def session_color(
    session: Annotated[Path, typer.Argument(help="The session folder.", metavar="SESSION")],
    color: Annotated[
        Path | None, typer.Option(help="Color file to compare with; the session's own median otherwise.")
    ] = None,
    limit: Annotated[float | None, typer.Option(min=0, help="Exit with 6 when a frame drifts farther.")] = None,
) -> Result:
    """Compare the color strips of a session's frames: drift of the print, white balance, exposure."""
    from calibration.color import ColorResponse
    from calibration.files import read_document
    from capture.session import read_session
    from pipeline.calibrating import color_drift

    opened, response = read_session(session), read_document(color, ColorResponse) if color else None
    with progress_bar("measuring") as bar:
        found = color_drift.session_color(
            opened, response, lambda done: bar(done / max(len(opened.frames), 1), str(done))
        )
    errors = [*_unused(found, session), *_drifted(found.frames, limit, session)]
    return Result(_drift_data(found), _drift_lines(found), [], errors)


def _camera_name(lab: Path, camera: str | None) -> str:
    from capture.cameras.open import safe_address

    return safe_address(enter_lab(lab, {"camera.uri": camera}, required=False).camera_uri)


def _chart_file(sheet: str, lab: Path) -> Path:
    """A chart's file by its path, or by its id among those that were made in the lab."""
    own = lab / FOLDER / f"{sheet}.json"
    return own if not Path(sheet).is_file() and own.is_file() else Path(sheet)


def _base(spec: Path, lab: Path) -> TransformSpec:
    """What is in the file already; if it is not there, what the lab trains through without it."""
    from calibration.files import read_document
    from patches.spec import TransformSpec
    from pipeline.training.order import lab_spec, plan_spec

    if spec.exists():
        return read_document(spec, TransformSpec)
    opened = enter_lab(lab, required=False)
    named = opened.config.train.spec
    is_this = named is not None and (opened.folder / named).resolve() == spec.resolve()
    return plan_spec(opened) if is_this else lab_spec(opened)


def _data(found: ColorResponse, path: Path, spec: Path | None) -> dict[str, Any]:
    from calibration.color import printable

    return {
        "delta_e_before": found.fit.delta_e_before,
        "delta_e_after": found.fit.delta_e_after,
        "delta_e_after_p95": found.fit.delta_e_after_p95,
        "color": str(path),
        "spec": str(spec) if spec else None,
        "model": found.fit.model.kind,
        "candidates": [each.model_dump() for each in found.fit.candidates],
        "colors": len(found.swatches),
        "photos": found.photos,
        "white": list(found.white),
        "gamut_volume": printable(found.fit.model).volume,
        "gradient": found.gradient,
        "unevenness": found.unevenness,
        "warnings": found.warnings,
    }


def _lines(found: ColorResponse, path: Path, spec: Path | None) -> list[str]:
    fit = found.fit
    lines = [
        f"wrote {path}: {fit.model.kind}, CIEDE2000 {fit.delta_e_before:.2f} before, {fit.delta_e_after:.2f} after "
        f"(colors held out; 95 %: {fit.delta_e_after_p95:.2f}), {len(found.swatches)} colors in "
        f"{len(found.photos)} photographs",
        *(f"warning: {warning}" for warning in found.warnings),
    ]
    return [*lines, f"wrote {spec}: training sees this printer once lab.toml names it: [train] spec"] if spec else lines


def _candidates(found: ColorResponse) -> Table:
    rows = tuple(
        (each.kind, f"{each.smoothing:g}", str(each.parameters), f"{each.delta_e:.2f}", f"{each.delta_e_se:.2f}")
        for each in found.fit.candidates
    )
    return Table("Forms, CIEDE2000 of held-out colors", ("form", "smoothing", "parameters", "mean", "error"), rows)


def _skipped(skipped: tuple[BadInput, ...]) -> list[DpcamError]:
    return [Incomplete(f"left out: {each.message}", hint=each.hint, where=each.where) for each in skipped]


def _over(found: ColorResponse, limit: float | None, path: Path) -> list[LimitNotMet]:
    if limit is None or found.fit.delta_e_after <= limit:
        return []
    message = f"CIEDE2000 of held-out colors is {found.fit.delta_e_after:.2f}, at most {limit:g} accepted"
    return [LimitNotMet(message, hint="more even light, sharper photographs, several of them", where=str(path))]


def _drift_data(found: SessionColor) -> dict[str, Any]:
    import numpy as np

    drift, balance = ([getattr(each, name) for each in found.frames] for name in ("drift", "white_balance"))
    return {
        "reference": found.reference,
        "frames": [asdict(each) for each in found.frames],
        "drift": {"median": float(np.median(drift)), "p95": float(np.quantile(drift, 0.95)), "max": max(drift)},
        "white_balance": {
            "median": float(np.median(balance)),
            "p95": float(np.quantile(balance, 0.95)),
            "max": max(balance),
        },
        "unused": [asdict(each) for each in found.unused],
    }


def _drift_lines(found: SessionColor) -> list[str]:
    worst = max(found.frames, key=lambda each: each.drift)
    tinted = max(found.frames, key=lambda each: each.white_balance)
    return [
        f"{len(found.frames)} frames against {found.reference}",
        f"drift: at most {worst.drift:.2f} CIEDE2000 (frame {worst.index:06d})",
        f"white balance: at most {tinted.white_balance:.2f} CIEDE2000 (frame {tinted.index:06d})",
    ]


def _unused(found: SessionColor, session: Path) -> list[DpcamError]:
    if not found.unused:
        return []
    named = "; ".join(f"{each.frame:06d}: {each.reason}" for each in found.unused[:NAMED])
    more = "; ..." if len(found.unused) > NAMED else ""
    total = len(found.unused) + len(found.frames)
    return [Incomplete(f"{len(found.unused)} of {total} frames tell no color ({named}{more})", where=str(session))]


def _drifted(frames: tuple[FrameColor, ...], limit: float | None, session: Path) -> list[DpcamError]:
    over = [each.index for each in frames if limit is not None and each.drift > limit]
    if not over:
        return []
    message = f"{len(over)} frames drift by more than {limit:g} CIEDE2000, the first is {over[0]:06d}"
    return [LimitNotMet(message, hint="look at light and print", where=str(session))]
