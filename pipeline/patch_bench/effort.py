"""How much work the bench does, in three sizes, and what training expects of the pictures' way to a recognizer."""

from __future__ import annotations

from dataclasses import dataclass

from patches.attacks import ATTACKS, attack_named
from patches.patch import PatchGeometry
from patches.spec import TransformSpec
from pipeline.noises import CORRUPTIONS

CONTROLS = ("blank", "flat", "noise", "label", "wrong-class", "alone")

REGION_LEVELS = 4
"""Budget of the attacks that are confined to a region."""


@dataclass(frozen=True, slots=True)
class Effort:
    """A size of the bench. ``classes``: how many, or which; None takes all of a data set.

    * ``steps``, ``batch``, ``views``: of each training; ``views`` are those that choose the best texture.
    * ``training``, ``validation``: pictures of each class that a training and its choice see; ``strangers``: training
      pictures of each other class, for methods that look at them.
    * ``pictures``: test pictures of each class for clean and corrupted answers, of which ``attacked`` are attacked.
    * ``spoofed``: test pictures of each other class that wear the patch.
    * ``controls``: the arms beside bare and the methods, unless others are asked for.
    """

    name: str
    classes: int | tuple[str, ...] | None
    seeds: int
    steps: int
    batch: int
    views: int
    training: int
    validation: int
    strangers: int
    pictures: int
    attacked: int
    spoofed: int
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    attacks: tuple[str, ...]
    controls: tuple[str, ...] = CONTROLS


def _full_attacks() -> tuple[str, ...]:
    """Everywhere at all budgets; within a region at one."""
    named = [(name, attack_named(name)) for name in ATTACKS]
    return tuple(
        name
        for name, attack in named
        if attack.method == "sticker" or attack.region == "everywhere" or attack.levels == REGION_LEVELS
    )


FULL = Effort(
    name="full",
    classes=None,
    seeds=3,
    steps=300,
    batch=24,
    views=64,
    training=200,
    validation=60,
    strangers=150,
    pictures=60,
    attacked=20,
    spoofed=6,
    corruptions=CORRUPTIONS,
    severities=(3, 4, 5),
    attacks=_full_attacks(),
)

STANDARD = Effort(
    name="standard",
    classes=4,
    seeds=1,
    steps=100,
    batch=16,
    views=64,
    training=100,
    validation=30,
    strangers=75,
    pictures=20,
    attacked=8,
    spoofed=6,
    corruptions=CORRUPTIONS,
    severities=(3, 4, 5),
    attacks=("fgsm-4", "pgd10-2", "pgd10-4", "pgd10-8", "sticker"),
)

QUICK = Effort(
    name="quick",
    classes=2,
    seeds=1,
    steps=5,
    batch=4,
    views=4,
    training=8,
    validation=4,
    strangers=4,
    pictures=4,
    attacked=2,
    spoofed=2,
    corruptions=("gaussian-noise", "motion-blur", "fog"),
    severities=(5,),
    attacks=("pgd10-4",),
    controls=("blank", "wrong-class", "alone"),
)

DISTANCE_MM = 1000.0


def pictures_spec(geometry: PatchGeometry, side_px: int) -> TransformSpec:
    """What happens to a picture that fills the crop: seen almost frontally, a sensor pixel for each of its own.

    Printing is as anywhere; light, haze, blur and noise are somewhat worse than in an ordinary lab.
    """
    focal_px = side_px * DISTANCE_MM / geometry.outer_mm
    return TransformSpec(
        place_mm=(-1.0, 1.0),
        place_deg=(-1.0, 1.0),
        distance_mm=(DISTANCE_MM, DISTANCE_MM),
        focal_px=(focal_px, focal_px),
        yaw_deg=(-15.0, 15.0),
        pitch_deg=(-15.0, 15.0),
        roll_deg=(-3.0, 3.0),
        light_gain=(0.4, 1.3),
        haze=(0.0, 0.4),
        defocus_px=(0.0, 1.2),
        motion_px=(0.0, 2.0),
        read_noise=(0.0, 0.08),
        crop_shift=(-0.03, 0.03),
        crop_zoom=(0.96, 1.04),
    )


def pixels_spec(geometry: PatchGeometry, side_px: int) -> TransformSpec:
    """What happens to a picture whose own pixels are overwritten: nothing is printed, and nothing moves.

    Little light, haze, blur and noise: a picture of 32 px has little to lose, and patches that saw more gained less.
    """
    focal_px = side_px * DISTANCE_MM / geometry.outer_mm
    return TransformSpec.identity().model_copy(
        update={
            "distance_mm": (DISTANCE_MM, DISTANCE_MM),
            "focal_px": (focal_px, focal_px),
            "ink_noise": (0.0, 0.05),
            "light_gain": (0.75, 1.2),
            "light_warmth": (-0.15, 0.15),
            "light_gradient": (0.0, 0.1),
            "shadow": (0.0, 0.05),
            "haze": (0.0, 0.1),
            "defocus_px": (0.0, 0.3),
            "motion_px": (0.0, 0.5),
            "shot_noise": (0.0, 0.004),
            "read_noise": (0.0, 0.03),
            "clutter": (0.0, 0.3),
        }
    )
