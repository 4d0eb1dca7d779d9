"""Target artwork: dpcam's own drawing of a sign or the user's picture; as PDF at true size, as pixels.

One route for all pixels: the PDF that is printed is the PDF that is rendered.
"""

from __future__ import annotations

import io
import logging
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from calibration.errors import BadImage, BadInput
from calibration.files import read_bytes, sha256_bytes
from calibration.sheet import Outline
from patches.signs import SIGNS, WIDTH

MAX_SIDE_PX = 8192
MAX_ASPECT = 20.0


@dataclass(frozen=True, slots=True)
class Artwork:
    """A target's picture. ``aspect`` is height over width; exactly one of ``svg`` and ``png`` (RGBA) is not empty."""

    label: str
    outline: Outline
    aspect: float
    svg: str = ""
    png: bytes = b""

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the picture."""
        return sha256_bytes(self.svg.encode() + self.png)


def artwork_labels() -> tuple[str, ...]:
    """The classes that dpcam can draw."""
    return tuple(SIGNS)


def artwork(label: str) -> Artwork:
    """dpcam's own drawing of a class; :class:`BadInput` names the classes that can be drawn."""
    if label not in SIGNS:
        raise BadInput(
            f"dpcam has no drawing of {label!r}; it draws {', '.join(SIGNS)}",
            hint="give your own picture of the target: artwork in lab.toml",
        )
    sign = SIGNS[label]
    return Artwork(label, sign.outline, sign.height / WIDTH, svg=sign.svg)


def load_artwork(path: Path, label: str) -> Artwork:
    """The user's own picture: SVG (drawn as it is, nothing outside of it is read), PNG or JPEG.

    :class:`BadImage` when it is neither, damaged, empty, or too large; :class:`BadInput` when an SVG refers to
    something outside of itself.
    """
    data = read_bytes(path)
    if path.suffix.lower() == ".svg":
        return _own_svg(data, path, label)
    return _own_raster(data, path, label)


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
    if width_px < 1 or supersample < 1:
        raise BadInput(f"a picture is at least 1 px wide, got {width_px} px, {supersample} samples a pixel")
    return _render(sign, width_px, supersample).copy()


@lru_cache(maxsize=32)
def _render(sign: Artwork, width_px: int, supersample: int) -> NDArray[np.uint8]:
    import cv2

    # Colors are weighed by their alpha, or the ground would bleed into the edge.
    large = _rasterized(artwork_pdf(sign, 100.0), width_px * supersample)
    weighed = np.dstack([large[..., :3] * (large[..., 3:] / 255), large[..., 3]])
    height_px = max(round(width_px * sign.aspect), 1)
    small = cv2.resize(weighed, (width_px, height_px), interpolation=cv2.INTER_AREA)
    alpha = small[..., 3:]
    color = small[..., :3] * 255 / np.maximum(alpha, 1e-3)
    return np.asarray(np.dstack([color, alpha]).round().clip(0, 255), dtype=np.uint8)


def _rasterized(pdf: bytes, width_px: int) -> NDArray[np.float32]:
    """The first page as ``(H, W, 4)`` RGBA, clear where nothing is printed."""
    import pypdfium2

    document = pypdfium2.PdfDocument(pdf)
    try:
        page = document[0]
        bitmap = page.render(
            scale=width_px / page.get_width(),
            fill_color=(0, 0, 0, 0),
            rev_byteorder=True,
            force_bitmap_format=pypdfium2.raw.FPDFBitmap_BGRA,
        )
        return np.asarray(bitmap.to_numpy(), dtype=np.float32)
    finally:
        document.close()


# ---- Pictures that the user brings


def _own_raster(data: bytes, path: Path, label: str) -> Artwork:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
            _check_size(image.size, path)
            # Phones write pictures lying on their side, with a note on how to turn them.
            upright = ImageOps.exif_transpose(image).convert("RGBA")
        except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError) as error:
            why = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
            message = f"{path} cannot be decoded; a picture as SVG, PNG or JPEG is accepted{why}"
            raise BadImage(message, where=str(path)) from error
    if not upright.getchannel("A").getextrema()[1]:
        raise BadImage(f"{path} is fully transparent: there is nothing to print", where=str(path))
    stream = io.BytesIO()
    upright.save(stream, format="PNG")
    return Artwork(label, *_box(upright.width, upright.height, path), png=stream.getvalue())


