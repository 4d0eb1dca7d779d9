"""Artwork: dpcam's signs, the user's pictures, true size, honest refusals."""

from __future__ import annotations

import base64
import io
import logging
import warnings
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from calibration.errors import BadImage, BadInput, MissingFile
from patches.artwork import artwork, artwork_labels, artwork_pdf, load_artwork, render

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {}>{}</svg>'
SIZE = 'width="200" height="100" viewBox="0 0 20 10"'
RECT = '<rect width="20" height="10" fill="#ff0000"/>'


def png(size: tuple[int, int] = (40, 20), color: tuple[int, ...] = (0, 0, 255), **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("RGBA" if len(color) == 4 else "RGB", size, color).save(stream, "PNG", **options)
    return stream.getvalue()


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def points(pdf: bytes) -> tuple[float, float]:
    document = pypdfium2.PdfDocument(pdf)
    try:
        assert len(document) == 1
        return document[0].get_size()
    finally:
        document.close()


@pytest.mark.parametrize("label", artwork_labels())
def test_sign_fills_its_box_and_nothing_else(label: str):
    sign = artwork(label)
    pixels = render(sign, 120)
    assert pixels.shape == (round(120 * sign.aspect), 120, 4)
    seen = pixels[..., 3] > 127
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert (columns[0], rows[0]) <= (1, 1)
    assert columns[-1] >= 118
    assert rows[-1] >= len(pixels) - 2
    # Whatever its outline, the box's corners are ground and its middle is sign.
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1], 3]
    assert corners.min() < 40
    assert pixels[len(pixels) // 2, 60, 3] == 255


def test_edges_are_antialiased_without_a_seam():
    """Half-covered pixels of a disc carry the rim's own white, not the clear black behind it."""
    pixels = render(artwork("keep-right"), 90)
    edge = (pixels[..., 3] > 20) & (pixels[..., 3] < 235)
    assert edge.sum() > 50
    assert pixels[edge][:, :3].min() > 200


def test_signs_of_opposite_direction_mirror_each_other():
    for left, right in (("turn-left-ahead", "turn-right-ahead"), ("keep-left", "keep-right")):
        difference = render(artwork(left), 64).astype(int) - render(artwork(right), 64)[:, ::-1]
        assert np.abs(difference).mean() < 1


def test_unknown_label_names_the_known_ones():
    with pytest.raises(BadInput, match=r"unicorn.*stop"):
        artwork("unicorn")


@pytest.mark.parametrize("width_mm", [120.0, 37.5])
def test_pdf_is_the_bounding_box_at_true_size_and_stable(width_mm: float):
    sign = artwork("yield")
    pdf = artwork_pdf(sign, width_mm)
    assert np.allclose(points(pdf), np.array([width_mm, width_mm * sign.aspect]) * 72 / 25.4, atol=1e-3)
    assert pdf == artwork_pdf(sign, width_mm)
    assert b"/Subtype /Image" not in pdf
    assert b"/PrintScaling /None" in pdf


@pytest.mark.parametrize("width_mm", [0.0, -3.0, float("nan"), float("inf")])
def test_size_must_be_positive(width_mm: float):
    with pytest.raises(BadInput, match="positive"):
        artwork_pdf(artwork("stop"), width_mm)


def test_no_pixels_no_picture():
    with pytest.raises(BadInput, match="at least 1 px"):
        render(artwork("stop"), 0)


def test_own_svg(tmp_path: Path):
    own = load_artwork(write(tmp_path, "own.svg", SVG.format(SIZE, RECT)), "mug")
    assert (own.label, own.outline, own.aspect) == ("mug", "rectangle", 0.5)
    assert np.array_equal(render(own, 30), np.broadcast_to(np.uint8([255, 0, 0, 255]), (15, 30, 4)))


def test_own_svg_may_hold_gradients_links_and_embedded_pictures(tmp_path: Path):
    picture = base64.b64encode(png()).decode()
    body = (
        '<defs><linearGradient id="g"><stop offset="0" stop-color="red"/><stop offset="1" stop-color="blue"/>'
        '</linearGradient></defs><rect width="20" height="5" fill="url(#g)"/>'
        '<a href="https://example.org/"><circle cx="5" cy="5" r="2"/></a>'
        f'<image x="10" y="5" width="10" height="5" xlink:href="data:image/png;base64,{picture}"/>'
    )
    pixels = render(load_artwork(write(tmp_path, "own.svg", SVG.format(SIZE, body)), "mug"), 40)
    assert pixels[15, 30].tolist() == [0, 0, 255, 255]
    assert pixels[2, 2, 0] > 200 > 60 > pixels[2, 37, 0]


def test_own_raster(tmp_path: Path):
    own = load_artwork(write(tmp_path, "own.png", png()), "mug")
    assert own.aspect == 0.5
    assert np.array_equal(render(own, 30)[..., 2:], np.full((15, 30, 2), 255))
    assert artwork_pdf(own, 50) == artwork_pdf(own, 50)


def test_clear_parts_of_a_raster_stay_clear(tmp_path: Path):
    stream = io.BytesIO()
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[:, :20] = (0, 200, 0, 255)
    Image.fromarray(pixels).save(stream, "PNG")
    seen = render(load_artwork(write(tmp_path, "own.png", stream.getvalue()), "mug"), 40)
    assert seen[20, 5].tolist() == [0, 200, 0, 255]
    assert seen[20, 35, 3] == 0


def test_photograph_that_lies_on_its_side_is_turned(tmp_path: Path):
    image = Image.new("RGB", (60, 30))
    note = image.getexif()
    note[0x0112] = 6
    image.save(tmp_path / "phone.jpg", exif=note)
    assert load_artwork(tmp_path / "phone.jpg", "mug").aspect == 2.0


OUTSIDE = {
    "file": '<image width="5" height="5" xlink:href="secret.png"/>',
    "address": '<image width="5" height="5" href="http://127.0.0.1:9/x.png"/>',
    "style": '<rect width="20" height="10" style="fill:url(http://127.0.0.1:9/x.svg#g)"/>',
    "sheet": '<style>@import "http://127.0.0.1:9/x.css";</style>' + RECT,
    "use": '<use href="other.svg#a"/>' + RECT,
    "script": "<script>alert(1)</script>" + RECT,
}


@pytest.mark.parametrize("body", OUTSIDE.values(), ids=OUTSIDE)
def test_svg_that_refers_outside_is_refused(tmp_path: Path, body: str):
    with pytest.raises(BadInput, match="outside of itself"):
        load_artwork(write(tmp_path, "own.svg", SVG.format(SIZE, body)), "mug")


def test_references_are_seen_in_every_encoding(tmp_path: Path):
    text = '<?xml version="1.0" encoding="UTF-16"?>' + SVG.format(SIZE, OUTSIDE["file"])
    with pytest.raises(BadInput, match="outside of itself"):
        load_artwork(write(tmp_path, "own.svg", text.encode("utf-16")), "mug")


@pytest.mark.parametrize("value", ['SYSTEM "file:///etc/passwd"', '"&a;&a;"'])
def test_entities_are_never_expanded(tmp_path: Path, value: str):
    text = f"<!DOCTYPE svg [<!ENTITY x {value}>]>" + SVG.format(SIZE, "<text>&x;</text>" + RECT)
    with pytest.raises(BadInput, match="entities"):
        load_artwork(write(tmp_path, "own.svg", text), "mug")


def test_the_usual_doctype_is_fine(tmp_path: Path):
    kind = '"-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"'
    text = f'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE svg PUBLIC {kind}>' + SVG.format(SIZE, RECT)
    assert load_artwork(write(tmp_path, "own.svg", text), "mug").aspect == 0.5


UNREADABLE = {
    "cut.svg": SVG.format(SIZE, RECT)[:-9],
    "empty.svg": "",
    "html.svg": "<html><body/></html>",
    "nothing.svg": SVG.format(SIZE, ""),
    "flat.svg": SVG.format('width="10" height="0" viewBox="0 0 10 0"', RECT),
    "unsized.svg": SVG.format("", ""),
    "thread.svg": SVG.format('width="1000" height="1" viewBox="0 0 1000 1"', RECT),
    "damaged.svg": SVG.format(SIZE, '<image width="5" height="5" href="data:image/png;base64,AAAA"/>'),
    "text.png": "no picture at all",
    "cut.png": png((300, 300), (1, 2, 3))[:-60],
    "clear.png": png(color=(0, 0, 0, 0)),
    "long.png": png((9000, 2)),
    "thread.png": png((500, 5)),
    "none.jpg": b"",
    "gif.png": b"GIF89a" + bytes(20),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, name: str):
    path = write(tmp_path, name, UNREADABLE[name])
    with pytest.raises(BadImage) as caught:
        load_artwork(path, "mug")
    assert name in caught.value.message
    assert caught.value.where == str(path)


def test_missing_file(tmp_path: Path):
    with pytest.raises(MissingFile):
        load_artwork(tmp_path / "none.svg", "mug")


def test_the_drawing_libraries_keep_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: object):
    body = '<rect width="20" height="10" fill="no-such-color"/><unknown/><text font-family="Nowhere">a</text>'
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        render(load_artwork(write(tmp_path, "own.svg", SVG.format(SIZE, body)), "mug"), 20)
    assert not seen
    assert capfd.readouterr() == ("", "")
    assert not caplog.records  # type: ignore[attr-defined]
    assert logging.getLogger("svglib").level == logging.NOTSET
