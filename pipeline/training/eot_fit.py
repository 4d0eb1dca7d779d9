"""The ranges of a :class:`TransformSpec`, measured in a session: what its frames show, and where a default stays.

A range is what the middle 90 % of the frames show, widened by a tenth of its width and at least by a margin that
stands beside each field. What the pictures cannot tell keeps its default, and says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.geometry import Array, View
from calibration.sheet import Sheet
from calibration.solve import fit_plane
from capture.localize import Localization
from capture.response import Noise, Tone, fit_noise, fit_tone, see_swatches
from capture.session import Session
from capture.sharpness import Blur, measure_blur
from patches.spec import TransformSpec
from pipeline.sessions.localizing import LocalizedFrame, localized_pictures, session_camera, session_sheets

QUANTILES = (0.05, 0.95)
WIDENING = 0.1
"""Of the width between the quantiles, on each side."""

STREAK = 1.5
"""Streaks shorter than this, in px and in sigmas of the other blur, cannot be told from none."""

EDGE_PX, TONE_SIGMAS, NOISE_SIGMAS = 0.5, 2.0, 3.0
"""How far inside of a swatch its color and its noise are read: half a pixel, and so many sigmas of blur."""

REFERENCE_LIGHT = 0.95
"""The quantile over frames whose light is called a gain of 1."""

NO_COLOR = "no color strip is large enough in the pictures, with contrast enough"
UNSEEN = {
    "ink_noise": "a picture does not tell the print's noise from the sensor's",
    "place_mm": "where the target sits in its window is not measured",
    "place_deg": "how the target sits in its window is not measured",
    "light_gradient": "the color strip is too small a part of the sheet",
    "shadow": "the color strip is too small a part of the sheet",
    "haze": "a picture does not tell haze from gray ink",
    "crop_shift": "a detector's box is no part of a session",
    "crop_zoom": "a detector's box is no part of a session",
    "clutter": "drawn at random, so that no patch leans on one place's surroundings",
}
"""Why no session tells these ranges."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one frame shows; None where it does not."""

    index: int
    view: View | None
    blur: Blur | None
    noise: Noise | None
    tone: Tone | None


@dataclass(frozen=True, slots=True)
class Unused:
    """A frame that told nothing, and why."""

    frame: int
    reason: str


@dataclass(frozen=True, slots=True)
class FittedRange:
    """One range of the spec: from how many frames it was measured (0: default), and how, or why not."""

    name: str
    low: float
    high: float
    source: Literal["measured", "default"]
    n: int
    how: str


