"""Attacks: what they promise (budget, region, range) to the last bit, and that they attack."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from calibration.contract import Contract
from calibration.errors import BadInput, BadModel
from patches.artwork import artwork, artwork_labels
from patches.artwork import render as render_artwork
from patches.ascent import squares_on
from patches.attacks import ATTACKS, Attack, attack_images, attack_named, attacked, attacked_blind
from patches.surrogates import Surrogate, SurrogateSource, load_surrogate
from pipeline.recognizers import load_recognizer, zoo_folder

torch.set_num_threads(1)

SIZE = 20


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def surrogate(network: nn.Module, n_labels: int) -> Surrogate:
    contract = Contract(
        name="tiny",
        file="tiny.onnx",
        sha256="",
        input_name="x",
        height=SIZE,
        width=SIZE,
        labels=[f"class-{i}" for i in range(n_labels)],
    )
    return Surrogate(contract, network.eval().requires_grad_(False), 0.0)


def small(seed: int = 0, n_labels: int = 4, scale: float = 1.0) -> Surrogate:
    """A random network with opinions on every picture; ``scale`` times as sure of them."""
    network = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(512, n_labels, bias=False))
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=seeded(seed)) / weight[0].numel() ** 0.5)
        network[-1].weight.mul_(scale)
    return surrogate(network, n_labels)


def noise(count: int, seed: int = 0, height: int = SIZE, width: int = SIZE) -> torch.Tensor:
    """Pictures of noise, with many pixels that are fully black or white."""
    return (1.4 * torch.rand(count, 3, height, width, generator=seeded(seed)) - 0.2).clamp(0, 1)


def answers(judge: Surrogate, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return judge.logits(images).argmax(dim=1)


def accuracy(judge: Surrogate, images: torch.Tensor, truth: torch.Tensor) -> float:
    return float((answers(judge, images) == truth).float().mean())


# Names


@pytest.mark.parametrize("name", [*ATTACKS, "pgd100m-1", "pgd1-255-object"])
def test_a_name_is_read_and_written_back(name):
    assert str(attack_named(name)) == name


def test_what_names_say():
    assert attack_named("fgsm-2") == Attack("fgsm", 1, 2)
    assert attack_named("pgd40-8-outside") == Attack("pgd", 40, 8, "outside")
    assert attack_named("pgd10m-4-object") == Attack("pgd", 10, 4, "object", margin=True)
    assert attack_named("sticker").region == "object"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "pgd",
        "pgd-4",
        "pgd10",
        "pgd010-4",
        "fgsm-0",
        "fgsm-256",
        "fgsm-4-inside",
        "pgd10-4-everywhere",
        "fgsm-\u0664",
        "cw-4",
    ],
)
def test_other_names_are_refused_with_those_that_exist(name):
    with pytest.raises(BadInput, match=r"is no attack: fgsm-N, pgdS-N") as caught:
        attack_named(name)
    assert "pgd10m-8-outside" in caught.value.hint


# What is promised


@settings(max_examples=60)
@given(
    name=st.sampled_from([name for name in ATTACKS if "40" not in name] + ["pgd3-255-outside", "pgd2m-1-object"]),
    seed=st.integers(0, 2**63 - 1),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    shared=st.booleans(),
)
def test_budget_region_and_range_hold_exactly(name, seed, height, width, shared):
    attack, judge = attack_named(name), small()
    images = noise(3, seed, height, width)
    dice = seeded(seed)
    count = 1 if shared else 3
    target = torch.rand(count, 1, height, width, generator=dice)
    target[:, :, height // 2, width // 2] = 1
    patch = torch.rand(1, 1, height, width, generator=dice)
    patch[:, :, height // 2, width // 2] = 0
    truth = torch.randint(0, 4, (3,), generator=dice)
    found = attacked(judge, images, truth, attack, sticker_mask=patch, object_mask=target, seed=seed)
    assert found.dtype == torch.float32
    assert found.shape == images.shape
    assert found.isfinite().all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found.double() - images.double()).abs().max() <= attack.levels / 255
    allowed = {"everywhere": torch.ones(1), "outside": patch < 0.5, "object": (target >= 0.5) & (patch < 0.5)}
    assert torch.equal(found, torch.where(allowed[attack.region].bool(), found, images))
    changed = (found != images).any(dim=1)
    assert changed.flatten(1).any(dim=1).all()
    if name == "sticker":
        for each in changed:
            places = each.nonzero()
            side = round((0.05 * height * width) ** 0.5)
            assert (places.amax(dim=0) - places.amin(dim=0) < side).all()


def test_the_change_is_also_within_budget_when_the_attacker_is_blind():
    judge, images = small(), noise(6)
    bare = noise(6, 1)
    patch = torch.zeros(1, 1, SIZE, SIZE)
    patch[..., :4, :] = 1
    for name in ("fgsm-8", "pgd10-8-outside", "pgd10m-4-object", "sticker"):
        attack = attack_named(name)
        truth = answers(judge, images)
        masks = {"sticker_mask": patch, "object_mask": 1 - patch}
        found = attacked_blind(judge, images, bare, truth, attack, **masks, seed=3)
        assert (found.double() - images.double()).abs().max() <= attack.levels / 255
        assert found.min() >= 0
        assert found.max() <= 1
        if attack.region != "everywhere":
            assert torch.equal(found[..., :4, :], images[..., :4, :])


def test_who_knows_the_patch_does_more_harm():
    judge, bare = small(n_labels=3), noise(200)
    images = bare.clone()
    images[..., :6, :] = noise(1, 9)[..., :6, :]
    truth, attack = answers(judge, images), attack_named("pgd10-4")
    aware = attacked(judge, images, truth, attack, seed=0)
    blind = attacked_blind(judge, images, bare, truth, attack, seed=0)
    assert accuracy(judge, aware, truth) < accuracy(judge, blind, truth) < 1
    assert torch.allclose(attacked_blind(judge, images, images, truth, attack, seed=0), aware, atol=1e-7)


# That they attack


def linear() -> Surrogate:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 2, bias=False))
    with torch.no_grad():
        network[1].weight.copy_(torch.randn(2, 3 * SIZE * SIZE, generator=seeded(5)) / 50)
    return surrogate(network, 2)


@pytest.mark.parametrize("name", ["fgsm-4", "pgd10-4", "pgd40-4", "pgd10m-4", "pgd10-4-outside"])
def test_on_a_linear_network_the_best_is_known_and_found(name):
    judge, images = linear(), noise(5)
    patch = torch.zeros(1, 1, SIZE, SIZE)
    patch[..., :5] = 1
    truth = torch.tensor([0, 1, 0, 1, 1])
    weight = judge.network[1].weight.reshape(2, 3, SIZE, SIZE)
    uphill = (weight[1 - truth] - weight[truth]).sign() * (1 - patch if name.endswith("outside") else 1)
    expected = (images + 4 / 255 * uphill).clamp(0, 1)
    found = attacked(judge, images, truth, attack_named(name), sticker_mask=patch, seed=0)
    assert torch.allclose(found, expected, rtol=0, atol=2e-7)


def test_the_margin_attacks_where_a_sure_network_gives_no_gradient():
    sure, images = small(scale=1000.0), noise(100)
    truth = answers(sure, images)
    with torch.no_grad():
        best = sure.logits(images).topk(2).values
    images, truth = images[best[:, 0] - best[:, 1] > 120], truth[best[:, 0] - best[:, 1] > 120]
    assert len(images) > 40
    by_cross_entropy = attacked(sure, images, truth, attack_named("pgd40-8"), seed=0)
    by_margin = attacked(sure, images, truth, attack_named("pgd40m-8"), seed=0)
    calm = attacked(small(), images, truth, attack_named("pgd40-8"), seed=0)
    # The answers of both networks are the same, and so is what would fool them.
    assert accuracy(sure, by_cross_entropy, truth) > 0.9
    assert accuracy(sure, by_margin, truth) < 0.2
    assert accuracy(sure, calm, truth) < 0.2


@pytest.fixture(scope="module")
def signs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Drawn signs on gray, 48 px: pictures, masks of the sign, class indices of the zoo."""
    known = load_recognizer(zoo_folder() / "resnet.json").contract.labels
    labels = [label for label in artwork_labels() if label in known]
    images, masks = np.full((len(labels), 3, 48, 48), 0.5, np.float32), np.zeros((len(labels), 1, 48, 48), np.float32)
    for image, mask, label in zip(images, masks, labels, strict=True):
        sign = render_artwork(artwork(label), 40).transpose(2, 0, 1) / 255
        down = (48 - sign.shape[1]) // 2
        where = (slice(None), slice(down, down + sign.shape[1]), slice(4, 44))
        mask[where] = sign[3]
        image[where] = sign[3] * sign[:3] + (1 - sign[3]) * image[where]
    return torch.from_numpy(images), torch.from_numpy(masks), torch.tensor([known.index(label) for label in labels])


