"""Photographs behind the target."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from calibration.errors import BadInput
from patches.backdrops import make_backdrops, on_backdrops
from patches.draws import draw
from patches.eot import make_scene, render
from patches.patch import PatchGeometry
from patches.spec import TransformSpec

GEOMETRY = PatchGeometry()
CROP_PX = 32
COLORS = ((200, 30, 30), (30, 200, 30), (30, 30, 200))


def plain(color: tuple[int, int, int]) -> np.ndarray:
    return np.full((90, 120, 3), color, np.uint8)


def drawn(seed: int, batch: int = 24):
    generator = torch.Generator().manual_seed(seed)
    return draw(
        TransformSpec.identity(), batch, texels=GEOMETRY.texels, crop_px=CROP_PX, generator=generator
    ), generator


def test_a_bare_view_shows_one_photograph_from_edge_to_edge_around_the_target():
    backdrops = make_backdrops([plain(color) for color in COLORS])
    views, generator = drawn(0)
    target = np.zeros((40, 40, 4), np.uint8)
    target[10:30, 10:30] = 255
    pictures = render(None, make_scene([target], GEOMETRY, CROP_PX), on_backdrops(views, backdrops, generator))
    corners = (pictures[:, :, 0, 0] * 255).round().to(torch.int64)
    found = {tuple(color) for color in corners.tolist()}
    assert len(found) == 3
    for color in found:
        assert min(max(abs(a - b) for a, b in zip(color, known, strict=True)) for known in COLORS) <= 1
    assert (pictures[:, :, 16, 16] > 0.99).all()
    torch.testing.assert_close(pictures[:, :, 2, 16], pictures[:, :, 0, 0], atol=0.01, rtol=0)


def test_the_same_seed_gives_the_same_views_and_another_gives_others():
    photograph = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    backdrops = make_backdrops([photograph])

    def grounds(seed: int) -> torch.Tensor:
        views, generator = drawn(seed, 4)
        return on_backdrops(views, backdrops, generator).grounds

    first = grounds(1)
    assert torch.equal(first, grounds(1))
    assert not torch.allclose(first, grounds(2))
    assert not torch.allclose(first[0], first[1])
    assert first.min() >= 0
    assert first.max() <= 1


def test_no_photograph_is_no_backdrop():
    with pytest.raises(BadInput, match="no photographs"):
        make_backdrops([])
