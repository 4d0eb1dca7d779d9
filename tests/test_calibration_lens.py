"""The lens: as many coefficients as the views support, none that folds the picture over."""

from __future__ import annotations

import numpy as np
import pytest
from board_views import CAMERA, many_views

from calibration.lens import LENSES, choose_lens, fit_lens, have_rays, held_out_px, settled

TRUE = {
    "none": (0.0, 0.0, 0.0, 0.0, 0.0),
    "k1": (-0.2, 0.0, 0.0, 0.0, 0.0),
    "k1k2": (-0.25, 0.12, 0.0, 0.0, 0.0),
    "brown4": (-0.25, 0.12, 0.004, -0.003, 0.0),
}


@pytest.mark.parametrize("lens", TRUE)
def test_the_lens_that_took_the_pictures_is_chosen(lens):
    camera = CAMERA.model_copy(update={"distortion": TRUE[lens]})
    chosen, trials = choose_lens(list(many_views(15, 2, camera=camera).values()))
    assert chosen == lens
    assert [trial.lens for trial in trials] == list(LENSES)


def test_more_coefficients_are_taken_when_the_views_show_them():
    camera = CAMERA.model_copy(update={"distortion": (-0.45, 0.55, 0.0, 0.0, -0.45)})
    chosen, _ = choose_lens(list(many_views(30, 3, camera=camera, noise_px=0.02).values()))
    assert chosen in ("brown5", "rational8")


@pytest.mark.parametrize("lens", LENSES)
def test_every_lens_can_be_fitted_and_written(lens):
    fit = fit_lens(list(many_views(12, 4).values()), lens)
    model = fit.model("c")
    assert model.lens == lens
    assert len(model.distortion) == (8 if lens == "rational8" else 5)
    assert model.rms_px == pytest.approx(fit.rms_px)
    assert type(model).model_validate_json(model.model_dump_json()) == model


def test_a_lens_whose_coefficients_make_up_for_each_other_is_not_taken():
    wide = CAMERA.model_copy(update={"fx": 450.0, "fy": 451.0, "distortion": (0.5, -0.02, 0, 0, 0.001, 0.9, 0.1, 0.01)})
    told = list(many_views(30, 3, camera=wide, noise_px=0.02).values())
    assert settled(fit_lens(told, "rational8"), told), "a lens that needs them"
    vague = list(many_views(12, 9).values())
    assert not settled(fit_lens(vague, "rational8"), vague), "its focal length is still on the way"
    chosen, trials = choose_lens(vague)
    assert chosen == "brown4"
    assert trials[-1].held_out_px is None


def test_held_out_views_lie_at_the_noise():
    fit = fit_lens(list(many_views(30, 5).values()), "brown5")
    assert held_out_px(fit.model(""), list(many_views(20, 6).values())) == pytest.approx(0.2 * np.sqrt(2), rel=0.1)


def test_a_lens_that_folds_the_picture_over_is_seen():
    pixels = np.array([[0.0, 0.0], [640.0, 360.0]])
    assert have_rays(CAMERA, pixels).all()
    folding = CAMERA.model_copy(update={"distortion": (-1.2, 0.0, 0.0, 0.0, 0.0)})
    assert have_rays(folding, pixels).tolist() == [False, True]
