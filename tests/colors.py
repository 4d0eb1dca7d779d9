"""Recognizers whose answers one can see: they name the strongest of red, green and blue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from pipeline.declaring import add_model
from pipeline.recognizers import Recognizer, load_recognizer

COLORS = {"red": (200, 40, 40), "green": (30, 180, 20), "blue": (10, 20, 220)}
BLACK = (0, 0, 0)
"""What they have no answer to: the scores are not numbers."""


def color_recognizer(folder: Path, name: str, *, labels: tuple[str, ...] = tuple(COLORS), **more: object) -> Recognizer:
    """Scores are the mean of each channel, as shares of the strongest."""
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMax", ["mean"], ["strongest"], axes=[1], keepdims=1),
        helper.make_node("Div", ["mean", "strongest"], ["scores"]),
    ]
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["batch", 3, 4, 4])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "colors", [picture], [scores])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.source").write_bytes(model.SerializeToString())
    add_model(folder / f"{name}.source", folder, name=name, labels=labels, **more)
    return load_recognizer(folder / f"{name}.json")


def plain(color: tuple[int, int, int], height: int = 8, width: int = 8) -> np.ndarray:
    """``(height, width, 3)`` of one color."""
    return np.full((height, width, 3), color, np.uint8)
