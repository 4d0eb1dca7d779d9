"""Target artwork: German traffic signs drawn by dpcam as SVG, or the user's own picture; as PDF at true size, as pixels.

The signs follow the official geometric designs (StVO, public domain). No photograph went into them, and none of them
went into the training of the recognizers: each is a real test of the other.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calibration.errors import BadImage, BadInput
from calibration.files import read_bytes
from calibration.sheet import Outline

RED, BLUE, YELLOW, WHITE, BLACK, GREEN = "#b81d24", "#0b4ea2", "#f7b500", "#ffffff", "#111111", "#1e9b4b"
UNIT = 600.0
"""The signs are drawn in a box of this width, in units of an SVG."""

MAX_SIDE_PX = 20_000


@dataclass(frozen=True, slots=True)
class Artwork:
    """A target's picture. ``aspect`` is height over width; exactly one of ``svg`` and ``png`` (RGBA) is not empty."""

    label: str
    outline: Outline
    aspect: float
    svg: str = ""
    png: bytes = b""


def artwork_labels() -> tuple[str, ...]:
    """The classes that dpcam can draw."""
    return tuple(SIGNS)


@lru_cache(maxsize=64)
def artwork(label: str) -> Artwork:
    """dpcam's own drawing of a class; :class:`BadInput` names the classes that can be drawn."""
    if label not in SIGNS:
        raise BadInput(
            f"dpcam has no drawing of {label!r}; it draws {', '.join(SIGNS)}",
            hint="give your own picture of the target: artwork in lab.toml, or --artwork FILE",
        )
    return SIGNS[label](label)


def load_artwork(path: Path, label: str) -> Artwork:
    """The user's own picture: SVG (drawn as it is, nothing outside of it is read), PNG or JPEG.

    :class:`BadImage` when it is neither, empty, or too large; :class:`BadInput` when an SVG refers to other files.
    """
    data = read_bytes(path)
    if path.suffix.lower() == ".svg":
        return _own_svg(data, path, label)
    try:
        image = Image.open(io.BytesIO(data)).convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"{path} is no picture: SVG, PNG or JPEG is accepted ({error})", where=str(path)) from error
    if max(image.size) > MAX_SIDE_PX:
        raise BadImage(f"{path} is {image.width}x{image.height}; at most {MAX_SIDE_PX} px a side are accepted")
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return Artwork(label, "square" if image.width == image.height else "rectangle", image.height / image.width,
                   png=stream.getvalue())  # fmt: skip


def artwork_pdf(sign: Artwork, width_mm: float) -> bytes:
    """One page, exactly the target's bounding box at true size; the same bytes for the same input."""
    from reportlab.lib.units import mm
    from reportlab.pdfgen.canvas import Canvas

    if not (math.isfinite(width_mm) and width_mm > 0):
        raise BadInput(f"the target's width must be positive, got {width_mm:g} mm")
    width, height = width_mm * mm, width_mm * sign.aspect * mm
    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=(width, height), invariant=1, pageCompression=1)
    canvas.setTitle(f"dpcam target {sign.label}")
    canvas.setViewerPreference("PrintScaling", "None")
    if sign.png:
        from reportlab.lib.utils import ImageReader

        canvas.drawImage(ImageReader(io.BytesIO(sign.png)), 0, 0, width, height, mask="auto")
    else:
        _draw_svg(canvas, sign, width, height)
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def render(sign: Artwork, width_px: int, supersample: int = 4) -> NDArray[np.uint8]:
    """``(H, W, 4)`` uint8 RGBA, straight alpha, averaged down from ``supersample`` times the size."""
    return _render(sign, width_px, supersample).copy()


@lru_cache(maxsize=32)
def _render(sign: Artwork, width_px: int, supersample: int) -> NDArray[np.uint8]:
    import cv2
    import pypdfium2

    document = pypdfium2.PdfDocument(artwork_pdf(sign, 100.0))
    page = document[0]
    scale = width_px * supersample / page.get_width()
    bitmap = page.render(scale=scale, fill_color=(0, 0, 0, 0), rev_byteorder=True, force_bitmap_format=4)
    large = np.asarray(bitmap.to_numpy(), dtype=np.float32)
    document.close()
    height_px = max(round(width_px * sign.aspect), 1)
    # Colors are weighed by their alpha, or the ground would bleed into the edge.
    weighed = np.dstack([large[..., :3] * (large[..., 3:] / 255), large[..., 3]])
    small = cv2.resize(weighed, (width_px, height_px), interpolation=cv2.INTER_AREA)
    alpha = small[..., 3:]
    color = small[..., :3] * 255 / np.maximum(alpha, 1e-3)
    return np.asarray(np.dstack([color, alpha]).round().clip(0, 255), dtype=np.uint8)


