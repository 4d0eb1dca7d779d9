"""Frames of every shape against closed forms: their area, what they leave free, and what cannot be."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from calibration.errors import BadImage, BadInput, MissingFile
from calibration.geometry import centered_box
from patches.artwork import Artwork, artwork
from patches.frames import FrameOrder, frame_geometry, read_mask
from patches.patch import PatchGeometry

WIDTH_MM = 120.0
BOX_SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="{0}"><rect width="60" height="{0}"/></svg>'
CONVEX = {
    "triangle": ((0.5, 0.0), (1.0, 1.0), (0.0, 1.0)),
    "diamond": ((0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)),
    "pentagon": ((0.5, 0.0), (1.0, 0.4), (0.8, 1.0), (0.2, 1.0), (0.0, 0.4)),
}
ARROW = ((0.0, 0.3), (0.6, 0.3), (0.6, 0.0), (1.0, 0.5), (0.6, 1.0), (0.6, 0.7), (0.0, 0.7))


def target(aspect: float = 1.0) -> Artwork:
    """A picture that covers its whole box."""
    return Artwork("box", "rectangle", aspect, svg=BOX_SVG.format(60 * aspect))


def grown_area(perimeter: float, gap: float, thickness: float) -> float:
    """Steiner's formula: what a convex figure gains between two distances from it."""
    return perimeter * thickness + math.pi * ((gap + thickness) ** 2 - gap**2)


def perimeter(corners: np.ndarray) -> float:
    return float(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).sum())


def covers(geometry: PatchGeometry, part: str, size: int = 400) -> np.ndarray:
    """Share of each pixel of the square around the frame."""
    square = centered_box(np.zeros(2), geometry.outer_mm, geometry.outer_mm)
    return getattr(geometry.sticker, part).coverage(square, size, size)


def ring_mask(size: int = 96) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(x, y) / size
    return np.where((radius < 0.48) & (radius > 0.36), 255, 0).astype(np.uint8)


# Area


@pytest.mark.parametrize("polygon", CONVEX.values(), ids=CONVEX)
@settings(max_examples=10, deadline=None)
@given(thickness=st.floats(3, 40), gap=st.floats(0, 20), aspect=st.floats(0.4, 2))
def test_a_ring_along_a_polygon_has_the_area_of_steiner_s_formula(polygon, thickness, gap, aspect):
    order = FrameOrder("outline", thickness, gap, 2.0, polygon=polygon)
    geometry = frame_geometry(target(aspect), WIDTH_MM, order)
    corners = np.array(polygon) * [WIDTH_MM, WIDTH_MM * aspect]
    expected = grown_area(perimeter(corners), gap, thickness)
    assert geometry.share * geometry.outer_mm**2 == pytest.approx(expected, rel=5e-3)
    assert geometry.outer_mm == pytest.approx(WIDTH_MM * max(aspect, 1) + 2 * (gap + thickness))


SIGNS = {
    "speed-limit-50": math.pi * WIDTH_MM,
    "stop": 8 * WIDTH_MM * math.tan(math.pi / 8),
    "priority-road": 4 * math.sqrt(2) * (1 - 20 / 300) * WIDTH_MM / 2 + 2 * math.pi * 20 / 300 * WIDTH_MM / 2,
    "yield": 6 * (300 - 34) * WIDTH_MM / 600 + 2 * math.pi * 34 * WIDTH_MM / 600,
}
"""Label → perimeter of the sign, its corners being round."""


@pytest.mark.parametrize("label", SIGNS)
def test_a_ring_along_a_drawn_sign_follows_its_outline(label: str):
    geometry = frame_geometry(artwork(label), WIDTH_MM, FrameOrder("outline"))
    area = geometry.share * geometry.outer_mm**2
    assert area == pytest.approx(grown_area(SIGNS[label], 2, 18), rel=5e-3)
    assert geometry.ring().mean() == pytest.approx(geometry.share, rel=0.02)


@settings(max_examples=15, deadline=None)
@given(thickness=st.floats(2.5, 40), gap=st.floats(0, 20), aspect=st.floats(0.4, 2))
def test_strips_are_four_bars(thickness: float, gap: float, aspect: float):
    geometry = frame_geometry(target(aspect), WIDTH_MM, FrameOrder("strips", thickness, gap))
    width, height = WIDTH_MM + 2 * gap, WIDTH_MM * aspect + 2 * gap
    assert geometry.share * geometry.outer_mm**2 == pytest.approx(2 * thickness * (width + height), rel=1e-4)
    assert geometry.sticker is not None
    window = geometry.sticker.window.box
    assert (window.width_mm, window.height_mm) == pytest.approx((width, height), abs=1e-3)


