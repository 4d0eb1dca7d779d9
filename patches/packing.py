"""Weights in bytes: a model file of a quarter of the size that is computed as before.

A weight is stored as a whole number from -127 to 127, with a scale for each slice along one axis; the graph multiplies
it out. So nothing but the weights is rounded, ONNX Runtime folds it away when it loads the model, and there is no
quantized operator that a converter would have to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

LEAST_NUMBERS = 1024
"""Smaller tensors stay as they are: scales, shifts and single numbers are worth more than their bytes."""

LARGEST = 127


@dataclass(frozen=True, slots=True)
class Packed:
    """``numbers`` int8 of the weight's shape; ``scale`` float32, of length 1 along all axes but one."""

    numbers: NDArray[np.int8]
    scale: NDArray[np.float32]

    def whole(self) -> NDArray[np.float32]:
        """The weight, float32."""
        return self.numbers.astype(np.float32) * self.scale


def pack(weight: NDArray[np.float32]) -> Packed:
    """The weight with a scale along the axis that leaves the smallest error."""
    each = [pack_along(weight, axis) for axis in range(weight.ndim)]
    return min(each, key=lambda packed: float(np.square(packed.whole() - weight).sum()))


def pack_along(weight: NDArray[np.float32], axis: int) -> Packed:
    """The weight with a scale for each slice along ``axis``."""
    others = tuple(k for k in range(weight.ndim) if k != axis)
    scale = np.abs(weight).max(axis=others, keepdims=True) / np.float32(LARGEST)
    # A slice of nothing but zeros, or of numbers so small that they count as such.
    scale = np.where(scale > np.finfo(np.float32).tiny, scale, 1).astype(np.float32)
    return Packed(np.rint(weight / scale).astype(np.int8), scale)


def with_packed_weights(model: bytes) -> bytes:
    """The ONNX model with its large float32 weights in bytes; it computes in float32 as before."""
    import onnx

    proto = onnx.load_from_string(model)
    nodes = [node for tensor in list(proto.graph.initializer) for node in _pack(tensor, proto.graph)]
    # The nodes of a graph stand in the order in which they are computed.
    _replace_nodes(proto.graph, [*nodes, *proto.graph.node])
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _pack(tensor: TensorProto, graph: GraphProto) -> list[NodeProto]:
    """Replace the weight, in place; the nodes that make it whole, none where it stays."""
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.to_array(tensor)
    if tensor.data_type != TensorProto.FLOAT or weight.size < LEAST_NUMBERS or not np.isfinite(weight).all():
        return []
    name = tensor.name
    numbers, scale, floats = f"{name}_bytes", f"{name}_scale", f"{name}_floats"
    packed = pack(weight)
    tensor.CopyFrom(numpy_helper.from_array(packed.numbers, numbers))
    graph.initializer.append(numpy_helper.from_array(packed.scale, scale))
    return [
        helper.make_node("Cast", [numbers], [floats], name=floats, to=TensorProto.FLOAT),
        helper.make_node("Mul", [floats, scale], [name], name=f"{name}_whole"),
    ]


def unpack_weights(proto: ModelProto) -> None:
    """Undo :func:`with_packed_weights` but for the rounding, in place: for those who do not fold what is constant."""
    from onnx import numpy_helper

    graph = proto.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    names = [node.output[0] for node in graph.node if _makes_whole(node, stored)]
    for name in names:
        numbers, scale = stored[f"{name}_bytes"], stored[f"{name}_scale"]
        whole = Packed(numpy_helper.to_array(numbers), numpy_helper.to_array(scale)).whole()
        numbers.CopyFrom(numpy_helper.from_array(whole, name))
        graph.initializer.remove(scale)
    undone = {*names, *(f"{name}_floats" for name in names)}
    _replace_nodes(graph, [node for node in graph.node if node.output[0] not in undone])


def _makes_whole(node: NodeProto, stored: Mapping[str, TensorProto]) -> bool:
    """Whether this is the second of the two nodes that :func:`_pack` made; other models have others of its kind."""
    name = node.output[0] if node.output else ""
    made = node.op_type == "Mul" and list(node.input) == [f"{name}_floats", f"{name}_scale"]
    return made and f"{name}_bytes" in stored and f"{name}_scale" in stored


def _replace_nodes(graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
    del graph.node[:]
    graph.node.extend(nodes)