def _draw_svg(canvas: Any, sign: Artwork, width: float, height: float) -> None:
    from reportlab.graphics import renderPDF

    drawing = _parsed(sign.svg.encode(), sign.label)
    drawing.scale(width / drawing.width, height / drawing.height)
    renderPDF.draw(drawing, canvas, 0, 0)


def _parsed(svg: bytes, name: str) -> Any:
    """The drawing in an SVG; :class:`BadImage` when it has none."""
    import logging
    import warnings

    from svglib.svglib import svg2rlg

    logging.getLogger("svglib").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            drawing = svg2rlg(io.BytesIO(svg))
        except Exception as error:  # svglib lets whatever its parsers raise through
            raise BadImage(f"{name} is no SVG that can be drawn: {error}", where=name) from error
    if drawing is None or not (drawing.width > 0 and drawing.height > 0) or not drawing.contents:
        raise BadImage(f"{name} is no SVG that can be drawn: it has no size or no content", where=name)
    return drawing


OUTSIDE = re.compile(rb"""<!ENTITY|<\s*(?:\w+:)?(?:script|foreignObject)\b|(?:href|src)\s*=\s*["']\s*(?!\#|data:)|@import|url\(\s*["']?\s*(?!\#|["']?\#|data:)""", re.I)  # noqa: E501  # fmt: skip


def _own_svg(data: bytes, path: Path, label: str) -> Artwork:
    refused = OUTSIDE.search(data)
    if refused:
        raise BadInput(
            f"{path} refers to something outside of itself ({refused.group().decode(errors='replace').strip()!r})",
            hint="embed what it needs, or export it as PNG",
            where=str(path),
        )
    drawing = _parsed(data, str(path))
    aspect = drawing.height / drawing.width
    return Artwork(label, "square" if abs(aspect - 1) < 1e-6 else "rectangle", aspect, svg=data.decode("utf-8", "replace"))


# ---- The signs. All coordinates in units of the SVG, UNIT wide.


def _svg(body: Sequence[str], height: float = UNIT) -> str:
    size = f'width="{UNIT:g}" height="{height:g}" viewBox="0 0 {UNIT:g} {height:g}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(body)}</svg>'


def _disc(radius: float, color: str) -> str:
    return f'<circle cx="300" cy="300" r="{radius:g}" fill="{color}"/>'


def _polygon(points: Sequence[tuple[float, float]], color: str) -> str:
    listed = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return f'<polygon points="{listed}" fill="{color}"/>'


def _stroke(path: str, width: float, color: str, transform: str = "") -> str:
    moved = f' transform="{transform}"' if transform else ""
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width:g}" stroke-linejoin="miter"{moved}/>'


# Digits in the manner of DIN 1451: strokes of 14 in a box 60 wide and 100 high, given by their middle lines.
DIGITS = {
    "0": "M8 30 C8 0 52 0 52 30 L52 70 C52 100 8 100 8 70 Z",
    "1": "M6 30 L35 9 L35 100",
    "2": "M8 32 C8 -1 52 -1 52 30 C52 44 44 52 36 61 L10 93 L56 93",
    "3": "M8 24 C14 0 51 2 51 27 C51 42 40 47 24 47 M24 47 C42 47 53 55 53 71 C53 101 10 101 7 74",
    "5": "M51 7 L15 7 L12 47 C24 34 53 36 53 67 C53 100 11 101 7 77",
    "6": "M47 7 C20 30 8 46 8 66 C8 102 52 102 52 67 C52 36 16 36 9 60",
    "7": "M5 7 L51 7 C34 35 26 62 24 100",
    "8": "M30 7 C3 7 3 47 30 47 C57 47 57 7 30 7 Z M30 47 C-1 47 -1 93 30 93 C61 93 61 47 30 47 Z",
}
LETTERS = {
    "S": "M51 26 C48 2 9 2 9 27 C9 50 52 45 52 72 C52 99 9 99 7 73",
    "T": "M4 7 L56 7 M30 7 L30 100",
    "O": DIGITS["0"],
    "P": "M10 100 L10 7 L30 7 C60 7 60 55 30 55 L10 55",
}


