"""Camera calibration from views of a board: which views count, what they support, and whether that is enough."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.board import BoardSighting
from calibration.camera import CameraModel
from calibration.confidence import Confidence, Place, confidence
from calibration.coverage import Coverage, coverage_of
from calibration.crossval import Crossval, crossvalidate
from calibration.errors import BadInput
from calibration.geometry import Array
from calibration.lens import Fit, Lens, LensTrial, choose_lens, fit_lens

MIN_VIEWS = 8
MIN_CORNERS = 8
"""A view with fewer corners, or with all of them in one row, does not count."""

MIN_MOVE = 0.01
"""A view whose corners lie within this share of the picture's diagonal of an earlier view's shows nothing new."""

MIN_COVERAGE = 0.35
"""All corners together must span this share of the picture (area of their convex hull)."""

MIN_TILT_DEG = 20.0
"""Two of the boards must be turned against each other by this much: parallel planes do not fix the focal length."""

MAX_FOCAL_SHARE = 0.01
"""Standard deviation of the focal length by its own value, as the fit states it."""

MAX_RMS_SHARE = 0.002
"""RMS by the picture's diagonal: a board that is not as the board file says, or is bent, fits worse than this."""

FAR_OFF = 5.0
"""A corner that lies this many (robust) standard deviations beside its place is not that corner."""

SMALLEST_SD_PX = 0.02
MOST_OFF = 0.25
"""A view in which more of the corners are off is not used at all: the board moved, or was bent."""

ROUNDS = 10
DISTANCES_MM = (1000.0,)
"""Where the uncertainty is stated unless somebody names distances."""

HINT = "take 15 or more pictures: board near and far, in every corner, tilted by 20 to 45 degrees to each side"


