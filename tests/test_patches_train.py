"""Training: it helps, it is repeatable, it survives being killed, and held-out recognizers only watch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from calibration.contract import Contract
from calibration.errors import BadInput, Incomplete, NoProvider
from patches.backdrops import make_backdrops
from patches.guards import warning_sign
from patches.methods import METHODS
from patches.objective import out_of_gamut, total_variation
from patches.order import Picture, Terms, TrainOrder
from patches.patch import CurvePoint, PatchGeometry
from patches.spec import TransformSpec
from patches.surrogates import Surrogate
from patches.train import accuracy, train_patch

torch.set_num_threads(1)

LABELS = ["stop", "yield", "no-entry", "keep-right"]


def recognizer(seed: int, name: str = "tiny", labels: list[str] = LABELS) -> Surrogate:
    """A small random network: it has opinions on every picture, and a patch can change them."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 12, 5, 2), nn.ReLU(), nn.Conv2d(12, 12, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(300, len(labels))
    )
    with torch.no_grad():
        for weight in network.parameters():
            scale = 2.0 / weight[0].numel() ** 0.5 if weight.dim() > 1 else 0.0
            weight.copy_(scale * torch.randn(weight.shape, generator=generator))
    contract = Contract(
        name=name, file=f"{name}.onnx", sha256=f"{seed}", input_name="x", height=28, width=28, labels=labels
    )
    return Surrogate(contract, network.eval().requires_grad_(False), 0.0)


def picture(label: str = "no-entry", color=(200, 30, 20)) -> Picture:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[4:28, 4:28] = (*color, 255)
    return Picture(label, pixels)


def order(label: str = "no-entry", **changes) -> TrainOrder:
    base = TrainOrder(
        label=label,
        pictures=[picture(label)],
        geometry=PatchGeometry(target_mm=80, inner_mm=84, outer_mm=160, texel_mm=8),
        steps=20,
        batch=8,
        interval=5,
        validation=16,
        spec=TransformSpec(distance_mm=(500, 2000), light_gain=(0.5, 1.2), haze=(0, 0.1)),
        learning_rate=0.2,
    )
    return replace(base, **changes)


TWO = [recognizer(1, "one"), recognizer(2, "two")]
OTHER = recognizer(3, "other")


def test_training_makes_the_target_recognized():
    wanted = order(steps=40, label="yield", learning_rate=0.5)
    trained = train_patch(wanted, TWO, [OTHER])
    blank = np.full_like(trained.texture, 255)
    before, after = (np.mean(accuracy(each, wanted, TWO, seed=77)) for each in (blank, trained.texture))
    assert after > before + 0.2
    assert trained.curve[0].step == 0
    assert [point.step for point in trained.curve][-1] == trained.steps == 40
    assert trained.best.loss < trained.curve[0].loss
    assert trained.texture.shape == (20, 20, 3)
    assert trained.texture.dtype == np.uint8


def test_same_seed_same_texture_other_seed_another():
    first, again, other = (train_patch(order(seed=seed), TWO) for seed in (4, 4, 5))
    assert np.array_equal(first.texture, again.texture)
    assert first.curve == again.curve
    assert not np.array_equal(first.texture, other.texture)


def test_held_out_recognizers_give_no_gradient_and_choose_nothing():
    alone = train_patch(order(), TWO)
    watched = train_patch(order(), TWO, [OTHER])
    assert np.array_equal(alone.texture, watched.texture)
    assert alone.best.held_out_accuracy is None
    assert watched.best.held_out_accuracy is not None
    assert watched.best.surrogate_accuracy == alone.best.surrogate_accuracy


class Killed(Exception):
    pass


def test_a_run_that_died_ends_as_if_undisturbed(tmp_path):
    def dies(point, steps):
        if point.step == 10:
            raise Killed

    undisturbed = train_patch(order(), TWO)
    with pytest.raises(Killed):
        train_patch(order(), TWO, checkpoint=tmp_path / "run.pt", progress=dies)
    seen: list[int] = []
    resumed = train_patch(
        order(), TWO, checkpoint=tmp_path / "run.pt", progress=lambda point, steps: seen.append(point.step)
    )
    assert seen == [15, 20]
    assert np.array_equal(resumed.texture, undisturbed.texture)
    assert resumed.curve == undisturbed.curve


