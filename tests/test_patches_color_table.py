"""A measured response as a table that training can look up."""

from __future__ import annotations

import numpy as np
import torch
from test_calibration_color import IDENTITY, PRINT, response_of

from calibration.color import printable
from patches.color_table import color_table


def test_a_table_prints_as_the_response_does():
    response = response_of(PRINT)
    table = color_table(response)
    colors = np.random.default_rng(0).random((2, 5, 5, 3))
    printed = table.printed(torch.from_numpy(colors).permute(0, 3, 1, 2).float())
    known = response.predict(colors.reshape(-1, 3)).reshape(colors.shape)
    np.testing.assert_allclose(printed.permute(0, 2, 3, 1).numpy(), known, atol=1.5e-3)


def test_colors_out_of_the_cube_are_on_its_border():
    table = color_table(response_of(PRINT), 5)
    outside = torch.tensor([1.4, -0.2, 0.5]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(table.printed(outside), table.printed(outside.clamp(0, 1)))


def test_what_cannot_be_printed_can_be_trained_away():
    response = response_of(PRINT)
    table = color_table(response)
    texture = torch.tensor([0.0, 1.0, 0.1]).reshape(1, 3, 1, 1).requires_grad_()
    before = table.unprintability(texture)
    known = printable(response).distance(texture.detach().reshape(1, 3).double().numpy())
    np.testing.assert_allclose(before.detach().numpy(), known, rtol=0.1)
    optimizer = torch.optim.Adam([texture], lr=0.02)
    for _ in range(30):
        optimizer.zero_grad()
        table.unprintability(texture).sum().backward()
        optimizer.step()
    assert table.unprintability(texture) < 0.4 * before


def test_both_tables_move_and_batches_are_apart():
    table = color_table(response_of(IDENTITY), 5).to("cpu")
    texture = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert table.unprintability(texture).shape == (3,)
    torch.testing.assert_close(table.printed(texture), texture)
