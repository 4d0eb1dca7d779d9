"""Noises on files: a contact sheet of one picture, corrupted copies of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput
from calibration.files import read_bytes, write_bytes
from capture.picture import decode_picture, encode_png
from pipeline.noises.constants import Table, table_for
from pipeline.noises.corrupt import check_size, corrupt
from pipeline.noises.sheet import contact_sheet

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a contact sheet shows: the size of the picture, and whose constants it was given."""

    width_px: int
    height_px: int
    table: Table


@dataclass(frozen=True, slots=True)
class Noised:
    """A picture, its corrupted copy, and whose constants it was given."""

    source: Path
    copy: Path
    table: Table


def write_contact_sheet(path: Path, out: Path, *, size_px: int, seed: int, table: Table | None = None) -> Shown:
    """Write the contact sheet of a picture as PNG; a picture with a longer side than ``size_px`` is shrunk before."""
    picture = _shrunk(decode_picture(read_bytes(path), str(path)), size_px)
    check_size((picture.shape[0], picture.shape[1]), str(path))
    write_bytes(out, encode_png(contact_sheet(picture, seed=seed, table=table)))
    height, width = picture.shape[:2]
    return Shown(width, height, table or table_for(height, width))


def _shrunk(picture: Pixels, size_px: int) -> Pixels:
    scale = size_px / max(picture.shape[:2])
    if scale >= 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.shape[1::-1])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def copy_names(paths: Sequence[Path], folder: Path, name: str, severity: int) -> list[Path]:
    """Where the copies go; :class:`BadInput` when two pictures would become one file."""
    copies = [folder / f"{path.stem}-{name}-{severity}.png" for path in paths]
    twice = next((copy for copy in copies if copies.count(copy) > 1), None)
    if twice:
        pair = [str(path) for path, copy in zip(paths, copies, strict=True) if copy == twice]
        raise BadInput(f"{' and '.join(pair)} would both become {twice}: pictures need different names")
    return copies


def write_noised(
    paths: Sequence[Path],
    folder: Path,
    name: str,
    severity: int,
    *,
    seed: int,
    table: Table | None = None,
    write: bool = True,
) -> list[Noised]:
    """Write a corrupted copy of each picture as PNG; the place in ``paths`` is the index that the random state has."""
    noised = []
    for index, (path, copy) in enumerate(zip(paths, copy_names(paths, folder, name, severity), strict=True)):
        picture = decode_picture(read_bytes(path), str(path))
        check_size((picture.shape[0], picture.shape[1]), str(path))
        seen = corrupt(picture[None], name, severity, seed=seed, first=index, table=table)[0]
        if write:
            write_bytes(copy, encode_png(seen))
        noised.append(Noised(path, copy, table or table_for(*picture.shape[:2])))
    return noised
