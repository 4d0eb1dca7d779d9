"""Frames of every shape: what ``[patch]`` in lab.toml asks for, as geometry in mm around a target.

* ``square``: the square ring around the target's longer side.
* ``outline``: the ring along the target's outline: all that is farther from the target than the gap, and not farther
  than gap and thickness together. Its corners are round, as those of signs are.
* ``strips``: four bars along the sides of the target's bounding box, as long as these; nothing at the corners.
* ``mask``: what is opaque in a picture that is laid over the square around the target, gap and thickness. It may
  cover the target, too; of the target's surroundings the window is what is nearer than the gap and not covered.

Polygons are grown, cut and joined by shapely.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from scipy.optimize import brentq
from shapely import affinity
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from calibration.errors import BadImage, BadInput
from calibration.files import read_bytes
from calibration.geometry import Array
from calibration.region import DIGITS, Region, Sticker, region_of
from patches.artwork import Artwork, render
from patches.patch import PatchGeometry

Shape = Literal["square", "outline", "strips", "mask"]
Mask = NDArray[np.uint8]

OPAQUE = 128
TRACED_PX = 1024
"""The target's outline is traced at this width: within 0.06 mm for a target of 120 mm."""

SEGMENTS = 24
"""Chords in a quarter of a round corner: within 0.1 mm of a circle with a radius of 200 mm."""

STRAIGHTENED = 5e-4
"""Corners that make less of a difference than this share of the width are left out: 0.08 mm of 160 mm."""

STAIR_PX, LARGE_PX = 0.75, 256
MASK_PX = (2, 4096)
MAX_CORNERS = 20_000


@dataclass(frozen=True, slots=True)
class FrameOrder:
    """How a frame is to be. Sizes that are None follow from the target's: 160 around 124 around 120, texels of 2.

    ``polygon``: the target's outline in shares of its bounding box, ``(0, 0)`` top left; None takes what its picture
    covers. ``mask`` ``(m, m)`` uint8, for the shape ``mask`` only: opaque from :data:`OPAQUE` on.
    """

    shape: Shape = "square"
    thickness_mm: float | None = None
    gap_mm: float | None = None
    texel_mm: float | None = None
    polygon: tuple[tuple[float, float], ...] | None = None
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class _Sizes:
    """``inner_mm``: side of the square around target and gap."""

    thickness_mm: float
    gap_mm: float
    texel_mm: float
    inner_mm: float

    @property
    def outer_mm(self) -> float:
        """Side of the square around it all."""
        return self.inner_mm + 2 * self.thickness_mm


def frame_geometry(sign: Artwork, width_mm: float, order: FrameOrder) -> PatchGeometry:
    """The frame around a target of that width; :class:`BadInput` says what is impossible about it."""
    _refuse_mismatch(order)
    default = PatchGeometry.around(width_mm, sign.aspect)
    if order.shape == "square" and (order.thickness_mm, order.gap_mm, order.texel_mm) == (None, None, None):
        return default
    sizes = _sizes(order, default, width_mm * max(sign.aspect, 1.0))
    plain = _checked(
        target_mm=width_mm,
        inner_mm=sizes.inner_mm,
        outer_mm=sizes.outer_mm,
        texel_mm=sizes.texel_mm,
    )
    if order.shape == "square":
        return plain
    geometry = _checked(**plain.model_dump(), sticker=_sticker(sign, width_mm, order, sizes))
    if not geometry.ring().any():
        raise BadInput(f"nothing of the patch is as large as half a texel of {geometry.texel_mm:g} mm")
    return geometry


def _sizes(order: FrameOrder, default: PatchGeometry, longer_mm: float) -> _Sizes:
    thickness_mm = (default.outer_mm - default.inner_mm) / 2 if order.thickness_mm is None else order.thickness_mm
    gap_mm = (default.inner_mm - longer_mm) / 2 if order.gap_mm is None else order.gap_mm
    texel_mm = default.texel_mm if order.texel_mm is None else order.texel_mm
    if not (0 < thickness_mm < math.inf and 0 <= gap_mm < math.inf):
        raise BadInput(f"a frame has a thickness above 0 and a gap from 0 on, got {thickness_mm:g} and {gap_mm:g} mm")
    if not 0 < texel_mm <= thickness_mm:
        raise BadInput(
            f"texels of more than 0 and at most its thickness, {thickness_mm:g} mm, fit into the frame, "
            f"got {texel_mm:g} mm",
            hint="set patch.texel_mm in lab.toml",
        )
    return _Sizes(thickness_mm, gap_mm, texel_mm, longer_mm + 2 * gap_mm)


