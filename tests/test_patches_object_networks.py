"""Networks for photographs of objects: small, of the right shape, exported, converted, and small on disk, too."""

from __future__ import annotations

import functools

import pytest
import torch

from patches.fit import export_onnx
from patches.networks import ARCHITECTURES
from patches.object_networks import OBJECT_ARCHITECTURES
from patches.packing import with_packed_weights
from patches.surrogates import convert, first_output

torch.set_num_threads(1)

EVERY = pytest.mark.parametrize("name", OBJECT_ARCHITECTURES)
LABELS = 10
MOST_PARAMETERS = 860_000
MOST_BYTES = 4_000_000


@functools.cache
def built(name: str) -> torch.nn.Module:
    """Seeded, with the statistics of a few batches, so that normalization does something."""
    torch.manual_seed(8)
    network = OBJECT_ARCHITECTURES[name].build(LABELS).train()
    with torch.no_grad():
        for _ in range(5):
            network(torch.randn(8, 3, 32, 32))
    return network.eval()


@functools.cache
def exported(name: str) -> bytes:
    return export_onnx(built(name), OBJECT_ARCHITECTURES[name].size_px)


def test_five_families_by_their_names():
    assert list(OBJECT_ARCHITECTURES) == [each.name for each in OBJECT_ARCHITECTURES.values()]
    assert len({each.family for each in OBJECT_ARCHITECTURES.values()}) == 5
    assert {(each.subject, each.size_px) for each in OBJECT_ARCHITECTURES.values()} == {("objects", 32)}
    assert {each.subject for each in ARCHITECTURES.values()} == {"signs"}


@EVERY
def test_small_and_of_the_right_shape(name: str):
    network = built(name)
    assert sum(each.numel() for each in network.parameters()) < MOST_PARAMETERS
    for batch in (1, 3):
        with torch.no_grad():
            logits = network(torch.randn(batch, 3, 32, 32))
        assert (tuple(logits.shape), logits.dtype) == ((batch, LABELS), torch.float32)
        assert logits.isfinite().all()


@EVERY
def test_every_parameter_gets_a_slope(name: str):
    network = OBJECT_ARCHITECTURES[name].build(LABELS)
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert [
        key for key, each in network.named_parameters() if each.grad is None or not each.grad.isfinite().all()
    ] == []


@EVERY
def test_exported_and_converted_it_is_the_same_network(name: str):
    pictures = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        expected = built(name)(pictures)
        found = first_output(convert(exported(name), name)(pictures))
    assert float((found - expected).abs().max()) < 1e-4


def test_all_together_are_small_on_disk():
    assert sum(len(with_packed_weights(exported(name))) for name in OBJECT_ARCHITECTURES) < MOST_BYTES
