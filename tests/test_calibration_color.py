"""Color: what is known of CIEDE2000 and sRGB, forms that find themselves, the document, the gamut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.color import (
    TABLE_SIDE,
    Candidate,
    ColorFit,
    ColorModel,
    ColorResponse,
    ColorSwatch,
    cube,
    delta_e,
    delta_e_lab,
    encoded,
    features,
    lab,
    linear,
    printable,
)
from calibration.color_fit import FORMS, MIN_COLORS, choose, fit_color, fit_form
from calibration.errors import BadConfig, BadInput
from calibration.files import parse_document

share = st.floats(0, 1)
colors = st.lists(st.tuples(share, share, share), min_size=1, max_size=20).map(np.array)

QUADRATIC = [(0.04, 0.05, 0.03), (0.4, 0.1, 0.02), (0.1, 0.3, 0.1), (0.02, 0.1, 0.3), *[(0.1, 0.05, 0.05)] * 3]


def swatches(response: ColorModel, asked: np.ndarray, noise: float = 0.0, seed: int = 0) -> list[ColorSwatch]:
    """What a camera would see, with noise in the code values."""
    whole = np.rint(asked * 255).astype(int)
    seen = response.predict(whole / 255) + np.random.default_rng(seed).normal(0, noise, asked.shape)
    return [
        ColorSwatch(asked=tuple(color), light=tuple(light), spread=(0, 0, 0), places=1, pixels=99)
        for color, light in zip(whole.tolist(), linear(np.clip(seen, 0, 1)).tolist(), strict=True)
    ]


def response_of(model: ColorModel) -> ColorResponse:
    fit = ColorFit(model=model, candidates=[], delta_e_before=0, delta_e_after=0, delta_e_after_p95=0)
    return ColorResponse(
        chart="chart",
        camera="test",
        photos=["a.png"],
        white=(0.8, 0.8, 0.8),
        gradient=0,
        unevenness=0,
        fit=fit,
        swatches=swatches(model, cube(4)),
    )


IDENTITY = ColorModel(kind="quadratic", coefficients=[(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), *[(0, 0, 0)] * 3])
PRINT = ColorModel(kind="quadratic", coefficients=QUADRATIC)


# Colorimetry


@given(colors)
def test_light_and_code_values_are_each_other_s_inverse(srgb):
    np.testing.assert_allclose(encoded(linear(srgb)), srgb, atol=1e-6)
    np.testing.assert_allclose(linear(encoded(srgb)), srgb, atol=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_are_those_that_were_published(first, second, known):
    assert delta_e_lab(np.array([first]), np.array([second]))[0] == pytest.approx(known, abs=1e-4)


def test_white_and_black_are_neutral():
    np.testing.assert_allclose(lab(np.array([[1.0, 1, 1], [0, 0, 0]])), [[100, 0, 0], [0, 0, 0]], atol=0.02)


@given(colors)
def test_a_color_is_no_distance_from_itself(srgb):
    np.testing.assert_allclose(delta_e(srgb, srgb), 0, atol=1e-9)


# Forms


@given(colors)
def test_a_table_of_the_cube_itself_changes_nothing(srgb):
    model = ColorModel(kind="table", coefficients=[tuple(node) for node in cube(TABLE_SIDE).tolist()])
    np.testing.assert_allclose(model.predict(srgb), srgb, atol=1e-9)


@pytest.mark.parametrize(("kind", "smoothing"), FORMS)
def test_a_form_finds_what_it_can_say(kind, smoothing):
    truth = fit_form(kind, smoothing, cube(5), 0.25 + 0.5 * PRINT.predict(cube(5)) ** 1.2)
    asked = np.random.default_rng(1).random((50, 3))
    again = fit_form(kind, 1e-6, cube(TABLE_SIDE), truth.predict(cube(TABLE_SIDE)))
    np.testing.assert_allclose(again.predict(asked), truth.predict(asked), atol=2e-3)


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([(5, 0.1), (1.0, 0.1), (0.95, 0.1)], 1),
        ([(5, 0.1), (1.2, 0.1), (0.95, 0.1)], 2),
        ([(1.0, 0.1), (2.0, 0.1), (3.0, 0.1)], 0),
    ],
)
def test_the_simplest_within_one_standard_error_is_taken(scores, chosen):
    tried = [Candidate(kind="matrix", parameters=i, delta_e=mean, delta_e_se=se) for i, (mean, se) in enumerate(scores)]
    assert choose(tried) == chosen


def test_the_fit_says_what_it_is_worth():
    seen = swatches(PRINT, cube(5), noise=0.004)
    fit = fit_color(seen)
    assert fit.model.kind == "quadratic"
    assert fit.delta_e_after < 1 < 10 < fit.delta_e_before
    assert fit.delta_e_after < fit.delta_e_after_p95
    assert [each.kind for each in fit.candidates] == [kind for kind, _ in FORMS]
    assert [each.parameters for each in fit.candidates] == sorted(each.parameters for each in fit.candidates)
    fresh = np.random.default_rng(2).random((200, 3))
    assert delta_e(fit.model.predict(fresh), PRINT.predict(fresh)).mean() < 0.5


def test_colors_that_are_cut_off_are_not_fitted():
    seen = swatches(PRINT, cube(5))
    wrong = [each.model_copy(update={"light": (1.0, 1.0, 1.0), "clipped": True}) for each in seen[:20]]
    assert fit_color([*wrong, *seen[20:]]).delta_e_after < 0.1
    with pytest.raises(BadInput, match=f"at least {MIN_COLORS}"):
        fit_color([*wrong, *seen[20:40]])


# The document


def test_a_response_is_read_as_it_was_written():
    response = response_of(PRINT)
    assert ColorResponse.model_validate_json(response.model_dump_json()) == response
    assert fit_color(response.swatches) == fit_color(ColorResponse(**response.model_dump()).swatches)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fit": {"model": {"kind": "matrix", "coefficients": [[0, 0, 0]]}}}, "matrix has 4 terms"),
        ({"swatches": []}, "at least 1"),
        ({"version": 2}, "version"),
    ],
)
def test_what_is_no_response(change, said):
    value = response_of(PRINT).model_dump(mode="json")
    for key, part in change.items():
        value[key] = value[key] | part if isinstance(part, dict) else part
    with pytest.raises(BadConfig, match=said):
        parse_document(value, ColorResponse, where="color.json")


# The gamut


def test_all_that_is_printed_can_be_printed():
    response = response_of(PRINT).fit.model
    seen = response.under_white(response.predict(np.random.default_rng(0).random((60, 3))))
    assert printable(response).distance(seen).max() < 0.6


def test_pure_colors_cannot_and_the_nearest_is_what_to_ask_for():
    response = response_of(PRINT).fit.model
    gamut = printable(response)
    primaries = np.eye(3)
    asked, off = gamut.nearest(primaries)
    assert off.min() > 5
    np.testing.assert_allclose(delta_e(response.under_white(response.predict(asked)), primaries), off, atol=1e-6)
    assert gamut.volume < printable(response_of(IDENTITY).fit.model).volume / 2
    assert gamut.distance(np.empty((0, 3))).shape == (0,)


def test_without_loss_everything_can_be_printed():
    assert printable(response_of(IDENTITY).fit.model).distance(cube(5)).max() < 0.5


def test_the_texels_of_a_patch():
    gamut = printable(response_of(PRINT).fit.model)
    picture = np.array([[[255, 0, 0], [255, 255, 255]]], np.uint8)
    assert gamut.distance_of(picture).shape == (1, 2)
    assert gamut.distance_of(picture)[0, 0] > 5 > 0.5 > gamut.distance_of(picture)[0, 1]


def test_terms_of_a_form_are_counted():
    counts = {"matrix": 4, "quadratic": 7, "curves": 10, "polynomial-2": 10, "polynomial-3": 20, "table": 343}
    assert {kind: features(kind, np.zeros((1, 3))).shape[1] for kind in counts} == counts