def _checked(**values: Any) -> PatchGeometry:
    try:
        return PatchGeometry(**values)
    except ValidationError as error:
        raise BadInput(f"this frame is impossible: {error.errors()[0]['msg']}") from error


def ring_along(outline_mm: Array, gap_mm: float, *, area_mm2: float, within_mm: float) -> Sticker:
    """The ring of that area along an outline ``(N, 2)``, inside the square of the side ``within_mm`` around the origin.

    It begins at the distance ``gap_mm`` from the outline; below 0 it overlaps what the outline encloses.
    """
    window = shapely.buffer(Polygon(outline_mm), gap_mm, quad_segs=SEGMENTS)
    square = box(-within_mm / 2, -within_mm / 2, within_mm / 2, within_mm / 2)

    def ring(thickness_mm: float) -> BaseGeometry:
        return shapely.buffer(window, thickness_mm, quad_segs=SEGMENTS).intersection(square).difference(window)

    most_mm2 = ring(within_mm).area
    if most_mm2 < area_mm2:
        most, asked = most_mm2 / within_mm**2, area_mm2 / within_mm**2
        raise BadInput(f"a frame around this object covers at most {most:.2f} of the picture, got {asked:g}")
    thickness_mm = brentq(lambda each: ring(each).area - area_mm2, 0.0, within_mm, xtol=1e-4)
    return sticker_of(ring(float(thickness_mm)), window)