def _word(text: str, glyphs: dict[str, str], *, height: float, squeeze: float, color: str, weight: float = 14) -> list[str]:
    """Glyphs side by side, centered in the sign; ``squeeze`` narrows them."""
    scale = height / 100
    step = 70 * squeeze
    total = (len(text) - 1) * step + 60 * squeeze
    left = 300 - scale * total / 2
    return [
        _stroke(
            glyphs[letter],
            weight,
            color,
            f"translate({left + i * step * scale:.2f} {300 - height / 2:.2f}) scale({scale * squeeze:.4f} {scale:.4f})",
        )
        for i, letter in enumerate(text)
    ]


def _prohibition(body: Sequence[str]) -> str:
    return _svg([_disc(300, WHITE), _disc(294, RED), _disc(232, WHITE), *body])


def _speed_limit(label: str) -> Artwork:
    number = label.rsplit("-", 1)[1]
    height, squeeze = (228, 1.06) if len(number) == 2 else (200, 0.94)
    return Artwork(label, "circle", 1.0, _prohibition(_word(number, DIGITS, height=height, squeeze=squeeze, color=BLACK)))


def _no_vehicles(label: str) -> Artwork:
    return Artwork(label, "circle", 1.0, _prohibition([]))


def _no_entry(label: str) -> Artwork:
    bar = f'<rect x="72" y="247" width="456" height="106" fill="{WHITE}"/>'
    return Artwork(label, "circle", 1.0, _svg([_disc(300, WHITE), _disc(292, RED), bar]))


def _end_of_all_limits(label: str) -> Artwork:
    # Five stripes across the disc, 48 degrees steep, each from rim to rim.
    cosine, sine = math.cos(math.radians(48)), math.sin(math.radians(48))
    lines = []
    for offset in (-48, -24, 0, 24, 48):
        reach = math.sqrt(286**2 - offset**2)
        x, y = 300 + offset * sine, 300 + offset * cosine
        ends = (x - reach * cosine, y + reach * sine, x + reach * cosine, y - reach * sine)
        lines.append(_stroke("M{:.1f} {:.1f} L{:.1f} {:.1f}".format(*ends), 13, BLACK))
    clip = _stroke("M300 8 A292 292 0 1 1 299.9 8 Z", 16, BLACK)
    return Artwork(label, "circle", 1.0, _svg([_disc(300, WHITE), clip, *lines]))


def _octagon(radius: float) -> list[tuple[float, float]]:
    angles = [math.pi / 8 + k * math.pi / 4 for k in range(8)]
    return [(300 + radius * math.cos(a), 300 + radius * math.sin(a)) for a in angles]


def _stop(label: str) -> Artwork:
    reach = 300 / math.cos(math.pi / 8)
    word = _word("STOP", LETTERS, height=190, squeeze=0.86, color=WHITE, weight=16)
    body = [_polygon(_octagon(reach), WHITE), _polygon(_octagon(reach * 0.965), RED), *word]
    return Artwork(label, "octagon", 1.0, _svg(body))


def _priority_road(label: str) -> Artwork:
    def diamond(reach: float) -> list[tuple[float, float]]:
        return [(300, 300 - reach), (300 + reach, 300), (300, 300 + reach), (300 - reach, 300)]

    body = [_polygon(diamond(300), BLACK), _polygon(diamond(292), WHITE), _polygon(diamond(206), YELLOW)]
    return Artwork(label, "diamond", 1.0, _svg(body))


TRIANGLE_HEIGHT = 300 * math.sqrt(3)


def _triangle(inset: float, *, up: bool) -> list[tuple[float, float]]:
    """An equilateral triangle as wide as the sign, its sides moved in by ``inset``."""
    side = 300 - inset * math.sqrt(3)
    low, high = TRIANGLE_HEIGHT - inset, 2 * inset
    points = [(300 - side, low), (300 + side, low), (300, high)]
    return points if up else [(x, TRIANGLE_HEIGHT - y) for x, y in points]


