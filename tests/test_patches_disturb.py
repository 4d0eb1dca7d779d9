"""Corruptions of the training loop: in range, repeatable, with gradients, and as strong as they are drawn."""

from __future__ import annotations

import pytest
import torch

from patches.disturb import KINDS, disturbed, jittered

BATCH = 4


def pictures() -> torch.Tensor:
    return torch.rand(BATCH, 3, 24, 24, generator=torch.Generator().manual_seed(3)) * 0.8 + 0.1


def dice() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("kind", KINDS, ids=lambda each: each.__name__)
def test_a_severe_corruption_changes_more_than_a_mild_one_and_passes_gradients(kind):
    shown = pictures().requires_grad_()
    mild, severe = (kind(shown, torch.full((BATCH, 1, 1, 1), level), dice()) for level in (0.05, 1.0))
    assert mild.shape == severe.shape == shown.shape
    assert (severe - shown).abs().mean() >= (mild - shown).abs().mean()
    assert (severe - shown).abs().mean() > 0.02
    slope = torch.autograd.grad(severe.sum(), shown)[0]
    assert slope.isfinite().all()
    assert slope.any()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_about_the_share_that_is_asked_for_is_disturbed_and_stays_a_picture(share: float):
    many = pictures().repeat(50, 1, 1, 1)
    found = disturbed(many, share, dice())
    assert found.min() >= 0
    assert found.max() <= 1
    changed = (found != many).flatten(1).any(dim=1).float().mean()
    assert changed == pytest.approx(share, abs=0.12)
    assert torch.equal(found, disturbed(many, share, dice()))


def test_jitter_moves_and_zooms_each_picture_by_no_more_than_is_asked():
    side, most = 24, 0.1
    across = torch.arange(side, dtype=torch.float32).expand(60, 3, side, side).clone()
    found = jittered(across, most, dice())
    middle, slope = found[:, 0, side // 2, side // 2], found[:, 0, 0, 12:14].diff()[:, 0]
    assert (middle - side // 2).abs().max() <= most * side + most
    assert middle.std() > most * side / 4
    assert slope.min() >= 1 - most - 1e-5
    assert slope.max() <= 1 + most + 1e-5
    assert torch.equal(jittered(across, 0.0, dice()), across)


def test_jitter_treats_both_axes_alike_and_apart():
    shown = torch.rand(8, 3, 24, 24, generator=dice())
    lines = torch.arange(24, dtype=torch.float32)
    down, across = (jittered(each.expand(8, 3, 24, 24), 0.1, dice()) for each in (lines[:, None], lines[None, :]))
    assert (down.std(dim=3) < 1e-5).all()
    assert (across.std(dim=2) < 1e-5).all()
    assert not torch.allclose(down.transpose(2, 3), across)
    assert jittered(shown, 0.1, dice()).shape == shown.shape
