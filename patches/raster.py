"""Pages of a PDF as pixels at a stated resolution: exactly so many pixels to the inch, counted from the top left."""

from __future__ import annotations

import io
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calibration.errors import BadInput
from calibration.geometry import Box

Pixels = NDArray[np.uint8]
DPI = (2.0, 2400.0)
MAX_PIXELS = 150e6
"""Of one page: 450 MB while it is made."""

FINER, MAX_DRAWN = 4, 60e6
"""A page is drawn up to this many times finer than asked for, on at most so many pixels, and averaged."""

HAIR_PT = 1e-3


def rasterize(pdf: bytes, dpi: float, page: int = 0, part: Box | None = None) -> Pixels:
    """A page, or a ``part`` of it, as ``(H, W, 3)`` uint8 RGB; the last row and column may be partly beyond it.

    Pixel ``(row, column)`` shows ``column * 25.4 / dpi`` to ``(column + 1) * 25.4 / dpi`` mm from the left edge, and so
    for rows from the upper one; what the page does not draw on is white. :class:`BadInput` when the resolution is not
    between 2 and 2400 dpi, or gives more than 150 megapixels.
    """
    import pypdfium2

    if not DPI[0] <= dpi <= DPI[1]:
        raise BadInput(f"a resolution of {DPI[0]:g} to {DPI[1]:g} dpi is accepted, got {dpi:g}", where="--png")
    with pypdfium2.PdfDocument(pdf) as document:
        size = _whole_pixels(document[page], dpi, part)
        # It also moves upright rectangles to whole pixels: drawn finer and averaged, they stay where they are.
        finer = max(min(int(math.sqrt(MAX_DRAWN / (size[0] * size[1]))), FINER), 1)
        drawn = document[page].render(scale=finer * dpi / 72, rev_byteorder=True).to_numpy()
        exact = drawn[: finer * size[1], : finer * size[0], :3]
        return np.asarray(cv2.resize(exact, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _whole_pixels(page: Any, dpi: float, part: Box | None) -> tuple[int, int]:
    """Make the page so large that it has whole pixels, to which pdfium would fit it otherwise; their numbers."""
    width, height = page.get_size()
    shown = part or Box(x_mm=0, y_mm=0, width_mm=width * 25.4 / 72, height_mm=height * 25.4 / 72)
    size = _pixels(shown.width_mm, dpi), _pixels(shown.height_mm, dpi)
    if size[0] * size[1] > MAX_PIXELS:
        raise BadInput(
            f"{dpi:g} dpi make {size[0]} x {size[1]} pixels of this page; {MAX_PIXELS / 1e6:g} million are accepted",
            hint="take fewer dpi, or the PDF",
            where="--png",
        )
    left, top = shown.x_mm * 72 / 25.4, height - shown.y_mm * 72 / 25.4
    # A hair less, for what is a little more than whole would be rounded up.
    page.set_mediabox(left, top - size[1] * 72 / dpi + HAIR_PT, left + size[0] * 72 / dpi - HAIR_PT, top)
    return size


def _pixels(length_mm: float, dpi: float) -> int:
    return math.ceil(length_mm * dpi / 25.4 - HAIR_PT)


def png(pixels: Pixels, dpi: float) -> bytes:
    """``(H, W, 3)`` uint8 RGB → PNG bytes that state the resolution."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", dpi=(dpi, dpi))
    return stream.getvalue()
