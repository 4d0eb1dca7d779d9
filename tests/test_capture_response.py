"""Color and noise told from the color strip: against pictures made from known values, and the simulated camera."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from calibration.geometry import Array, Box
from calibration.sheet import Swatch
from capture.cameras.sim_optics import READ_NOISE, SHOT_NOISE, Sensor, noise_levels
from capture.cameras.sim_print import PRINTERS, printed
from capture.response import Noise, Tone, fit_noise, fit_tone, see_swatches, shades
from patches.draws import Prints
from patches.eot import printed_light
from patches.layout import STRIP_COLUMNS, STRIP_SRGB

SIDE_MM, PER_MM = 10.0, 3.0
STRIP = [
    Swatch(
        srgb=srgb,
        box=Box(
            x_mm=5 + i % STRIP_COLUMNS * SIDE_MM,
            y_mm=5 + i // STRIP_COLUMNS * SIDE_MM,
            width_mm=SIDE_MM,
            height_mm=SIDE_MM,
        ),
    )
    for i, srgb in enumerate(STRIP_SRGB)
]
NOMINAL = np.array(STRIP_SRGB) / 255
TONE = Tone(level=0.8, black=0.08, dot_gain=0.2, saturation=0.7, warmth=0.1)


def to_image(points_mm: Array) -> Array:
    return points_mm * PER_MM - 0.5


def picture(code: np.ndarray) -> np.ndarray:
    """(90, 240, 3) code values 0 to 1, of a strip whose swatches are seen as ``code`` (14, 3), on gray."""
    page = np.full((90, 240, 3), 0.5)
    for swatch, color in zip(STRIP, code, strict=True):
        left, top = round(swatch.box.x_mm * PER_MM), round(swatch.box.y_mm * PER_MM)
        page[top : top + round(SIDE_MM * PER_MM), left : left + round(SIDE_MM * PER_MM)] = color
    return page


def levels(code: np.ndarray) -> np.ndarray:
    return (255 * code).round().clip(0, 255).astype(np.uint8)


def seen_in(pixels: np.ndarray, margin_px: float = 2.0):
    return see_swatches(pixels, STRIP, to_image, margin_px)


@pytest.mark.parametrize(
    "tone",
    [
        TONE,
        Tone(level=0.97, black=0.0, dot_gain=0.0, saturation=1.0, warmth=0.0),
        Tone(level=0.35, black=0.15, dot_gain=0.35, saturation=0.5, warmth=-0.2),
    ],
)
def test_a_known_response_is_found_again(tone: Tone):
    swatches = seen_in(levels(picture(shades(NOMINAL, tone))))
    assert len(swatches) == len(STRIP)
    found = fit_tone(swatches)
    assert found is not None
    assert asdict(found) == pytest.approx(asdict(tone), abs=0.015)


def test_the_response_is_that_of_the_transforms():
    columns = (TONE.black * TONE.level, TONE.level, TONE.dot_gain, TONE.saturation)
    black, white, dot_gain, saturation = (torch.tensor([value], dtype=torch.float64) for value in columns)
    nothing = torch.zeros(1, 2, dtype=torch.float64)
    prints = Prints(black, white, dot_gain, saturation, torch.zeros(()), nothing, nothing)
    light = printed_light(torch.tensor(NOMINAL.T[:, None]), prints)[0, :, 0].T.numpy()
    assert shades(NOMINAL, replace(TONE, warmth=0.0)) == pytest.approx(np.sqrt(light))


def test_the_simulator_s_print():
    strip = printed(np.array(STRIP_SRGB, np.uint8)[None], 1.0)[0] / 255
    found = fit_tone(seen_in(levels(picture(strip))))
    assert found is not None
    assert found.level == pytest.approx(0.84, abs=0.04)
    assert found.black * found.level == pytest.approx(PRINTERS["lab"].black, abs=0.02)
    # 0.65 x + 0.35 x² is x darkened by 0.35 x (1 - x).
    assert found.dot_gain == pytest.approx(PRINTERS["lab"].share, abs=0.03)
    assert found.warmth > 0.03


def test_white_that_is_cut_off_is_extrapolated():
    tone = replace(TONE, level=1.2)
    found = fit_tone(seen_in(levels(picture(shades(NOMINAL, tone)))))
    assert found is not None
    assert found.level == pytest.approx(1.2, abs=0.04)


def test_a_shadow_over_two_swatches_does_not_bend_the_rest():
    code = shades(NOMINAL, TONE)
    code[[3, 9]] *= 0.6
    found = fit_tone(seen_in(levels(picture(code))))
    assert found is not None
    assert asdict(found) == pytest.approx(asdict(TONE), abs=0.08)


@pytest.mark.parametrize("noise", [Noise(1e-3, 0.01), Noise(4e-4, 0.0), Noise(0.0, 0.02), Noise(3e-3, 0.03)])
def test_known_noise_in_light(noise: Noise):
    light = picture(shades(NOMINAL, TONE)) ** 2
    sigma = np.sqrt(noise.shot * light + noise.read**2)
    noisy = light + sigma * np.random.default_rng(1).standard_normal(light.shape)
    found = fit_noise(seen_in(levels(np.sqrt(noisy.clip(0)))))
    assert found is not None
    assert found.shot == pytest.approx(noise.shot, rel=0.25, abs=2e-4)
    assert found.read == pytest.approx(noise.read, rel=0.25, abs=0.004)


@pytest.mark.parametrize("gain", [1.0, 8.0])
def test_the_simulated_sensor(gain: float):
    light = (255 * picture(shades(NOMINAL, TONE))).astype(np.float32)
    sensor = Sensor(light.shape[1], light.shape[0], 1.0, np.random.default_rng(2))
    pixels = sensor.expose(light, noise_levels(light, gain), np.random.default_rng(3))
    found = fit_noise(seen_in(pixels))
    assert found is not None
    # The sensor's gamma is 2.2 where light here is the square: a tenth or so lies between the two.
    assert found.shot == pytest.approx(gain * SHOT_NOISE, rel=0.3)
    assert found.read == pytest.approx(gain * READ_NOISE, abs=1e-3 * gain**0.5)


def test_an_even_light_falloff_is_no_noise():
    light = picture(shades(NOMINAL, TONE)) ** 2 * np.linspace(0.5, 1.0, 240)[None, :, None]
    found = fit_noise(seen_in(levels(np.sqrt(light))))
    assert found is not None
    assert found.shot < 1e-4
    assert found.read < 5e-3


def test_what_is_looked_at():
    code = levels(picture(shades(NOMINAL, TONE)))
    assert [each.srgb for each in seen_in(code)] == list(STRIP_SRGB)
    assert all(each.pixels == 26 * 26 for each in seen_in(code, margin_px=2.0))
    assert seen_in(code, margin_px=15.0) == [], "hardly a pixel is left"
    assert len(seen_in(code[:, :200])) == 12, "two are cut off at the right"
    assert see_swatches(code, [], to_image, 1.0) == []


@pytest.mark.parametrize("fit", [fit_noise, fit_tone])
def test_what_cannot_be_told(fit):
    assert fit([]) is None
    assert fit(seen_in(levels(picture(shades(NOMINAL, TONE))))[:4]) is None, "four swatches"
    assert fit(seen_in(np.full((90, 240, 3), 128, np.uint8))) is None, "no contrast"
    assert fit(seen_in(np.full((90, 240, 3), 255, np.uint8))) is None, "all is cut off"
