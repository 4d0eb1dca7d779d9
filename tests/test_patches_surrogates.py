"""Surrogates: ONNX in torch with proven parity, preprocessing like the recognizer's, refusals in clear words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from calibration.contract import Contract, resize_rgb, to_tensor
from calibration.errors import BadInput, BadModel
from calibration.files import sha256_file
from patches.surrogates import Surrogate, SurrogateSource, load_surrogate, load_surrogates, prepare, true_shares
from pipeline.declaring import add_model
from pipeline.recognizers import load_recognizer, open_session, zoo_folder

torch.set_num_threads(1)

LABELS = ["stop", "yield", "no-entry", "keep-right", "roundabout"]
HEIGHT, WIDTH = 12, 10


def network(
    path: Path, *, layout: str = "NCHW", dtype: int = TensorProto.FLOAT, batch: int | str = "n", last: str = ""
):
    """A convolution, ReLU, mean over places, linear; with what a user's model may have before and after."""
    rng = np.random.default_rng(1)
    shape = [batch, 3, HEIGHT, WIDTH] if layout == "NCHW" else [batch, HEIGHT, WIDTH, 3]
    scale = 1 / 64 if dtype == TensorProto.UINT8 else 2.0
    weights = {
        "kernel": (scale * rng.standard_normal((8, 3, 3, 3))).astype(np.float32),
        "bias": rng.standard_normal(8).astype(np.float32),
        "linear": rng.standard_normal((8, len(LABELS))).astype(np.float32),
    }
    nodes, at = [], "x"

    def then(op: str, *more: str, **attributes) -> None:
        nonlocal at
        nodes.append(helper.make_node(op, [at, *more], [f"t{len(nodes)}"], **attributes))
        at = f"t{len(nodes) - 1}"

    if dtype != TensorProto.FLOAT:
        then("Cast", to=TensorProto.FLOAT)
    if layout == "NHWC":
        then("Transpose", perm=[0, 3, 1, 2])
    if last == "Round":
        then("Round")
    then("Conv", "kernel", "bias", pads=[1, 1, 1, 1])
    then("Relu")
    then("GlobalAveragePool")
    then("Flatten")
    then("MatMul", "linear")
    if last == "Softmax":
        then("Softmax", axis=1)
    nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, len(LABELS)])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def added(folder: Path, build: dict | None = None, **declared) -> SurrogateSource:
    network(folder / "user.onnx", **(build or {}))
    contract = add_model(folder / "user.onnx", folder / "models", name="tiny", labels=LABELS, **declared)
    return SurrogateSource(contract, folder / "models" / contract.file)


KINDS = {
    "plain": ({}, {}),
    "normalized": ({}, {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3)}),
    "bgr-255": ({}, {"color": "BGR", "range_max": 255.0, "mean": (104.0, 117.0, 124.0)}),
    "nhwc": ({"layout": "NHWC"}, {}),
    "uint8": ({"dtype": TensorProto.UINT8}, {}),
    "one-at-a-time": ({"batch": 1}, {}),
    "three-at-a-time": ({"batch": 3}, {}),
    "probabilities": ({"last": "Softmax"}, {"output": "probabilities"}),
    "float16": ({"dtype": TensorProto.FLOAT16}, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_onnxruntime_and_give_gradients(tmp_path, kind):
    source = added(tmp_path, *KINDS[kind][:1], **KINDS[kind][1])
    surrogate = load_surrogate(source)
    pictures = np.random.default_rng(7).integers(0, 256, (4, HEIGHT, WIDTH, 3), dtype=np.uint8)
    expected = open_session(load_recognizer(source.onnx.with_suffix(".json"))).logits(pictures)
    pixels = (torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255).requires_grad_()
    found = surrogate.logits(pixels)
    if source.contract.output == "probabilities":
        expected = np.log(expected)
    tolerance = 2e-2 if kind == "float16" else 1e-4
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5, atol=tolerance)
    found.square().sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.abs().max() > 0
    assert all(not each.requires_grad for each in surrogate.network.parameters())


@pytest.mark.parametrize("rule", ["area", "bilinear"])
@pytest.mark.parametrize("size", [(48, 40), (31, 29), (12, 10), (6, 5), (8, 30)])
def test_preprocessing_is_the_contracts(rule, size):
    contract = Contract(
        name="any", file="any.onnx", sha256="", input_name="x", height=HEIGHT, width=WIDTH, labels=LABELS, resize=rule,
        color="BGR", layout="NHWC", range_max=2.0, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7),
    )  # fmt: skip
    picture = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = to_tensor(resize_rgb(picture, HEIGHT, WIDTH, rule)[None], contract)
    found = prepare(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255, contract)
    # OpenCV rounds to whole levels, and computes with fixed-point weights.
    np.testing.assert_allclose(found, expected, atol=1.1 / 255 * 2.0 / 0.5)


def test_a_conversion_that_is_off_is_refused_with_the_number(tmp_path):
    source = added(tmp_path)
    test = source.contract.self_test
    wrong = test.model_copy(update={"logits": [test.logits[0] + 0.25, *test.logits[1:]]})
    with pytest.raises(BadModel, match=r"tiny in torch is off from its self-test by 0\.25; 0\.001 is accepted"):
        load_surrogate(SurrogateSource(source.contract.model_copy(update={"self_test": wrong}), source.onnx))


def test_a_model_without_gradient_is_refused(tmp_path):
    with pytest.raises(BadModel, match="tiny gives no usable gradient"):
        load_surrogate(added(tmp_path, {"last": "Round"}))


def test_other_bytes_than_declared_are_refused(tmp_path):
    source = added(tmp_path)
    source.onnx.write_bytes(source.onnx.read_bytes() + b" ")
    with pytest.raises(BadModel, match="sha256 differs"):
        load_surrogate(source)


def test_no_model_and_no_self_test_are_refused(tmp_path):
    source = added(tmp_path)
    with pytest.raises(BadModel, match="no self-test"):
        load_surrogate(SurrogateSource(source.contract.model_copy(update={"self_test": None}), source.onnx))
    source.onnx.write_bytes(b"this is no model")
    contract = source.contract.model_copy(update={"sha256": sha256_file(source.onnx)})
    with pytest.raises(BadModel, match="tiny cannot be converted"):
        load_surrogate(SurrogateSource(contract, source.onnx))


def test_an_unknown_label_is_named(tmp_path):
    surrogate = load_surrogate(added(tmp_path))
    assert surrogate.index("no-entry") == 2
    with pytest.raises(BadInput, match="tiny does not know the class 'goat'; it knows stop"):
        surrogate.index("goat")


def test_true_shares_count_right_answers():
    class First(torch.nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0, 0, 0], 1 - x[:, 0, 0, 0]], dim=1)

    contract = Contract(name="a", file="a", sha256="", input_name="x", height=2, width=2, labels=["white", "black"])
    images = torch.tensor([1.0, 1.0, 1.0, 0.0])[:, None, None, None].expand(-1, 3, 2, 2)
    assert true_shares([Surrogate(contract, First(), 0.0)], images, [torch.zeros(4).long()]) == [0.75]


def test_the_zoo_converts_with_parity():
    paths = sorted(zoo_folder().glob("*.json")) if zoo_folder().is_dir() else []
    recognizers = [load_recognizer(path) for path in paths]
    if not recognizers:
        pytest.skip("the zoo's models are not in this checkout")
    loaded = load_surrogates([SurrogateSource(each.contract, each.onnx) for each in recognizers])
    assert max(each.max_delta for each in loaded) < 1e-3
