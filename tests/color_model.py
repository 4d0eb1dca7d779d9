"""A tiny recognizer of colors, for the tests of the bench."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def color_model(seen: np.ndarray) -> bytes:
    """ONNX for pictures as large as ``seen`` ``(S, S)`` bool: a class scores the mean of its channel there, times 20.

    Dark pictures score less.
    """
    side = len(seen)
    weights = np.zeros((3, 3, side, side), np.float32)
    for channel in range(3):
        weights[channel, channel] = 20 * seen / seen.sum()
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["map"], kernel_shape=[side, side]),
        helper.make_node("Flatten", ["map"], ["scores"]),
    ]
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, side, side]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3]),
    ]
    graph = helper.make_graph(nodes, "color", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())
