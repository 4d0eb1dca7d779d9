"""Training steps of adversarial-robustness-toolbox's AdversarialPatchPyTorch, timed for ``dpcam bench train``.

Runs in an environment of its own, which finds dpcam's as well: the network is the very one that dpcam trains through,
converted by the same code. Reads lines of JSON and answers each with one: first the order (see :class:`Order`), then
how many steps are wanted. Everything of the attack is as ART has it by default (rotation up to 22.5 degrees, scale 0.1
to 1), and only its training steps are timed: neither its loading of data nor the prediction it begins with.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from calibration.contract import Contract
from calibration.files import read_document
from patches.surrogates import Surrogate, SurrogateSource, load_surrogate


@dataclass(frozen=True)
class Order:
    """The network (its contract and ONNX file); the batch, ``(B, 3, S, S)`` in [0, 1] in a NumPy file, and its class.

    ``texels``: side of the patch to be trained.
    """

    contract: str
    onnx: str
    pictures: str
    label: str
    texels: int


class Logits(nn.Module):
    """A surrogate as ART wants it: preprocessing and network in one module."""

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__()
        self.network, self.surrogate = surrogate.network, surrogate

    def forward(self, images: Tensor) -> Tensor:
        return self.surrogate.logits(images)


def import_torchvision() -> None:
    """The package index has torchvision for CUDA only; beside another torch it lacks the operators of detectors.

    ART's patch resizes and warps, which is plain torch. So the operators get names and no content, and the import
    goes through.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        names = [name for name in sys.modules if name.split(".")[0] == "torchvision"]
        for name in names:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")
        KEPT.append(library)


KEPT: list[torch.library.Library] = []
"""A library's definitions go when it does."""


def make_attack(order: Order, spent: list[dict[str, float]]) -> tuple[Any, np.ndarray, np.ndarray]:
    """ART's attack on the network, with pictures and one-hot truth; each of its steps adds an entry to ``spent``."""
    from art.attacks.evasion import AdversarialPatchPyTorch
    from art.estimators.classification import PyTorchClassifier

    class Timed(AdversarialPatchPyTorch):
        def _train_step(self, *args: Any, **kwargs: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            loss = super()._train_step(*args, **kwargs)
            spent.append({"wall_ms": 1000 * (time.perf_counter() - wall), "cpu_ms": 1000 * (time.process_time() - cpu)})
            return loss

    surrogate = load_surrogate(SurrogateSource(read_document(Path(order.contract), Contract), Path(order.onnx)))
    pictures = np.load(order.pictures)
    labels = surrogate.contract.labels
    classifier = PyTorchClassifier(
        model=Logits(surrogate),
        loss=nn.CrossEntropyLoss(),
        input_shape=pictures.shape[1:],
        nb_classes=len(labels),
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    shape = (3, order.texels, order.texels)
    attack = Timed(classifier, learning_rate=0.05, batch_size=len(pictures), patch_shape=shape, verbose=False)
    truth = np.eye(len(labels), dtype=np.float32)[[labels.index(order.label)] * len(pictures)]
    return attack, pictures, truth


def main() -> None:
    """Answer until nobody asks any more. What libraries print goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(1)
    import_torchvision()
    spent: list[dict[str, float]] = []
    attack, pictures, truth = make_attack(Order(**json.loads(sys.stdin.readline())), spent)
    versions = {name: metadata.version(name) for name in ("adversarial-robustness-toolbox", "torch", "torchvision")}
    print(json.dumps(versions), file=answers, flush=True)
    for line in sys.stdin:
        spent.clear()
        attack.max_iter = int(line)
        attack.generate(pictures, truth)
        print(json.dumps(spent), file=answers, flush=True)


if __name__ == "__main__":
    main()
