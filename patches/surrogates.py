"""Surrogates: recognizers through which a patch is trained. ONNX becomes torch, and must prove that it stayed the same.

The conversion is judged by the recognizer's own stored self-test: on a quantized model, for one, the converter is
wrong in silence. Preprocessing is :mod:`calibration.contract`, once more in torch, so that gradients pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from calibration.contract import Contract, model_bytes, self_test_images
from calibration.errors import BadInput, BadModel
from patches.device import Precision, mixed
from patches.memory import keep_freed_memory
from patches.packing import unpack_weights
from patches.resample import shrink

SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class SurrogateSource:
    """A recognizer on disk: its contract and its ONNX file."""

    contract: Contract
    onnx: Path


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A recognizer that gives gradients. ``max_delta`` is how far its logits are from the stored ones.

    ``precision`` is the network's; pictures and logits are float32 in any case.
    """

    contract: Contract
    network: nn.Module
    max_delta: float
    precision: Precision = "float32"

    @property
    def name(self) -> str:
        """The contract's name."""
        return self.contract.name

    def index(self, label: str) -> int:
        """The place of ``label`` among its answers; :class:`BadInput` when it does not know it."""
        if label not in self.contract.labels:
            raise BadInput(
                f"{self.name} does not know the class {label!r}; it knows {', '.join(self.contract.labels[:8])}, ...",
                hint="choose a class that every recognizer of the ensemble knows",
            )
        return self.contract.labels.index(label)

    def logits(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` RGB in [0, 1] → ``(B, n_labels)``; logarithms where the model gives probabilities."""
        inputs = prepare(images, self.contract)
        with mixed(self.precision, images.device):
            scores = run_network(self.network, inputs, self.contract.fixed_batch)
        scores = scores.to(images.dtype)
        if self.contract.output == "probabilities":
            return scores.clamp(min=SMALLEST_PROBABILITY).log()
        return scores

    def on(self, device: torch.device, precision: Precision = "float32") -> Surrogate:
        """The same on another device; the network is copied there unless that is where it is.

        In bfloat16 only where that is faster.
        """
        held = itertools.chain(self.network.parameters(), self.network.buffers())
        there = all(each.device == device for each in held)
        network = self.network if there else deepcopy(self.network).to(device)
        slower = device.type == "cpu" and isinstance(network, Converted) and network.grouped
        return replace(self, network=network, precision="float32" if slower else precision)


def load_surrogates(sources: Sequence[SurrogateSource]) -> list[Surrogate]:
    """Convert and check each; :class:`BadModel` names the one that cannot be used and says why."""
    return [load_surrogate(source) for source in sources]


def load_surrogate(source: SurrogateSource) -> Surrogate:
    """Convert one model, freeze it, hold it against its self-test, and see that gradients come through."""
    keep_freed_memory()
    contract = source.contract
    network = convert(model_bytes(contract, source.onnx), contract.name)
    delta = parity(network, contract)
    check_gradient(network, contract)
    return Surrogate(contract, network, delta)


def convert(data: bytes, name: str) -> nn.Module:
    """ONNX bytes → a frozen torch module in evaluation mode, float32."""
    import onnx
    import onnx2fx

    try:
        proto = onnx.load_from_string(data)
        unpack_weights(proto)
        network: nn.Module = onnx2fx.convert(proto)
    except Exception as error:  # the converter's and protobuf's exceptions have no base of their own
        raise BadModel(
            f"{name} cannot be converted to torch: {first_line(error)}",
            hint="leave it out of the surrogates; it can still be scored",
        ) from error
    return Converted(network.float().requires_grad_(False), grouped=any(map(_in_groups, proto.graph.node)))


def _in_groups(node: Any) -> bool:
    return node.op_type == "Conv" and any(each.name == "group" and each.i > 1 for each in node.attribute)


class Converted(nn.Module):
    """A network with pictures and weights laid out pixel by pixel: convolutions are a third faster, results the same.

    ``grouped``: some of its convolutions are in groups, which processors compute more slowly in bfloat16.
    """

    def __init__(self, network: nn.Module, *, grouped: bool) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.grouped = grouped
        self.eval()

    def forward(self, inputs: Tensor) -> Any:
        """What the network gives."""
        return self.network(inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 else inputs)


def parity(network: nn.Module, contract: Contract) -> float:
    """Largest |logit - stored logit| of the self-test; :class:`BadModel` above its tolerance."""
    test = contract.self_test
    if test is None:
        raise BadModel(
            f"{contract.name} has no self-test to hold its conversion against", hint="dpcam models add stores one"
        )
    pixels = torch.from_numpy(self_test_images(contract, test.seed)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        scores = _guarded(network, prepare(pixels, contract), contract)
    if scores.shape != (1, len(test.logits)):
        raise BadModel(f"{contract.name} gives scores {tuple(scores.shape)} in torch, (1, {len(test.logits)}) expected")
    delta = float((scores[0] - torch.tensor(test.logits)).abs().max())
    # Not a number is no parity either.
    if not delta <= test.tolerance:
        raise BadModel(
            f"{contract.name} in torch is off from its self-test by {delta:.3g}; {test.tolerance:.3g} is accepted",
            hint="leave it out of the surrogates; it can still be scored",
        )
    return delta


def check_scores(network: nn.Module, contract: Contract) -> None:
    """:class:`BadModel` when a batch does not get one finite score for each picture and label."""
    pixels = torch.rand(2, 3, contract.height, contract.width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        scores = _guarded(network, prepare(pixels, contract), contract)
    if scores.shape != (2, len(contract.labels)):
        raise BadModel(
            f"{contract.name} gives scores {tuple(scores.shape)} for two pictures; (2, {len(contract.labels)}) is "
            "expected: one for each label"
        )
    if not bool(scores.isfinite().all()):
        raise BadModel(f"{contract.name} gives scores that are NaN or infinite")


def check_gradient(network: nn.Module, contract: Contract) -> None:
    """:class:`BadModel` when no gradient, or a broken one, comes back to the input."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(1, 3, contract.height, contract.width, generator=generator).requires_grad_()
    scores = _guarded(network, prepare(pixels, contract), contract)
    slope = torch.autograd.grad(scores.sum(), pixels, allow_unused=True)[0] if scores.requires_grad else None
    if slope is None or not bool(slope.isfinite().all()) or not bool(slope.any()):
        raise BadModel(
            f"{contract.name} gives no usable gradient in torch (a quantized or rounding model?)",
            hint="leave it out of the surrogates; it can still be scored",
        )


def _guarded(network: nn.Module, inputs: Tensor, contract: Contract) -> Tensor:
    try:
        return run_network(network, inputs, contract.fixed_batch)
    except Exception as error:  # whatever a foreign graph raises
        raise BadModel(f"{contract.name} cannot be run in torch: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """The first line of a foreign error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def prepare(images: Tensor, contract: Contract) -> Tensor:
    """``(B, 3, H, W)`` RGB in [0, 1] → the model's input: the torch twin of ``resize_rgb`` and ``to_tensor``.

    Values are not rounded to whole levels; models of uint8 get floats from 0 to 255.
    """
    pixels = resize(images, contract.height, contract.width, contract.resize)
    if contract.color == "BGR":
        pixels = pixels.flip(1)
    if contract.dtype == "uint8":
        pixels = pixels * 255
    else:
        mean, std = (torch.tensor(each).to(pixels)[:, None, None] for each in (contract.mean, contract.std))
        pixels = (pixels * contract.range_max - mean) / std
    return pixels.permute(0, 2, 3, 1) if contract.layout == "NHWC" else pixels


def resize(images: Tensor, height: int, width: int, rule: str) -> Tensor:
    """``(B, 3, H, W)`` squeezed as :func:`calibration.contract.resize_rgb` does it."""
    if images.shape[-2:] == (height, width):
        return images
    if rule == "area" and images.shape[-2] >= height and images.shape[-1] >= width:
        return shrink(images, height, width)
    return functional.interpolate(images, size=(height, width), mode="bilinear", align_corners=False)


def run_network(network: nn.Module, inputs: Tensor, fixed_batch: int | None) -> Tensor:
    """The model's first output; a model of fixed batch gets chunks, the last one filled up with its last picture."""
    if fixed_batch is None:
        return first_output(network(inputs))
    missing = -len(inputs) % fixed_batch
    filled = torch.cat([inputs, inputs[-1:].expand(missing, *inputs.shape[1:])])
    scores = [first_output(network(chunk)) for chunk in torch.split(filled, fixed_batch)]
    return torch.cat(scores)[: len(inputs)]


def first_output(found: Any) -> Tensor:
    """The one tensor that a converted graph gives, which may come in a tuple."""
    result: Tensor = found[0] if isinstance(found, tuple | list) else found
    return result


def true_shares(surrogates: Sequence[Surrogate], images: Tensor, truth: Sequence[Tensor]) -> list[float]:
    """Per surrogate the share of ``images`` whose class, ``(B,)`` for each surrogate, it names; no gradients."""
    with torch.no_grad():
        answers = [each.logits(images).argmax(dim=1) == right for each, right in zip(surrogates, truth, strict=True)]
    return [float(np.mean(answer.numpy(force=True))) for answer in answers]
