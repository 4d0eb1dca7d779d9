"""Look into an ONNX file before anything runs it: what it takes, what it gives, and whether it is whole.

Nothing outside the model's own folder is ever read: a model whose tensors point elsewhere is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from calibration.contract import Layout, Output
from calibration.errors import BadModel
from calibration.files import read_bytes

PROBABILITY_SLACK = 0.01
"""How far rounding, in float16 at worst, may carry probabilities."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What an ONNX model says about itself; None stands for a dimension that is left open.

    ``shape`` is the input's four dimensions in the model's own order, ``data`` the whole model as one file.
    """

    path: Path
    data: bytes
    input_name: str
    dtype: str
    shape: tuple[int | None, int | None, int | None, int | None]

    @property
    def batch(self) -> int | None:
        """The fixed batch, or None when it is open."""
        return self.shape[0]


def inspect_model(path: Path) -> ModelFacts:
    """Read the model at ``path``, with its external data taken in.

    Raises :class:`MissingFile` when there is none, :class:`BadModel` when it is truncated, points outside its own
    folder, takes anything but one four-dimensional picture of float32, float16 or uint8, or gives several outputs.
    """
    data = read_bytes(path)
    model = parse_model(data, path)
    external = list(external_tensors(model))
    for tensor in external:
        take_in(tensor, path)
    graph_input = only_input(model, path)
    if len(model.graph.output) != 1:
        names = ", ".join(output.name for output in model.graph.output)
        raise bad(path, f"gives {len(model.graph.output)} outputs ({names}); a recognizer gives one, the scores")
    return ModelFacts(
        path=path,
        data=serialize(model, path) if external else data,
        input_name=graph_input.name,
        dtype=input_dtype(graph_input, path),
        shape=input_shape(graph_input, path),
    )


def bad(path: Path, what: str, hint: str = "") -> BadModel:
    """A :class:`BadModel` about the file at ``path``."""
    return BadModel(f"{path.name} {what}", hint=hint, where=str(path))


def parse_model(data: bytes, path: Path) -> Any:
    """ONNX bytes → ``onnx.ModelProto``; :class:`BadModel` when they do not parse."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise bad(path, "is no ONNX model: it is truncated or corrupted") from error
    if not model.graph.node or not model.opset_import:
        raise bad(path, "is no ONNX model: it holds no graph")
    return model


def serialize(model: Any, path: Path) -> bytes:
    """The model as one file; :class:`BadModel` beyond the 2 GiB that the format allows."""
    try:
        return bytes(model.SerializeToString())
    except Exception as error:  # protobuf raises EncodeError or ValueError, by version
        raise bad(path, f"cannot be stored as one file: {error}") from error


def refuse_external_data(data: bytes, path: Path) -> None:
    """Raise :class:`BadModel` when a stored model is not the one whole file that it must be."""
    for tensor in external_tensors(parse_model(data, path)):
        raise bad(path, f"keeps the tensor {tensor.name} in another file", "add it again: dpcam models add")


def external_tensors(model: Any) -> Iterator[Any]:
    """All tensors whose bytes are said to lie in another file."""
    import onnx

    for tensor in [*graph_tensors(model.graph), *function_tensors(model)]:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield tensor


def function_tensors(model: Any) -> Iterator[Any]:
    """Tensors in the bodies of the model's own functions."""
    for function in model.functions:
        yield from node_tensors(function.node)


def graph_tensors(graph: Any) -> Iterator[Any]:
    """Tensors of a graph: initializers, dense and sparse, and those in its nodes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from node_tensors(graph.node)


def node_tensors(nodes: Any) -> Iterator[Any]:
    """Tensors in the attributes of nodes, and in the graphs that these hold."""
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from graph_tensors(graph)


def take_in(tensor: Any, path: Path) -> None:
    """Replace a tensor's reference to a file beside the model by the bytes themselves."""
    import onnx

    entries = {entry.key: entry.value for entry in tensor.external_data}
    file = beside(entries.get("location", ""), tensor.name, path)
    offset, length = (whole_number(entries.get(key, "0"), tensor.name, path) for key in ("offset", "length"))
    content = read_bytes(file)
    end = offset + length if length else len(content)
    if end > len(content):
        raise bad(path, f"expects {end} bytes in {file.name}, which has {len(content)}: it is truncated")
    tensor.raw_data = content[offset:end]
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def whole_number(text: str, tensor: str, path: Path) -> int:
    """An offset or length of external data."""
    if not text.isdecimal():
        raise bad(path, f"gives {text!r} as place of the tensor {tensor}; a number of bytes is expected")
    return int(text)


