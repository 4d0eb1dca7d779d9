"""Textures of the control arms."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.errors import BadInput
from calibration.sheet import ARMS
from patches.artwork import artwork, artwork_labels
from patches.controls import control_texture, main_color, spread
from patches.frames import FrameOrder, frame_geometry
from patches.patch import PatchGeometry

GEOMETRY = PatchGeometry()
OTHER = np.random.default_rng(1).integers(0, 256, (80, 80, 3), dtype=np.uint8)


def textured(arm: str, seed: int = 0, label: str = "stop") -> np.ndarray:
    texture = control_texture(arm, GEOMETRY, artwork(label), seed=seed, wrong=OTHER)
    assert texture is not None
    return texture


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm != "bare"])
def test_every_arm_covers_the_frame_and_is_reproducible(arm: str):
    texture = textured(arm)
    assert (texture.shape, texture.dtype) == ((80, 80, 3), np.uint8)
    assert np.array_equal(texture, textured(arm))


def test_bare_prints_nothing():
    assert control_texture("bare", GEOMETRY, artwork("stop"), seed=0) is None


def test_blank_is_paper():
    assert textured("blank").min() == 255


def test_flat_is_one_color_of_the_sign():
    assert len(np.unique(textured("flat").reshape(-1, 3), axis=0)) == 1
    red, green, blue = main_color(artwork("stop"))
    assert red > 150 > 60 > max(green, blue)
    assert main_color(artwork("keep-right")).argmax() == 2


def test_noise_is_uniform_and_seeded():
    noise = textured("noise")
    assert not np.array_equal(noise, textured("noise", seed=1))
    assert abs(float(noise.mean()) - 127.5) < 2
    assert (noise.min(), noise.max()) == (0, 255)


@pytest.mark.parametrize("label", artwork_labels())
def test_label_shows_the_sign_on_every_side(label: str):
    texture = textured("label", label=label)
    sides = [texture[:9], texture[-9:], texture[:, :9], texture[:, -9:]]
    assert all(float((side < 200).any(axis=-1).mean()) > 0.2 for side in sides)
    assert texture[9:-9, 9:-9].min() == 255
    # The little signs stand upright everywhere: top row and bottom row are the same.
    assert np.array_equal(texture[:9], texture[-9:])


@pytest.mark.parametrize("shape", ["outline", "strips"])
@pytest.mark.parametrize("label", ["stop", "yield", "speed-limit-50"])
def test_label_shows_the_sign_in_a_frame_of_any_shape(shape: str, label: str):
    geometry = frame_geometry(artwork(label), 120, FrameOrder(shape))
    texture = control_texture("label", geometry, artwork(label), seed=0)
    assert texture is not None
    ring = geometry.ring()
    assert texture[~ring].min() == 255
    assert (texture[ring].min(axis=-1) < 200).mean() > 0.1
    half = geometry.texels // 2
    for side in (texture[:half], texture[half:], texture[:, :half], texture[:, half:]):
        assert side.min() < 150


def test_label_in_a_frame_too_thin_for_signs_is_still_a_texture():
    thin = frame_geometry(artwork("stop"), 120, FrameOrder("outline", thickness_mm=2))
    texture = control_texture("label", thin, artwork("stop"), seed=0)
    assert texture is not None
    assert texture[thin.ring()].min() < 255


def test_a_patch_spreads_beyond_its_ring_by_the_nearest_texel():
    ring = np.zeros((9, 9), bool)
    ring[2, 2:7], ring[6, 2:7] = True, True
    texture = np.full((9, 9, 3), 7, np.uint8)
    texture[2], texture[6] = (200, 10, 10), (10, 200, 10)
    found = spread(texture, ring)
    assert np.array_equal(found[ring], texture[ring])
    assert (found[:4] == (200, 10, 10)).all()
    assert (found[5:] == (10, 200, 10)).all()


def test_wrong_class_is_the_other_patch():
    assert np.array_equal(textured("wrong-class"), OTHER)
    fitted = control_texture("wrong-class", GEOMETRY, artwork("stop"), seed=0, wrong=OTHER[::2, ::2])
    assert fitted is not None
    assert fitted.shape == (80, 80, 3)


@pytest.mark.parametrize(("arm", "words"), [("wrong-class", "another class"), ("glitter", r"'glitter'.*bare, blank")])
def test_what_cannot_be_made_is_refused(arm: str, words: str):
    with pytest.raises(BadInput, match=words):
        control_texture(arm, GEOMETRY, artwork("stop"), seed=0)
