"""What people and scripts really hand in: odd models, odd names, odd folders. Each case once broke something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.contract import Contract
from calibration.errors import BadConfig, BadModel
from calibration.files import in_file_name, read_json
from pipeline.cli.models import _size
from pipeline.recognizers import add_model

LABELS = ["a", "b", "c"]


def tiny_model(path: Path, *, batch: int | None = None, softmax: bool = False, location: str = "") -> Path:
    """A network of one convolution that takes 16x16 pictures and knows three classes."""
    kernel = numpy_helper.from_array(np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32), "w")
    if location:
        kernel.ClearField("raw_data")
        kernel.data_location = TensorProto.EXTERNAL
        kernel.external_data.add(key="location", value=location)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Softmax" if softmax else "Identity", ["f"], ["y"]),
    ]
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch or "n", 3, 16, 16])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "tiny", [picture], [scores], [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def added(path: Path, **more: object) -> Contract:
    return add_model(path, path.parent / "models", **{"name": "tiny", "labels": LABELS, **more})


@pytest.mark.parametrize(("softmax", "output"), [(True, "probabilities"), (False, "logits")])
def test_what_a_model_gives_is_seen_from_its_scores(tmp_path, softmax, output):
    assert added(tiny_model(tmp_path / "net.onnx", softmax=softmax)).output == output


def test_what_is_no_probability_is_not_taken_for_one(tmp_path):
    with pytest.raises(BadModel, match="no probabilities"):
        added(tiny_model(tmp_path / "net.onnx"), output="probabilities")


def test_an_open_batch_may_be_written_as_minus_one(tmp_path):
    assert added(tiny_model(tmp_path / "net.onnx", batch=-1)).fixed_batch is None


def test_external_data_at_no_possible_place(tmp_path):
    with pytest.raises(BadModel, match="outside its own folder"):
        added(tiny_model(tmp_path / "net.onnx", location="w\0.bin"))


@pytest.mark.parametrize(
    "values",
    [{"std": (np.inf,) * 3}, {"std": (0.0, 1.0, 1.0)}, {"mean": (1e39, 0, 0)}, {"name": "x" * 300}],
    ids=lambda values: next(iter(values)),
)
def test_numbers_that_make_a_recognizer_blind_are_refused(tmp_path, values):
    with pytest.raises(BadConfig, match=next(iter(values))):
        added(tiny_model(tmp_path / "net.onnx"), **values)


@pytest.mark.parametrize(("text", "size"), [("16", (16, 16)), ("20X16", (20, 16))])
def test_size_is_one_number_or_two(text, size):
    assert _size(text) == size


def test_json_of_absurd_depth_is_no_json(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(BadConfig, match="not JSON"):
        read_json(tmp_path / "deep.json")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("traffic light", "traffic-light"),
        ("../x/y", "x-y"),
        ("Vorfahrt gewähren", "Vorfahrt-gewähren"),
        ("..", "unnamed"),
    ],
)
def test_labels_of_users_become_file_names(word, name):
    assert in_file_name(word) == name
    assert len(in_file_name(word * 100)) <= 60