def _check_size(size: tuple[int, int], path: Path) -> None:
    if max(size) > MAX_SIDE_PX:
        raise BadImage(
            f"{path} is {size[0]}x{size[1]} px; at most {MAX_SIDE_PX} px a side are accepted", where=str(path)
        )


def _box(width: float, height: float, path: Path) -> tuple[Outline, float]:
    aspect = height / width
    if not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
        raise BadImage(
            f"{path} is {width:g} wide and {height:g} high; at most {MAX_ASPECT:g} times longer than wide is accepted",
            where=str(path),
        )
    return ("square" if abs(aspect - 1) < 1e-6 else "rectangle"), aspect


def _own_svg(data: bytes, path: Path, label: str) -> Artwork:
    from lxml import etree  # type: ignore[import-untyped]

    root = _svg_root(data, str(path))
    _refuse_outside(root, path)
    drawing = _drawing(root, str(path))
    return Artwork(label, *_box(drawing.width, drawing.height, path), svg=etree.tostring(root, encoding="unicode"))


REFERENCE = re.compile(r"""url\(\s*["']?\s*([^"')\s]*)|@import\s*["']?([^"';\s]*)""", re.I)
EMBEDDED = re.compile(r"#|data:image/(png|jpe?g);base64,", re.I)


def _refuse_outside(root: Any, path: Path) -> None:
    """:class:`BadInput` when an element refers to a file or an address, or holds a program."""
    for element in root.iter():
        name = str(element.tag).rpartition("}")[2]
        outside = next((target for target in _references(element) if not EMBEDDED.match(target)), None)
        if name in ("script", "foreignObject"):
            outside = f"<{name}>"
        if outside is not None:
            raise BadInput(
                f"{path}, line {element.sourceline}: it refers to something outside of itself: {outside[:80]!r}",
                hint="embed what it needs, or export it as PNG",
                where=str(path),
            )


def _references(element: Any) -> Iterator[str]:
    """What an element points at: links, and the urls in its attributes and style sheets."""
    if str(element.tag).endswith("}a"):
        return
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] in ("href", "src"):
            yield value.strip()
    for text in (*element.attrib.values(), element.text or ""):
        yield from (url or sheet for url, sheet in REFERENCE.findall(text))


# ---- SVG to drawing


def _draw_svg(canvas: Any, sign: Artwork, width: float, height: float) -> None:
    from reportlab.graphics import renderPDF

    with _quiet():
        drawing = _drawing(_svg_root(sign.svg.encode(), sign.label), sign.label)
        drawing.scale(width / drawing.width, height / drawing.height)
        renderPDF.draw(drawing, canvas, 0, 0)


def _svg_root(svg: bytes, name: str) -> Any:
    """The parsed document. Nothing is fetched, no entity is expanded, a document that declares some is refused."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(svg, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadImage(f"{name} is no SVG: {error}", where=name) from error
    if etree.QName(root).localname != "svg":
        raise BadImage(f"{name} is no SVG: its root is <{etree.QName(root).localname}>", where=name)
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise BadInput(f"{name} declares XML entities", hint="save it as plain SVG, or export it as PNG", where=name)
    return root


def _drawing(root: Any, name: str) -> Any:
    """The drawing in an SVG; :class:`BadImage` when it has none."""
    from svglib.svglib import SvgRenderer

    with _quiet():
        try:
            # Not a path: the renderer resolves references relative to one.
            drawing = SvgRenderer(io.BytesIO()).render(root)
            left, low, right, high = drawing.getBounds() or (0.0, 0.0, 0.0, 0.0)
        except Exception as error:  # svglib lets whatever its parsers raise through
            raise BadImage(f"{name} is no SVG that can be drawn: {error}", where=name) from error
    content = max(right - left, high - low)
    if not all(math.isfinite(size) and size > 0 for size in (drawing.width, drawing.height, content)):
        raise BadImage(f"{name} is no SVG that can be drawn: it has no size or no content", where=name)
    return drawing


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither warnings nor log lines of the drawing libraries come through; what matters is raised."""
    logger = logging.getLogger("svglib")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
