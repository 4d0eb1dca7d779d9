"""Attacks on a recognizer, by name: ``fgsm-2``, ``pgd10-4``, ``pgd40-8-outside``, ``pgd10m-4``, ``sticker``.

White-box, untargeted, bounded for each pixel (L-infinity). The attacker knows the network and, unless told otherwise,
the defensive patch: it gets the picture with the patch in it. Adversarial pictures are floats: they are scored as they
are. Rounded to whole levels they keep to their budget, but are not quite as strong.

Names are read without torch; attacking loads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from patches.surrogates import Surrogate

Method = Literal["fgsm", "pgd", "sticker"]
Region = Literal["everywhere", "outside", "object"]
Mask = NDArray[np.bool_]

ALL_LEVELS = 255
REGIONS: dict[str | None, Region] = {None: "everywhere", "outside": "outside", "object": "object"}
NAME = re.compile(r"(fgsm|pgd([1-9]\d{0,3})(m?))-([1-9]\d{0,2})(?:-(outside|object))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attack:
    """What an attacker does; its text is its name, which :func:`attack_named` reads.

    * ``method``: ``fgsm``, one step from the picture itself (Goodfellow et al., arXiv 1412.6572); ``pgd``, ``steps``
      steps from a random start (Madry et al., arXiv 1706.06083); ``sticker``, the same without a bound, in a square
      of 5 % of the picture somewhere on the object.
    * ``levels``: the largest change of a pixel's channel, of 255.
    * ``region``: where pixels may change: ``everywhere``, ``outside`` the defensive patch, or on the ``object`` only.
    * ``margin``: climbs the margin of the logits instead of cross-entropy, whose gradient vanishes where a network is
      very sure of itself.
    """

    method: Method
    steps: int
    levels: int
    region: Region = "everywhere"
    margin: bool = False

    def __str__(self) -> str:
        if self.method == "sticker":
            return "sticker"
        loop = f"pgd{self.steps}{'m' * self.margin}" if self.method == "pgd" else "fgsm"
        return f"{loop}-{self.levels}" + ("" if self.region == "everywhere" else f"-{self.region}")


STICKER = Attack("sticker", 40, ALL_LEVELS, "object")

ATTACKS: tuple[str, ...] = (
    *(
        f"{loop}-{levels}{where}"
        for where in ("", "-outside", "-object")
        for loop in ("fgsm", "pgd10", "pgd10m", "pgd40")
        for levels in (2, 4, 8)
    ),
    "sticker",
)
"""The standard list. Other steps and budgets have names, too: ``pgd100m-1`` is an attack."""


def attack_named(name: str) -> Attack:
    """The attack of that name; :class:`BadInput` says what names there are."""
    if name == str(STICKER):
        return STICKER
    match = NAME.fullmatch(name)
    if match is None or int(match[4]) > ALL_LEVELS:
        raise BadInput(
            f"{name!r} is no attack: fgsm-N, pgdS-N, pgdSm-N (S steps, N of 255 levels, m for the margin as loss), "
            "each also with -outside or -object, and sticker are accepted",
            hint=f"the standard ones are {', '.join(ATTACKS)}",
        )
    region = REGIONS[match[5]]
    if match[1] == "fgsm":
        return Attack("fgsm", 1, int(match[4]), region)
    return Attack("pgd", int(match[2]), int(match[4]), region, margin=match[3] == "m")


def attacked(
    surrogate: Surrogate,
    images: Tensor,
    truth: Tensor,
    attack: Attack,
    *,
    sticker_mask: Tensor | None = None,
    object_mask: Tensor | None = None,
    seed: int,
) -> Tensor:
    """Adversarial twins of ``images`` ``(B, 3, H, W)``, RGB floats in [0, 1] → the same shape, float32, in [0, 1].

    The attacker sees the pictures as they are: with the defensive patch, where it is in them. ``truth``: ``(B,)`` int64
    class indices. ``sticker_mask`` and ``object_mask``, ``(1 or B, 1, H, W)``: at least 0.5 where the defensive patch
    or the object is (what the patch covers is not object). The regions ``outside`` and ``object`` need them; give a
    bare arm the masks of the arm that it is compared with. Budget, region and range hold exactly. Pictures that are
    taken for another class already are attacked like all others.

    The same seed gives the same pictures; torch's global random state is neither used nor changed. Raises
    :class:`BadInput` for pictures, classes or masks that do not fit, :class:`calibration.errors.BadModel` for a
    network without usable gradients.
    """
    from patches.ascent import ascend, box_of, check, seeded

    check(surrogate, images, truth)
    dice, pixels = seeded(seed), images.detach().float()
    box = box_of(attack, pixels, sticker_mask, object_mask, dice)
    return ascend(surrogate, pixels, truth, attack, box, dice)


def attacked_blind(
    surrogate: Surrogate,
    images: Tensor,
    without: Tensor,
    truth: Tensor,
    attack: Attack,
    *,
    sticker_mask: Tensor | None = None,
    object_mask: Tensor | None = None,
    seed: int,
) -> Tensor:
    """As :func:`attacked`, by an attacker who does not know of the defensive patch.

    The change is found on ``without``, the same pictures before the patch was put on, and added to ``images``; budget,
    region and range hold there, too.
    """
    from patches.ascent import box_of, check, seeded

    check(surrogate, images, truth)
    if without.shape != images.shape:
        raise BadInput(f"the same pictures without the patch are {tuple(images.shape)}, got {tuple(without.shape)}")
    found = attacked(surrogate, without, truth, attack, sticker_mask=sticker_mask, object_mask=object_mask, seed=seed)
    pixels = images.detach().float()
    # The same dice throw the adversarial sticker to the same place.
    box = box_of(attack, pixels, sticker_mask, object_mask, seeded(seed))
    return (pixels + found - without.detach().float()).clamp(box.low, box.high)


def attack_images(
    surrogate: Surrogate,
    images: NDArray[np.uint8],
    truth: NDArray[np.int64],
    name: str,
    *,
    sticker_mask: Mask | None = None,
    object_mask: Mask | None = None,
    without: NDArray[np.uint8] | None = None,
    seed: int,
) -> NDArray[np.float32]:
    """:func:`attacked` for arrays: ``(B, H, W, 3)`` uint8 RGB → ``(B, H, W, 3)`` float32 in [0, 1], not rounded.

    ``truth``: ``(B,)``; masks: bool, ``(H, W)`` or ``(B, H, W)``. With ``without``, the pictures before the defensive
    patch was put on, it is :func:`attacked_blind`. Runs where the network's weights are, the whole batch at once.
    """
    from patches.ascent import as_mask, as_pixels, classes

    attack, pixels, right = attack_named(name), as_pixels(images, surrogate), classes(truth, surrogate)
    patch, target = as_mask(sticker_mask), as_mask(object_mask)
    if without is None:
        found = attacked(surrogate, pixels, right, attack, sticker_mask=patch, object_mask=target, seed=seed)
    else:
        bare = as_pixels(without, surrogate)
        found = attacked_blind(
            surrogate, pixels, bare, right, attack, sticker_mask=patch, object_mask=target, seed=seed
        )
    return found.permute(0, 2, 3, 1).numpy(force=True)
