"""The certificate as a picture: the photographs with what was found drawn in, and the numbers above."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import reportlab
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from calibration.geometry import Array, Box
from calibration.print_fit import PrintFit
from calibration.sheet import Sheet
from capture.photograph import Photograph
from pipeline.paper.sighting import middle_mm

PANEL_PX = 640
SHOWN = 3
MARGIN_PX, LINE_PX, LETTERS_PX = 14, 24, 17
ROOM = 0.15
"""Shown around the sheet, as a share of its size in the picture."""

TAGS, FRAME, TARGET, PAPER = (0, 160, 60), (230, 120, 0), (0, 90, 230), (120, 120, 120)
Pixels = NDArray[np.uint8]


def proof_picture(photographs: Sequence[Photograph], fit: PrintFit, sheet: Sheet, lines: Sequence[str]) -> Pixels:
    """``(H, W, 3)`` uint8 RGB: up to three photographs side by side below ``lines``."""
    panels = [_panel(each, fit, i, sheet) for i, each in enumerate(photographs[:SHOWN])]
    strip = np.hstack(panels)
    head = np.full((2 * MARGIN_PX + LINE_PX * len(lines), strip.shape[1], 3), 255, np.uint8)
    return np.vstack([_written(head, lines), strip])


def _panel(photograph: Photograph, fit: PrintFit, number: int, sheet: Sheet) -> Pixels:
    """One photograph, cut to the sheet and scaled to a square."""
    outline = _seen(sheet.outline_mm(), fit, number, sheet)
    low, high = outline.min(axis=0), outline.max(axis=0)
    side = float((high - low).max()) * (1 + 2 * ROOM)
    corner = (low + high - side) / 2
    scale = PANEL_PX / side
    place = np.column_stack([np.eye(2) * scale, -corner * scale + (scale - 1) / 2])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    panel = cv2.warpAffine(photograph.pixels, place, (PANEL_PX, PANEL_PX), flags=flags, borderValue=(60, 60, 60))
    shapes = [(box, TAGS) for box in (tag.square for tag in sheet.tags)] + [
        (sheet.frame, FRAME),
        (sheet.target.box, TARGET),
    ]
    loops = [(outline, PAPER)] + [(_box(box, fit, number, sheet), color) for box, color in shapes]
    for loop, color in loops:
        points = np.rint((loop @ place[:, :2].T + place[:, 2]) * 16).astype(np.int32)
        cv2.polylines(panel, [points], True, color, 1, cv2.LINE_AA, 4)
    return np.asarray(panel, dtype=np.uint8)


def _box(box: Box, fit: PrintFit, number: int, sheet: Sheet) -> Array:
    return _seen(box.corners_mm, fit, number, sheet)


def _seen(points_mm: Array, fit: PrintFit, number: int, sheet: Sheet) -> Array:
    """``(N, 2)`` sheet mm → ``(N, 2)`` px of a photograph, as the printer printed them."""
    paper = (points_mm - middle_mm(sheet)) @ fit.paper_from_sheet.T
    return fit.camera.project(fit.poses[number].to_camera(paper))


def _written(ground: Pixels, lines: Sequence[str]) -> Pixels:
    picture = Image.fromarray(ground)
    font = ImageFont.truetype(str(Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"), LETTERS_PX)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        size = LETTERS_PX * min(1.0, (picture.width - 2 * MARGIN_PX) / max(font.getlength(line), 1.0))
        place = MARGIN_PX, MARGIN_PX + LINE_PX * number
        draw.text(place, line, fill=(0, 0, 0), font=font.font_variant(size=size))
    return np.array(picture, dtype=np.uint8)
