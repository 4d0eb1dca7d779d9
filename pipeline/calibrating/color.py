"""Color calibration from files: photographs of a chart in, the response of printer, paper and camera out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.camera import CameraModel
from calibration.color import ColorResponse, ColorSwatch, encoded
from calibration.color_fit import fit_color
from calibration.errors import BadInput
from calibration.files import read_bytes, write_bytes, write_document
from calibration.sheet import Sheet
from capture.chart import DIM, UNEVEN, ChartPhoto, combine, is_chart, read_chart
from capture.picture import decode_color
from patches.chart import ChartOrder, chart_pdf, lay_out_chart
from patches.spec import TransformSpec
from pipeline.calibrating.camera import picture_files

COLOR_FILE = "color.json"
FROM_PRINT_TO_PRINT = {
    "print_black": (0.0, 0.02),
    "print_white": (0.95, 1.0),
    "print_dot_gain": (0.0, 0.05),
    "print_saturation": (0.95, 1.0),
}
"""Ranges about a measured response: the next print is not this one."""


@dataclass(frozen=True, slots=True)
class WrittenChart:
    """A chart with the paths of its two files."""

    chart: Sheet
    sheet: Path
    pdf: Path


@dataclass(frozen=True, slots=True)
class MeasuredColor:
    """A response, and why photographs were left out."""

    response: ColorResponse
    skipped: tuple[BadInput, ...]


def write_chart(folder: Path, order: ChartOrder) -> WrittenChart:
    """Write a color chart's PDF and, last, its JSON."""
    chart = lay_out_chart(order)
    path = folder / f"{chart.id}.json"
    write_bytes(folder / chart.pdf, chart_pdf(chart))
    write_document(path, chart)
    return WrittenChart(chart, path, folder / chart.pdf)


def measure_color(
    paths: Sequence[Path], chart: Sheet, camera: str, model: CameraModel | None = None, seed: int = 0
) -> MeasuredColor:
    """The response that photographs (files, and folders of them) of ``chart`` show; ``seed`` deals the folds.

    ``model`` takes the lens's distortion off. Photographs that cannot be used are left out; where none is left, or a
    file is missing, that is raised: :class:`BadInput`.
    """
    if not is_chart(chart):
        raise BadInput(
            f"the sheet {chart.id} is no color chart: its strip has {len(chart.strip)} fields",
            hint="dpcam calibrate chart makes one",
        )
    photos: list[ChartPhoto] = []
    skipped: list[BadInput] = []
    warnings: list[str] = []
    for path in picture_files(paths):
        data = read_bytes(path)
        try:
            pixels, warning = decode_color(data, str(path))
            photos.append(read_chart(pixels, chart, path.name, model))
            warnings += [warning] if warning else []
        except BadInput as error:
            skipped.append(error)
    if not photos:
        raise skipped[0]
    return MeasuredColor(_response(chart, camera, photos, warnings, seed), tuple(skipped))


def _response(
    chart: Sheet, camera: str, photos: Sequence[ChartPhoto], warnings: Sequence[str], seed: int
) -> ColorResponse:
    """Evidence and fit in one document."""
    swatches, white = combine(chart, photos)
    red, green, blue = white.round(6).tolist()
    return ColorResponse(
        chart=chart.id,
        camera=camera,
        photos=[photo.name for photo in photos],
        white=(red, green, blue),
        gradient=round(max(photo.gradient for photo in photos), 4),
        unevenness=round(max(photo.unevenness for photo in photos), 4),
        fit=fit_color(swatches, seed),
        warnings=[*warnings, *_warnings(photos, swatches)],
        swatches=swatches,
    )


def _warnings(photos: Sequence[ChartPhoto], swatches: Sequence[ColorSwatch]) -> list[str]:
    """What was cut off, and light that the white paper could not even out."""
    clipped = [each.asked for each in swatches if each.clipped]
    said = []
    if clipped:
        said.append(f"{len(clipped)} of {len(swatches)} colors are cut off above, such as {clipped[0]}; left out")
    for photo in photos:
        white = float(encoded(photo.white).max())
        if white < DIM:
            said.append(
                f"{photo.name}: the paper's white is seen as {255 * white:.0f} of 255, {255 * DIM:.0f} to 240 wanted: "
                "training takes the patch for as much darker than its target"
            )
        if photo.dark.any():
            said.append(f"{photo.name}: {int(photo.dark.sum())} fields are cut off below: the camera shows them as 0")
        if photo.unevenness > UNEVEN[0]:
            said.append(f"{photo.name}: the paper's white still varies by {100 * photo.unevenness:.1f} %")
    return said


def print_spec(response: ColorResponse, base: TransformSpec) -> TransformSpec:
    """``base`` with the response in it; the four ranges of printing are left what may differ from print to print."""
    return base.model_copy(update={"print_color": response.fit.model, **FROM_PRINT_TO_PRINT})
