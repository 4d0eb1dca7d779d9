"""A contact sheet: one picture under all corruptions at all severities, labelled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.noises.constants import SEVERITIES, Table
from pipeline.noises.corrupt import CORRUPTIONS, corrupt

Pixels = NDArray[np.uint8]

CELL_PX = 96
"""Smaller pictures are enlarged by a whole factor to at least this."""

GAP_PX = 6
TEXT_PX = 14
LABEL_PX = 150
HEADS = ("clean", *(f"severity {severity}" for severity in SEVERITIES))


def contact_sheet(picture: Pixels, *, seed: int, table: Table | None = None) -> Pixels:
    """``(H, W, 3)`` uint8 RGB → a sheet, uint8 RGB: a row per type, the clean picture and a column per severity."""
    factor = max(1, -(-CELL_PX // min(picture.shape[:2])))
    height, width = picture.shape[0] * factor + GAP_PX, picture.shape[1] * factor + GAP_PX
    top = TEXT_PX + 2 * GAP_PX
    sheet = Image.new("RGB", (LABEL_PX + len(HEADS) * width, top + len(CORRUPTIONS) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT_PX)
    for column, head in enumerate(HEADS):
        draw.text((LABEL_PX + column * width, GAP_PX), head, "black", font)
    for row, name in enumerate(CORRUPTIONS):
        draw.text((GAP_PX, top + row * height), name, "black", font)
        strip = Image.fromarray(_strip(picture, name, factor, seed, table))
        sheet.paste(strip, (LABEL_PX, top + row * height))
    return np.asarray(sheet, dtype=np.uint8)


def _strip(picture: Pixels, name: str, factor: int, seed: int, table: Table | None) -> Pixels:
    """The clean picture and the five severities side by side, enlarged, with gaps."""
    seen = [corrupt(picture[None], name, severity, seed=seed, table=table)[0] for severity in SEVERITIES]
    cells = [np.kron(each, np.ones((factor, factor, 1), np.uint8)) for each in (picture, *seen)]
    return np.hstack([np.pad(cell, ((0, 0), (0, GAP_PX), (0, 0)), constant_values=255) for cell in cells])
