"""The quality gate at the moment of capture: what is measured of a picture, and a verdict with its reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.geometry import Array
from calibration.tags import TagSighting, Window
from capture.edges import edge_blur_px
from capture.journal import Measured
from capture.localize import Localization
from capture.sharpness import measure_blur

DOUBT = 0.7
"""Edges that come so near to a limit (a share of it) are measured properly: the quick look may be short by as much."""

DIAGONAL = 1 / math.sqrt(24)
"""Sigma of an even streak across an edge at 45° to it, as a share of its length: the least that edges show of one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture must meet; None switches a limit off.

    Over the tags that are used: ``min_tags`` of them, the shortest side, the least decision margin (code values
    between black and white), ``corrected_bits`` in all of them together (a corrected bit does no harm in a tag that
    lies where the sheet has it, so this is for the strict). The residual is held against ``residual_px`` and, as a
    share of the shortest side, ``residual_share``. ``blur_px`` is a Gaussian sigma, ``motion_px`` the length of a
    streak, in sensor pixels. ``clipped_share``: at most this share of the sticker's pixels at 0 or 255.
    ``still_px``: two looks at a shot, one after the other, show the tags within so much of one place, so that the first
    look alone is never enough. ``duplicates``: whether a picture may be the same, byte for byte, as the one before.
    """

    min_tags: int | None = 2
    min_side_px: float | None = 10.0
    min_margin: float | None = 15.0
    corrected_bits: int | None = None
    residual_px: float | None = 2.0
    residual_share: float | None = 0.1
    blur_px: float | None = 2.5
    motion_px: float | None = 8.0
    still_px: float | None = None
    clipped_share: float | None = 0.5
    duplicates: bool = False

    @property
    def doubt_px(self) -> float:
        """Edges as wide as this are a reason to measure the blur properly; infinite when nothing limits it."""
        return DOUBT * min(self.blur_px or math.inf, (self.motion_px or math.inf) * DIAGONAL)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a picture is good enough, and if not, why, in one line; what was measured of it."""

    ok: bool
    reason: str = ""
    measured: Measured | None = None


def judge(
    pixels: NDArray[np.uint8],
    localization: Localization,
    limits: Limits,
    *,
    moved_px: float | None = None,
    duplicate: bool = False,
) -> Verdict:
    """Judge ``(H, W, 3)`` uint8 RGB with its localization; the first limit that is missed gives the reason.

    ``moved_px``: how far the tags are from where the last look at this shot saw them, None for the first look.
    ``duplicate``: whether it is the picture before, once more.
    """
    measured = measure(pixels, localization, limits, moved_px)
    reason = "" if localization.found else localization.reason
    reason = reason or next((problem for problem in _problems(measured, limits) if problem), "")
    if not reason and duplicate and not limits.duplicates:
        reason = "the same picture as the one before, byte for byte"
    return Verdict(not reason, reason, measured)


def measure(
    pixels: NDArray[np.uint8], localization: Localization, limits: Limits, moved_px: float | None = None
) -> Measured:
    """What the limits are about. Blur and motion are told apart only where the edges are in doubt: that takes time."""
    used = [tag for tag in localization.tags if tag.id in localization.used]
    corners = {tag.id: tag.corners for tag in used}
    edge_px = edge_blur_px(pixels, corners)
    blur = measure_blur(pixels, corners) if edge_px is not None and edge_px >= limits.doubt_px else None
    return Measured(
        tags=len(used),
        side_px=_least(used, lambda tag: tag.side_px),
        margin=_least(used, lambda tag: tag.margin),
        corrected_bits=sum(tag.hamming for tag in used) if used else None,
        residual_px=_rounded(localization.residual_px),
        edge_px=_rounded(edge_px),
        blur_px=_rounded(blur.defocus_px if blur else None),
        motion_px=_rounded(blur.motion_px if blur else None),
        moved_px=_rounded(moved_px),
        clipped_share=_rounded(_clipped(pixels, localization)),
    )


def moved_px(before: Localization, now: Localization) -> float | None:
    """How far the tag of the sheet that moved most did so between two pictures, px; None without the same sheet."""
    if not before.found or not now.found or now.sheet is None or before.sheet != now.sheet:
        return None
    places = np.concatenate(list(now.sheet.tag_corners_mm().values()))
    return float(np.linalg.norm(now.to_image(places) - before.to_image(places), axis=1).max())


def _problems(found: Measured, limits: Limits) -> Iterator[str]:
    """What is wrong, empty texts among it, in the order of what says most."""
    yield _under(found.tags, limits.min_tags, "{} tags usable, at least {} asked")
    yield _under(found.side_px, limits.min_side_px, "tags of {:.0f} px, at least {:.0f} px asked")
    yield _under(found.margin, limits.min_margin, "decision margin {:.0f}, at least {:.0f} asked")
    yield _over(found.corrected_bits, limits.corrected_bits, "{} bits of the tags corrected, at most {} accepted")
    yield _over(found.residual_px, _residual_px(found, limits), "residual {:.2f} px, at most {:.1f} px asked")
    yield _unstill(found, limits)
    # Edges say less than the blur that was measured properly, where that could be done.
    blur_px = found.edge_px if found.blur_px is None else found.blur_px
    yield _over(found.motion_px, limits.motion_px, "motion of {:.1f} px, at most {:g} px accepted")
    yield _over(blur_px, limits.blur_px, "blur of {:.1f} px, at most {:g} px accepted")
    if found.clipped_share is None:
        yield "the sticker is outside of the picture"
    yield _over(found.clipped_share, limits.clipped_share, "{:.0%} of the sticker is clipped to black or white")


def _under(value: float | None, limit: float | None, words: str) -> str:
    return "" if limit is None or (value or 0) >= limit else words.format(value or 0, limit)


def _over(value: float | None, limit: float | None, words: str) -> str:
    return "" if limit is None or value is None or value <= limit else words.format(value, limit)


def _residual_px(found: Measured, limits: Limits) -> float | None:
    """The smaller one of the two limits: small tags tell less than their pixels where the sheet is."""
    shares = [] if limits.residual_share is None else [limits.residual_share * (found.side_px or 0.0)]
    return min([*shares, *([] if limits.residual_px is None else [limits.residual_px])], default=None)


def _unstill(found: Measured, limits: Limits) -> str:
    if limits.still_px is not None and found.moved_px is None:
        return f"the first look at this shot; another must agree within {limits.still_px:g} px"
    return _over(
        found.moved_px, limits.still_px, "the sheet moved {:.1f} px since the last look, at most {:g} accepted"
    )


def _least(tags: list[TagSighting], of: Callable[[TagSighting], float]) -> float | None:
    return _rounded(min((of(tag) for tag in tags), default=None))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _clipped(pixels: NDArray[np.uint8], localization: Localization) -> float | None:
    """Share of the sticker's pixels that are black or white in all channels; None where it is not in the picture."""
    if localization.sheet is None or localization.homography is None:
        return None
    corners: Array = localization.to_image(localization.sheet.frame.corners_mm)
    window = Window.around(corners, 1, pixels.shape)
    if window.empty:
        return None
    part = window.of(pixels)
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.round(corners - [window.left, window.top]).astype(np.int32), 1)
    inside = part[mask.astype(bool)]
    return float(np.mean(((inside == 0) | (inside == 255)).all(axis=1))) if inside.size else None
