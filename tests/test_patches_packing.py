"""Weights in bytes: a quarter of the file, the same answers and slopes, and nothing left to do when the model runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from calibration.contract import to_tensor
from patches.fit import export_onnx
from patches.networks import ARCHITECTURES
from patches.packing import LARGEST, pack, unpack_weights, with_packed_weights
from patches.surrogates import SurrogateSource, load_surrogate
from pipeline.declaring import add_model
from pipeline.recognizers import Recognizer, check_recognizer, load_recognizer, open_session

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recognizer, Recognizer]:
    """The same network, which has filters and matrices, stored whole and packed."""
    torch.manual_seed(2)
    folder = tmp_path_factory.mktemp("both")
    whole = export_onnx(ARCHITECTURES["cct"].build(10), 48)
    return declared(folder, "whole", whole), declared(folder, "packed", with_packed_weights(whole))


def declared(folder: Path, name: str, model: bytes) -> Recognizer:
    path = folder / f"{name}-made.onnx"
    path.write_bytes(model)
    labels = [f"class-{number}" for number in range(10)]
    add_model(path, folder, name=name, labels=labels, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    return load_recognizer(folder / f"{name}.json")


def pictures() -> np.ndarray:
    return np.random.default_rng(6).integers(0, 256, (12, 48, 48, 3), dtype=np.uint8)


def test_a_quarter_of_the_bytes_and_about_the_same_answers(both):
    whole, packed = both
    assert packed.onnx.stat().st_size < 0.28 * whole.onnx.stat().st_size
    expected, found = (open_session(each).logits(pictures()) for each in both)
    assert 0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_the_self_test_is_that_of_the_stored_file(both):
    _, packed = both
    assert check_recognizer(packed).passed
    surrogate = load_surrogate(SurrogateSource(packed.contract, packed.onnx))
    assert surrogate.max_delta < 1e-5


def test_nothing_is_unpacked_when_it_runs(both, tmp_path: Path):
    """ONNX Runtime folds it, and the conversion to torch finds whole weights."""
    _, packed = both
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "folded.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(packed.onnx.read_bytes(), options, providers=["CPUExecutionProvider"])
    unpacked = onnx.load(packed.onnx)
    unpack_weights(unpacked)
    onnx.checker.check_model(unpacked)
    for graph in (onnx.load(tmp_path / "folded.onnx").graph, unpacked.graph):
        assert not [node for node in graph.node if node.op_type == "Cast"]
        assert TensorProto.INT8 not in {each.data_type for each in graph.initializer}


def test_slopes_are_those_of_the_stored_file(both):
    """Along the slope, scores rise as they do in ONNX Runtime, which knows nothing of slopes."""
    _, packed = both
    network = load_surrogate(SurrogateSource(packed.contract, packed.onnx)).network
    place = torch.from_numpy(to_tensor(pictures()[:1], packed.contract)).requires_grad_()
    network(place)[0, 3].backward()
    slope = place.grad
    step = 1e-2 * slope / slope.norm()
    session = onnxruntime.InferenceSession(packed.onnx.read_bytes(), providers=["CPUExecutionProvider"])
    up, down = (session.run(None, {"image": (place + sign * step).detach().numpy()})[0][0, 3] for sign in (1, -1))
    assert (up - down) / 2e-2 == pytest.approx(float(slope.norm()), rel=0.03)


# ---- The weights


@pytest.mark.parametrize("shape", [(40, 30), (16, 8, 3, 3), (1, 64, 144)])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_no_weight_is_off_by_more_than_half_a_step_of_its_slice(shape: tuple[int, ...], scale: float):
    weight = (scale * np.random.default_rng(7).standard_normal(shape)).astype(np.float32)
    packed = pack(weight)
    assert (packed.numbers.dtype, packed.scale.dtype) == (np.int8, np.float32)
    assert np.abs(packed.numbers.astype(int)).max() == LARGEST
    assert (np.abs(packed.whole() - weight) <= 0.501 * packed.scale).all()


def test_the_scale_stands_along_the_axis_that_the_sizes_differ_along():
    sizes = np.linspace(0.01, 1, 20)
    weight = np.random.default_rng(8).standard_normal((30, 20)).astype(np.float32) * sizes.astype(np.float32)
    assert pack(weight).scale.shape == (1, 20)
    assert pack(weight.T).scale.shape == (20, 1)


@pytest.mark.parametrize("tiny", [0.0, 1e-45, 1e-39])
def test_slices_of_zeros_stay_zeros(tiny: float):
    weight = np.ones((4, 300), np.float32)
    weight[2] = tiny
    whole = pack(weight).whole()
    assert np.isfinite(whole).all()
    assert np.abs(whole[2]).max() < 1e-38
    assert np.array_equal(whole[0], weight[0])


def small_model(**weights: np.ndarray) -> onnx.ModelProto:
    """``y = x + a + b + ...``, with names as foreign as can be."""
    nodes, at = [], "x"
    for name in weights:
        nodes.append(helper.make_node("Add", [at, name], [f"{name}_sum"]))
        at = f"{name}_sum"
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [2, 600]) for end in ("x", at)]
    stored = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


RAMP = np.linspace(-2, 2, 1200, dtype=np.float32).reshape(2, 600)


@pytest.mark.parametrize(
    ("weight", "kinds"),
    [
        (RAMP, [TensorProto.INT8, TensorProto.FLOAT]),
        (RAMP[:1], [TensorProto.FLOAT]),
        (RAMP * np.float32(np.nan), [TensorProto.FLOAT]),
        (RAMP.astype(np.float64), [TensorProto.DOUBLE]),
    ],
    ids=["large", "small", "no-numbers", "double"],
)
def test_what_is_packed(weight: np.ndarray, kinds: list[int]):
    model = small_model(a=weight)
    if weight.dtype == np.float64:
        model.graph.node.insert(0, helper.make_node("Cast", ["a"], ["a32"], to=TensorProto.FLOAT))
        model.graph.node[1].input[1] = "a32"
    stored = onnx.load_from_string(with_packed_weights(model.SerializeToString()))
    assert [each.data_type for each in stored.graph.initializer] == kinds


def test_packing_twice_is_packing_once():
    once = with_packed_weights(small_model(a=RAMP, b=RAMP).SerializeToString())
    assert with_packed_weights(once) == once


def test_models_that_were_not_packed_stay_as_they_are():
    """One has the operators of a packed one, and even its names, but with something else behind them."""
    model = small_model(a=RAMP, b=RAMP.astype(np.int8), a_scale=RAMP)
    model.graph.node[1].input[1] = "a_floats"
    model.graph.node.insert(0, helper.make_node("Cast", ["b"], ["a_floats"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("Mul", ["a_floats", "a_scale"], ["other"]))
    onnx.checker.check_model(model)
    before = model.SerializeToString()
    unpack_weights(model)
    assert model.SerializeToString() == before