KILLED_RUN = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, "tests")
from test_patches_train import TWO, order
from patches.train import train_patch
def die(point, steps):
    if point.step == 10:
        os.kill(os.getpid(), signal.SIGKILL)
train_patch(order(), TWO, checkpoint=Path(sys.argv[1]), progress=die)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill -9")
def test_kill_9_costs_at_most_one_interval(tmp_path, request):
    run = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(tmp_path / "run.pt")],
        cwd=request.config.rootpath,
        env={**os.environ, "PYTHONPATH": str(request.config.rootpath)},
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
    seen: list[int] = []
    resumed = train_patch(
        order(), TWO, checkpoint=tmp_path / "run.pt", progress=lambda point, steps: seen.append(point.step)
    )
    assert seen == [15, 20]
    assert np.array_equal(resumed.texture, train_patch(order(), TWO).texture)


def test_a_stop_keeps_what_there_is(tmp_path):
    asked = iter([False] * 7 + [True] * 9)
    stopped = train_patch(order(), TWO, checkpoint=tmp_path / "run.pt", stop=lambda: next(asked))
    assert stopped.steps == 7
    assert stopped.curve[-1].step == 5
    resumed = train_patch(order(), TWO, checkpoint=tmp_path / "run.pt")
    assert resumed.steps == 20
    assert np.array_equal(resumed.texture, train_patch(order(), TWO).texture)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 9},
        {"label": "stop"},
        {"spec": TransformSpec(haze=(0, 0.1))},
        {"method": "defensive"},
    ],
)
def test_a_checkpoint_of_another_run_is_left_aside(tmp_path, change):
    train_patch(order(steps=5), TWO, checkpoint=tmp_path / "run.pt")
    found = train_patch(order(steps=5, **change), TWO, checkpoint=tmp_path / "run.pt")
    assert np.array_equal(found.texture, train_patch(order(steps=5, **change), TWO).texture)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "run.pt").write_bytes(b"no checkpoint")
    with pytest.raises(BadInput, match=r"run\.pt is no checkpoint"):
        train_patch(order(), TWO, checkpoint=tmp_path / "run.pt")