@pytest.fixture(scope="module")
def real() -> Surrogate:
    recognizer = load_recognizer(zoo_folder() / "resnet.json")
    return load_surrogate(SurrogateSource(recognizer.contract, zoo_folder() / "resnet.onnx"))


def test_a_real_network_falls_with_budget_and_steps(signs, real):
    images, target, truth = signs

    def left(name: str) -> float:
        return accuracy(real, attacked(real, images, truth, attack_named(name), object_mask=target, seed=1), truth)

    clean = accuracy(real, images, truth)
    assert clean > 0.9
    ladder = [clean, *(left(f"pgd10-{levels}") for levels in (4, 8, 16))]
    assert all(more < less for less, more in pairwise(ladder)), ladder
    steps = [left("fgsm-8"), ladder[2], left("pgd40-8")]
    assert steps[0] > steps[1] >= steps[2], steps
    assert ladder[2] < left("pgd10-8-object") < clean
    assert left("pgd10m-8") <= ladder[2]
    assert left("sticker") < 0.5 * clean


def test_what_is_wrong_already_stays_wrong(signs, real):
    images, _, truth = signs
    wrong = (truth + 1) % len(real.contract.labels)
    assert accuracy(real, images, wrong) == 0
    for name in ("fgsm-8", "pgd10-8", "pgd10m-8"):
        assert accuracy(real, attacked(real, images, wrong, attack_named(name), seed=0), wrong) == 0


