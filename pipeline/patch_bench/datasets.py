"""Data sets of the bench behind one interface: classes, and pictures of each for training, validation and test.

Recognizers and patches are trained on ``training``, the best texture is chosen on ``validation``, and ``test`` is
seen by neither.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from calibration.contract import resize_rgb
from calibration.errors import BadInput, BadUsage, MissingFile
from calibration.files import sha256_bytes, sha256_file, write_bytes
from capture.picture import PICTURE_SUFFIXES, decode_picture
from patches.patch import PatchGeometry
from pipeline.patch_bench.frames import outline_ring, paper_ring, square_ring
from pipeline.patch_bench.outlines import Outline, sign_outline
from pipeline.zoo.labels import LABELS, OBJECT_LABELS
from pipeline.zoo.photos import (
    OBJECT_NAMES,
    Photo,
    PhotoSet,
    find_photos,
    read_photos,
    split_by_number,
    split_by_track,
)

Pixels = NDArray[np.uint8]
Part = Literal["training", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
Shape = Literal["square", "outline"]
Item = TypeVar("Item")

DATASETS = ("drawn", "gtsrb", "cifar10", "imagenet")
FILES = {"gtsrb": ("gtsrb-photos.zip", "gtsrb-photos"), "cifar10": ("cifar10-train.tar.xz",)}
AREA = 0.3
"""Share of the picture that the frame covers where nothing else is said."""

FEWEST_TRACKS = 3
SIGN_SHARE = 0.8
"""A sign's side in its photograph: the benchmark leaves a border of a tenth."""

OBJECT_SHARE = 26 / 32


@dataclass(frozen=True, slots=True)
class Pictures:
    """``pixels`` ``(B, S, S, 3)`` uint8 RGB; ``clusters`` ``(B,)`` int64, the same for pictures of the same object."""

    pixels: Pixels
    clusters: NDArray[np.int64]

    def few(self, limit: int) -> Pictures:
        """At most ``limit`` of them, spread evenly."""
        index = spread(range(len(self.pixels)), limit)
        return Pictures(self.pixels[index], self.clusters[index])


class Dataset(Protocol):
    """Pictures by class."""

    @property
    def name(self) -> str:
        """As the tables have it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels that the recognizers know."""

    @property
    def object_share(self) -> float:
        """Side of the object, in shares of the picture's."""

    @property
    def digital(self) -> bool:
        """A patch overwrites the picture's own few pixels, as in the paper: nothing is printed, and nothing moves."""

    @property
    def digest(self) -> str:
        """Digest of all that decides the pictures."""

    def outline(self, label: str) -> Outline | None:
        """The outline of a class's objects; None where they have no common one."""

    def pictures(self, label: str, part: Part, side_px: int, limit: int) -> Pictures:
        """At most ``limit`` pictures of a class, spread evenly over those there are, squeezed to a square."""


def spread(items: Sequence[Item], limit: int) -> list[Item]:
    """At most ``limit`` of them in their order, as far apart as can be."""
    if len(items) <= limit:
        return list(items)
    return [items[int((number + 0.5) * len(items) / limit)] for number in range(limit)]


def frame_of(dataset: Dataset, label: str, shape: Shape | None, area: float | None, side_px: int) -> PatchGeometry:
    """The frame for a class: where nothing is said, along the outline of its objects if they have one.

    In pixels it is the paper's ring, unless a shape or a share is asked for.
    """
    if dataset.digital and shape is None and area is None:
        return paper_ring(side_px)
    outline = dataset.outline(label)
    if shape == "outline" and outline is None:
        raise BadUsage(f"--frame outline: objects of {dataset.name} have no known outline; square is possible")
    share = AREA if area is None else area
    if outline is None or shape == "square":
        return square_ring(share, side_px)
    return outline_ring(share, side_px, outline)


def frames_of(
    dataset: Dataset, labels: Sequence[str], shape: Shape | None, area: float | None, side_px: int
) -> dict[str, PatchGeometry]:
    """The frame of each class, by its label."""
    return {label: frame_of(dataset, label, shape, area, side_px) for label in labels}


# ---- Where data are


def open_dataset(name: str, data: Path | None, places: Sequence[Path], work: Path) -> Dataset:
    """The data set of that name, or the folder of one's own; ``work`` keeps what is unpacked.

    ``data`` is the file or the folder that holds it, looked for in ``places`` where None. :class:`MissingFile` or
    :class:`BadInput` (exit code 3) when it cannot be had.
    """
    if name == "drawn":
        from pipeline.patch_bench.drawn import Drawn

        return Drawn()
    if name == "imagenet":
        from pipeline.patch_bench.photographed import open_photographed

        return open_photographed(work / "imagenet" if data is None else data)
    if name == "gtsrb":
        return open_signs(find_data(name, data, places))
    if name == "cifar10":
        return open_objects(find_data(name, data, places), work)
    return open_folder(Path(name))