def read_mask(path: Path) -> Mask:
    """How opaque each pixel of a picture is, ``(H, W)`` uint8; :class:`BadImage` when it is none or says nothing."""
    data = read_bytes(path)
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        if max(image.size) > MASK_PX[1]:
            raise BadImage(f"{path} is {image.size[0]}x{image.size[1]} px; {MASK_PX[1]} px a side are accepted")
        if not image.has_transparency_data:
            raise BadImage(f"{path} has no transparency: what is opaque in a mask is the patch", where=str(path))
        return np.array(image.convert("RGBA").getchannel("A"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadImage(f"{path} cannot be decoded; a mask is a PNG: {error}", where=str(path)) from error


def _refuse_mismatch(order: FrameOrder) -> None:
    if (order.shape == "mask") != (order.mask is not None):
        raise BadInput(
            "the shape 'mask' needs a mask, and no other shape takes one; "
            f"got the shape {order.shape!r} {'without' if order.mask is None else 'with'} one"
        )
    if order.polygon is not None and order.shape not in ("outline", "mask"):
        raise BadInput(f"a frame of the shape {order.shape!r} does not follow the polygon that is given")


def _sticker(sign: Artwork, width_mm: float, order: FrameOrder, sizes: _Sizes) -> Sticker:
    if order.shape == "strips":
        return _strips(
            width_mm / 2 + sizes.gap_mm, width_mm * sign.aspect / 2 + sizes.gap_mm, thickness=sizes.thickness_mm
        )
    inside = _grown(_outline(sign, width_mm, order.polygon), sizes.gap_mm)
    if order.mask is None:
        return sticker_of(_grown(inside, sizes.thickness_mm).difference(inside), inside)
    covered = _traced_mask(order.mask, sizes.outer_mm)
    return sticker_of(covered, inside.difference(covered))


def _strips(half_width: float, half_height: float, thickness: float) -> Sticker:
    """Four bars around a window of that size."""
    beside, above = half_width + thickness, half_height + thickness
    bars = [
        box(-half_width, -above, half_width, -half_height),
        box(half_width, -half_height, beside, half_height),
        box(-half_width, half_height, half_width, above),
        box(-beside, -half_height, -half_width, half_height),
    ]
    # Not united: bars that touch at a corner only are no one polygon.
    return Sticker(
        printed=region_of([loop for bar in bars for loop in _loops(bar)]),
        window=_region(box(-half_width, -half_height, half_width, half_height)),
    )


def _grown(area: BaseGeometry, by_mm: float) -> BaseGeometry:
    """All that is within ``by_mm`` of the area, without holes."""
    grown = area.buffer(round(by_mm, DIGITS), quad_segs=SEGMENTS)
    whole = shapely.union_all([Polygon(part.exterior) for part in _parts(grown)])
    left, _, right, _ = whole.bounds
    return whole.simplify(STRAIGHTENED * (right - left))


def _outline(sign: Artwork, width_mm: float, polygon: tuple[tuple[float, float], ...] | None) -> BaseGeometry:
    """The target's outline, its bounding box centered on the origin."""
    height_mm = width_mm * sign.aspect
    if polygon is None:
        traced = _traced(render(sign, TRACED_PX, 1)[..., 3])
        return _laid_over(traced, TRACED_PX, max(round(TRACED_PX * sign.aspect), 1), width_mm, height_mm)
    points = np.array(polygon, dtype=np.float64).reshape(-1, 2)
    if len(points) < 3 or not ((points >= 0) & (points <= 1)).all():
        raise BadInput("a polygon has three corners or more, each two shares of the target's box from 0 to 1")
    outline = Polygon((points - 0.5) * [width_mm, height_mm])
    if not outline.is_valid or not outline.area:
        raise BadInput(f"the polygon encloses no area, or crosses itself: {shapely.is_valid_reason(outline)}")
    return outline


def _laid_over(area: BaseGeometry, width_px: int, height_px: int, width_mm: float, height_mm: float) -> BaseGeometry:
    """An area in a picture → mm, the picture centered on the origin."""
    x, y = width_mm / width_px, height_mm / height_px
    return affinity.affine_transform(area, [x, 0, 0, y, -width_mm / 2, -height_mm / 2])


def _traced_mask(mask: Mask, outer_mm: float) -> BaseGeometry:
    """What the mask covers, mm."""
    if mask.ndim != 2 or mask.dtype != np.uint8 or not MASK_PX[0] <= max(mask.shape) <= MASK_PX[1]:
        raise BadInput(f"a mask is one layer of uint8, {MASK_PX[0]} to {MASK_PX[1]} px a side, got {mask.shape}")
    height, width = mask.shape
    if height != width:
        raise BadInput(f"a mask is laid over a square and must be one, got {width} x {height} px")
    if not (mask >= OPAQUE).any():
        raise BadInput("the mask is empty: nothing in it is opaque, so there is no patch")
    if (mask >= OPAQUE).all():
        raise BadInput("the mask is opaque everywhere: nothing of the target would be seen")
    return _laid_over(_traced(mask), width, height, outer_mm, outer_mm)


def _traced(alpha: Mask) -> BaseGeometry:
    """The area, in pixels from the top-left corner, that is opaque in ``(H, W)``.

    Staircases are made straight, but in small pictures, whose pixels are meant.
    """
    edges = np.diff(np.pad(alpha >= OPAQUE, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges > 0)
    if len(rows) > MAX_CORNERS:
        raise BadInput(f"the picture's opaque part is in {len(rows)} pieces of rows; {MAX_CORNERS} are accepted")
    runs = shapely.box(starts, rows, np.nonzero(edges < 0)[1], rows + 1)
    return shapely.union_all(runs).simplify(STAIR_PX if max(alpha.shape) >= LARGE_PX else 0)


def sticker_of(printed: BaseGeometry, window: BaseGeometry) -> Sticker:
    """Two areas in mm as a sticker: what is printed, and what is cut out of it."""
    if window.is_empty or not window.area:
        raise BadInput("the patch covers all of the target: nothing of it would be seen")
    return Sticker(printed=_region(printed), window=_region(window))


def _region(area: BaseGeometry) -> Region:
    loops = _loops(area)
    corners = sum(map(len, loops))
    if corners > MAX_CORNERS:
        raise BadInput(f"the frame's edges have {corners} corners; {MAX_CORNERS} are accepted: smooth the mask")
    return region_of(loops)


def _loops(area: BaseGeometry) -> list[Array]:
    """Outer loops clockwise as seen (y points down), holes the other way."""
    turned = [shapely.geometry.polygon.orient(part) for part in _parts(area)]
    rings = [ring for part in turned for ring in (part.exterior, *part.interiors)]
    return [np.array(ring.coords)[:-1] for ring in rings]


def _parts(area: BaseGeometry) -> list[Polygon]:
    """The polygons of an area, without the lines and points that cutting may leave."""
    return [part for part in shapely.get_parts(area) if isinstance(part, Polygon) and part.area]
