"""The sheets of a lab: one for each arm, made when it is missing, kept when it is there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput, MissingFile
from calibration.files import in_file_name, read_bytes, sha256_bytes, write_bytes
from calibration.sheet import ARMS, Sheet
from patches.artwork import Artwork, artwork, artwork_pdf, load_artwork
from patches.controls import control_texture, spread
from patches.interference import free_ids, settled, tag_interference
from patches.layout import SheetOrder, lay_out, target_file
from patches.patch import PatchDocument, PatchGeometry, read_patch
from patches.pdf import texture_png, write_sheet
from patches.raster import png, rasterize
from patches.tiles import places
from pipeline.lab import Lab, read_sheets, shipped_patches

Texture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class MadeSheet:
    """A sheet and where the PDF that goes to the printer, and its JSON, are (or would be)."""

    sheet: Sheet
    pdf: Path
    json: Path


@dataclass(frozen=True, slots=True)
class Printed:
    """What goes into the frame of a sheet: texture (None: nothing), geometry, and the patch it comes from, if any."""

    texture: Texture | None
    geometry: PatchGeometry
    patch: str | None = None


def target_artwork(lab: Lab, label: str | None = None) -> Artwork:
    """The picture of the lab's target: the user's own file, or dpcam's drawing of the class."""
    target = lab.config.target
    own = target.artwork if label in (None, target.label) else None
    return load_artwork(lab.folder / own, target.label) if own else artwork(label or target.label)


def patch_path(lab: Lab, label: str) -> Path:
    """Where the patch for a class is kept."""
    return lab.patches / f"{in_file_name(label)}.json"


def make_arm_sheet(lab: Lab, arm: str, out: Path | None, *, write: bool) -> MadeSheet:
    """The sheet of an arm for the lab's target; one of the same content in ``out`` or in the lab is taken again."""
    return _make(lab, arm, printed_on(lab, arm), target_artwork(lab), out or lab.sheets, write=write)


def make_patch_sheet(lab: Lab, label: str, out: Path | None, *, write: bool) -> MadeSheet:
    """The sheet of the patch for ``label``, around its own target; for a group, around the lab's or the first one."""
    group, target = find_patch(lab, label)[0].group, lab.config.target.label
    around = label if not group else target if target in group else group[0]
    return _make(lab, label, _patch(lab, label), target_artwork(lab, around), out or lab.sheets, write=write)


def make_lab_sheets(lab: Lab, *, write: bool) -> dict[str, Sheet]:
    """Arm → sheet for the lab's controls and its patch.

    ``wrong-class`` is left out when no patch of another class is at hand.
    """
    arms = [*lab.config.sheet.controls, lab.patch_arm]
    if "wrong-class" in arms and _wrong_patch(lab) is None:
        arms.remove("wrong-class")
    return {arm: make_arm_sheet(lab, arm, None, write=write).sheet for arm in arms}


def write_target(lab: Lab, out: Path) -> Path:
    """Write the target's artwork at true size; the PDF's path."""
    sign, width_mm = target_artwork(lab), lab.config.target.width_mm
    path = out / target_file(sign.label, width_mm, sign.digest)
    write_bytes(path, artwork_pdf(sign, width_mm))
    return path


def _make(lab: Lab, arm: str, printed: Printed, sign: Artwork, folder: Path, *, write: bool) -> MadeSheet:
    asked = lab.config.sheet
    order = SheetOrder(
        arm=arm,
        label=sign.label,
        outline=sign.outline,
        aspect=sign.aspect,
        geometry=printed.geometry,
        paper=asked.paper,
        first_tag_id=0,
        seed=lab.config.lab.seed,
        texture_sha256=None if printed.texture is None else sha256_bytes(texture_png(printed.texture)),
        patch=printed.patch,
        artwork=sign.digest,
        tiled=asked.tiles,
        date=asked.date,
        operator=asked.operator,
    )
    present = read_sheets(folder) + (read_sheets(lab.sheets) if folder != lab.sheets else [])
    sheet = _same(order, present) or _new(_with_free_ids(order, present), printed.texture, sign)
    if write:
        write_sheet(folder, sheet, printed.texture, sign)
    return MadeSheet(sheet, folder / sheet.printed_pdf, folder / f"{sheet.id}.json")


def write_pictures(made: MadeSheet, dpi: float) -> list[Path]:
    """Rasterize what goes to the printer, page by page: ``ID.png``, or ``ID-A1.png`` for each tile; their paths.

    :class:`BadInput` when that makes too many pixels.
    """
    return draw_pages(made.pdf, picture_paths(made), dpi)


def draw_page(pdf: Path, dpi: float | None) -> list[Path]:
    """Rasterize a PDF of one page beside itself, unless ``dpi`` is None; what was written."""
    return [] if dpi is None else draw_pages(pdf, [pdf.with_suffix(".png")], dpi)


def draw_pages(pdf: Path, pictures: Sequence[Path], dpi: float) -> list[Path]:
    """Rasterize the first pages of a PDF, one to each of ``pictures``; :class:`BadInput` for too many pixels."""
    document = read_bytes(pdf)
    for page, path in enumerate(pictures):
        write_bytes(path, png(rasterize(document, dpi, page), dpi))
    return list(pictures)


