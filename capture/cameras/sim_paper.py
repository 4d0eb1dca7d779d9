"""The simulator's sheet: the real PDF as a printer would put it on paper, cut out and stuck on a board.

Everything on the plane is flattened into one texture: board, target, sheet with its window cut out.

Convention: texel (0, 0) of a texture is a *center*; ``texel_from_mm`` maps sheet mm to texels, as ``H_image_sheet``
maps to pixels. Textures are ``(H, W, 4)`` uint8 RGBA with premultiplied alpha, transparent beyond the board's edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pypdfium2
from numpy.typing import NDArray

from calibration.errors import BadInput, MissingFile
from calibration.geometry import Array, Box
from calibration.sheet import Sheet
from capture.cameras.sim_print import LAB_PRINTER, printed

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
BoardMaker = Callable[[int, int, float], Pixels]
"""``(height, width, texels_per_mm)`` → ``(height, width, 3)`` uint8 RGB: the backing that the sheet is stuck on."""

Press = Callable[[Pixels], Pixels]
"""Nominal ``(H, W, 3)`` uint8 sRGB → what it looks like printed."""

MAX_LEVEL = 6
"""Coarsest prefiltered level: 64 texels in one."""

MAX_TEXELS = 9e6
"""Large paper is rasterized more coarsely, so that a texture stays below 40 MB."""

FINER, MAX_DRAWN = 4, 60e6
"""A page is drawn this many times finer than its texture, on at most so many pixels (180 MB), and averaged."""

CUT_FINER, CUT_BITS = 4, 6
"""A window that is no box is cut in texels of a quarter of the size, along points with 6 bits behind the comma."""

PAGE_TOLERANCE_MM = 0.5
BOARD_MARGIN = 0.10
"""The board reaches this share of the sheet's longer side beyond the sheet."""


class PlaneTexture:
    """A texture on the sheet's plane, with prefiltered levels per axis (a rip-map: foreshortening is anisotropic)."""

    def __init__(self, rgba: Pixels, texel_from_mm: Array) -> None:
        block = 1 << MAX_LEVEL
        pad_y, pad_x = -rgba.shape[0] % block, -rgba.shape[1] % block
        # At least one transparent texel on every side: what lies beyond the board fades to nothing.
        self._levels = {(0, 0): np.pad(rgba, ((0, pad_y or block), (0, pad_x or block), (0, 0)))}
        self.texel_from_mm = texel_from_mm

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in texels."""
        height, width = self._levels[0, 0].shape[:2]
        return width, height

    def level(self, level_x: int, level_y: int) -> Pixels:
        """The texture averaged over ``2^level_x x 2^level_y`` texels; made when first asked for."""
        if (level_x, level_y) not in self._levels:
            width, height = self.size
            size = (width >> level_x, height >> level_y)
            shrunk = cv2.resize(self._levels[0, 0], size, interpolation=cv2.INTER_AREA)
            self._levels[level_x, level_y] = np.asarray(shrunk, dtype=np.uint8)
        return self._levels[level_x, level_y]


def build_plane(
    sheet: Sheet, folder: Path, board: BoardMaker, texels_per_mm: float, ink: float, printer: str = LAB_PRINTER
) -> PlaneTexture:
    """Rasterize ``sheet``'s PDF and its target's, both in ``folder``, and flatten them on a board.

    ``ink`` 1 applies the response of ``printer``, 0 prints ideal colors. :class:`MissingFile` or :class:`BadInput`
    when a PDF is missing, unreadable, or not of the size that the sheet states.
    """
    page = Box(x_mm=0, y_mm=0, width_mm=sheet.width_mm, height_mm=sheet.height_mm)
    density = min(texels_per_mm, math.sqrt(MAX_TEXELS / (page.width_mm * page.height_mm)))
    press = partial(printed, ink=ink, printer=printer)
    paper = press(rasterize(folder / sheet.pdf, page, density, ground=255))
    height, width = paper.shape[:2]
    scale = np.array([width / page.width_mm, height / page.height_mm])
    margin = round(BOARD_MARGIN * max(height, width))
    plane = board(height + 2 * margin, width + 2 * margin, density)
    window = _texel_slices(sheet.window, scale, paper.shape)
    rest = _rest_of_paper(sheet, window, scale)
    _shade_contact(plane, margin, window, rest, density)
    seen = plane[margin : margin + height, margin : margin + width]
    through = seen[window].copy()
    _draw_target(through, window, sheet, folder, scale, density, press)
    seen[:] = paper
    seen[window] = through if rest is None else _mixed(through, paper[window], rest)
    return _framed(plane, scale, margin)


def _framed(plane: Pixels, scale: Array, margin: int) -> PlaneTexture:
    """Opaque RGBA with one transparent texel around."""
    rgba = np.pad(_opaque(plane), ((1, 1), (1, 1), (0, 0)))
    shift = margin + 1 - 0.5
    return PlaneTexture(rgba, np.array([[scale[0], 0, shift], [0, scale[1], shift], [0, 0, 1]]))


def _opaque(plane: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(plane, cv2.COLOR_RGB2RGBA), dtype=np.uint8)


def _texel_slices(box: Box, scale: Array, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The texels of ``box``, cut to the paper."""
    low = np.clip(np.rint(box.corners_mm[0] * scale).astype(int), 0, [shape[1], shape[0]])
    high = np.clip(np.rint(box.corners_mm[2] * scale).astype(int), 0, [shape[1], shape[0]])
    return slice(low[1], high[1]), slice(low[0], high[0])