def test_a_square_frame_has_its_closed_form_and_needs_no_polygons():
    assert frame_geometry(artwork("stop"), WIDTH_MM, FrameOrder()) == PatchGeometry.around(WIDTH_MM)
    geometry = frame_geometry(artwork("stop"), WIDTH_MM, FrameOrder("square", 20, 5, 1))
    assert geometry.model_dump() == {"target_mm": 120, "inner_mm": 130, "outer_mm": 170, "texel_mm": 1}
    assert geometry.share == pytest.approx(1 - (130 / 170) ** 2)
    assert PatchGeometry().share == pytest.approx(1 - (124 / 160) ** 2)


def test_a_mask_covers_what_is_opaque_in_it():
    mask = ring_mask()
    geometry = frame_geometry(artwork("stop"), WIDTH_MM, FrameOrder("mask", mask=mask))
    assert geometry.outer_mm == 160
    assert geometry.share == pytest.approx((mask > 0).mean(), rel=0.01)
    found = covers(geometry, "printed", 96)
    assert np.abs(found - mask / 255).mean() < 0.02


def test_a_mask_may_cover_the_target_and_its_holes_stay_open():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    mask[15:25, 15:25] = 0
    mask[0, 0] = 255
    geometry = frame_geometry(artwork("stop"), WIDTH_MM, FrameOrder("mask", mask=mask))
    np.testing.assert_allclose(covers(geometry, "printed", 40), mask / 255, atol=1e-3)
    opened = covers(geometry, "window", 40)
    assert opened[20, 20] == 1
    assert opened[12, 12] == 0


# What is free


ORDERS = {
    "outline": FrameOrder("outline"),
    "outline without gap": FrameOrder("outline", gap_mm=0),
    "arrow": FrameOrder("outline", polygon=ARROW),
    "strips": FrameOrder("strips"),
    "mask": FrameOrder("mask", mask=ring_mask()),
}


@pytest.mark.parametrize("label", ["stop", "yield"])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_nothing_is_both_printed_and_cut_out_and_all_is_in_the_square(order: FrameOrder, label: str):
    geometry = frame_geometry(artwork(label), WIDTH_MM, order)
    printed, window = covers(geometry, "printed"), covers(geometry, "window")
    assert (printed + window).max() < 1.001
    assert min(printed.sum(), window.sum()) > 0
    assert 0 < geometry.share < 1
    assert printed.mean() == pytest.approx(geometry.share, rel=2e-3)


@pytest.mark.parametrize("label", ["stop", "yield", "priority-road", "keep-left"])
def test_the_whole_target_is_seen_through_the_window(label: str):
    from patches.artwork import render

    sign = artwork(label)
    geometry = frame_geometry(sign, WIDTH_MM, FrameOrder("outline", gap_mm=1))
    opened = covers(geometry, "window", 320)
    alpha = render(sign, 240)[..., 3] / 255
    top = (320 * 158 / 160 - len(alpha)) / 2
    scale = geometry.outer_mm / 320
    assert scale == pytest.approx(158 / 320)
    y, x = np.nonzero(alpha > 0.5)
    mm = (np.column_stack([x, y]) + 0.5) * WIDTH_MM / 240 - [WIDTH_MM / 2, WIDTH_MM * sign.aspect / 2]
    at = ((mm + geometry.outer_mm / 2) / scale).astype(int)
    assert top > 0
    assert opened[at[:, 1], at[:, 0]].min() == 1


def test_a_ring_along_an_arrow_follows_its_notches():
    """Not the convex hull: between barb and shaft, the window is no nearer to the edge than the gap."""
    geometry = frame_geometry(target(), WIDTH_MM, FrameOrder("outline", 8, 1, 1, polygon=ARROW))
    size = 400
    at = ((np.array([[-40.0, -36.0], [-40.0, 0.0], [-40, -30]]) / geometry.outer_mm + 0.5) * size).astype(int)
    (notch_x, notch_y), (shaft_x, shaft_y), (ring_x, ring_y) = at
    printed, window = covers(geometry, "printed", size), covers(geometry, "window", size)
    assert window[notch_y, notch_x] == printed[notch_y, notch_x] == 0
    assert window[shaft_y, shaft_x] == 1
    assert printed[ring_y, ring_x] == 1


