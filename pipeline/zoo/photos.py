"""Photographs of traffic signs in ``CC/TTTTT_FFFFF.png``, as a folder or a zip, split by track."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from calibration.errors import BadInput, MissingFile
from calibration.files import write_bytes
from capture.picture import decode_picture

NAME = re.compile(r"(?:^|/)(\d{2})/(\d{5})_(\d{5})\.png$")
SPLIT_RULE = (
    "by track within its class: a track is held out when its number modulo 5 is 4; where a class of two or more tracks "
    "has none such, its highest track; where it has only such, all but its highest are trained on"
)


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph by its class, track (one physical sign) and frame; ``path`` is relative, with ``/``."""

    path: str
    label: int
    track: int
    frame: int


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """All photographs of a folder or zip, in the order of their names."""

    source: Path
    photos: tuple[Photo, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Photographs to train on and those held out: no track is in both."""

    training: tuple[Photo, ...]
    held_out: tuple[Photo, ...]


def find_photos(source: Path) -> PhotoSet:
    """List the photographs in ``source`` (folder or zip).

    Raises :class:`MissingFile` when there is no such folder or file, :class:`BadInput` when it is no zip or holds no
    photograph named as expected.
    """
    if not source.exists():
        raise MissingFile(f"no such folder or zip of photographs: {source}", where=str(source))
    found = sorted(parse_names(list_names(source)), key=lambda photo: photo.path)
    if not found:
        raise BadInput(
            f"{source} holds no photograph named CC/TTTTT_FFFFF.png (class, track, frame)", where=str(source)
        )
    return PhotoSet(source, tuple(found))


def list_names(source: Path) -> list[str]:
    """Names of all files in a folder or zip, relative, with ``/``."""
    if source.is_dir():
        return [path.relative_to(source).as_posix() for path in source.rglob("*.png")]
    try:
        with zipfile.ZipFile(source) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise BadInput(f"{source} is neither a folder nor a zip: {error}", where=str(source)) from error


def parse_names(names: Sequence[str]) -> Iterator[Photo]:
    """The photographs among ``names``; other files are none of ours."""
    for name in names:
        match = NAME.search(name)
        if match:
            label, track, frame = (int(part) for part in match.groups())
            yield Photo(name, label, track, frame)


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


def read_photos(
    source: Path, photos: Sequence[Photo], prepare: Callable[[np.ndarray], np.ndarray]
) -> Iterator[np.ndarray]:
    """Decode photographs one by one as ``prepare(image)`` of ``(H, W, 3)`` uint8 RGB.

    Raises :class:`calibration.errors.BadImage` naming the file that does not decode.
    """
    with open_reader(source) as read:
        for photo in photos:
            yield prepare(decode_picture(read(photo.path), f"{source}/{photo.path}"))


@contextmanager
def open_reader(source: Path) -> Iterator[Callable[[str], bytes]]:
    """A function from relative name to bytes, over a folder or a zip; it raises :class:`BadInput`."""
    with ExitStack() as stack:
        archive = None if source.is_dir() else stack.enter_context(zipfile.ZipFile(source))

        def read(name: str) -> bytes:
            try:
                return (source / name).read_bytes() if archive is None else archive.read(name)
            except (OSError, zipfile.BadZipFile, zlib.error) as error:
                raise BadInput(f"cannot read {name} in {source}: {error}", where=str(source)) from error

        yield read


def extract(found: PhotoSet, photos: Sequence[Photo], into: Path) -> None:
    """Copy photographs, byte by byte, to ``into/CC/TTTTT_FFFFF.png``."""
    with open_reader(found.source) as read:
        for photo in photos:
            write_bytes(into / f"{photo.label:02d}" / PurePosixPath(photo.path).name, read(photo.path))