def beside(location: str, tensor: str, path: Path) -> Path:
    """The file at ``location`` relative to the model's folder; :class:`BadModel` when that lies outside.

    The rule holds for the path as written (absolute, ``..``, a drive) and for where its links lead.
    """
    written = PureWindowsPath(location)
    outside = PurePosixPath(location).is_absolute() or bool(written.anchor) or ".." in written.parts
    folder = path.parent.resolve()
    if not location or "\0" in location or outside or not (folder / location).resolve().is_relative_to(folder):
        raise bad(
            path,
            f"keeps the tensor {tensor} outside its own folder, at {location!r}",
            "export it again as one file, or with its data beside it",
        )
    file = (folder / location).resolve()
    if not file.is_file():
        raise bad(path, f"keeps the tensor {tensor} in {location!r}, which is no file beside it")
    return file


def only_input(model: Any, path: Path) -> Any:
    """The one input that is not a weight."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs)
        raise bad(path, f"takes {len(inputs)} inputs ({names}); a recognizer takes one, the picture")
    return inputs[0]


def input_dtype(graph_input: Any, path: Path) -> str:
    """float32, float16 or uint8."""
    from onnx import TensorProto

    known = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.UINT8: "uint8"}
    found = graph_input.type.tensor_type.elem_type
    if found not in known:
        name = TensorProto.DataType.Name(found).lower()
        raise bad(path, f"takes {name} pixels; accepted are {', '.join(known.values())}")
    return known[found]


def input_shape(graph_input: Any, path: Path) -> tuple[int | None, int | None, int | None, int | None]:
    """The input's four dimensions, None where open."""
    # Some exporters write an open dimension as -1.
    dims = [dim.dim_value if dim.dim_value > 0 else None for dim in graph_input.type.tensor_type.shape.dim]
    if len(dims) != 4:
        raise bad(path, f"takes an input of shape {show(dims)}; a batch of pictures has four dimensions")
    return dims[0], dims[1], dims[2], dims[3]


def show(dims: Any) -> str:
    """A shape for a message, ``?`` where a dimension is open."""
    return "(" + ", ".join("?" if dim is None else str(dim) for dim in dims) + ")"


def decide_layout(facts: ModelFacts, asked: Layout | None) -> Layout:
    """The layout by where the three channels stand; ``asked`` decides what the shape leaves open."""
    possible: dict[Layout, int | None] = {"NCHW": facts.shape[1], "NHWC": facts.shape[3]}
    if asked is not None and possible[asked] not in (3, None):
        raise bad(
            facts.path,
            f"takes an input of shape {show(facts.shape)}, which contradicts layout {asked}: "
            f"it would have {possible[asked]} channels, not 3",
        )
    if asked is not None:
        return asked
    fitting = [layout for layout, channels in possible.items() if channels == 3]
    if len(fitting) == 1:
        return fitting[0]
    if fitting or None in possible.values():
        raise bad(facts.path, f"takes {show(facts.shape)}: NCHW or NHWC?", "say which with --layout")
    raise bad(facts.path, f"takes {show(facts.shape)}; a picture has 3 channels, in second or last place")


def decide_size(facts: ModelFacts, layout: Layout, asked: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) in px, from the shape or, where that is open, as ``asked``."""
    height, width = facts.shape[2:] if layout == "NCHW" else facts.shape[1:3]
    if asked is None and (height is None or width is None):
        raise bad(
            facts.path,
            f"takes pictures of any size, {show(facts.shape)}: the size must be said",
            "give --size, as HEIGHTxWIDTH or one number",
        )
    asked_height, asked_width = asked or (None, None)
    if asked_height not in (None, height) and height is not None:
        raise bad(facts.path, f"takes pictures {height} px high, not the {asked_height} px asked for")
    if asked_width not in (None, width) and width is not None:
        raise bad(facts.path, f"takes pictures {width} px wide, not the {asked_width} px asked for")
    return int(height or asked_height or 0), int(width or asked_width or 0)


def decide_output(path: Path, asked: Output | None, scores: Sequence[float]) -> Output:
    """``probabilities`` when the scores of one picture are positive and add up to 1, unless ``asked``.

    :class:`BadModel` when the model was said to give probabilities, and gives something else.
    """
    within = min(scores) >= -PROBABILITY_SLACK and max(scores) <= 1 + PROBABILITY_SLACK
    if asked == "probabilities" and not within:
        raise bad(path, f"gives {min(scores):.3g} to {max(scores):.3g}: no probabilities", "leave --output away")
    return asked or ("probabilities" if within and abs(sum(scores) - 1) <= PROBABILITY_SLACK else "logits")
