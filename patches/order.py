"""What is to be trained, and the bench it is trained on: scenes, truths, and the pictures of every step.

Every step draws from (seed, step) alone, so that nothing but the order and the recognizers determines a run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.errors import BadInput
from calibration.files import sha256_bytes
from patches.backdrops import on_backdrops
from patches.color_table import ColorTable, unprintable_table
from patches.device import Precision, device_named
from patches.draws import Draws, draw
from patches.eot import Scene, make_scene, render
from patches.patch import PatchGeometry
from patches.spec import TransformSpec
from patches.surrogates import Surrogate

Pixels = NDArray[np.uint8]
VALIDATION = 2**32 - 1
"""The step number whose draws are the validation batch; no training step has it."""


GRAY = 0.25
"""Light of a gray whose encoded value is a half."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An object as it is seen without a patch: its class, and ``(H, W, 4)`` uint8 RGBA, transparent around it."""

    label: str
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Terms:
    """What a method trains for beside the plain cross-entropy; each is off at 0.

    * ``smoothness``: weight of the total variation; ``gamut``: of color that ink does not reach.
    * ``no_spoof``: share of the views that show another object, where the patch's class is the one wrong answer.
    * ``fade``: share of the views whose object is faded out, so that the patch alone comes to be recognized.
    * ``disturb``: share of the views of the patch's own objects that get a corruption beyond those of the transforms.
    * ``jitter``: views are moved and zoomed at random by up to this share of their side before a surrogate sees them.
    * ``attack_levels``: an inner attacker changes each view by up to so many of 255 levels before the patch answers.
    * ``correlation``: weight of the distance between feature correlations of patch and whole picture.
    * ``cells``: the texture is a latent picture of so many cells a side, magnified; 0 is one cell for each texel.
    """

    smoothness: float = 0.1
    gamut: float = 0.5
    no_spoof: float = 0.0
    fade: float = 0.0
    disturb: float = 0.0
    jitter: float = 0.0
    attack_levels: float = 0.0
    correlation: float = 0.0
    cells: int = 0


@dataclass(frozen=True, slots=True)
class TrainOrder:
    """What is to be trained; together with the recognizers it determines the texture.

    ``label`` is the patch's name: a class, or a group of them. ``pictures`` are of what it is for, each with its own
    class; ``others`` of what must not be taken for it; ``judged`` those that choose the best texture (none:
    ``pictures``). ``picture_mm`` is the width of a picture, the target's own where it is None. ``terms`` None are the
    method's. ``interval``: steps between two looks at the ``validation`` fixed views, and between two checkpoints.
    ``backdrops``: photographs behind all of it, as :func:`patches.backdrops.make_backdrops` gives them.
    ``device`` is where it is computed, ``precision`` that of the surrogates.
    """

    label: str
    pictures: Sequence[Picture]
    geometry: PatchGeometry
    method: str = "ensemble"
    spec: TransformSpec = field(default_factory=TransformSpec)
    seed: int = 0
    steps: int = 200
    batch: int = 16
    learning_rate: float = 0.2
    terms: Terms | None = None
    others: Sequence[Picture] = ()
    judged: Sequence[Picture] = ()
    picture_mm: float | None = None
    interval: int = 25
    validation: int = 64
    backdrops: Tensor | None = None
    device: str = "cpu"
    precision: Precision = "float32"


@dataclass(frozen=True, slots=True)
class Views:
    """Pictures for the surrogates before the patch is on: scene, draws, and for each surrogate the right answers.

    ``own`` ``(B,)`` bool: those that show what the patch is for. ``classes``: for each surrogate, ``(L,)`` int64, the
    classes that it is for.
    """

    scene: Scene
    draws: Draws
    truth: Sequence[Tensor]
    own: Tensor
    classes: Sequence[Tensor]

    def render(self, texture: Tensor | None) -> Tensor:
        """``(B, 3, S, S)`` with the texture ``(3, n, n)`` on, None for nothing."""
        return render(texture, self.scene, self.draws)

    def alone(self) -> Views:
        """The same views with nothing in the window but gray."""
        draws = replace(
            self.draws,
            presence=torch.zeros_like(self.draws.presence),
            grounds=torch.full_like(self.draws.grounds, GRAY),
        )
        return replace(self, draws=draws)

    def first(self, count: int) -> Views:
        """The first few of them."""
        return self._part(slice(count))

    def parts(self, size: int) -> Iterator[Views]:
        """All of them, so many at a time."""
        for start in range(0, len(self.draws.presence), size):
            yield self._part(slice(start, start + size))

    def _part(self, chosen: slice) -> Views:
        truth = [each[chosen] for each in self.truth]
        return replace(self, draws=self.draws.part(chosen), truth=truth, own=self.own[chosen])