def data_places(given: str | None, where: Path) -> tuple[Path, ...]:
    """Folders where data sets are looked for: the one of ``DPCAM_DATA``, or ``data`` and ``shared/data`` upwards."""
    if given:
        return (Path(given),)
    return tuple(folder / below for folder in (where, *where.parents) for below in ("data", "shared/data"))


def find_data(name: str, data: Path | None, places: Sequence[Path]) -> Path:
    """The file (or folder) of a data set."""
    if data is not None and data.exists() and not any((data / file).exists() for file in FILES[name]):
        return data
    for place in places if data is None else (data,):
        for file in FILES[name]:
            if (place / file).exists():
                return place / file
    raise MissingFile(
        f"the data set {name} is not there: {FILES[name][0]} is looked for in "
        + (str(data) if data is not None else "DPCAM_DATA, and in data/ and shared/data/ here and above"),
        hint="say with --data where it is, or take --dataset drawn, which needs no data",
        where=str(data or ""),
    )


# ---- Photographs of signs, and CIFAR-10


@dataclass(frozen=True, slots=True)
class Photographs:
    """Photographs of a data set: ``listed`` has those of each class and part. Those of one track are a cluster.

    ``outlines``: those of the classes whose objects have one in common. ``packed``: a folder with the photographs as
    arrays, where reading the source again and again would take too long.
    """

    name: str
    source: Path
    classes: tuple[str, ...]
    object_share: float
    digest: str
    listed: Mapping[tuple[str, Part], tuple[Photo, ...]]
    outlines: Mapping[str, Outline] = field(default_factory=dict)
    digital: bool = False
    packed: Path | None = None

    def outline(self, label: str) -> Outline | None:
        """That of the class."""
        return self.outlines.get(label)

    def pictures(self, label: str, part: Part, side_px: int, limit: int) -> Pictures:
        """The photographs, in the order of their names."""
        photos = self.listed[label, part]
        index = spread(range(len(photos)), limit)
        prepare = partial(resize_rgb, height=side_px, width=side_px, rule="area")
        chosen = [photos[number] for number in index]
        if self.packed is None:
            found = list(read_photos(self.source, chosen, prepare))
        else:
            found = [prepare(each) for each in read_packed(self.packed, label, part)[index]]
        return Pictures(np.stack(found), np.array([each.track for each in chosen], np.int64))


