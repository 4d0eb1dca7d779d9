"""Feature correlations: the patch alone should have those of whole pictures of its class, in every surrogate.

Source: the paper's global feature correlation (arXiv 2204.06213, section 3.3), by Gram matrices of features (Gatys et
al., arXiv 1508.06576) instead of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from patches.device import mixed
from patches.order import Views
from patches.surrogates import Converted, Surrogate, prepare

LAYERS = 3
PICTURES = 8


def correlation_distance(texture: Tensor, views: Views, surrogates: Sequence[Surrogate]) -> Tensor:
    """Scalar: mean over surrogates and layers of the squared distance between Gram matrices.

    Of the patch ``(3, n, n)`` on a plain ground against the mean of the bare pictures.
    """
    few = views.first(PICTURES)
    alone, bare = few.alone().render(texture), few.render(None)
    return torch.stack([_distance(each, alone, bare) for each in surrogates]).mean()


def _distance(surrogate: Surrogate, alone: Tensor, bare: Tensor) -> Tensor:
    with torch.no_grad():
        wanted = [gram(each).mean(dim=0) for each in features(surrogate, bare)]
    found = [gram(each).mean(dim=0) for each in features(surrogate, alone)]
    pairs = zip(found, wanted, strict=True)
    return torch.stack([(a - b).square().sum() / b.square().sum().clamp(min=1e-12) for a, b in pairs]).mean()


def gram(activation: Tensor) -> Tensor:
    """``(B, C, h, w)`` or ``(B, T, C)`` → ``(B, C, C)``: mean products of channels."""
    channels = activation.flatten(2) if activation.ndim == 4 else activation.transpose(1, 2)
    return channels @ channels.transpose(1, 2) / channels.shape[2]


def features(surrogate: Surrogate, pictures: Tensor) -> list[Tensor]:
    """Activations of :data:`LAYERS` layers, evenly spread over the depth."""
    inputs = prepare(pictures, surrogate.contract)
    with mixed(surrogate.precision, pictures.device):
        found = tapped(surrogate.network)(inputs)
    return [each.to(pictures.dtype) for each in found]


def tapped(network: nn.Module) -> fx.GraphModule:
    """The traced network, giving activations instead of logits; made once for each network."""
    known: fx.GraphModule | None = getattr(network, "_dpcam_tapped", None)
    if known is None:
        known = _tap(network)
        object.__setattr__(network, "_dpcam_tapped", known)
    return known


def _tap(network: nn.Module) -> fx.GraphModule:
    inner = network.network if isinstance(network, Converted) else network
    traced = inner if isinstance(inner, fx.GraphModule) else fx.symbolic_trace(inner)
    graph = fx.Graph()
    found: dict[fx.Node, fx.Node] = {}
    graph.graph_copy(traced.graph, found)
    layers = [node for node in traced.graph.nodes if _convolves(node, traced)]
    chosen = [layers[(number + 1) * len(layers) // LAYERS - 1] for number in range(LAYERS)]
    graph.output(tuple(found[node] for node in chosen))
    module = fx.GraphModule(traced, graph)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _convolves(node: fx.Node, traced: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), nn.Conv2d)
    # Torch has conv2d, and the converter from ONNX its own function around it.
    return node.op == "call_function" and getattr(node.target, "__name__", "") in ("conv2d", "_conv")
