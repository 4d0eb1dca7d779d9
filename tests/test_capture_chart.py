"""A color chart in photographs of the simulated camera: truth found, and photographs that cannot be used refused."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from charts import looks, make_chart, photograph
from PIL import Image, ImageCms

from calibration.color import delta_e
from calibration.color_fit import fit_color
from calibration.errors import BadImage, BadInput
from calibration.files import write_bytes
from calibration.sheet import Sheet
from capture.cameras.sim_print import PRINTERS
from capture.chart import combine, read_chart
from capture.picture import decode_color, encode_png
from patches.chart import ChartOrder, chart_pdf, lay_out_chart

FRESH = np.random.default_rng(7).random((300, 3))
"""Colors that no chart has."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("chart")


@pytest.fixture(scope="module")
def chart(folder: Path) -> Sheet:
    return make_chart(folder)


@pytest.fixture(scope="module")
def photos(folder: Path, chart: Sheet) -> dict[str, np.ndarray]:
    """One by each printer."""
    return {printer: photograph(folder, chart, printer) for printer in PRINTERS}


@pytest.mark.parametrize("printer", PRINTERS)
def test_the_response_of_every_simulated_printer_is_found(chart, photos, printer):
    photo = read_chart(photos[printer], chart, printer)
    seen, white = combine(chart, [photo])
    fit = fit_color(seen)
    assert fit.delta_e_after < 0.6, "held-out colors; at most 2 is asked for"
    assert fit.delta_e_before > 15
    assert delta_e(fit.model.predict(FRESH), looks(printer, FRESH, white)).mean() < 0.5, "colors that no chart has"
    assert photo.gradient > 0.1
    assert photo.unevenness < 0.01


def test_the_published_printer_is_as_published(chart, photos):
    photo = read_chart(photos["published"], chart, "photo")
    fit = fit_color(combine(chart, [photo])[0])
    assert fit.model.kind == "quadratic"
    seen = fit.model.predict(np.array([[0.0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]))
    known = [(0.04, 0.04, 0.04), (0.80, 0.73, 0.68), (0.63, 0.22, 0.09), (0.19, 0.46, 0.18), (0.07, 0.13, 0.52)]
    np.testing.assert_allclose(seen, known, atol=0.035)


def test_photographs_that_are_not_alike_agree(chart, folder, photos):
    dim = photograph(folder, chart, "laser", "dim", yaw_deg=-20, roll_deg=90, distance_mm=700)
    both = [read_chart(photos["laser"], chart, "day"), read_chart(dim, chart, "dim")]
    seen, white = combine(chart, both)
    assert {each.places for each in seen} == {2, 60}
    fit = fit_color(seen)
    assert delta_e(fit.model.predict(FRESH), looks("laser", FRESH, white)).mean() < 1


def test_a_large_photograph_is_read_as_well(chart, photos):
    large = cv2.resize(photos["laser"], None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    light, again = (read_chart(pixels, chart, "photo").light for pixels in (photos["laser"], large))
    np.testing.assert_allclose(light, again, atol=0.01)


def test_reflections_are_left(chart, folder):
    photo = read_chart(photograph(folder, chart, "published", "bright"), chart, "bright")
    assert photo.unevenness > 0.03


# Photographs that cannot be used


def other_sheet(folder: Path) -> np.ndarray:
    other = lay_out_chart(ChartOrder(first_tag_id=100))
    write_bytes(folder / other.pdf, chart_pdf(other))
    return photograph(folder, other)


BAD = {
    "blown-out": (lambda folder, chart, photo: cv2.convertScaleAbs(photo, alpha=1.35), "is blown out: the paper"),
    "dark": (
        lambda folder, chart, photo: cv2.convertScaleAbs(photo, alpha=0.25),
        "too dark: the paper's white is seen",
    ),
    "white": (lambda folder, chart, photo: np.full_like(photo, 255), r"shows no tags \(it is blown out\)"),
    "black": (lambda folder, chart, photo: np.zeros_like(photo), r"shows no tags \(it is too dark\)"),
    "wall": (lambda folder, chart, photo: np.full_like(photo, 120), "shows no tags; looked for the tags 583 to 586"),
    "other": (lambda folder, chart, photo: other_sheet(folder), "shows another sheet: tags 100, 101, 102, 103, not"),
    "half": (lambda folder, chart, photo: photo[:, :640].copy(), "not wholly in the picture|tags usable"),
    "shadow": (lambda folder, chart, photo: photograph(folder, chart, light="shadow"), "light on the chart is uneven"),
}


@pytest.mark.parametrize("name", BAD)
def test_photographs_that_cannot_be_used(name, folder, chart, photos):
    make, said = BAD[name]
    with pytest.raises(BadInput, match=said) as error:
        read_chart(make(folder, chart, photos["lab"]), chart, "photo.png")
    assert "photo.png" in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    ("x_mm", "grown_mm", "said"), [(8.0, 0.0, "fields hold more than one color"), (0.0, -6.0, "its fields have 5.8 px")]
)
def test_fields_that_are_not_where_the_sheet_says_or_too_small(chart, photos, x_mm, grown_mm, said):
    boxes = [each.box.grown(grown_mm) for each in chart.strip]
    moved = [box.model_copy(update={"x_mm": box.x_mm + x_mm}) for box in boxes]
    strip = [each.model_copy(update={"box": box}) for each, box in zip(chart.strip, moved, strict=True)]
    with pytest.raises(BadInput, match=said):
        read_chart(photos["lab"], chart.model_copy(update={"strip": strip}), "photo.png")


# Files


def saved(photo: np.ndarray, kind: str, **how: object) -> bytes:
    stream = io.BytesIO()
    mode = str(how.pop("mode", "RGB"))
    Image.fromarray(photo).convert(mode).save(stream, kind, **how)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("kind", "how", "said"),
    [
        ("JPEG", {"mode": "CMYK"}, "is a CMYK picture"),
        ("PNG", {"mode": "L"}, "is a gray picture"),
        ("PNG", {"mode": "I;16"}, "is a gray picture"),
        ("PNG", {"mode": "P"}, "is a P picture"),
    ],
)
def test_pictures_without_rgb_are_refused(kind, how, said):
    with pytest.raises(BadImage, match=said):
        decode_color(saved(np.full((20, 20, 3), 90, np.uint8), kind, **how), "photo")


def test_sixteen_bits_and_turned_pictures_are_read(chart, photos):
    photo = photos["published"]
    deep = cv2.imencode(".png", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257)[1].tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(np.rot90(photo).copy(), "PNG", exif=exif)
    for data in (deep, turned, encode_png(photo)):
        pixels, warning = decode_color(data, "photo")
        assert not warning
        np.testing.assert_array_equal(pixels, photo)


def test_a_profile_is_named():
    photo = np.full((20, 20, 3), 90, np.uint8)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode_color(saved(photo, "PNG", icc_profile=srgb), "photo")[1] == ""
    assert (
        "photo is in an unreadable profile" in decode_color(saved(photo, "PNG", icc_profile=b"no profile"), "photo")[1]
    )