def open_signs(source: Path) -> Photographs:
    """The classes with at least :data:`FEWEST_TRACKS` held-out tracks; a third of these, from the lowest, validates."""
    found = find_photos(source)
    split = split_by_track(found.photos)
    listed: dict[tuple[str, Part], tuple[Photo, ...]] = {}
    for number, label in enumerate(LABELS):
        held_out = [photo for photo in split.held_out if photo.label == number]
        tracks = sorted({photo.track for photo in held_out})
        if len(tracks) >= FEWEST_TRACKS:
            choosing = set(tracks[: len(tracks) // 3])
            listed[label, "training"] = tuple(photo for photo in split.training if photo.label == number)
            listed[label, "validation"] = tuple(photo for photo in held_out if photo.track in choosing)
            listed[label, "test"] = tuple(photo for photo in held_out if photo.track not in choosing)
    classes = tuple(dict.fromkeys(label for label, _ in listed))
    outlines = {label: sign_outline(label, SIGN_SHARE) for label in classes}
    return Photographs("gtsrb", source, classes, SIGN_SHARE, source_digest(found), listed, outlines)


def open_objects(source: Path, work: Path) -> Photographs:
    """All classes of CIFAR-10, by the last digit of a picture's number; the archive is read once."""
    found = find_photos(source, OBJECT_NAMES)
    split = split_by_number(found.photos)
    parts: dict[Part, Sequence[Photo]] = {
        "training": split.training,
        "validation": split.validation,
        "test": split.held_out,
    }
    listed = {
        (label, part): tuple(photo for photo in photos if photo.label == number)
        for number, label in enumerate(OBJECT_LABELS)
        for part, photos in parts.items()
    }
    lacking = [f"{label} has none for {part}" for (label, part), photos in listed.items() if not photos]
    if lacking:
        raise BadInput(f"{source}: pictures of each class and each last digit are expected; {lacking[0]}")
    digest = source_digest(found)
    packed = work / f"cifar10-{digest[:16]}"
    pack(source, listed, packed)
    return Photographs("cifar10", source, OBJECT_LABELS, OBJECT_SHARE, digest, listed, digital=True, packed=packed)


def source_digest(found: PhotoSet) -> str:
    """Digest of an archive's bytes, or of the names and sizes in a folder."""
    if found.source.is_file():
        return sha256_file(found.source)
    lines = [f"{photo.path} {(found.source / photo.path).stat().st_size}" for photo in found.photos]
    return sha256_bytes("\n".join(lines).encode())


def pack(source: Path, listed: Mapping[tuple[str, Part], tuple[Photo, ...]], folder: Path) -> None:
    """Write the photographs of each class and part as one array, unless that is done: a single pass."""
    if all(_array_file(folder, *each).is_file() for each in listed):
        return
    photos = [photo for some in listed.values() for photo in some]
    pixels = read_photos(source, photos, lambda picture: picture)
    for each, some in listed.items():
        stream = io.BytesIO()
        np.save(stream, np.stack(list(islice(pixels, len(some)))), allow_pickle=False)
        write_bytes(_array_file(folder, *each), stream.getvalue())


def read_packed(folder: Path, label: str, part: Part) -> Pixels:
    """``(N, H, W, 3)`` uint8, not yet in memory."""
    found: Pixels = np.load(_array_file(folder, label, part), mmap_mode="r", allow_pickle=False)
    return found


def _array_file(folder: Path, label: str, part: Part) -> Path:
    return folder / f"{label}-{part}.npy"


# ---- A folder of one's own

OF_FIVE: dict[Part, tuple[int, ...]] = {"training": (0, 1, 2), "validation": (3,), "test": (4,)}


@dataclass(frozen=True, slots=True)
class OwnFolder:
    """A folder of pictures for each class; of five in the order of their names three are for training, then one each
    for validation and test.
    """

    name: str
    digest: str
    files: Mapping[str, tuple[Path, ...]]
    object_share: float = SIGN_SHARE
    digital: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """The folders' names."""
        return tuple(self.files)

    def outline(self, label: str) -> Outline | None:
        """Unknown."""
        return None

    def pictures(self, label: str, part: Part, side_px: int, limit: int) -> Pictures:
        """The pictures; each is its own cluster."""
        numbers = spread([n for n in range(len(self.files[label])) if n % 5 in OF_FIVE[part]], limit)
        paths = [self.files[label][number] for number in numbers]
        pixels = [resize_rgb(decode_picture(path.read_bytes(), str(path)), side_px, side_px, "area") for path in paths]
        return Pictures(np.stack(pixels), np.array(numbers, np.int64))


def open_folder(folder: Path) -> OwnFolder:
    """One folder of pictures for each class, at least five in each."""
    if not folder.is_dir():
        raise MissingFile(
            f"no data set and no folder {str(folder)!r}; data sets are {', '.join(DATASETS)}", where=str(folder)
        )
    files = {each.name: _pictures_in(each) for each in sorted(folder.iterdir()) if each.is_dir()}
    for label, found in files.items():
        if len(found) < 5:
            raise BadInput(f"{folder / label} holds {len(found)} pictures; at least 5 are expected", where=str(folder))
    lines = [f"{path.relative_to(folder)} {path.stat().st_size}" for found in files.values() for path in found]
    return OwnFolder(folder.resolve().name, sha256_bytes("\n".join(lines).encode()), files)


def _pictures_in(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES))


def chosen_classes(dataset: Dataset, wanted: int | Sequence[str] | None) -> tuple[str, ...]:
    """So many classes, spread evenly over the data set, or those named; all where None. At least two are needed."""
    if len(dataset.classes) < 2:
        raise BadInput(f"{dataset.name} has {len(dataset.classes)} classes; at least 2 are expected")
    if isinstance(wanted, int | None):
        chosen = spread(dataset.classes, len(dataset.classes) if wanted is None else wanted)
    else:
        chosen = list(dict.fromkeys(wanted))
    unknown = [label for label in chosen if label not in dataset.classes]
    if unknown:
        raise BadUsage(f"--classes {unknown[0]}: {dataset.name} has no such class; it has {', '.join(dataset.classes)}")
    if len(chosen) < 2:
        raise BadUsage(f"--classes: {len(chosen)} of at least 2, for the patch of one goes onto the other")
    return tuple(chosen)


def together(parts: Iterable[Pictures]) -> Pictures:
    """All of them; clusters of different parts stay apart."""
    listed = list(parts)
    clusters = [each.clusters + (number << 32) for number, each in enumerate(listed)]
    return Pictures(np.concatenate([each.pixels for each in listed]), np.concatenate(clusters))
