"""A contact sheet of the EOT chain: what training sees of a lab's target and patch, tile by tile."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from calibration.errors import MissingFile
from calibration.files import write_bytes
from calibration.sheet import ARMS
from patches.artwork import Artwork, render
from patches.patch import PatchGeometry, read_patch
from patches.spec import TransformSpec
from pipeline.lab import Lab
from pipeline.paper.sheets import find_patch, printed_on, target_artwork

if TYPE_CHECKING:
    from patches.preview import Sample

ARTWORK_PX = 192
TILE_PX = 128
GAP_PX = 6
LINE_PX = 12
FONT_PX = 10
GROUND, WORDS = (245, 245, 245), (40, 40, 40)
INSTEAD = "blank"
"""What is around the target when nothing is named and the lab has no patch yet."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is around which target: its name, the target's picture, texture (None: nothing), geometry."""

    name: str
    sign: Artwork
    texture: NDArray[np.uint8] | None
    geometry: PatchGeometry


def what_to_show(lab: Lab, name: str | None) -> Shown:
    """A control arm around the lab's target; a patch, by its name or its JSON file, around the target of its class.

    Nothing named: the lab's own patch, or a blank frame before there is one. :class:`MissingFile` names what there is.
    """
    name = name or _own(lab)
    if name in ARMS:
        printed = printed_on(lab, name)
        return Shown(name, target_artwork(lab), printed.texture, printed.geometry)
    document, texture = read_patch(Path(name)) if name.endswith(".json") else find_patch(lab, name)
    geometry = document.geometry.scaled(lab.config.target.width_mm / document.geometry.target_mm)
    return Shown(document.name, target_artwork(lab, document.label), texture, geometry)


def _own(lab: Lab) -> str:
    try:
        find_patch(lab, lab.patch_arm)
    except MissingFile:
        return INSTEAD
    return lab.patch_arm


def draw_samples(shown: Shown, spec: TransformSpec, *, count: int, seed: int) -> list[Sample]:
    """``count`` pictures of what is shown, each under transforms drawn from ``spec``."""
    from patches.preview import sample_chain

    pictures = [render(shown.sign, ARTWORK_PX)]
    return sample_chain(shown.texture, pictures, shown.geometry, spec, count=count, side_px=TILE_PX, seed=seed)


def write_contact_sheet(samples: Sequence[Sample], title: str, path: Path) -> None:
    """Write the samples as one PNG: tiles in about a square, below each what was drawn for it."""
    columns = math.ceil(math.sqrt(len(samples)))
    rows = math.ceil(len(samples) / columns)
    lines = max(len(caption(each)) for each in samples)
    step_x, step_y = TILE_PX + GAP_PX, TILE_PX + GAP_PX + lines * LINE_PX
    head = LINE_PX + 2 * GAP_PX
    sheet = Image.new("RGB", (columns * step_x + GAP_PX, rows * step_y + head), GROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PX)
    pen.text((GAP_PX, GAP_PX), title, WORDS, font)
    for i, each in enumerate(samples):
        x, y = GAP_PX + i % columns * step_x, head + i // columns * step_y
        sheet.paste(Image.fromarray(each.pixels), (x, y))
        for row, line in enumerate(caption(each)):
            pen.text((x, y + TILE_PX + row * LINE_PX), line, WORDS, font)
    stream = io.BytesIO()
    sheet.save(stream, format="PNG")
    write_bytes(path, stream.getvalue())


def caption(sample: Sample) -> tuple[str, ...]:
    """The values that say most of what one sees, in lines short enough for a tile."""
    return (
        f"{sample.distance_mm / 1000:.2f} m, {sample.seen_px:.0f} px wide",
        f"yaw {sample.yaw_deg:.0f}\N{DEGREE SIGN} pitch {sample.pitch_deg:.0f}\N{DEGREE SIGN}",
        f"light {sample.light_gain:.2f} haze {sample.haze:.2f}",
        f"blur {sample.defocus_px:.1f} + {sample.motion_px:.1f} px",
    )