# Dice and state


def test_the_same_seed_gives_the_same_pictures():
    judge, images, truth = small(), noise(4), torch.tensor([0, 1, 2, 3])
    target = torch.ones(1, 1, SIZE, SIZE)
    for name in ("pgd10-4", "sticker"):
        attack = attack_named(name)
        one, again, other = (
            attacked(judge, images, truth, attack, object_mask=target, seed=seed) for seed in (1, 1, 2)
        )
        assert torch.equal(one, again)
        assert not torch.equal(one, other)


def test_nothing_of_the_callers_is_touched():
    judge, images, truth = small(), noise(4), torch.tensor([0, 1, 2, 3])
    judge.network.requires_grad_(True)
    before, dice = images.clone(), torch.random.get_rng_state()
    with torch.no_grad():
        found = attacked(judge, images, truth, attack_named("pgd10-4"), seed=1)
    assert torch.equal(torch.random.get_rng_state(), dice)
    assert torch.equal(images, before)
    assert not found.requires_grad
    assert all(weight.grad is None for weight in judge.network.parameters())


@pytest.mark.parametrize(("name", "passes"), [("fgsm-4", 1), ("pgd10-4", 10), ("pgd10m-4", 10), ("pgd40-4", 40)])
def test_each_step_passes_through_the_network_once(name, passes):
    judge, seen = small(), []
    judge.network.register_forward_hook(lambda *call: seen.append(1))
    attacked(judge, noise(2), torch.tensor([0, 1]), attack_named(name), seed=0)
    assert len(seen) == passes