def _warning(label: str, body: Sequence[str]) -> Artwork:
    layers = [_polygon(_triangle(0, up=True), WHITE), _polygon(_triangle(4, up=True), RED)]
    layers.append(_polygon(_triangle(54, up=True), WHITE))
    return Artwork(label, "triangle-up", TRIANGLE_HEIGHT / UNIT, _svg([*layers, *body], TRIANGLE_HEIGHT))


def _general_caution(label: str) -> Artwork:
    body = [
        _polygon([(276, 186), (324, 186), (313, 368), (287, 368)], BLACK),
        f'<circle cx="300" cy="412" r="26" fill="{BLACK}"/>',
    ]
    return _warning(label, body)


def _traffic_signals(label: str) -> Artwork:
    lamps = zip((232, 313, 394), (RED, YELLOW, GREEN), strict=True)
    body = [f'<circle cx="300" cy="{y}" r="33" fill="{color}" stroke="{BLACK}" stroke-width="7"/>' for y, color in lamps]
    return _warning(label, body)


def _right_of_way(label: str) -> Artwork:
    body = [
        _polygon(
            [(258, 440), (258, 262), (218, 262), (300, 170), (382, 262), (342, 262), (342, 440), (300, 412)], BLACK
        ),
        f'<rect x="196" y="320" width="208" height="28" fill="{BLACK}"/>',
    ]
    return _warning(label, body)


def _yield(label: str) -> Artwork:
    body = [_polygon(_triangle(0, up=False), WHITE), _polygon(_triangle(4, up=False), RED)]
    body.append(_polygon(_triangle(62, up=False), WHITE))
    return Artwork(label, "triangle-down", TRIANGLE_HEIGHT / UNIT, _svg(body, TRIANGLE_HEIGHT))


def _arrow(start: tuple[float, float], tip: tuple[float, float], width: float) -> list[tuple[float, float]]:
    """A straight arrow from ``start`` to ``tip``; its head is 2.9 shafts wide."""
    length = math.dist(start, tip)
    ux, uy = (tip[0] - start[0]) / length, (tip[1] - start[1]) / length
    neck = (tip[0] - ux * width * 1.9, tip[1] - uy * width * 1.9)

    def beside(point: tuple[float, float], offset: float) -> tuple[float, float]:
        return point[0] - uy * offset, point[1] + ux * offset

    half, head = width / 2, width * 1.45
    return [
        beside(start, half), beside(neck, half), beside(neck, head), tip,
        beside(neck, -head), beside(neck, -half), beside(start, -half),
    ]  # fmt: skip


def _direction(label: str, body: Sequence[str]) -> Artwork:
    return Artwork(label, "circle", 1.0, _svg([_disc(300, WHITE), _disc(288, BLUE), *body]))


def _straight(start: tuple[float, float], tip: tuple[float, float]) -> Callable[[str], Artwork]:
    return lambda label: _direction(label, [_polygon(_arrow(start, tip, 84), WHITE)])


def _turn(side: int) -> Callable[[str], Artwork]:
    """Up, then to one side (+1 right, -1 left)."""

    def drawn(label: str) -> Artwork:
        x = 300 - side * 90
        shaft = _stroke(f"M{x:g} 500 L{x:g} 355 Q{x:g} 255 {x + side * 100:g} 255 L{x + side * 120:g} 255", 76, WHITE)
        return _direction(label, [shaft, _polygon(_arrow((x + side * 100, 255), (300 + side * 215, 255), 76), WHITE)])

    return drawn


SIGNS: dict[str, Callable[[str], Artwork]] = {
    **{f"speed-limit-{limit}": _speed_limit for limit in (20, 30, 50, 60, 70, 80, 100, 120)},
    "right-of-way": _right_of_way,
    "priority-road": _priority_road,
    "yield": _yield,
    "stop": _stop,
    "no-vehicles": _no_vehicles,
    "no-entry": _no_entry,
    "general-caution": _general_caution,
    "traffic-signals": _traffic_signals,
    "end-of-all-limits": _end_of_all_limits,
    "turn-right-ahead": _turn(1),
    "turn-left-ahead": _turn(-1),
    "ahead-only": _straight((300, 520), (300, 75)),
    "keep-right": _straight((165, 165), (462, 462)),
    "keep-left": _straight((435, 165), (138, 462)),
}
