"""The bench of a training: which views a step shows, in front of what, and who has to know what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_patches_train import OTHER, TWO, order, picture, recognizer

from calibration.errors import BadInput
from patches.backdrops import GROUND_PX, make_backdrops
from patches.order import Terms, make_bench
from patches.train import accuracy, train_patch

torch.set_num_threads(1)

RNG = np.random.default_rng(5)
PHOTOGRAPHS = [np.full((50, 40, 3), color, np.uint8) for color in ((250, 10, 10), (10, 10, 250))]
STRANGER = recognizer(9, "stranger", ["no-entry", "goat"])


def bench(held_out=(), terms=Terms(), **changes):  # noqa: B008
    return make_bench(order(**changes), terms, TWO, held_out)


def test_photographs_take_the_place_of_noise_in_every_view():
    before = bench(backdrops=make_backdrops(PHOTOGRAPHS))
    for views in (before.views(3), before.validation()):
        grounds = views.draws.grounds
        assert grounds.shape[1:] == (6, GROUND_PX, GROUND_PX)
        assert torch.equal(grounds[:, :3], grounds[:, 3:])
        colors = {tuple((each[:3, 0, 0].sqrt() * 255).round().int().tolist()) for each in grounds}
        assert colors == {(250, 10, 10), (10, 10, 250)}
    # Nothing else of a view is drawn anew.
    plain = bench().views(3).draws
    assert torch.equal(before.views(3).draws.views.yaw_deg, plain.views.yaw_deg)
    assert torch.equal(before.views(3).draws.sensors.noise, plain.sensors.noise)


def test_accuracy_is_judged_before_the_photographs():
    texture = RNG.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    sharp = make_backdrops([RNG.integers(0, 256, (60, 60, 3), dtype=np.uint8) // 128 * 255])
    shares = [accuracy(texture, order(backdrops=each), [*TWO, OTHER], seed=3, count=64) for each in (None, sharp)]
    assert shares[0] != shares[1]


def test_a_run_before_other_photographs_is_another_run(tmp_path):
    first, second = (make_backdrops(PHOTOGRAPHS[: number + 1]) for number in range(2))
    stamps = {bench(backdrops=each).stamp for each in (None, first, second)}
    assert len(stamps) == 3
    train_patch(order(steps=3, interval=3, backdrops=first), TWO, checkpoint=tmp_path / "run.pt")
    found = train_patch(order(steps=3, interval=3, backdrops=second), TWO, checkpoint=tmp_path / "run.pt")
    expected = train_patch(order(steps=3, interval=3, backdrops=second), TWO)
    assert np.array_equal(found.texture, expected.texture)


def test_a_share_of_the_views_shows_others_with_their_own_class():
    others = [picture("stop", (20, 40, 200))]
    views = bench(others=others, terms=Terms(no_spoof=0.25)).views(1)
    for truth in views.truth:
        assert truth.tolist() == [0, 0] + [2] * 6
    chosen = (views.draws.artwork * 2).long()
    assert chosen.tolist() == [1, 1] + [0] * 6


def test_only_surrogates_have_to_know_what_others_are():
    others = [picture("stop", (20, 40, 200))]
    assert bench([STRANGER], others=others).validation().truth[2].tolist() == [0] * 16
    with pytest.raises(BadInput, match="one does not know the class 'goat'"):
        bench(others=[picture("goat")])
