"""Photographs of a data set by the names of their files, and their split into those to train on and to judge by."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from calibration.errors import BadInput
from calibration.files import write_bytes
from capture.picture import decode_picture
from pipeline.zoo.archive import list_names, read_files
from pipeline.zoo.labels import OBJECT_LABELS

SPLIT_RULE = (
    "by track within its class: a track is held out when its number modulo 5 is 4; where a class of two or more tracks "
    "has none such, its highest track; where it has only such, all but its highest are trained on"
)
NUMBER_RULE = (
    "by the file's number modulo 10: 0 to 7 are trained on, 9 is held out, 8 is left for the validation of patches"
)


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph by its class, track (one physical thing) and frame; ``path`` is relative, with ``/``.

    Where every photograph shows another thing, the track is the photograph's number, and the frame 0.
    """

    path: str
    label: int
    track: int
    frame: int


@dataclass(frozen=True, slots=True)
class Naming:
    """How a data set names its photographs. ``parse`` gives None for a file that is none of them."""

    shape: str
    parse: Callable[[str], Photo | None]


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """All photographs of a folder or archive, in the order of their names."""

    source: Path
    photos: tuple[Photo, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Photographs to train on and those held out: no track is in both. ``validation``: those that are in neither."""

    training: tuple[Photo, ...]
    held_out: tuple[Photo, ...]
    validation: tuple[Photo, ...] = ()


def parse_sign(name: str) -> Photo | None:
    """``CC/TTTTT_FFFFF.png``: class, track, frame."""
    match = re.search(r"(?:^|/)(\d{2})/(\d{5})_(\d{5})\.png$", name)
    return Photo(name, *map(int, match.groups())) if match else None


def parse_object(name: str) -> Photo | None:
    """``CLASS/NNNN.jpg``: the class by its name, the photograph's number within it."""
    match = re.search(r"(?:^|/)([a-z]+)/(\d{1,9})\.jpg$", name)
    if not match or match[1] not in OBJECT_LABELS:
        return None
    return Photo(name, OBJECT_LABELS.index(match[1]), int(match[2]), 0)


SIGN_NAMES = Naming("CC/TTTTT_FFFFF.png (class, track, frame)", parse_sign)
OBJECT_NAMES = Naming(f"CLASS/NNNN.jpg (one of {', '.join(OBJECT_LABELS)}; number)", parse_object)


def find_photos(source: Path, naming: Naming = SIGN_NAMES) -> PhotoSet:
    """List the photographs in ``source``, a folder, zip or tar.

    Raises :class:`MissingFile` when there is no such folder or file, :class:`BadInput` when it is no archive or holds
    no photograph named as expected.
    """
    found = [photo for name in list_names(source) if (photo := naming.parse(name))]
    if not found:
        raise BadInput(f"{source} holds no photograph named {naming.shape}", where=str(source))
    return PhotoSet(source, tuple(sorted(found, key=lambda photo: photo.path)))


def split_by_track(photos: Sequence[Photo]) -> Split:
    """Divide photographs as :data:`SPLIT_RULE` says."""
    tracks: dict[int, set[int]] = {}
    for photo in photos:
        tracks.setdefault(photo.label, set()).add(photo.track)
    held_out = {(label, track) for label, numbers in tracks.items() for track in held_out_tracks(numbers)}
    return Split(
        training=tuple(photo for photo in photos if (photo.label, photo.track) not in held_out),
        held_out=tuple(photo for photo in photos if (photo.label, photo.track) in held_out),
    )


def held_out_tracks(tracks: set[int]) -> set[int]:
    """The tracks of one class that are held out; a class of one track is only trained on."""
    if len(tracks) < 2:
        return set()
    chosen = {track for track in tracks if track % 5 == 4}
    if not chosen or chosen == tracks:
        return {max(tracks)}
    return chosen


def split_by_number(photos: Sequence[Photo]) -> Split:
    """Divide photographs as :data:`NUMBER_RULE` says."""
    return Split(
        training=tuple(photo for photo in photos if photo.track % 10 < 8),
        held_out=tuple(photo for photo in photos if photo.track % 10 == 9),
        validation=tuple(photo for photo in photos if photo.track % 10 == 8),
    )


def read_photos(
    source: Path, photos: Sequence[Photo], prepare: Callable[[np.ndarray], np.ndarray]
) -> Iterator[np.ndarray]:
    """Decode photographs one by one as ``prepare(image)`` of ``(H, W, 3)`` uint8 RGB.

    Raises :class:`calibration.errors.BadImage` naming the file that does not decode.
    """
    files = read_files(source, [photo.path for photo in photos])
    for photo, data in zip(photos, files, strict=True):
        yield prepare(decode_picture(data, f"{source}/{photo.path}"))


def labels_of(photos: Sequence[Photo]) -> np.ndarray:
    """``(N,)`` int64 class ids."""
    return np.array([photo.label for photo in photos], np.int64)


def extract(found: PhotoSet, photos: Sequence[Photo], into: Path) -> None:
    """Copy photographs of signs, byte by byte, to ``into/CC/TTTTT_FFFFF.png``."""
    for photo, data in zip(photos, read_files(found.source, [photo.path for photo in photos]), strict=True):
        write_bytes(into / f"{photo.label:02d}" / PurePosixPath(photo.path).name, data)
