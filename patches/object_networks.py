"""Small recognizers of five families for photographs of everyday objects, 32 px a side: the zoo's other half.

Built from the blocks of :mod:`patches.networks`, with fewer reductions. Fewer than 860,000 parameters each. The fire
module is SqueezeNet's (arXiv 1602.07360), the inception module that of arXiv 1512.00567.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from patches.networks import (
    Architecture,
    BasicBlock,
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


class Inception(nn.Module):
    """1x1, 3x3, two 3x3 and a pooling side by side; 1x1 before the larger ones to three fifths of their width."""

    def __init__(self, inside: int, point: int, area: int, wide: int, pooled: int) -> None:
        super().__init__()
        squeezed = (3 * area // 5, 3 * wide // 5)
        self.point = conv_bn(inside, point, 1)
        self.area = nn.Sequential(conv_bn(inside, squeezed[0], 1), conv_bn(squeezed[0], area))
        self.wide = nn.Sequential(conv_bn(inside, squeezed[1], 1), conv_bn(squeezed[1], wide), conv_bn(wide, wide))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn(inside, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.point(x), self.area(x), self.wide(x), self.pooled(x)], dim=1)


def googlenet(n_labels: int) -> nn.Module:
    """Inception modules at 16, 8 and 4 px."""
    return nn.Sequential(
        conv_bn(3, 56),
        nn.MaxPool2d(2),
        Inception(56, 40, 64, 24, 24),
        nn.MaxPool2d(2),
        Inception(152, 64, 104, 48, 40),
        Inception(256, 64, 112, 48, 40),
        Inception(264, 72, 128, 56, 48),
        nn.MaxPool2d(2),
        Inception(304, 96, 160, 64, 64),
        Head(384, n_labels),
    )


def _architecture(name: str, build: Callable[[int], nn.Module], epochs: int) -> Architecture:
    return Architecture(name, name, build, 32, epochs, 4e-3, "objects", bfloat16=True, muon=True)


OBJECT_ARCHITECTURES: dict[str, Architecture] = {
    each.name: each
    for each in (
        _architecture("vgg", vgg, 20),
        _architecture("resnet", resnet, 16),
        _architecture("squeezenet", squeezenet, 24),
        _architecture("densenet", densenet, 22),
        _architecture("googlenet", googlenet, 26),
    )
}
