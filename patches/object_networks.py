"""Small recognizers of six families for photographs of everyday objects, 32 px a side: the zoo's other half.

Built from the blocks of :mod:`patches.networks`, with fewer reductions. Fewer than 420,000 parameters each. The fire
module is SqueezeNet's (arXiv 1602.07360).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from patches.networks import (
    Architecture,
    BasicBlock,
    CompactTransformer,
    Head,
    InvertedResidual,
    conv_bn,
    dense_block,
)


def vgg(n_labels: int) -> nn.Module:
    """Plain stacks of 3x3 convolutions between poolings."""
    return nn.Sequential(
        conv_bn(3, 32),
        nn.MaxPool2d(2),
        conv_bn(32, 64),
        conv_bn(64, 64),
        nn.MaxPool2d(2),
        conv_bn(64, 96),
        conv_bn(96, 96),
        nn.MaxPool2d(2),
        conv_bn(96, 128),
        Head(128, n_labels),
    )


def resnet(n_labels: int) -> nn.Module:
    """Basic residual blocks at 16 and 8 px."""
    return nn.Sequential(
        conv_bn(3, 24),
        BasicBlock(24, 48, 2),
        BasicBlock(48, 48, 1),
        BasicBlock(48, 96, 2),
        BasicBlock(96, 96, 1),
        Head(96, n_labels),
    )


def densenet(n_labels: int) -> nn.Module:
    """Dense blocks at 16, 8 and 4 px with halving transitions."""
    return nn.Sequential(
        conv_bn(3, 40),
        nn.AvgPool2d(2),
        dense_block(40, 20, 4),
        conv_bn(120, 64, 1),
        nn.AvgPool2d(2),
        dense_block(64, 28, 5),
        conv_bn(204, 96, 1),
        nn.AvgPool2d(2),
        dense_block(96, 32, 3),
        conv_bn(192, 192, 1),
        Head(192, n_labels),
    )


class Fire(nn.Module):
    """Squeeze by 1x1, then 1x1 and 3x3 side by side: ``inside`` → ``2 * half`` channels."""

    def __init__(self, inside: int, squeezed: int, half: int) -> None:
        super().__init__()
        self.squeeze = conv_bn(inside, squeezed, 1)
        self.point, self.area = conv_bn(squeezed, half, 1), conv_bn(squeezed, half)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.point(x), self.area(x)], dim=1)


def squeezenet(n_labels: int) -> nn.Module:
    """Fire modules at 16, 8 and 4 px."""
    return nn.Sequential(
        conv_bn(3, 48),
        nn.MaxPool2d(2),
        Fire(48, 32, 48),
        Fire(96, 32, 64),
        nn.MaxPool2d(2),
        Fire(128, 48, 80),
        Fire(160, 48, 96),
        Fire(192, 48, 96),
        nn.MaxPool2d(2),
        Fire(192, 64, 112),
        Head(224, n_labels),
    )


def mobilenetv2(n_labels: int) -> nn.Module:
    """Inverted residuals with linear bottlenecks at 16 and 8 px, after two plain convolutions."""
    return nn.Sequential(
        conv_bn(3, 24),
        conv_bn(24, 32, stride=2),
        InvertedResidual(32, 32, 1),
        InvertedResidual(32, 32, 1),
        InvertedResidual(32, 64, 2),
        InvertedResidual(64, 64, 1),
        InvertedResidual(64, 64, 1),
        InvertedResidual(64, 96, 1),
        InvertedResidual(96, 96, 1),
        conv_bn(96, 256, 1),
        Head(256, n_labels),
    )


def cct(n_labels: int) -> nn.Module:
    """Compact convolutional transformer, 64 tokens."""
    network = CompactTransformer(n_labels, depth=2, tokens=64)
    network.tokenize = nn.Sequential(
        conv_bn(3, 40),
        nn.MaxPool2d(2),
        conv_bn(40, 64),
        conv_bn(64, 64),
        nn.MaxPool2d(2),
        conv_bn(64, 80),
        conv_bn(80, 112),
    )
    return network


def _architecture(name: str, build: Callable[[int], nn.Module], epochs: int, bfloat16: bool = True) -> Architecture:
    return Architecture(name, name, build, 32, epochs, 4e-3, "objects", bfloat16, muon=True)


OBJECT_ARCHITECTURES: dict[str, Architecture] = {
    each.name: each
    for each in (
        _architecture("vgg", vgg, 24),
        _architecture("resnet", resnet, 24),
        _architecture("mobilenetv2", mobilenetv2, 24, bfloat16=False),
        _architecture("squeezenet", squeezenet, 24),
        _architecture("densenet", densenet, 24),
        _architecture("cct", cct, 28),
    )
}