def picture_paths(made: MadeSheet) -> list[Path]:
    """Where :func:`write_pictures` writes."""
    tiles = made.sheet.tiles
    names = [f"-{tiles.name(*place)}" for place in places(tiles)] if tiles else [""]
    return [made.json.with_name(f"{made.sheet.id}{name}.png") for name in names]


def _new(order: SheetOrder, texture: Texture | None, sign: Artwork) -> Sheet:
    """A layout on which nothing that is printed gets in the way of the tags."""
    return settled(order, lambda sheet: tag_interference(sheet, texture, sign))


def _same(order: SheetOrder, present: list[Sheet]) -> Sheet | None:
    """The sheet that this order would give again, whatever its tag ids and whatever had to give way to what."""
    for sheet in present:
        if (sheet.arm, sheet.texture_sha256) != (order.arm, order.texture_sha256):
            continue
        for apart in (False, True):
            ids, ghosts = sheet.tags[0].id, tuple(sheet.ghosts)
            if lay_out(replace(order, first_tag_id=ids, ghosts=ghosts, tags_apart=apart)) == sheet:
                return sheet
    return None


def _with_free_ids(order: SheetOrder, present: list[Sheet]) -> SheetOrder:
    """Tag ids that no sheet there or in the lab has or looks like: a frame says by itself which sticker it shows."""
    highest = max((tag.id for sheet in present for tag in sheet.tags), default=-1)
    ghosts = frozenset(ghost for sheet in present for ghost in sheet.ghosts)
    return replace(order, first_tag_id=free_ids(highest + 1, ghosts))


def printed_on(lab: Lab, arm: str) -> Printed:
    """What the arm prints: a control, or a patch of the lab."""
    if arm not in ARMS:
        return _patch(lab, arm)
    geometry = _geometry(lab)
    wrong = None
    if arm == "wrong-class":
        found = _wrong_patch(lab)
        wrong = _in_shape(*found, geometry) if found else None
    texture = control_texture(arm, geometry, target_artwork(lab), seed=lab.config.lab.seed, wrong=wrong)
    return Printed(texture, geometry, lab.wrong_class if arm == "wrong-class" else None)


def _in_shape(document: PatchDocument, texture: Texture, geometry: PatchGeometry) -> Texture:
    """The texture of a patch, to be printed in a frame of ``geometry``, whose shape may be another one."""
    theirs = document.geometry
    if theirs.sticker is None and geometry.sticker is None:
        return texture
    return spread(texture, theirs.ring())


def frame_geometry_of(lab: Lab, sign: Artwork) -> PatchGeometry:
    """The frame that ``[patch]`` in lab.toml asks for, around a target of the lab's width."""
    from patches.frames import FrameOrder, frame_geometry, read_mask

    patch = lab.config.patch
    order = FrameOrder(
        shape=patch.shape,
        thickness_mm=patch.thickness_mm,
        gap_mm=patch.gap_mm,
        texel_mm=patch.texel_mm,
        polygon=None if patch.polygon is None else tuple(patch.polygon),
        mask=None if patch.mask is None else read_mask(lab.folder / patch.mask),
    )
    return frame_geometry(sign, lab.config.target.width_mm, order)


def _geometry(lab: Lab) -> PatchGeometry:
    """The frame of the lab's patch, so that all arms cover the same area; before there is one, what is asked for."""
    path = patch_path(lab, lab.patch_arm)
    if path.is_file():
        return _scaled(lab, read_patch(path)[0].geometry)
    return frame_geometry_of(lab, target_artwork(lab))


def _scaled(lab: Lab, geometry: PatchGeometry) -> PatchGeometry:
    """The geometry for the lab's target width: a patch is printed larger around a larger sign."""
    return geometry.scaled(lab.config.target.width_mm / geometry.target_mm)


def _patch(lab: Lab, name: str) -> Printed:
    document, texture = find_patch(lab, name)
    return Printed(texture, _scaled(lab, document.geometry), document.name)


def find_patch(lab: Lab, name: str) -> tuple[PatchDocument, Texture]:
    """A patch of the lab, or one that dpcam ships."""
    for folder in (lab.patches, shipped_patches()):
        path = folder / f"{in_file_name(name)}.json"
        if path.is_file():
            return read_patch(path)
    known = sorted(path.stem for folder in (lab.patches, shipped_patches()) for path in folder.glob("*.json"))
    raise MissingFile(
        f"there is no arm or patch {name!r}; controls are {', '.join(ARMS)}, patches {', '.join(dict.fromkeys(known))}",
        hint=f"dpcam train {shlex.quote(name)}",
    )


def _wrong_patch(lab: Lab) -> tuple[PatchDocument, Texture] | None:
    """The patch of the wrong class, or None; :class:`BadInput` when it is the target's own class."""
    name = lab.wrong_class
    if name == lab.config.target.label:
        raise BadInput(f"train.wrong_class is {name!r}, the target's own class", hint="name another class in lab.toml")
    try:
        return find_patch(lab, name)
    except MissingFile:
        return None