@dataclass(frozen=True, slots=True)
class Fit:
    """A spec measured in a session, range by range, and the frames that could not be used."""

    spec: TransformSpec
    ranges: tuple[FittedRange, ...]
    frames: int
    unused: tuple[Unused, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one range follows from the frames: their values, least widening, bounds; in words, with and without values.

    ``log``: the widening is by a factor, and ``margin`` the share that it adds at least.
    """

    values: Sequence[float]
    margin: float
    bounds: tuple[float, float]
    how: str
    missing: str
    log: bool = False


def fit_session(session: Session, progress: Callable[[int], None]) -> Fit:
    """Measure a session, every picture decoded once. :class:`BadInput` when no sheet was found in any frame."""
    sheets, camera = session_sheets(session), session_camera(session)
    seen: list[Seen] = []
    unused: list[Unused] = []
    for picture in localized_pictures(session):
        if picture.pixels is None or picture.frame.status != "found":
            unused.append(Unused(picture.frame.index, picture.frame.reason))
        else:
            seen.append(look(picture.frame, picture.pixels, sheets[picture.frame.sheet or ""], camera))
        progress(len(seen) + len(unused))
    if not seen:
        reason = f" ({unused[0].reason})" if unused else ""
        raise BadInput(
            f"nothing can be measured in {session.folder}: no sheet was found in its {len(unused)} frames{reason}",
            hint="dpcam localize says for each frame why",
            where=str(session.folder),
        )
    ranges = fit_ranges(seen, camera)
    spec = TransformSpec.model_validate({each.name: (each.low, each.high) for each in ranges})
    return Fit(spec, ranges, len(session.frames), tuple(unused))


def look(found: LocalizedFrame, pixels: NDArray[np.uint8], sheet: Sheet, camera: CameraModel | None) -> Seen:
    """Measure one frame ``(H, W, 3)`` uint8 RGB in which ``sheet`` was found."""
    tags = dict(zip(sorted(found.tags), (np.array(each) for each in found.tag_corners_px), strict=True))
    blur = measure_blur(pixels, tags)
    # Blur that cannot be told is that of an ordinary lens.
    reach = blur.defocus_px + blur.motion_px / 4 if blur else 1.0
    to_image = placing(tags, sheet, camera)
    tones, noises = (
        see_swatches(pixels, sheet.strip, to_image, EDGE_PX + sigmas * reach) for sigmas in (TONE_SIGMAS, NOISE_SIGMAS)
    )
    return Seen(found.index, _view(found), blur, fit_noise(noises), fit_tone(tones))


def fit_ranges(seen: Sequence[Seen], camera: CameraModel | None) -> tuple[FittedRange, ...]:
    """All ranges of a spec, in its order."""
    default = TransformSpec().model_dump()
    rules = {**_geometry_rules(seen, camera), **_sensor_rules(seen), **_color_rules(seen)}
    names = [name for name, value in default.items() if isinstance(value, tuple)]
    return tuple(_fitted(name, rules.get(name), default[name]) for name in names)


def _fitted(name: str, rule: _Rule | None, default: tuple[float, float]) -> FittedRange:
    if rule is None or not rule.values:
        return FittedRange(name, *default, "default", 0, rule.missing if rule else UNSEEN[name])
    low, high = _widened(rule)
    return FittedRange(name, _rounded(low), _rounded(high), "measured", len(rule.values), rule.how)


def _widened(rule: _Rule) -> tuple[float, float]:
    """The quantiles of the values, widened, within the bounds."""
    values = np.log(rule.values) if rule.log else np.asarray(rule.values, dtype=np.float64)
    low, high = (float(each) for each in np.quantile(values, QUANTILES))
    more = max(WIDENING * (high - low), math.log1p(rule.margin) if rule.log else rule.margin)
    ends = (math.exp(low - more), math.exp(high + more)) if rule.log else (low - more, high + more)
    low, high = (float(np.clip(end, *rule.bounds)) for end in ends)
    return low, high


def _rounded(value: float) -> float:
    """Four digits: more are not known."""
    return float(f"{value:.4g}")


def _geometry_rules(seen: Sequence[Seen], camera: CameraModel | None) -> dict[str, _Rule]:
    views = [each.view for each in seen if each.view]
    focal = [math.sqrt(camera.fx * camera.fy)] * len(seen) if camera else []
    no_camera = "the session has no camera calibration"

    def angle(values: list[float], most: float) -> _Rule:
        return _Rule(values, 3.0, (-most, most), "pose of the sheet", no_camera)

    return {
        "distance_mm": _Rule(
            [each.distance_mm for each in views], 0.05, (1.0, 1e6), "pose of the sheet", no_camera, log=True
        ),
        "focal_px": _Rule(focal, 0.01, (1.0, 1e6), "camera calibration", no_camera, log=True),
        "yaw_deg": angle([each.yaw_deg for each in views], 80),
        "pitch_deg": angle([each.pitch_deg for each in views], 80),
        "roll_deg": angle([each.roll_deg for each in views], 180),
    }


def _sensor_rules(seen: Sequence[Seen]) -> dict[str, _Rule]:
    blurs = [each.blur for each in seen if each.blur]
    noises = [each.noise for each in seen if each.noise]
    streaks = [each.motion_px if each.motion_px >= STREAK * max(each.defocus_px, 1.0) else 0.0 for each in blurs]
    no_tag, no_strip = "no tag is large and clean enough", "no color strip is large enough in the pictures"

    def noise(values: list[float]) -> _Rule:
        margin = WIDENING * float(np.median(values)) if values else 0.0
        return _Rule(values, margin, (0.0, 1.0), "variance over light in the color strip", no_strip)

    return {
        "defocus_px": _Rule([each.defocus_px for each in blurs], 0.1, (0.0, 20.0), "blur of the tags", no_tag),
        "motion_px": _Rule(streaks, 0.25, (0.0, 20.0), "blur of the tags along one direction", no_tag),
        "shot_noise": noise([each.shot for each in noises]),
        "read_noise": noise([each.read for each in noises]),
    }


def _color_rules(seen: Sequence[Seen]) -> dict[str, _Rule]:
    """Paper and light cannot be told apart; by convention the brightest light of the session is a gain of 1."""
    tones = [each.tone for each in seen if each.tone]
    white = min(float(np.quantile([each.level for each in tones], REFERENCE_LIGHT)), 1.0) if tones else 1.0

    def color(values: list[float], margin: float, low: float = 0.0, how: str = "color strip") -> _Rule:
        return _Rule(values, margin, (low, 1.0), how, NO_COLOR)

    return {
        "print_black": color([each.black * white for each in tones], 0.02),
        "print_white": color([white] * len(tones), 0.03, how="color strip under the session's brightest light"),
        "print_dot_gain": color([each.dot_gain for each in tones], 0.03),
        "print_saturation": color([each.saturation for each in tones], 0.03),
        "light_warmth": color([each.warmth for each in tones], 0.02, -1.0, "color strip: paper and light together"),
        "light_gain": _Rule(
            [(each.level / white) ** 2 for each in tones],
            0.05,
            (0.01, 10.0),
            "white of the color strip against that under the session's brightest light",
            NO_COLOR,
            log=True,
        ),
    }


def placing(tags: dict[int, Array], sheet: Sheet, camera: CameraModel | None) -> Callable[[Array], Array]:
    """Sheet mm → pixels as captured, from the tags that the localization used."""
    ideal = {tag: camera.undistort(corners) if camera else corners for tag, corners in tags.items()}
    plane = fit_plane(ideal, sheet.tag_corners_mm())
    return Localization(True, "", sheet, (), plane.homography if plane else None, camera=camera).to_image


def _view(found: LocalizedFrame) -> View | None:
    if found.distance_mm is None:
        return None
    return View(found.distance_mm, found.yaw_deg or 0.0, found.pitch_deg or 0.0, found.roll_deg or 0.0)
