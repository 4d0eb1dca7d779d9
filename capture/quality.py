"""The quality gate at the moment of capture: a verdict on a picture, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.localize import Localization


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture must meet. ``clipped_share``: at most this share of the sticker's pixels at 0 or 255."""

    min_tags: int = 2
    min_side_px: float = 10.0
    residual_px: float = 2.0
    clipped_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a picture is good enough, and if not, why."""

    ok: bool
    reason: str = ""


def judge(pixels: NDArray[np.uint8], localization: Localization, limits: Limits) -> Verdict:
    """Judge ``(H, W, 3)`` uint8 RGB with its localization; the first limit that is missed gives the reason."""
    problems = (
        _not_found(localization),
        _too_few(localization, limits),
        _too_small(localization, limits),
        _too_bent(localization, limits),
    )
    reason = next((problem for problem in problems if problem), "") or _clipped(pixels, localization, limits)
    return Verdict(not reason, reason)


def _not_found(localization: Localization) -> str:
    return "" if localization.found else localization.reason


def _too_few(localization: Localization, limits: Limits) -> str:
    count = len(localization.used)
    return "" if count >= limits.min_tags else f"{count} tags usable, at least {limits.min_tags} asked"


def _too_small(localization: Localization, limits: Limits) -> str:
    side = localization.min_side_px or 0.0
    return "" if side >= limits.min_side_px else f"tags of {side:.0f} px, at least {limits.min_side_px:.0f} px asked"


def _too_bent(localization: Localization, limits: Limits) -> str:
    residual = localization.residual_px or 0.0
    return (
        "" if residual <= limits.residual_px else f"residual {residual:.2f} px, at most {limits.residual_px} px asked"
    )


def _clipped(pixels: NDArray[np.uint8], localization: Localization, limits: Limits) -> str:
    if localization.sheet is None:
        return ""
    corners = localization.to_image(localization.sheet.frame.corners_mm)
    mask = np.zeros(pixels.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 1)
    inside = pixels[mask.astype(bool)]
    if inside.size == 0:
        return "the sticker is outside of the picture"
    share = float(np.mean(((inside == 0) | (inside == 255)).all(axis=1)))
    return "" if share <= limits.clipped_share else f"{share:.0%} of the sticker is clipped to black or white"
