"""Small recognizers of five families for photographs of everyday objects, 32 px a side: the zoo's other half.

Built from the blocks of :mod:`patches.networks`, with fewer reductions. Fewer than 860,000 parameters each. The fire
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
    conv_bn,
    dense_block,
)


def vgg(n_labels: int) -> nn.Module:
    """Plain stacks of 3x3 convolutions between poolings."""
    return nn.Sequential(
        conv_bn(3, 56),
        nn.MaxPool2d(2),
        conv_bn(56, 88),
        conv_bn(88, 88),
        nn.MaxPool2d(2),
        conv_bn(88, 144),
        conv_bn(144, 144),
        nn.MaxPool2d(2),
        conv_bn(144, 208),
        Head(208, n_labels),
    )


def resnet(n_labels: int) -> nn.Module:
    """Basic residual blocks at 16 and 8 px."""
    return nn.Sequential(
        conv_bn(3, 32),
        BasicBlock(32, 64, 2),
        BasicBlock(64, 64, 1),
        BasicBlock(64, 120, 2),
        BasicBlock(120, 120, 1),
        Head(120, n_labels),
    )


def densenet(n_labels: int) -> nn.Module:
    """Dense blocks at 16, 8 and 4 px with halving transitions."""
    return nn.Sequential(
        conv_bn(3, 48),
        nn.AvgPool2d(2),
        dense_block(48, 28, 4),
        conv_bn(160, 80, 1),
        nn.AvgPool2d(2),
        dense_block(80, 40, 5),
        conv_bn(280, 128, 1),
        nn.AvgPool2d(2),
        dense_block(128, 48, 3),
        conv_bn(272, 256, 1),
        Head(256, n_labels),
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
        conv_bn(3, 64),
        nn.MaxPool2d(2),
        Fire(64, 64, 80),
        Fire(160, 64, 96),
        nn.MaxPool2d(2),
        Fire(192, 96, 136),
        Fire(272, 96, 152),
        nn.MaxPool2d(2),
        Fire(304, 112, 160),
        Head(320, n_labels),
    )


def cct(n_labels: int) -> nn.Module:
    """Compact convolutional transformer, 64 tokens."""
    network = CompactTransformer(n_labels, dim=168, depth=2, tokens=64, dropout=0.2)
    network.tokenize = nn.Sequential(
        conv_bn(3, 56),
        nn.MaxPool2d(2),
        conv_bn(56, 88),
        conv_bn(88, 88),
        nn.MaxPool2d(2),
        conv_bn(88, 112),
        conv_bn(112, 168),
    )
    return network


def _architecture(name: str, build: Callable[[int], nn.Module], epochs: int) -> Architecture:
    return Architecture(name, name, build, 32, epochs, 4e-3, "objects", bfloat16=True, muon=True)


OBJECT_ARCHITECTURES: dict[str, Architecture] = {
    each.name: each
    for each in (
        _architecture("vgg", vgg, 20),
        _architecture("resnet", resnet, 16),
        _architecture("squeezenet", squeezenet, 24),
        _architecture("densenet", densenet, 22),
        _architecture("cct", cct, 26),
    )
}
