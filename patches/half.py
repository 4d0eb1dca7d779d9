"""Weights stored in half: what makes a small model file smaller still, and costs no time when the model runs."""

from __future__ import annotations

import numpy as np

LEAST_NUMBERS = 256
"""Smaller tensors stay as they are: scales, shifts and single numbers are worth more than the bytes."""


def with_half_weights(model: bytes) -> bytes:
    """The ONNX model with its large float32 weights as float16, each cast back before it is used.

    Computation stays in float32. ONNX Runtime folds the casts when it loads the model. A weight that float16 cannot
    hold (beyond 65504 in size) stays float32.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    proto = onnx.load_from_string(model)
    graph = proto.graph
    casts = []
    for tensor in graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or not fits(weights):
            continue
        whole, half = tensor.name, f"{tensor.name}_half"
        tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float16), half))
        casts.append(helper.make_node("Cast", [half], [whole], name=f"{whole}_cast", to=TensorProto.FLOAT))
    # The nodes of a graph stand in the order in which they are computed.
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def fits(weights: np.ndarray) -> bool:
    """Whether the tensor is large enough to be worth it and small enough in its numbers."""
    return weights.size >= LEAST_NUMBERS and bool(np.abs(weights).max() <= np.finfo(np.float16).max)