def test_scaled_it_is_the_same_frame():
    geometry = frame_geometry(artwork("yield"), WIDTH_MM, FrameOrder("outline"))
    half = geometry.scaled(0.5)
    assert half.share == pytest.approx(geometry.share, rel=1e-4)
    assert half.texels == geometry.texels
    assert np.array_equal(half.ring(), geometry.ring())
    assert PatchGeometry.model_validate_json(half.model_dump_json()) == half


# What cannot be


SOLID = np.full((32, 32), 255, np.uint8)
REFUSED = {
    "no thickness": (FrameOrder("outline", thickness_mm=0), "thickness above 0"),
    "a thickness that is no number": (FrameOrder("strips", thickness_mm=math.nan), "thickness above 0"),
    "an endless thickness": (FrameOrder("outline", thickness_mm=math.inf), "thickness above 0"),
    "a gap below zero": (FrameOrder("square", gap_mm=-1), "gap from 0 on"),
    "texels thicker than the frame": (FrameOrder("outline", thickness_mm=1), "1 mm, fit into the frame, got 2 mm"),
    "texels too small": (FrameOrder("square", texel_mm=0.01), "16000 along 160 mm; 4096 are accepted"),
    "a square too large": (FrameOrder("outline", thickness_mm=9000), "impossible.*10000"),
    "a mask for a ring": (FrameOrder("outline", mask=SOLID), "'outline' with one"),
    "no mask": (FrameOrder("mask"), "'mask' without one"),
    "an empty mask": (FrameOrder("mask", mask=SOLID * 0), "mask is empty"),
    "a mask without a window": (FrameOrder("mask", mask=SOLID), "opaque everywhere"),
    "an oblong mask": (FrameOrder("mask", mask=SOLID[:, :20]), "must be one, got 20 x 32 px"),
    "a mask of floats": (FrameOrder("mask", mask=SOLID.astype(np.float32)), "one layer of uint8"),
    "a mask of one pixel": (FrameOrder("mask", mask=SOLID[:1, :1]), "2 to 4096 px a side"),
    "a mask over all of the target": (
        FrameOrder("mask", mask=np.pad(SOLID[:28, :28], 2)),
        "covers all of the target",
    ),
    "a mask of dust": (
        FrameOrder("mask", mask=np.random.default_rng(1).integers(0, 256, (500, 500), dtype=np.uint8)),
        "pieces of rows; 20000 are accepted",
    ),
    "a speck": (
        FrameOrder("mask", texel_mm=18, mask=np.pad(SOLID[:1, :1], (0, 99))),
        "half a texel of 18 mm",
    ),
    "a polygon for strips": (FrameOrder("strips", polygon=ARROW), "'strips' does not follow the polygon"),
    "a polygon that crosses itself": (
        FrameOrder("outline", polygon=((0, 0), (1, 1), (1, 0), (0, 1))),
        "crosses itself",
    ),
    "a polygon without area": (FrameOrder("outline", polygon=((0, 0), (1, 1), (0.5, 0.5))), "no area"),
    "a polygon of two corners": (FrameOrder("outline", polygon=((0, 0), (1, 1))), "three corners"),
    "a polygon beyond its box": (FrameOrder("outline", polygon=((0, 0), (2, 1), (0, 1))), "from 0 to 1"),
}


@pytest.mark.parametrize(("order", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_in_one_line(order: FrameOrder, words: str):
    with pytest.raises(BadInput, match=words) as caught:
        frame_geometry(artwork("stop"), WIDTH_MM, order)
    assert "\n" not in caught.value.message


def test_a_mask_is_the_transparency_of_a_png(tmp_path: Path):
    Image.fromarray(np.dstack([SOLID, ring_mask(32)])).save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png"), ring_mask(32))
    indexed = Image.fromarray((SOLID > 0).astype(np.uint8)).convert("P")
    indexed.save(tmp_path / "palette.png", transparency=1)
    assert read_mask(tmp_path / "palette.png").max() == 0


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("gone.png", None, MissingFile, "gone.png"),
        ("text.png", b"no picture", BadImage, "a mask is a PNG"),
        ("gray.png", Image.fromarray(SOLID), BadImage, "no transparency"),
        ("large.png", Image.new("LA", (4100, 2)), BadImage, "4100x2 px"),
    ],
)
def test_what_is_no_mask_is_named(tmp_path: Path, name: str, content, error: type[Exception], words: str):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        content.save(path)
    with pytest.raises(error, match=words):
        read_mask(path)
