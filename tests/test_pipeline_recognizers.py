"""Recognizers: what is accepted, what is refused and how, and that an opened one computes what its contract says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.contract import Contract
from calibration.errors import BadConfig, BadInput, BadModel, BadUsage, MissingFile, NoProvider
from calibration.files import read_document, read_json, sha256_file, write_json
from pipeline.declaring import add_model
from pipeline.recognizers import (
    check_recognizer,
    load_recognizer,
    load_recognizers,
    open_session,
    require_provider,
    self_test,
    zoo_folder,
)

LABELS = ("red", "green", "blue")
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def mean_color_model(
    path: Path,
    shape: tuple[int | str, ...] = ("batch", 3, 4, 6),
    *,
    dtype: str = "float32",
    weight: np.ndarray | None = None,
    n: int = 3,
    rank: int = 2,
) -> Path:
    """A model whose scores are ``weight`` times the mean of each channel: its right answers are known."""
    axes = [2, 3] if shape[1] == 3 or len(shape) != 4 else [1, 2]
    matrix = np.eye(3, n, dtype=np.float32) if weight is None else weight
    nodes = [
        helper.make_node("Cast", ["picture"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["color"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["color", "weight"], ["mixed"]),
        helper.make_node("Cast", ["mixed"], ["scores"], to=TensorProto.FLOAT)
        if rank == 2
        else helper.make_node("Unsqueeze", ["mixed", "last"], ["scores"]),
    ]
    initializers = [numpy_helper.from_array(matrix, "weight")]
    if rank != 2:
        initializers.append(numpy_helper.from_array(np.array([2]), "last"))
    graph = helper.make_graph(
        nodes,
        "mean-color",
        [helper.make_tensor_value_info("picture", TYPES[dtype], list(shape))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def with_external_weight(path: Path, location: str) -> Path:
    """The mean-color model with its weight in another file, at ``location``."""
    model = onnx.load(mean_color_model(path))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "4"), ("length", "36")):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


WEIGHT_BYTES = b"skip" + np.eye(3, dtype=np.float32).tobytes()


def plain(color: tuple[int, int, int], height: int = 9, width: int = 9) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def add(path: Path, into: Path, **more) -> Contract:
    return add_model(path, into, **{"name": "net", "labels": LABELS, **more})


def scores_of(into: Path, images) -> np.ndarray:
    return open_session(load_recognizer(into / "net.json")).logits(images)


@pytest.mark.parametrize(
    ("shape", "layout"), [(("batch", 3, 4, 6), "NCHW"), (("batch", 4, 6, 3), "NHWC"), ((1, 3, 4, 6), "NCHW")]
)
def test_layout_and_size_are_read_from_the_model(tmp_path, shape, layout):
    contract = add(mean_color_model(tmp_path / "m.onnx", shape), tmp_path / "bench")
    assert (contract.layout, contract.height, contract.width) == (layout, 4, 6)
    scores = scores_of(tmp_path / "bench", [plain((255, 0, 51))])
    np.testing.assert_allclose(scores, [[1, 0, 0.2]], atol=1e-6)


def test_preprocessing_is_the_contracts(tmp_path):
    add(
        mean_color_model(tmp_path / "m.onnx"),
        tmp_path,
        color="BGR",
        range_max=255.0,
        mean=(1.0, 2.0, 3.0),
        std=(2.0, 4.0, 5.0),
    )
    scores = scores_of(tmp_path, [plain((53, 42, 21))])
    np.testing.assert_allclose(scores, [[10, 10, 10]], atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_input_types(tmp_path, dtype):
    contract = add(mean_color_model(tmp_path / "m.onnx", dtype=dtype), tmp_path)
    full = 255 if dtype == "uint8" else 1
    assert contract.dtype == dtype
    np.testing.assert_allclose(scores_of(tmp_path, [plain((255, 0, 0))]), [[full, 0, 0]], atol=1e-3)


def test_uint8_model_refuses_a_mean_that_would_be_dropped(tmp_path):
    model = mean_color_model(tmp_path / "m.onnx", dtype="uint8")
    with pytest.raises(BadModel, match="mean and std cannot be applied"):
        add(model, tmp_path, mean=(0.5, 0.5, 0.5))


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_fixed_batch_judges_any_number_of_pictures(tmp_path, batch):
    contract = add(mean_color_model(tmp_path / "m.onnx", (batch, 3, 4, 6)), tmp_path)
    assert contract.fixed_batch == batch
    images = [plain((k, 0, 255 - k)) for k in range(7)]
    expected = np.array([[k, 0, 255 - k] for k in range(7)]) / 255
    np.testing.assert_allclose(scores_of(tmp_path, images), expected, atol=1e-6)


def test_pictures_of_different_size_and_none_at_all(tmp_path):
    add(mean_color_model(tmp_path / "m.onnx"), tmp_path)
    scores = scores_of(tmp_path, [plain((255, 0, 0), 3, 50), plain((0, 255, 0), 70, 2)])
    assert scores.argmax(axis=1).tolist() == [0, 1]
    assert scores_of(tmp_path, np.zeros((0, 5, 5, 3), np.uint8)).shape == (0, 3)
    many = np.zeros((150, 5, 5, 3), np.uint8)
    assert scores_of(tmp_path, many).shape == (150, 3)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), "u1")]
)
def test_what_is_no_picture_is_refused(tmp_path, image):
    add(mean_color_model(tmp_path / "m.onnx"), tmp_path)
    with pytest.raises(BadInput, match="uint8"):
        scores_of(tmp_path, [image])


def test_dynamic_size_must_be_said_and_is_then_used(tmp_path):
    model = mean_color_model(tmp_path / "m.onnx", ("batch", 3, "h", "w"))
    with pytest.raises(BadModel, match="size must be said"):
        add(model, tmp_path)
    contract = add(model, tmp_path, size=(8, 10))
    assert (contract.height, contract.width) == (8, 10)


@pytest.mark.parametrize(
    ("shape", "more", "words"),
    [
        (("b", 3, 4, 6), {"layout": "NHWC"}, "contradicts layout NHWC"),
        (("b", 4, 6, 3), {"layout": "NCHW"}, "contradicts layout NCHW"),
        (("b", 3, 4, 3), {}, "NCHW or NHWC"),
        (("b", "c", 4, 6), {}, "NCHW or NHWC"),
        (("b", 1, 4, 6), {}, "3 channels"),
        (("b", 3, 4), {}, "four dimensions"),
        (("b", 3, 4, 6), {"size": (5, 6)}, "4 px high, not the 5"),
        (("b", 3, 4, 6), {"labels": [str(k) for k in range(43)]}, "gives 3 scores, labels name 43"),
    ],
)
def test_contradictions_are_named(tmp_path, shape, more, words):
    model = mean_color_model(tmp_path / "m.onnx", shape)
    with pytest.raises(BadModel, match=words):
        add(model, tmp_path / "bench", **more)
    assert not (tmp_path / "bench").exists()


def test_ambiguous_layout_is_decided_by_the_caller(tmp_path):
    model = mean_color_model(tmp_path / "m.onnx", ("b", 3, 4, 3))
    assert add(model, tmp_path, layout="NCHW").width == 3


def test_labels_are_required(tmp_path):
    with pytest.raises(BadInput, match="labels are missing"):
        add(mean_color_model(tmp_path / "m.onnx"), tmp_path, labels=[])


def test_name_must_be_a_file_name(tmp_path):
    with pytest.raises(BadConfig, match="name"):
        add(mean_color_model(tmp_path / "m.onnx"), tmp_path, name="../net")


def test_scores_of_other_rank_are_refused(tmp_path):
    with pytest.raises(BadModel, match=r"scores of shape \(1, 3, 1\)"):
        add(mean_color_model(tmp_path / "m.onnx", rank=3), tmp_path)


def test_nan_is_refused(tmp_path):
    weight = np.full((3, 3), np.nan, np.float32)
    with pytest.raises(BadModel, match="NaN"):
        add(mean_color_model(tmp_path / "m.onnx", weight=weight), tmp_path)


def test_other_input_types_and_second_inputs_are_refused(tmp_path):
    model = onnx.load(mean_color_model(tmp_path / "m.onnx"))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    (tmp_path / "int.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadModel, match="int64"):
        add(tmp_path / "int.onnx", tmp_path)
    model.graph.input.append(helper.make_tensor_value_info("state", TensorProto.FLOAT, [1]))
    (tmp_path / "two.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadModel, match="2 inputs"):
        add(tmp_path / "two.onnx", tmp_path)


@pytest.mark.parametrize("keep", [0, 10, -1, -40])
def test_truncated_file_is_refused(tmp_path, keep):
    model = mean_color_model(tmp_path / "m.onnx")
    model.write_bytes(model.read_bytes()[:keep])
    with pytest.raises(BadModel, match=r"m\.onnx"):
        add(model, tmp_path / "bench")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(MissingFile):
        add(tmp_path / "m.onnx", tmp_path)


def test_external_data_beside_the_model_is_taken_in(tmp_path):
    model = with_external_weight(tmp_path / "m.onnx", "sub/weights.bin")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/weights.bin").write_bytes(WEIGHT_BYTES)
    add(model, tmp_path / "bench")
    (tmp_path / "sub/weights.bin").unlink()
    np.testing.assert_allclose(scores_of(tmp_path / "bench", [plain((255, 0, 0))]), [[1, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("how", ["absolute", "parent", "hidden-parent", "symlink", "linked-folder", "windows", "empty"])
def test_external_data_outside_is_refused(tmp_path, how):
    home, outside = tmp_path / "home", tmp_path / "outside"
    for folder in (home, outside):
        folder.mkdir()
    secret = outside / "weights.bin"
    secret.write_bytes(WEIGHT_BYTES)
    (home / "link.bin").symlink_to(secret)
    (home / "linked").symlink_to(outside)
    location = {
        "absolute": str(secret),
        "parent": "../outside/weights.bin",
        "hidden-parent": "x/../../outside/weights.bin",
        "symlink": "link.bin",
        "linked-folder": "linked/weights.bin",
        "windows": r"..\outside\weights.bin",
        "empty": "",
    }[how]
    with pytest.raises(BadModel, match="outside its own folder"):
        add(with_external_weight(home / "m.onnx", location), tmp_path / "bench")
    assert not (tmp_path / "bench").exists()


@pytest.mark.parametrize("content", [None, b"too short"])
def test_external_data_missing_or_truncated(tmp_path, content):
    model = with_external_weight(tmp_path / "m.onnx", "weights.bin")
    if content is not None:
        (tmp_path / "weights.bin").write_bytes(content)
    with pytest.raises(BadModel, match=r"no file beside it|truncated"):
        add(model, tmp_path / "bench")


def test_external_data_in_a_subgraph_is_found(tmp_path):
    model = onnx.load(with_external_weight(tmp_path / "m.onnx", "../weights.bin"), load_external_data=False)
    hidden = helper.make_node("Constant", [], ["hidden"], value=model.graph.initializer[0])
    body = helper.make_graph([hidden], "body", [], [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [3, 3])])
    del model.graph.initializer[:]
    yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    model.graph.node.insert(0, helper.make_node("If", ["yes"], ["weight"], then_branch=body, else_branch=body))
    model.graph.node.insert(0, yes)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadModel, match="outside its own folder"):
        add(tmp_path / "m.onnx", tmp_path / "bench")


def test_stored_model_may_not_point_anywhere(tmp_path):
    contract = add(mean_color_model(tmp_path / "m.onnx"), tmp_path)
    stored = with_external_weight(tmp_path / contract.file, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(WEIGHT_BYTES)
    change(tmp_path / "net.json", sha256=sha256_file(stored))
    with pytest.raises(BadModel, match="another file"):
        open_session(load_recognizer(tmp_path / "net.json"))


def change(path: Path, **values) -> None:
    write_json(path, {**read_json(path), **values})


def test_adding_again_changes_nothing_and_another_is_refused(tmp_path):
    model = mean_color_model(tmp_path / "m.onnx")
    first = add(model, tmp_path / "bench")
    before = (tmp_path / "bench/net.json").stat().st_mtime_ns
    assert add(model, tmp_path / "bench") == first
    assert (tmp_path / "bench/net.json").stat().st_mtime_ns == before
    with pytest.raises(BadInput, match="another recognizer is named net"):
        add(model, tmp_path / "bench", mean=(0.5, 0.5, 0.5))
    assert read_document(tmp_path / "bench/net.json", Contract) == first


def test_self_test_passes_and_tampering_is_found(tmp_path):
    add(mean_color_model(tmp_path / "m.onnx"), tmp_path)
    recognizer = load_recognizer(tmp_path / "net.json")
    outcome = self_test(open_session(recognizer))
    assert outcome.passed
    assert outcome.max_delta < 1e-6

    recognizer.onnx.write_bytes(
        mean_color_model(tmp_path / "n.onnx", weight=2 * np.eye(3, dtype=np.float32)).read_bytes()
    )
    with pytest.raises(BadModel, match="sha256"):
        open_session(recognizer)
    assert "sha256" in check_recognizer(recognizer).reason

    recognizer.onnx.unlink()
    assert not check_recognizer(recognizer).passed
    with pytest.raises(MissingFile):
        open_session(recognizer)


def test_a_contract_that_changed_fails_the_self_test(tmp_path):
    add(mean_color_model(tmp_path / "m.onnx"), tmp_path)
    change(tmp_path / "net.json", mean=[0.1, 0.1, 0.1])
    recognizer = load_recognizer(tmp_path / "net.json")
    outcome = check_recognizer(recognizer)
    assert not outcome.passed
    assert outcome.max_delta == pytest.approx(0.1, abs=1e-3)
    with pytest.raises(BadModel, match="fails its self-test"):
        open_session(recognizer)
    change(tmp_path / "net.json", self_test=None)
    assert "no self-test" in check_recognizer(load_recognizer(tmp_path / "net.json")).reason


def test_loading_skips_other_documents_and_refuses_two_of_a_name(tmp_path):
    for folder in ("a", "b"):
        add(mean_color_model(tmp_path / "m.onnx"), tmp_path / folder)
    write_json(tmp_path / "a/other.json", {"format": "dpcam.zoo"})
    write_json(tmp_path / "a/list.json", [])
    assert [each.name for each in load_recognizers([tmp_path / "a"])] == ["net"]
    with pytest.raises(BadConfig, match="two recognizers are named net"):
        load_recognizers([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(MissingFile):
        load_recognizers([tmp_path / "none"])


@pytest.mark.parametrize("values", [{"file": "../net.onnx"}, {"std": [0, 1, 1]}, {"surprise": 1}])
def test_bad_contracts_are_refused(tmp_path, values):
    add(mean_color_model(tmp_path / "m.onnx"), tmp_path)
    change(tmp_path / "net.json", **values)
    with pytest.raises(BadConfig, match=next(iter(values))):
        load_recognizers([tmp_path])


def test_provider_is_the_one_that_was_asked_for(tmp_path, capfd):
    add(mean_color_model(tmp_path / "m.onnx"), tmp_path)
    recognizer = load_recognizer(tmp_path / "net.json")
    with pytest.raises(BadUsage, match="cpu, cuda"):
        open_session(recognizer, "tpu")
    require_provider("cpu")
    assert cuda_or_refusal(recognizer) in ("CUDAExecutionProvider", 4)
    assert capfd.readouterr() == ("", "")


def cuda_or_refusal(recognizer) -> str | int:
    """The provider that runs first when CUDA is asked for, or the exit code of the refusal."""
    try:
        return open_session(recognizer, "cuda").session.get_providers()[0]
    except NoProvider as error:
        return error.exit_code


def test_zoo_folder_is_part_of_the_product():
    assert zoo_folder().parts[-3:] == ("pipeline", "zoo", "models")