@dataclass(frozen=True, slots=True)
class Album:
    """Pictures as a scene; ``own`` counts those, from the first on, that the patch is for."""

    scene: Scene
    labels: tuple[str, ...]
    own: int

    def chosen(self, share: Tensor, others: float) -> Tensor:
        """``(B,)`` int64 numbers of pictures for ``share`` ``(B,)`` in [0, 1); the first ``others`` of others."""
        strange = len(self.labels) - self.own
        count = round(others * len(share)) if strange else 0
        index = (share * self.own).long().clamp(max=self.own - 1)
        index[:count] = self.own + (share[:count] * strange).long().clamp(max=strange - 1)
        return index

    def share(self, index: Tensor) -> Tensor:
        """What the draws must say for these numbers."""
        return (index + 0.5) / len(self.labels)

    def truth(self, recognizer: Surrogate) -> Tensor:
        """``(K,)`` int64: the place of each picture's label among the recognizer's answers."""
        return torch.tensor([recognizer.index(label) for label in self.labels])


@dataclass(frozen=True, slots=True)
class Bench:
    """What does not change during a run. ``ring`` ``(n, n)`` bool: the texels that are printed.

    ``unprintable``: how far each color is from what the printer can make, where the order's spec has measured it.
    ``answers``: for each surrogate, ``(K,)`` int64, the right one to each picture of the album.
    ``stamp``: a checkpoint with another one belongs to another run.
    """

    order: TrainOrder
    terms: Terms
    ring: Tensor
    album: Album
    answers: Sequence[Tensor]
    judged: Album
    surrogates: Sequence[Surrogate]
    held_out: Sequence[Surrogate]
    stamp: str
    unprintable: ColorTable | None = None

    def views(self, step: int, spec: TransformSpec | None = None) -> Views:
        """The views of a training step: some of other objects, the rest of the patch's own.

        ``spec`` takes the place of the order's.
        """
        order = self.order if spec is None else replace(self.order, spec=spec)
        draws = draws_of(order, self.album.scene, step, order.batch)
        draws = replace(draws, presence=presence(draws.presence, self.terms.fade, self.dice(step)))
        index = self.album.chosen(draws.artwork, self.terms.no_spoof)
        return self._views(self.album, draws, index, self.answers)

    def validation(self) -> Views:
        """The views that no step ever sees, always the same; one truth for each surrogate and each judge."""
        draws = draws_of(self.order, self.judged.scene, VALIDATION, self.order.validation)
        index = self.judged.chosen(draws.artwork, 0.0)
        answers = [self.judged.truth(each).to(index.device) for each in (*self.surrogates, *self.held_out)]
        return self._views(self.judged, draws, index, answers)

    def dice(self, step: int) -> torch.Generator:
        """A generator of its own for what a method draws beside the transforms."""
        return torch.Generator().manual_seed(step_seed(self.order.seed + 1, step))

    def _views(self, album: Album, draws: Draws, index: Tensor, answers: Sequence[Tensor]) -> Views:
        return Views(
            scene=album.scene,
            draws=replace(draws, artwork=album.share(index)),
            truth=[each[index] for each in answers],
            own=index < album.own,
            classes=[torch.unique(each[: album.own]) for each in answers],
        )


def presence(full: Tensor, fade: float, dice: torch.Generator) -> Tensor:
    """``(B,)``: how much of each object is there; a share ``fade`` of them is faded, at random between all and none."""
    chance, left = (torch.rand(full.shape, generator=dice).to(full) for _ in range(2))
    return torch.where(chance < fade, left, full)


def draws_of(order: TrainOrder, scene: Scene, step: int, batch: int) -> Draws:
    """The draws of one step, on the order's device."""
    generator = torch.Generator().manual_seed(step_seed(order.seed, step))
    draws = draw(order.spec, batch, texels=order.geometry.texels, crop_px=scene.crop_px, generator=generator)
    draws = draws.to(order.device)
    return draws if order.backdrops is None else on_backdrops(draws, order.backdrops, generator)


