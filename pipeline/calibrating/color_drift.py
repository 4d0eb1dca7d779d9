"""Whether print, light and camera stayed what they were: the color strip of each sheet, frame by frame of a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.color import ColorResponse, delta_e, encoded, linear
from calibration.errors import BadInput
from calibration.geometry import Array
from capture.response import SwatchSeen, see_swatches
from capture.session import Session
from pipeline.sessions.localizing import localized_pictures, session_camera, session_sheets
from pipeline.training.eot_fit import EDGE_PX, TONE_SIGMAS, Unused, placing

BLUR_PX = 1.0
"""An ordinary lens: how far from a swatch's edge its color is read hangs on it."""

WHITE = (255, 255, 255)
MIN_SWATCHES = 6


@dataclass(frozen=True, slots=True)
class FrameColor:
    """The strip in one frame against the reference.

    ``drift``: mean CIEDE2000 of its colors, each frame seen under its own white; ``white_balance``: CIEDE2000 of its
    white at equal luminance; ``exposure``: luminance of its white over the reference's; ``red``, ``blue``: light of the
    white against its green. ``clipped``: swatches that the sensor cut off above (they count for nothing).
    """

    index: int
    sheet: str
    drift: float
    white_balance: float
    exposure: float
    red: float
    blue: float
    clipped: int


@dataclass(frozen=True, slots=True)
class SessionColor:
    """All frames whose strip can be read, what they are compared with, and the frames that tell nothing."""

    reference: str
    frames: tuple[FrameColor, ...]
    unused: tuple[Unused, ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """A frame's color strip: light ``(3,)`` of its white; color asked for → sRGB ``(3,)`` as seen under that white."""

    index: int
    sheet: str
    white: Array
    colors: dict[tuple[int, int, int], Array]
    clipped: int


def session_color(session: Session, response: ColorResponse | None, progress: Callable[[int], None]) -> SessionColor:
    """Read every frame's strip and compare it with ``response``, or with the session's own median without one.

    :class:`BadInput` when no frame shows a strip with white in it.
    """
    sheets, camera = session_sheets(session), session_camera(session)
    strips: list[Strip] = []
    unused: list[Unused] = []
    for each in localized_pictures(session):
        found, sheet = each.frame, sheets.get(each.frame.sheet or "")
        if each.pixels is None or found.status != "found" or sheet is None:
            unused.append(Unused(found.index, found.reason))
        else:
            tags = dict(zip(sorted(found.tags), (np.array(corners) for corners in found.tag_corners_px), strict=True))
            margin = EDGE_PX + TONE_SIGMAS * BLUR_PX
            seen = see_swatches(each.pixels, sheet.strip, placing(tags, sheet, camera), margin)
            strip = read_strip(found.index, sheet.id, seen)
            if strip:
                strips.append(strip)
            else:
                unused.append(Unused(found.index, "its color strip is too small, or its white is cut off"))
        progress(len(strips) + len(unused))
    if not strips:
        reason = f" ({unused[0].reason})" if unused else ""
        raise BadInput(f"no frame of {session.folder} shows a color strip{reason}", where=str(session.folder))
    return SessionColor(
        reference=response.chart if response else "the session's median",
        frames=tuple(compare(strips, response)),
        unused=tuple(unused),
    )


def read_strip(index: int, sheet: str, seen: Sequence[SwatchSeen]) -> Strip | None:
    """What swatches say of the light and of each other; None without white, or with too few colors to compare."""
    # Light is the square of the code value there; here it is sRGB's own.
    light = {each.srgb: linear(np.sqrt(each.light)) for each in seen if not each.too_bright.any()}
    white = light.get(WHITE)
    if white is None or len(light) < MIN_SWATCHES or white.min() <= 0:
        return None
    colors = {asked: encoded(np.clip(each / white, 0, 1)) for asked, each in light.items()}
    return Strip(index, sheet, white, colors, sum(bool(each.too_bright.any()) for each in seen))


def compare(strips: Sequence[Strip], response: ColorResponse | None) -> list[FrameColor]:
    """Each frame's strip against the response, or against the median over all of them."""
    white = np.array(response.white) if response else np.median([each.white for each in strips], axis=0)
    known = _expected(strips, response)
    return [_compared(each, white, known) for each in strips]


def _expected(strips: Sequence[Strip], response: ColorResponse | None) -> dict[tuple[int, int, int], Array]:
    """What each color of the strip should be seen as, under white paper."""
    asked = sorted({color for each in strips for color in each.colors})
    if response:
        seen = response.under_white(response.predict(np.array(asked) / 255))
        return dict(zip(asked, seen, strict=True))
    return {
        color: np.asarray(np.median([each.colors[color] for each in strips if color in each.colors], axis=0))
        for color in asked
    }


def _compared(strip: Strip, white: Array, known: dict[tuple[int, int, int], Array]) -> FrameColor:
    asked = [color for color in strip.colors if color != WHITE]
    off = delta_e(np.array([strip.colors[color] for color in asked]), np.array([known[color] for color in asked]))
    exposure = float(_luminance(strip.white) / _luminance(white))
    balance = delta_e(encoded(strip.white / exposure)[None], encoded(white)[None])
    return FrameColor(
        index=strip.index,
        sheet=strip.sheet,
        drift=float(off.mean()),
        white_balance=float(balance[0]),
        exposure=exposure,
        red=float(strip.white[0] / strip.white[1]),
        blue=float(strip.white[2] / strip.white[1]),
        clipped=strip.clipped,
    )


def _luminance(light: Array) -> float:
    """Y of linear sRGB (IEC 61966-2-1)."""
    return float(light @ [0.2126, 0.7152, 0.0722])
