"""What a fit states of itself is what repeated noise does to it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from board_views import CAMERA, many_views

from calibration.confidence import confidence
from calibration.errors import BadInput
from calibration.lens import fit_lens

REPEATS = 40
PIXELS = np.array([[320.0, 180.0], [640.0, 360.0], [960.0, 540.0]])


def noisy(views, random):
    return [replace(view, corners_px=view.corners_px + random.normal(0, 0.2, view.corners_px.shape)) for view in views]


def held_points(fit, points):
    """The points in the frame of each board."""
    return [(points - shift) @ cv2.Rodrigues(turn)[0] for turn, shift in zip(fit.turns, fit.shifts_mm, strict=True)]


def projected(fit, held):
    """Where a fit sees the points that the boards hold."""
    put = [
        at @ cv2.Rodrigues(turn)[0].T + shift for at, turn, shift in zip(held, fit.turns, fit.shifts_mm, strict=True)
    ]
    return fit.model("").project(np.mean(put, axis=0))


def test_stated_uncertainty_is_the_spread_over_repeats():
    exact = list(many_views(12, 1, noise_px=0.0).values())
    truth = fit_lens(exact, "brown4")
    points = 1500 * CAMERA.rays(PIXELS)
    held = held_points(truth, points)
    random = np.random.default_rng(0)
    stated, focal, seen = [], [], []
    for _ in range(REPEATS):
        views = noisy(exact, random)
        fit = fit_lens(views, "brown4")
        sure = confidence(fit, views)
        stated.append((sure.focal_sd_px, *np.sqrt(np.trace(sure.projection_covariance_px(points), axis1=1, axis2=2))))
        focal.append(fit.matrix[[0, 1], [0, 1]])
        seen.append(projected(fit, held))
    spread_focal = np.std(focal, axis=0).max()
    spread_seen = np.sqrt(np.var(seen, axis=0).sum(axis=1))
    stated_focal, *stated_seen = np.mean(stated, axis=0)
    assert stated_focal == pytest.approx(spread_focal, rel=0.3)
    np.testing.assert_allclose(stated_seen, spread_seen, rtol=0.35)


def test_more_views_know_more_and_the_border_less():
    few, many = (list(many_views(count, 2).values()) for count in (10, 40))
    known = [confidence(fit_lens(views, "brown4"), views).at(1000) for views in (few, many)]
    assert known[1].middle_px < known[0].middle_px
    assert all(place.anywhere_px > place.center_px for place in known)


def test_where_a_lens_sees_nothing_nothing_is_stated():
    folding = CAMERA.model_copy(update={"distortion": (-0.45, 0.0, 0.0, 0.0, 0.0)})
    views = list(many_views(15, 3, spread=0.4, camera=folding).values())
    sure = confidence(fit_lens(views, "k1"), views)
    assert np.isnan(sure.at_pixels(np.array([[0.0, 0.0], [640.0, 360.0]]), 1000)).tolist() == [True, False]
    assert np.isfinite(sure.at(1000).anywhere_px)


def test_what_is_not_fixed_is_refused():
    view = next(iter(many_views(1, 1).values()))
    two = replace(view, ids=view.ids[:5], corners_px=view.corners_px[:5], corners_mm=view.corners_mm[:5])
    fit = fit_lens([view, view], "none")
    short = replace(fit, residuals=(fit.residuals[0][:5],), turns=fit.turns[:1], shifts_mm=fit.shifts_mm[:1])
    with pytest.raises(BadInput, match="10 numbers for 10 unknowns"):
        confidence(short, [two])