def test_the_square_lies_anywhere_on_the_object():
    target = torch.zeros(1, 1, 30, 40)
    target[..., 10:25, 5:30] = 1
    found = squares_on(target.bool(), 0.05, 400, seeded(0))
    assert (found.sum(dim=(1, 2, 3)) == 64).all()
    assert torch.equal(found.any(dim=0)[0], target[0, 0].bool())
    sliver = torch.zeros(2, 1, 30, 40)
    sliver[0, :, 10:12, 5:30] = 1
    sliver[1, :, :5, :5] = 1
    hanging = squares_on(sliver.bool(), 0.05, 2, seeded(0))
    assert hanging.sum(dim=(1, 2, 3)).tolist() == [16, 25]


# Arrays


def test_arrays_come_back_as_unrounded_floats():
    judge = small()
    images = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
    images.flags.writeable = False
    truth = np.array([0, 1, 2, 3, 0])
    target = np.zeros((SIZE, SIZE), bool)
    target[4:16, 3:17] = True
    found = attack_images(judge, images, truth, "pgd10-4-object", object_mask=target, seed=2)
    assert found.shape == images.shape
    assert found.dtype == np.float32
    change = found - images / 255
    assert np.abs(change).max() < 4.001 / 255
    assert np.abs(change[:, ~target]).max() < 1e-7
    assert not np.allclose(np.round(found * 255), found * 255, atol=0.01)
    assert np.abs(np.round(found * 255) - images).max() <= 4
    per_picture = attack_images(judge, images, truth, "pgd10-4-object", object_mask=np.stack([target] * 5), seed=2)
    np.testing.assert_array_equal(found, per_picture)
    blind = attack_images(judge, images, truth, "fgsm-4", without=images[::-1], seed=2)
    assert not np.allclose(blind, attack_images(judge, images, truth, "fgsm-4", seed=2))


# Refusals

PICTURES, CLASSES = noise(2), torch.tensor([0, 1])
MASK = torch.ones(1, 1, SIZE, SIZE)
REFUSED = {
    "pixels": (PICTURES * 255, CLASSES, "fgsm-4", {}, r"pictures are in \[0, 1\], got 0 to 255"),
    "not a number": (PICTURES * torch.nan, CLASSES, "fgsm-4", {}, r"pictures are in \[0, 1\], got nan"),
    "whole numbers": (PICTURES.byte(), CLASSES, "fgsm-4", {}, r"got \(2, 3, 20, 20\) torch.uint8"),
    "none": (PICTURES[:0], CLASSES[:0], "fgsm-4", {}, "at least one"),
    "too few classes": (PICTURES, CLASSES[:1], "fgsm-4", {}, r"classes are \(2,\) int64, got \(1,\)"),
    "unknown class": (PICTURES, CLASSES + 3, "fgsm-4", {}, "classes of tiny are 0 to 3, got 3 to 4"),
    "no sticker": (PICTURES, CLASSES, "fgsm-4-outside", {}, "fgsm-4-outside needs sticker_mask"),
    "no object": (PICTURES, CLASSES, "sticker", {}, "sticker needs object_mask"),
    "another size": (PICTURES, CLASSES, "sticker", {"object_mask": MASK[..., 1:]}, r"object_mask is \(1 or 2, 1, 20"),
    "all covered": (
        PICTURES,
        CLASSES,
        "pgd10-4-object",
        {"object_mask": MASK, "sticker_mask": torch.cat([0 * MASK, MASK])},
        "nothing of the picture is left to attack in picture 1$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case):
    images, truth, name, masks, message = REFUSED[case]
    with pytest.raises(BadInput, match=message):
        attacked(small(), images, truth, attack_named(name), **masks, seed=0)


def test_other_pictures_without_the_patch_are_refused():
    with pytest.raises(BadInput, match=r"without the patch are \(2, 3, 20, 20\), got \(1, 3, 20, 20\)"):
        attacked_blind(small(), PICTURES, PICTURES[:1], CLASSES, attack_named("fgsm-4"), seed=0)


def test_a_network_without_numbers_is_refused():
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return (images.flatten(1)[:, :4] - 2).sqrt()

    with pytest.raises(BadModel, match="tiny gives gradients that are no numbers"):
        attacked(surrogate(Broken(), 4), PICTURES, CLASSES, attack_named("pgd10-4"), seed=0)
