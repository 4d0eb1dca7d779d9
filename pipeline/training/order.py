"""What a lab orders to be trained: pictures of the target, pictures of what must not be taken for it, transforms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.errors import MissingFile
from calibration.files import in_file_name, read_document
from patches.artwork import Artwork, artwork, artwork_labels, load_artwork, render
from patches.spec import TransformSpec
from pipeline.lab import Lab
from pipeline.paper.sheets import frame_geometry_of, target_artwork

if TYPE_CHECKING:
    from patches.order import Picture, TrainOrder

ARTWORK_PX = 192
DISTANCE_MARGIN = 1.3
ANGLE_MARGIN_DEG = 10.0
PICTURES = {".png", ".jpg", ".jpeg", ".svg"}


@dataclass(frozen=True, slots=True)
class Wish:
    """A patch to be trained: its name, and the classes that it is for.

    ``artwork``: the target's picture, in place of the lab's or dpcam's.
    """

    name: str
    labels: tuple[str, ...]
    artwork: Path | None = None

    @classmethod
    def of(cls, label: str, artwork: Path | None = None) -> Wish:
        """A patch for one class."""
        return cls(label, (label,), artwork)

    @property
    def group(self) -> tuple[str, ...]:
        """The classes of a patch for several; nothing for one of a single class."""
        return () if self.labels == (self.name,) else self.labels


def train_order(lab: Lab, wish: Wish, known: Iterable[str]) -> TrainOrder:
    """The order of a lab's patch, whose surrogates all know the classes ``known``.

    The frame of a group is that around its tallest target.
    """
    from patches.order import TrainOrder

    train = lab.config.train
    signs = [_sign(lab, wish, label) for label in wish.labels]
    return TrainOrder(
        label=wish.name,
        pictures=_pictures(signs),
        others=_pictures(other_signs(lab, wish, known)),
        geometry=frame_geometry_of(lab, max(signs, key=lambda sign: sign.aspect)),
        method=train.method,
        spec=lab_spec(lab),
        seed=lab.config.lab.seed,
        steps=train.steps,
        batch=train.batch,
        learning_rate=train.learning_rate,
        device=train.device,
        precision=train.precision,
    )


def other_signs(lab: Lab, wish: Wish, known: Iterable[str]) -> list[Artwork]:
    """Signs of classes that are ``known`` and not wished for: those of ``train.others``, or those that dpcam draws.

    None for a method that has no use for them. dpcam's drawings stand beside its own drawing of the target only.
    """
    from patches.methods import method_named

    strange = set(known) - set(wish.labels)
    if not method_named(lab.config.train.method).terms.no_spoof:
        return []
    if lab.config.train.others:
        return _signs_in(lab.folder / lab.config.train.others, strange)
    drawn = not wish.artwork and not any(_is_own(lab, label) for label in wish.labels)
    return [artwork(label) for label in artwork_labels() if drawn and label in strange]


def lab_spec(lab: Lab) -> TransformSpec:
    """The EOT ranges of a lab: those in the file that ``train.spec`` names, or else those that its plan covers.

    :class:`MissingFile` or :class:`BadConfig` when a file is named and is not there, or is no spec.
    """
    if lab.config.train.spec:
        return _named_spec(lab.folder / lab.config.train.spec)
    return plan_spec(lab)


def plan_spec(lab: Lab) -> TransformSpec:
    """The EOT ranges that a lab's plan covers: distances and angles with a margin; the rest is the default."""
    default, planned = TransformSpec(), lab.conditions()
    at_mm = [each.distance_mm for each in planned]
    distances = (min(at_mm) / DISTANCE_MARGIN, max(at_mm) * DISTANCE_MARGIN)
    yaw = min(max(abs(each.yaw_deg) for each in planned) + ANGLE_MARGIN_DEG, 80.0)
    pitch = min(max(abs(each.pitch_deg) for each in planned) + ANGLE_MARGIN_DEG, 80.0)
    return default.model_copy(update={"distance_mm": distances, "yaw_deg": (-yaw, yaw), "pitch_deg": (-pitch, pitch)})


def _named_spec(path: Path) -> TransformSpec:
    if not path.is_file():
        hint = "dpcam eot fit SESSION writes one"
        raise MissingFile(f"train.spec names {path}, which is no file", hint=hint, where=str(path))
    return read_document(path, TransformSpec)


def _sign(lab: Lab, wish: Wish, label: str) -> Artwork:
    return load_artwork(wish.artwork, label) if wish.artwork else target_artwork(lab, label)


def _is_own(lab: Lab, label: str) -> bool:
    """Whether the lab has a picture of its own of that class."""
    return label == lab.config.target.label and lab.config.target.artwork is not None


def _signs_in(folder: Path, labels: Iterable[str]) -> list[Artwork]:
    """Pictures of these classes, by their file names."""
    if not folder.is_dir():
        raise MissingFile(f"train.others names {folder}, which is no folder", where=str(folder))
    by_name = {name: label for label in labels for name in (label, in_file_name(label))}
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURES and path.stem in by_name]
    return [load_artwork(path, by_name[path.stem]) for path in paths]


def _pictures(signs: Sequence[Artwork]) -> list[Picture]:
    from patches.order import Picture

    return [Picture(sign.label, render(sign, ARTWORK_PX)) for sign in signs]