class Breaks(nn.Module):
    """Gives no numbers any more once it has been asked often enough."""

    def __init__(self, bad: float) -> None:
        super().__init__()
        self.bad, self.asked = bad, 0

    def forward(self, x):
        self.asked += 1
        return x.mean(dim=(2, 3)) * (self.bad if self.asked > 3 else 1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_divergence_stops_with_a_clear_error(bad):
    contract = OTHER.contract.model_copy(update={"labels": LABELS[:3]})
    with pytest.raises(
        Incomplete, match=r"no-entry diverged: the loss is (nan|inf) after \d+ steps at learning rate 0.2"
    ):
        train_patch(order(), [Surrogate(contract, Breaks(bad), 0.0)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "goat"}, "does not know the class 'goat'"),
        ({"steps": 0}, "must be positive"),
        ({"learning_rate": float("nan")}, "must be positive"),
        ({"pictures": []}, "no picture"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(BadInput, match=message):
        train_patch(order(**change), TWO)


def test_without_surrogates_there_is_no_training():
    with pytest.raises(BadInput, match="none was given"):
        train_patch(order(), [])


def test_a_held_out_recognizer_must_know_the_label():
    with pytest.raises(BadInput, match="stranger does not know"):
        train_patch(order(), TWO, [recognizer(1, "stranger", ["a", "b"])])


def test_accuracy_is_counted_over_the_same_views():
    texture = np.random.default_rng(1).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    first, again = (accuracy(texture, order(), TWO, seed=5, count=70) for _ in range(2))
    assert first == again
    assert all(abs(share * 70 - round(share * 70)) < 1e-9 for share in first)
    assert len(accuracy(None, order(), [*TWO, OTHER], seed=5, count=70)) == 3


CHECKER = torch.from_numpy(np.indices((8, 8)).sum(axis=0) % 2).float().expand(3, -1, -1)
ALL = torch.ones(8, 8, dtype=torch.bool)


def test_the_terms_of_the_objective():
    flat = torch.full((3, 8, 8), 0.5)
    assert total_variation(flat, ALL) == 0
    assert total_variation(CHECKER, ALL) == 2
    assert out_of_gamut(flat, ALL) == 0
    assert out_of_gamut(torch.eye(3)[:, :, None].expand(-1, -1, 3), torch.ones(3, 3, dtype=torch.bool)) > 0


def test_only_what_is_printed_counts_for_the_terms():
    ring = torch.from_numpy(PatchGeometry(target_mm=4, inner_mm=4, outer_mm=8, texel_mm=1).ring())
    texture = torch.where(ring, 0.5, CHECKER).requires_grad_()
    assert total_variation(texture, ring) == 0
    assert total_variation(torch.where(ring, CHECKER, 0.5), ring) == 2
    red = torch.tensor([1.0, 0, 0])[:, None, None].expand(-1, 8, 8)
    assert out_of_gamut(torch.where(ring, 0.5, red), ring) == 0
    assert out_of_gamut(torch.where(ring, red, 0.5), ring) == out_of_gamut(red, ring) > 0
    total_variation(texture + 0.1 * CHECKER, ring).backward()
    assert bool((texture.grad[:, ~ring] == 0).all())
    assert total_variation(CHECKER, ~ALL) == out_of_gamut(red, ~ALL) == 0


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_lowers_the_loss_and_can_be_resumed(tmp_path, method):
    wanted = order(label="yield", method=method, steps=24, interval=6, others=[picture("stop", (20, 40, 200))])
    trained = train_patch(wanted, TWO)
    assert trained.best.loss < trained.curve[0].loss
    asked = iter([False] * 8 + [True] * 100)
    train_patch(wanted, TWO, checkpoint=tmp_path / "run.pt", stop=lambda: next(asked))
    resumed = train_patch(wanted, TWO, checkpoint=tmp_path / "run.pt")
    assert np.array_equal(resumed.texture, trained.texture)


@pytest.mark.parametrize(
    "change",
    [
        {"fade": 0.5},
        {"disturb": 0.9},
        {"jitter": 0.1},
        {"attack_levels": 8.0},
        {"correlation": 1.0},
        {"cells": 5},
        {"no_spoof": 0.5},
    ],
)
def test_every_term_of_the_defensive_method_has_a_switch(change):
    others = [picture("stop", (20, 40, 200))]
    on, off = (
        train_patch(order(method="defensive", steps=4, others=others, terms=terms), TWO).texture
        for terms in (Terms(**change), Terms())
    )
    assert not np.array_equal(on, off)


def test_without_a_term_defensive_is_the_ensemble():
    ours, theirs = (train_patch(order(method=each, terms=Terms()), TWO).texture for each in ("defensive", "ensemble"))
    assert np.array_equal(ours, theirs)


def test_a_patch_for_a_group_is_judged_by_each_picture_s_own_class():
    group = [picture("yield"), picture("stop", (20, 40, 200))]
    wanted = replace(order(label="yield-or-stop", steps=60, learning_rate=0.5), pictures=group)
    trained = train_patch(wanted, TWO)
    blank = np.full_like(trained.texture, 255)
    before, after = (np.mean(accuracy(each, wanted, TWO, seed=77)) for each in (blank, trained.texture))
    assert after > before


def test_no_spoof_keeps_other_objects_what_they_are():
    others = [picture("stop", (20, 40, 200))]
    careless, careful = (
        train_patch(
            order(label="yield", method="defensive", steps=60, learning_rate=0.5, others=others, terms=terms), TWO
        ).texture
        for terms in (Terms(), Terms(no_spoof=0.5))
    )
    strange = replace(order(label="stop"), pictures=others)
    assert np.mean(accuracy(careful, strange, TWO, seed=3)) > np.mean(accuracy(careless, strange, TWO, seed=3))


@pytest.mark.parametrize(
    ("texture", "curve", "message"),
    [
        (np.zeros((3, 8, 8)), [(1.0, None)], "black or full"),
        (np.full((3, 8, 8), 90), [(1.0, None), (0.9, None)], "single color"),
        (None, [(1.0, 0.8), (0.9, 0.75), (0.8, 0.7), (0.7, 0.65), (0.6, 0.6)], "from 80% to 60%"),
        (None, [(1.0, 0.8), (0.9, 0.75), (0.8, 0.7), (0.9, 0.65), (0.6, 0.6)], ""),
        (None, [(1.0, 0.8), (0.9, 0.81), (0.8, 0.82), (0.7, 0.81), (0.6, 0.82)], ""),
    ],
)
def test_guards_see_what_goes_wrong(texture, curve, message):
    pixels = np.random.default_rng(1).integers(10, 245, (3, 8, 8)) if texture is None else texture
    points = [
        CurvePoint(step=number, loss=loss, surrogate_accuracy=1.0, held_out_accuracy=share)
        for number, (loss, share) in enumerate(curve)
    ]
    sign = warning_sign(torch.from_numpy(pixels).to(torch.uint8), np.ones((8, 8), bool), points)
    assert (message in sign) if message else not sign


# Devices and precision


def test_mixed_precision_comes_near_to_full_precision():
    full, mixed = (train_patch(order(precision=each), TWO, [OTHER]) for each in ("float32", "bfloat16"))
    assert not np.array_equal(full.texture, mixed.texture)
    assert mixed.best.loss < mixed.curve[0].loss
    assert mixed.best.loss == pytest.approx(full.best.loss, rel=0.1)
    assert np.abs(full.texture.astype(float) - mixed.texture).mean() < 10


def test_mixed_precision_is_the_networks_alone():
    images = torch.rand(4, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    rounded = TWO[0].on(torch.device("cpu"), "bfloat16")
    inputs: list[torch.dtype] = []
    hook = rounded.network.register_forward_pre_hook(lambda _, given: inputs.append(given[0].dtype))
    found = rounded.logits(images)
    hook.remove()
    assert (inputs, found.dtype) == ([torch.float32], torch.float32)
    assert 0 < (found - TWO[0].logits(images)).abs().max() < 0.1


def test_a_run_in_another_precision_is_another_run(tmp_path):
    train_patch(order(steps=5), TWO, checkpoint=tmp_path / "run.pt")
    mixed = train_patch(order(steps=5, precision="bfloat16"), TWO, checkpoint=tmp_path / "run.pt")
    assert np.array_equal(mixed.texture, train_patch(order(steps=5, precision="bfloat16"), TWO).texture)


@pytest.mark.parametrize(
    ("device", "error", "message"),
    [
        ("cuda:99", NoProvider, r"the device 'cuda:99' is not there: torch .* finds \d+ CUDA devices"),
        ("tpu", BadInput, "'tpu' is no device; cpu, cuda and cuda:N are accepted"),
    ],
)
def test_a_device_that_is_not_there_is_named(device, error, message):
    with pytest.raises(error, match=message):
        train_patch(order(device=device), TWO)
    with pytest.raises(error, match=message):
        accuracy(None, order(device=device), TWO, seed=1, count=2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_cuda_trains_as_the_cpu_does(tmp_path, method, precision):
    terms = Terms(no_spoof=0.25, fade=0.3, disturb=0.5, jitter=0.1, attack_levels=4, correlation=0.5)
    backdrops = make_backdrops([np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)])
    wanted = order(
        method=method,
        steps=6,
        interval=2,
        terms=terms,
        others=[picture("stop", (20, 40, 200))],
        backdrops=backdrops,
        precision=precision,
    )
    here = train_patch(wanted, TWO, [OTHER])
    asked = iter([False] * 3 + [True] * 9)
    there = replace(wanted, device="cuda")
    train_patch(there, TWO, [OTHER], checkpoint=tmp_path / "run.pt", stop=lambda: next(asked))
    resumed = train_patch(there, TWO, [OTHER], checkpoint=tmp_path / "run.pt")
    assert resumed.curve[0].loss == pytest.approx(here.curve[0].loss, rel=0.02)
    assert resumed.steps == 6
    assert np.abs(resumed.texture.astype(float) - here.texture).mean() < 10
    assert next(TWO[0].network.parameters()).device.type == "cpu"
    shares = [accuracy(here.texture, each, [*TWO, OTHER], seed=1, count=70) for each in (wanted, there)]
    np.testing.assert_allclose(*shares, atol=0.05)