@dataclass(frozen=True, slots=True)
class SkippedView:
    """A picture that was not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """A camera model and what it stands on.

    ``per_view_px``: reprojection RMS of each picture in ``used``; ``corners_off``: how many of their corners were far
    off and not used. ``lenses``: how every lens fared on views held out. ``crossval``: two halves of the views compared
    (or these views and a second set). ``places``: what is known of projections, at each distance asked for.
    """

    model: CameraModel
    fit: Fit
    confidence: Confidence
    used: tuple[str, ...]
    skipped: tuple[SkippedView, ...]
    corners_off: int
    lenses: tuple[LensTrial, ...]
    coverage: Coverage
    crossval: Crossval
    places: tuple[Place, ...]

    @property
    def rms_px(self) -> float:
        """Reprojection RMS over all corners used."""
        return self.fit.rms_px

    @property
    def per_view_px(self) -> tuple[float, ...]:
        """The same of each view."""
        return self.fit.per_view_px

    @property
    def tilt_deg(self) -> float:
        """The largest angle between two of the boards."""
        return self.fit.tilt_deg

    @property
    def focal_sd_px(self) -> float:
        """Standard deviation of the less certain of ``fx`` and ``fy``."""
        return self.confidence.focal_sd_px

    @property
    def uncertainty_px(self) -> float:
        """Standard deviation of a projection where patches appear, at worst."""
        return max(place.middle_px for place in self.places)


def calibrate_camera(
    sightings: Mapping[str, BoardSighting],
    *,
    camera: str,
    lens: Lens | None = None,
    check: Mapping[str, BoardSighting] | None = None,
    distances_mm: Sequence[float] = DISTANCES_MM,
) -> Calibration:
    """Fit the camera model of ``camera`` to what each picture (by name) shows of the board.

    ``lens``: this one, not the one that the pictures support. ``check``: a second set of pictures that the result is
    compared with; halves of the first are compared otherwise. ``distances_mm``: where patches will be.

    :class:`BadInput` when the pictures, or those of the second set, cannot support a calibration: no board in them,
    sizes that differ, fewer than 8 usable views, corners in a part of the picture only, boards that are all parallel,
    corners that are not where the board has them, or a focal length that the fit itself calls uncertain.
    """
    kept, skipped = _good_views(sightings)
    off = sum(len(sightings[name].ids) - len(view.ids) for name, view in kept.items())
    views = list(kept.values())
    chosen, trials = choose_lens(views)
    fit, sure, coverage = _good_fit(views, lens or chosen)
    one, other = (views[::2], views[1::2]) if check is None else (views, _second_set(check, fit.lens))
    crossval = crossvalidate(one, other, fit.lens)
    places = tuple(sure.at(distance) for distance in distances_mm)
    known = {"crossval_px": crossval.rms_px, "uncertainty_px": max(place.middle_px for place in places)}
    model = fit.model(camera).model_copy(update=known)
    return Calibration(model, fit, sure, tuple(kept), tuple(skipped), off, trials, coverage, crossval, places)


def _good_views(sightings: Mapping[str, BoardSighting]) -> tuple[dict[str, BoardSighting], list[SkippedView]]:
    """The views that count, without corners far off, and the others with the reason."""
    width, height = common_size(sightings)
    used, skipped = usable_views(sightings)
    _check_count(used, skipped)
    _check_coverage(coverage_of(list(used.values()), width, height))
    kept, spoilt = _without_far_off(used)
    _check_count(kept, [*skipped, *spoilt])
    return kept, [*skipped, *spoilt]


def _good_fit(views: Sequence[BoardSighting], lens: Lens) -> tuple[Fit, Confidence, Coverage]:
    """``lens`` fitted to views that support it; :class:`BadInput` when they do not."""
    fit = fit_lens(views, lens)
    sure = confidence(fit, views)
    coverage = coverage_of(views, fit.width, fit.height, fit.normals)
    _check_fit(fit, sure, coverage)
    return fit, sure, coverage


def _second_set(check: Mapping[str, BoardSighting], lens: Lens) -> Sequence[BoardSighting]:
    """What the result is compared with: a set that is no calibration itself would say nothing of another."""
    try:
        views = list(_good_views(check)[0].values())
        _good_fit(views, lens)
    except BadInput as error:
        message = f"the second set, to compare with: {error.message}"
        raise BadInput(message, hint=error.hint, where=error.where) from error
    return views


def common_size(sightings: Mapping[str, BoardSighting]) -> tuple[int, int]:
    """Width and height of the pictures that show the board; :class:`BadInput` when none does, or they differ."""
    found = [view for view in sightings.values() if view.ids]
    if not found:
        raise BadInput(
            f"the board is in none of the {len(sightings)} pictures: they show another board, or none",
            hint="the board file must describe the board that was printed (dpcam calibrate board writes both)",
        )
    sizes = Counter((view.width, view.height) for view in found)
    if len(sizes) > 1:
        listed = ", ".join(f"{count} of {w}x{h}" for (w, h), count in sizes.most_common())
        raise BadInput(
            f"the pictures have different sizes ({listed}), all must have one",
            hint="calibrate at the one resolution that the camera captures with; do not turn it between pictures",
        )
    return next(iter(sizes))


def usable_views(sightings: Mapping[str, BoardSighting]) -> tuple[dict[str, BoardSighting], list[SkippedView]]:
    """The views that count, and the others with the reason."""
    used: dict[str, BoardSighting] = {}
    skipped: list[SkippedView] = []
    for name, view in sightings.items():
        reason = why_useless(view, used)
        if reason:
            skipped.append(SkippedView(name, reason))
        else:
            used[name] = view
    return used, skipped


def why_useless(view: BoardSighting, used: Mapping[str, BoardSighting]) -> str:
    """Why a view adds nothing to those that are used; empty when it does."""
    return _too_few(view) or _nothing_new(view, used, MIN_MOVE * math.hypot(view.width, view.height))


def moved_px(view: BoardSighting, other: BoardSighting) -> float:
    """The farthest that a corner seen in both has moved; infinite when too few are common to say."""
    _, mine, theirs = np.intersect1d(view.ids, other.ids, return_indices=True)
    if len(mine) < MIN_CORNERS:
        return math.inf
    return float(np.linalg.norm(view.corners_px[mine] - other.corners_px[theirs], axis=1).max())


def _too_few(view: BoardSighting) -> str:
    if len(view.ids) < MIN_CORNERS:
        return f"{len(view.ids)} corners of the board found, at least {MIN_CORNERS} needed"
    if min(len(np.unique(view.corners_mm[:, axis])) for axis in (0, 1)) < 2:
        return "all corners found are in one row of the board"
    return ""


def _nothing_new(view: BoardSighting, used: Mapping[str, BoardSighting], move_px: float) -> str:
    near = (name for name, other in used.items() if moved_px(view, other) < move_px)
    name = next(near, None)
    return "" if name is None else f"shows the board where {name} does"


def _check_count(used: Mapping[str, BoardSighting], skipped: Sequence[SkippedView]) -> None:
    if len(used) >= MIN_VIEWS:
        return
    why = f" (first of {len(skipped)} skipped: {skipped[0].name}: {skipped[0].reason})" if skipped else ""
    raise BadInput(f"{len(used)} usable views of the board, at least {MIN_VIEWS} needed{why}", hint=HINT)


def _check_coverage(coverage: Coverage) -> None:
    if coverage.share < MIN_COVERAGE:
        raise BadInput(
            f"the board's corners span {coverage.share:.0%} of the picture, at least {MIN_COVERAGE:.0%} needed",
            hint=_missing(coverage),
        )


def _without_far_off(used: Mapping[str, BoardSighting]) -> tuple[dict[str, BoardSighting], list[SkippedView]]:
    """The views without corners that are far from where a fit has them; a view with many of them goes altogether."""
    kept, dropped = dict(used), list[SkippedView]()
    for _ in range(ROUNDS):
        if len(kept) < MIN_VIEWS:
            break
        near = _near(fit_lens(list(kept.values()), "brown5").residuals)
        if all(mask.all() for mask in near):
            break
        trimmed = {name: _only(view, mask) for (name, view), mask in zip(kept.items(), near, strict=True)}
        reasons = {name: reason for name, view in trimmed.items() if (reason := _spoilt(used[name], view))}
        kept = {name: view for name, view in trimmed.items() if name not in reasons}
        dropped += [SkippedView(name, reason) for name, reason in reasons.items()]
    return kept, dropped


def _near(residuals: Sequence[Array]) -> list[Array]:
    """For each view which corners are near their places, by the scatter of all that the median shows.

    The farthest go first: they pull the fit away from corners that are good.
    """
    every = np.concatenate(residuals)
    spread = max(1.4826 * float(np.median(np.abs(every))), SMALLEST_SD_PX)
    limit = max(FAR_OFF * spread, 0.5 * float(np.linalg.norm(every, axis=1).max()))
    return [np.linalg.norm(each, axis=1) <= limit for each in residuals]


def _only(view: BoardSighting, mask: Array) -> BoardSighting:
    ids = tuple(int(i) for i in np.asarray(view.ids)[mask])
    return replace(view, ids=ids, corners_px=view.corners_px[mask], corners_mm=view.corners_mm[mask])


def _spoilt(before: BoardSighting, left: BoardSighting) -> str:
    """Why a view is not used even without its corners far off; empty when it is."""
    count, off = len(before.ids), len(before.ids) - len(left.ids)
    if off > MOST_OFF * count or _too_few(left):
        return f"{off} of its {count} corners are not where the board has them: it moved, or was bent"
    return ""


def _check_fit(fit: Fit, sure: Confidence, coverage: Coverage) -> None:
    most_px = MAX_RMS_SHARE * math.hypot(fit.width, fit.height)
    if fit.rms_px > most_px:
        raise BadInput(
            f"no camera fits these views: their corners are {fit.rms_px:.1f} px beside where the board has them, "
            f"at most {most_px:.1f} px accepted",
            hint="the board file must describe the board that was printed, and the board must be flat and still",
        )
    if fit.tilt_deg < MIN_TILT_DEG:
        raise BadInput(
            f"the boards are turned against each other by {fit.tilt_deg:.0f} degrees at most, "
            f"at least {MIN_TILT_DEG:.0f} needed: the focal length cannot be told from the distance",
            hint=_missing(coverage),
        )
    share = sure.focal_sd_px / float(fit.matrix[0, 0])
    if not share <= MAX_FOCAL_SHARE:
        raise BadInput(
            f"the focal length is known to {share:.1%} only, at least {MAX_FOCAL_SHARE:.0%} needed",
            hint=_missing(coverage),
        )


def _missing(coverage: Coverage) -> str:
    return "missing: " + "; ".join(coverage.missing) if coverage.missing else HINT
