"""Muon: steps that are about orthogonal, a convolutional network that learns, and runs that resume byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from calibration.errors import BadInput
from patches import fit
from patches.muon import Muon, matrices_of, orthogonal
from patches.networks import Architecture, Head, conv_bn

torch.set_num_threads(1)


# ---- The step


@pytest.mark.parametrize("shape", [(8, 27), (24, 216), (96, 432), (64, 16), (128, 48)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_singular_values_come_near_one(shape: tuple[int, int], scale: float):
    matrix = scale * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = orthogonal(matrix)
    assert (found.shape, found.dtype) == (matrix.shape, torch.float32)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3
    # It is the nearest one that is meant, not just any.
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert nn.functional.cosine_similarity(found.flatten(), (left @ right).flatten(), dim=0) > 0.97


def test_no_slope_is_no_step():
    assert torch.equal(orthogonal(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_it_takes_filters_and_hidden_matrices_only():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(72, 64), nn.Linear(64, 10)
    )
    assert [tuple(each.shape) for each in matrices_of(network)] == [(8, 3, 3, 3), (64, 72)]


def test_filters_keep_their_norm():
    filters = nn.Parameter(torch.randn(16, 4, 3, 3, generator=torch.Generator().manual_seed(2)))
    optimizer = Muon([filters])
    for _ in range(5):
        filters.grad = torch.randn(filters.shape, generator=torch.Generator().manual_seed(3))
        optimizer.step()
    assert float(filters.detach().norm()) == pytest.approx(4.0, rel=0.2)


# ---- Learning


def tiny(n_labels: int) -> nn.Module:
    return nn.Sequential(conv_bn(3, 8), nn.MaxPool2d(4), conv_bn(8, 16), nn.MaxPool2d(2), Head(16, n_labels, 0.0))


TINY = Architecture("tiny", "tiny", tiny, 32, 2, 4e-3, "objects", bfloat16=False, muon=True)


def stripes() -> fit.Pictures:
    """200 noisy pictures of stripes in four directions, which no single pixel tells apart."""
    rng = np.random.default_rng(4)
    labels = np.arange(200) % 4
    down, right = np.mgrid[:32, :32]
    waves = [(1, 0), (0, 1), (1, 1), (1, -1)]
    phases = rng.uniform(0, 2 * np.pi, 200)
    drawn = [
        np.sin(a * down + b * right + phase) for (a, b), phase in zip([waves[k] for k in labels], phases, strict=True)
    ]
    images = 128 + 40 * np.stack(drawn)[..., None] + rng.normal(0, 30, (200, 32, 32, 3))
    return fit.Pictures(images.clip(0, 255).astype(np.uint8), labels.astype(np.int64), 4)


def to_input(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(((images / 255 - 0.5) / 0.25).transpose(0, 3, 1, 2), np.float32)


def test_a_convolutional_network_learns():
    pictures = stripes()
    # Mirroring turns one diagonal into the other, so here the pictures come as they are.
    inputs, labels = torch.from_numpy(to_input(pictures.images)), torch.from_numpy(pictures.labels)
    torch.manual_seed(1)
    network = tiny(4)
    settings = fit.FitSettings(seed=1, epochs=1, peak_rate=4e-3)
    optimizers = fit.optimizers_of(network, TINY, settings)
    assert [type(each) for each in optimizers] == [Muon, torch.optim.AdamW]
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(network(inputs), labels)
        network.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 < 1.0 < losses[0]


# ---- A run by the recipe's loop


def run(checkpoint: Path, *, seed: int = 3, attack: float = 0.0, kill_at: float = 2.0) -> dict[str, torch.Tensor]:
    """Weights after three epochs of four steps."""

    def progress(share: float, _line: str) -> None:
        if share > kill_at:
            raise KeyboardInterrupt

    settings = fit.FitSettings(seed=seed, epochs=3, peak_rate=4e-3, batch=50, attack_levels=attack)
    network = fit.fit(TINY, stripes(), settings, to_input=to_input, checkpoint=checkpoint, progress=progress)
    return network.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("attack", [0.0, 4.0])
def test_a_killed_run_resumes_byte_by_byte(tmp_path: Path, attack: float):
    whole = run(tmp_path / "whole.pt", attack=attack)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed.pt", attack=attack, kill_at=0.7)
    assert fit.read_checkpoint(tmp_path / "killed.pt")["epoch"] == 2
    assert same(run(tmp_path / "killed.pt", attack=attack), whole)
    # What is finished is not trained again: the file's bytes stay.
    kept = (tmp_path / "killed.pt").read_bytes()
    assert same(run(tmp_path / "killed.pt", attack=attack, kill_at=0.0), whole)
    assert (tmp_path / "killed.pt").read_bytes() == kept == (tmp_path / "whole.pt").read_bytes()


def test_seed_and_attack_decide_the_weights_and_another_run_is_not_continued(tmp_path: Path):
    plain = run(tmp_path / "plain.pt")
    assert not same(run(tmp_path / "other.pt", seed=4), plain)
    hardened = run(tmp_path / "hardened.pt", attack=4.0)
    assert not same(hardened, plain)
    (tmp_path / "mixed.pt").write_bytes((tmp_path / "plain.pt").read_bytes())
    assert same(run(tmp_path / "mixed.pt", attack=4.0), hardened)


def test_a_checkpoint_without_its_momentum_is_refused(tmp_path: Path):
    path = tmp_path / "run.pt"
    run(path)
    torch.save({"stamp": "", "epoch": 1, "network": {}}, path)
    with pytest.raises(BadInput, match="no checkpoint of dpcam"):
        run(path)


def test_the_attack_raises_the_loss_within_its_bound():
    torch.manual_seed(5)
    network = tiny(4).eval()
    inputs, labels = torch.from_numpy(to_input(stripes().images[:40])), torch.arange(40) % 4

    def loss_of(images: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(network(images), labels)

    moved = fit.attacked(inputs, loss_of, 0.1)
    assert float((moved - inputs).abs().max()) <= 0.1 + 1e-6
    assert loss_of(moved) > loss_of(inputs)
