"""A measured response as tables that training can look up, and training that looks at the patch through them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_calibration_color import IDENTITY, PRINT, response_of

from calibration.color import printable
from patches.color_table import asked_gray, seen_table, unprintable_table
from patches.draws import draw
from patches.eot import make_scene, render
from patches.objective import out_of_gamut
from patches.patch import PatchGeometry
from patches.spec import TransformSpec

RING = PatchGeometry(target_mm=60, inner_mm=60, outer_mm=100, texel_mm=5)
CLEAR = np.zeros((8, 8, 4), np.uint8)


@pytest.fixture(scope="module")
def model():
    return response_of(PRINT).fit.model


def test_a_table_prints_as_the_response_does(model):
    colors = np.random.default_rng(0).random((5, 5, 3))
    printed = seen_table(model).at(torch.from_numpy(colors).permute(2, 0, 1))
    known = model.predict(colors.reshape(-1, 3)).reshape(colors.shape)
    np.testing.assert_allclose(printed.permute(1, 2, 0).numpy(), known, atol=1.5e-3)


def test_colors_out_of_the_cube_are_on_its_border(model):
    table = seen_table(model, 5)
    outside = torch.tensor([1.4, -0.2, 0.5]).reshape(3, 1, 1)
    torch.testing.assert_close(table.at(outside), table.at(outside.clamp(0, 1)))


def test_the_gray_that_is_seen_as_gray(model):
    for seen in (0.3, 0.5, 0.7):
        asked = asked_gray(model, seen)
        assert model.predict(np.full((1, 3), asked)).mean() == pytest.approx(seen, abs=0.005)
    assert asked_gray(response_of(IDENTITY).fit.model) == pytest.approx(0.5, abs=0.005)
    assert asked_gray(model, 1.0) <= 1, "the nearest there is"


def test_without_loss_a_texture_stays():
    texture = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen_table(response_of(IDENTITY).fit.model, 5).to("cpu").at(texture), texture)


def test_what_cannot_be_printed_can_be_trained_away(model):
    table = unprintable_table(model)
    texture = torch.tensor([0.0, 1.0, 0.1]).reshape(3, 1, 1).requires_grad_()
    before = table.at(texture).detach()
    known = printable(model).distance(texture.detach().reshape(1, 3).double().numpy())
    np.testing.assert_allclose(before.flatten().numpy(), known, rtol=0.1)
    optimizer = torch.optim.Adam([texture], lr=0.02)
    for _ in range(30):
        optimizer.zero_grad()
        table.at(texture).sum().backward()
        optimizer.step()
    assert table.at(texture) < 0.4 * before


def test_the_chain_shows_a_patch_in_the_colors_that_were_measured(model):
    """A texture through the response looks as what the response predicts does without it."""
    spec = TransformSpec.identity()
    asked = torch.tensor([0.9, 0.2, 0.4])
    seen = torch.from_numpy(model.predict(asked[None].double().numpy())[0]).float()
    views = []
    for color, ink in ((model, asked), (None, seen)):
        draws = draw(spec, 2, texels=RING.texels, crop_px=24, generator=torch.Generator().manual_seed(0))
        texture = ink[:, None, None].expand(3, RING.texels, RING.texels)
        views.append(render(texture, make_scene([CLEAR], RING, 24, color=color), draws))
    torch.testing.assert_close(views[0], views[1], atol=3e-3, rtol=0)
    assert (asked - seen).abs().max() > 0.1


def test_where_it_was_measured_the_gamut_is_this_printers(model):
    """Not the palette that stands for ordinary paper, which a saturated green and a flat one differ by."""
    table, ring = unprintable_table(model), torch.tensor([[True, False]])
    green = torch.tensor([[0.0, 0.5], [1.0, 0.5], [0.1, 0.5]])[:, None, :]
    known = float(printable(model).distance(np.array([[0.0, 1.0, 0.1]]))[0])
    assert float(out_of_gamut(green, ring, table)) == pytest.approx(known / 100, rel=0.1)
    assert float(out_of_gamut(green.flip(2), ring, table)) < 0.01
