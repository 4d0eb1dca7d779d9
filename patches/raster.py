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

Pixels = NDArray[np.uint8]
DPI = (30.0, 2400.0)
MAX_PIXELS = 150e6
"""Of one page: 450 MB while it is made."""

FINER, MAX_DRAWN = 4, 60e6
"""A page is drawn up to this many times finer than asked for, on at most so many pixels, and averaged."""

HAIR_PT = 1e-3


def rasterize(pdf: bytes, dpi: float, page: int = 0) -> Pixels:
    """A page as ``(H, W, 3)`` uint8 RGB on white; the last row and column may be partly beyond the paper.

    Pixel ``(row, column)`` shows ``column * 25.4 / dpi`` to ``(column + 1) * 25.4 / dpi`` mm of the page, and so for
    rows. :class:`BadInput` when the resolution is not between 30 and 2400 dpi, or gives more than 150 megapixels.
    """
    import pypdfium2

    if not DPI[0] <= dpi <= DPI[1]:
        raise BadInput(f"a resolution of {DPI[0]:g} to {DPI[1]:g} dpi is accepted, got {dpi:g}", where="--png")
    with pypdfium2.PdfDocument(pdf) as document:
        size = _whole_pixels(document[page], dpi)
        # It also moves upright rectangles to whole pixels: drawn finer and averaged, they stay where they are.
        finer = max(min(int(math.sqrt(MAX_DRAWN / (size[0] * size[1]))), FINER), 1)
        drawn = document[page].render(scale=finer * dpi / 72, rev_byteorder=True).to_numpy()
        exact = drawn[: finer * size[1], : finer * size[0], :3]
        return np.asarray(cv2.resize(exact, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _whole_pixels(page: Any, dpi: float) -> tuple[int, int]:
    """Make the page so large that it has whole pixels, to which pdfium would fit it otherwise; their numbers."""
    width, height = page.get_size()
    size = math.ceil(width * dpi / 72 - 1e-3), math.ceil(height * dpi / 72 - 1e-3)
    if size[0] * size[1] > MAX_PIXELS:
        raise BadInput(
            f"{dpi:g} dpi make {size[0]} x {size[1]} pixels of this page; {MAX_PIXELS / 1e6:g} million are accepted",
            hint="take fewer dpi, or the PDF",
            where="--png",
        )
    # A hair less, for what is a little more than whole would be rounded up.
    page.set_mediabox(0, height - size[1] * 72 / dpi + HAIR_PT, size[0] * 72 / dpi - HAIR_PT, height)
    return size


def png(pixels: Pixels, dpi: float) -> bytes:
    """``(H, W, 3)`` uint8 RGB → PNG bytes that state the resolution."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", dpi=(dpi, dpi))
    return stream.getvalue()