def step_seed(seed: int, step: int) -> int:
    """An independent seed for each step."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def make_bench(
    order: TrainOrder, terms: Terms, surrogates: Sequence[Surrogate], held_out: Sequence[Surrogate]
) -> Bench:
    """Check the order, stamp it, and bring all to its device.

    Raises :class:`BadInput` for an order that makes no sense or an unknown label, :class:`NoProvider` when the device
    is not there. Held-out recognizers judge in float32, and need not know what ``others`` are.
    """
    _refuse_nonsense(order, surrogates)
    device, side = device_named(order.device), crop_side(surrogates)
    album = make_album(order, (*order.pictures, *order.others), len(order.pictures), side)
    chosen = order.judged or order.pictures
    judged = make_album(order, chosen, len(chosen), side) if order.judged or order.others else album
    answers = [album.truth(each).to(device) for each in surrogates]
    for each in (*surrogates, *held_out):
        judged.truth(each)
    return Bench(
        order=with_backdrops_there(order),
        terms=terms,
        ring=torch.from_numpy(order.geometry.ring()).to(device),
        album=album,
        answers=answers,
        judged=judged,
        surrogates=[each.on(device, order.precision) for each in surrogates],
        held_out=[each.on(device) for each in held_out],
        stamp=run_stamp(order, terms, surrogates, held_out),
        unprintable=_unprintable(order),
    )


def _unprintable(order: TrainOrder) -> ColorTable | None:
    measured = order.spec.print_color
    return None if measured is None else unprintable_table(measured).to(order.device)


def with_backdrops_there(order: TrainOrder) -> TrainOrder:
    """The same order with its photographs on its device."""
    return order if order.backdrops is None else replace(order, backdrops=order.backdrops.to(order.device))


def _refuse_nonsense(order: TrainOrder, surrogates: Sequence[Surrogate]) -> None:
    if not surrogates:
        raise BadInput("a patch is trained on surrogates, and none was given", hint="name some recognizers to train on")
    if min(order.steps, order.batch, order.interval, order.validation) < 1 or not order.learning_rate > 0:
        raise BadInput(
            "steps, batch, interval, validation and learning rate must be positive, got "
            f"{order.steps}, {order.batch}, {order.interval}, {order.validation} and {order.learning_rate:g}"
        )


def make_album(order: TrainOrder, pictures: Sequence[Picture], own: int, crop_px: int) -> Album:
    """The order's geometry around these pictures, or over them where they are larger than the window."""
    scene = make_scene([each.pixels for each in pictures], order.geometry, crop_px, color=order.spec.print_color)
    if order.picture_mm is not None:
        scene = replace(scene, sides_mm=scene.sides_mm * (order.picture_mm / order.geometry.target_mm))
        scene = replace(scene, areas=reaching_out(scene.areas))
    return Album(scene.to(order.device), tuple(each.label for each in pictures), own)


def reaching_out(areas: Tensor | None) -> Tensor | None:
    """Maps of a frame that is not square such that the picture goes on beyond it, to the square around it."""
    return None if areas is None else torch.stack([areas[0], torch.ones_like(areas[1])])


def crop_side(recognizers: Sequence[Surrogate]) -> int:
    """Crops are rendered at the largest input size and resized for the others."""
    return max(max(each.contract.height, each.contract.width) for each in recognizers)


def run_stamp(order: TrainOrder, terms: Terms, surrogates: Sequence[Surrogate], held_out: Sequence[Surrogate]) -> str:
    """All that determines a run, as text."""
    plain = ("label", "method", "seed", "steps", "batch", "learning_rate", "picture_mm", "interval", "validation")
    return json.dumps(
        {
            **{name: getattr(order, name) for name in (*plain, "precision")},
            "backdrops": None if order.backdrops is None else sha256_bytes(order.backdrops.numpy(force=True).tobytes()),
            "pictures": [_digest(each) for each in (order.pictures, order.others, order.judged)],
            "geometry": order.geometry.model_dump(mode="json"),
            "spec": order.spec.sha256,
            "terms": asdict(terms),
            "surrogates": [each.contract.sha256 for each in surrogates],
            "held_out": [each.contract.sha256 for each in held_out],
        },
        sort_keys=True,
    )


def _digest(pictures: Sequence[Picture]) -> str:
    digest = hashlib.sha256()
    for each in pictures:
        digest.update(f"{each.label} {each.pixels.shape} ".encode() + np.ascontiguousarray(each.pixels).tobytes())
    return digest.hexdigest()