def _rest_of_paper(sheet: Sheet, window: tuple[slice, slice], scale: Array) -> Floats | None:
    """How much of each texel of the window's box the paper still covers; None where the window is its whole box."""
    height, width = (part.stop - part.start for part in window)
    if sheet.sticker is None or not height * width:
        return None
    corner = np.array([window[1].start, window[0].start])
    loops = [(np.array(loop) * scale - corner) * CUT_FINER - 0.5 for loop in sheet.sticker.window.loops_mm]
    points = [np.rint(loop * (1 << CUT_BITS)).astype(np.int32) for loop in loops]
    fine = np.ones((height * CUT_FINER, width * CUT_FINER), np.float32)
    cv2.fillPoly(fine, points, 0.0, shift=CUT_BITS)
    return np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _mixed(through: Pixels, paper: Pixels, rest: Floats) -> Pixels:
    """Paper where it is left, what is behind it where not."""
    share = rest[..., None]
    return np.asarray(through * (1 - share) + paper * share + 0.5, dtype=np.uint8)


def _draw_target(
    through: Pixels, window: tuple[slice, slice], sheet: Sheet, folder: Path, scale: Array, density: float, press: Press
) -> None:
    """Put the target's artwork on what is seen through the window's box."""
    if sheet.target.artwork is None or 0 in through.shape:
        return
    box, path = sheet.target.box, folder / sheet.target.artwork
    # Drawn on white and on black: their difference is the transparency, whatever the PDF's own alpha is like.
    on_white, on_black = (rasterize(path, box, density, ground=ground) for ground in (255, 0))
    alpha = 255 - cv2.subtract(on_white, on_black)
    height, width = on_white.shape[:2]
    step = box.width_mm * scale[0] / width, box.height_mm * scale[1] / height
    corner = box.corners_mm[0] * scale - [window[1].start, window[0].start]
    place = np.array([[step[0], 0, corner[0] + step[0] / 2 - 0.5], [0, step[1], corner[1] + step[1] / 2 - 0.5]])
    size = (through.shape[1], through.shape[0])
    colors = press(on_white).astype(np.float32)
    # Where the artwork is half transparent, on_white holds white that is not there; the printed color of the
    # artwork itself is what remains when it is taken off again.
    white = press(np.full((1, 1, 3), 255, np.uint8)).astype(np.float32)
    cover = alpha.astype(np.float32) / 255
    ink_there = cv2.warpAffine(colors - white * (1 - cover), place, size)
    covered = cv2.warpAffine(cover, place, size)
    through[:] = np.clip(through * (1 - covered) + ink_there + 0.5, 0, 255).astype(np.uint8)


def _shade_contact(
    plane: Pixels, margin: int, window: tuple[slice, slice], rest: Floats | None, density: float
) -> None:
    """The soft dark line on the board along the edges of a sheet that lies not quite flat on it."""
    paper = np.zeros(plane.shape[:2], np.float32)
    over = paper[margin:-margin, margin:-margin]
    over[:] = 1
    over[window] = 0 if rest is None else rest
    lift = max(1, round(0.6 * density))
    soft = cv2.blur(cv2.blur(paper, (4 * lift + 1, 4 * lift + 1)), (2 * lift + 1, 2 * lift + 1))
    shade = np.roll(np.asarray(soft), (lift, lift // 2), axis=(0, 1))
    plane[:] = (plane * (1 - 0.35 * shade[..., None])).astype(np.uint8)


def rasterize(path: Path, page: Box, texels_per_mm: float, ground: int) -> Pixels:
    """The first page of a PDF on a gray ground as ``(H, W, 3)`` uint8 RGB; its size must be that of ``page``.

    The page fills the raster exactly, so that texel edges are at ``mm * W / page.width_mm``.
    """
    if not path.is_file():
        raise MissingFile(f"cannot read {path}: there is no such file", hint="dpcam sheet make", where=str(path))
    try:
        with pypdfium2.PdfDocument(path) as document:
            return _first_page(document, path, page, texels_per_mm, ground)
    except pypdfium2.PdfiumError as error:
        raise BadInput(f"{path} is not a PDF that can be drawn: {error}", where=str(path)) from error


def _first_page(document: pypdfium2.PdfDocument, path: Path, page: Box, texels_per_mm: float, ground: int) -> Pixels:
    found = document[0]
    width_mm, height_mm = (points * 25.4 / 72 for points in found.get_size())
    if max(abs(width_mm - page.width_mm), abs(height_mm - page.height_mm)) > PAGE_TOLERANCE_MM:
        raise BadInput(
            f"{path} is {width_mm:.1f} x {height_mm:.1f} mm, but the sheet states "
            f"{page.width_mm:.1f} x {page.height_mm:.1f} mm",
            where=str(path),
        )
    size = math.ceil(page.width_mm * texels_per_mm), math.ceil(page.height_mm * texels_per_mm)
    # pdfium moves upright rectangles to whole pixels: drawn finer and averaged, the error stays below 0.02 mm.
    finer = min(max(math.sqrt(MAX_DRAWN / (size[0] * size[1])), 1), FINER)
    fill = (ground, ground, ground, 255)
    bitmap = found.render(scale=finer * texels_per_mm * 25.4 / 72, fill_color=fill, rev_byteorder=True)
    shrunk = cv2.resize(bitmap.to_numpy(), size, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, dtype=np.uint8)
