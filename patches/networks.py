"""Small recognizers of six families for traffic signs: what the zoo is made of.

All take ``(B, 3, S, S)`` float32, normalized, with ``S`` = :attr:`Architecture.size_px`, and give ``(B, n_labels)``
float32 logits. Each has fewer than 480,000 parameters, so that its ONNX file stays under 2 MB. They differ in kind
on purpose: what fools or helps one need not fool or help the next.

Sources: VGG (arXiv 1409.1556), ResNet (1512.03385), MobileNetV2 (1801.04381), ShuffleNetV2 (1807.11164),
DenseNet (1608.06993), CCT (2104.05704).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


def conv_bn(
    inside: int, outside: int, kernel: int = 3, *, stride: int = 1, groups: int = 1, act: bool = True
) -> nn.Sequential:
    """Convolution, batch norm and (by default) ReLU; the padding keeps the size at stride 1."""
    layers: list[nn.Module] = [
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if act else nn.Sequential(*layers)


class Head(nn.Sequential):
    """Global average, dropout, linear: features ``(B, C, h, w)`` → logits ``(B, n_labels)``."""

    def __init__(self, channels: int, n_labels: int, dropout: float = 0.1) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels, n_labels))


def vgg(n_labels: int) -> nn.Module:
    """Plain stacks of 3x3 convolutions between poolings, and a hidden fully connected layer."""
    return nn.Sequential(
        conv_bn(3, 24),
        nn.MaxPool2d(2),
        conv_bn(24, 48),
        nn.MaxPool2d(2),
        conv_bn(48, 64),
        conv_bn(64, 64),
        nn.MaxPool2d(2),
        conv_bn(64, 96),
        conv_bn(96, 96),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(96 * 9, 128),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(128, n_labels),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(inside, outside, stride=stride), conv_bn(outside, outside, act=False))
        same = stride == 1 and inside == outside
        self.shortcut = nn.Identity() if same else conv_bn(inside, outside, 1, stride=stride, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet(n_labels: int) -> nn.Module:
    """Basic residual blocks at 24, 12 and 6 px."""
    return nn.Sequential(
        conv_bn(3, 16),
        BasicBlock(16, 32, 2),
        BasicBlock(32, 64, 2),
        BasicBlock(64, 96, 2),
        BasicBlock(96, 96, 1),
        Head(96, n_labels),
    )


class InvertedResidual(nn.Module):
    """Widen by 1x1, depthwise 3x3, project without activation; a shortcut where shapes allow."""

    def __init__(self, inside: int, outside: int, stride: int, widen: int = 4) -> None:
        super().__init__()
        hidden = inside * widen
        self.shortcut = stride == 1 and inside == outside
        self.body = nn.Sequential(
            conv_bn(inside, hidden, 1),
            conv_bn(hidden, hidden, stride=stride, groups=hidden),
            conv_bn(hidden, outside, 1, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


def mobilenetv2(n_labels: int) -> nn.Module:
    """Inverted residuals with linear bottlenecks."""
    return nn.Sequential(
        conv_bn(3, 16, stride=2),
        InvertedResidual(16, 24, 1),
        InvertedResidual(24, 32, 2),
        InvertedResidual(32, 32, 1),
        InvertedResidual(32, 64, 2),
        InvertedResidual(64, 64, 1),
        InvertedResidual(64, 96, 1),
        InvertedResidual(96, 96, 1),
        conv_bn(96, 256, 1),
        Head(256, n_labels),
    )


def shuffle(x: Tensor) -> Tensor:
    """Interleave the two halves of the channels, so that the branches see each other."""
    b, c, h, w = x.shape
    return x.reshape(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


class ShuffleDown(nn.Module):
    """The strided unit: both branches see all channels."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        half = outside // 2
        self.left = nn.Sequential(conv_bn(inside, inside, stride=2, groups=inside, act=False), conv_bn(inside, half, 1))
        self.right = nn.Sequential(
            conv_bn(inside, half, 1),
            conv_bn(half, half, stride=2, groups=half, act=False),
            conv_bn(half, half, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return shuffle(torch.cat([self.left(x), self.right(x)], dim=1))


class ShuffleUnit(nn.Module):
    """The basic unit: half of the channels pass untouched."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kept = channels // 2
        self.body = nn.Sequential(
            conv_bn(self.kept, self.kept, 1),
            conv_bn(self.kept, self.kept, groups=self.kept, act=False),
            conv_bn(self.kept, self.kept, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return shuffle(torch.cat([x[:, : self.kept], self.body(x[:, self.kept :])], dim=1))


def shufflenetv2(n_labels: int) -> nn.Module:
    """Split, transform one half, shuffle."""
    return nn.Sequential(
        conv_bn(3, 24, stride=2),
        ShuffleDown(24, 96),
        ShuffleUnit(96),
        ShuffleUnit(96),
        ShuffleDown(96, 192),
        ShuffleUnit(192),
        ShuffleUnit(192),
        ShuffleUnit(192),
        conv_bn(192, 320, 1),
        Head(320, n_labels),
    )


class DenseLayer(nn.Module):
    """Bottleneck and 3x3 convolution, whose result is appended to what came in."""

    def __init__(self, inside: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(inside, 2 * growth, 1), conv_bn(2 * growth, growth))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.body(x)], dim=1)


def dense_block(inside: int, growth: int, layers: int) -> nn.Sequential:
    """``layers`` dense layers: ``inside`` → ``inside + layers * growth`` channels."""
    return nn.Sequential(*(DenseLayer(inside + i * growth, growth) for i in range(layers)))


def densenet(n_labels: int) -> nn.Module:
    """Dense blocks at 24, 12 and 6 px with halving transitions."""
    return nn.Sequential(
        conv_bn(3, 32, stride=2),
        dense_block(32, 16, 3),
        conv_bn(80, 48, 1),
        nn.AvgPool2d(2),
        dense_block(48, 24, 4),
        conv_bn(144, 80, 1),
        nn.AvgPool2d(2),
        dense_block(80, 32, 5),
        conv_bn(240, 192, 1),
        Head(192, n_labels),
    )


class Attention(nn.Module):
    """Multi-head self-attention in plain matmul and softmax, so that every exporter and converter reads it."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.each = heads, dim // heads
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.out = nn.Linear(dim, dim)

    def split(self, x: Tensor) -> Tensor:
        """``(B, T, D)`` → ``(B, heads, T, D / heads)``."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.each).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        weights = torch.softmax(query @ key.transpose(-2, -1) * self.each**-0.5, dim=-1)
        mixed: Tensor = self.out((weights @ value).transpose(1, 2).reshape(x.shape))
        return mixed


class Encoder(nn.Module):
    """Transformer encoder layer, norm first."""

    def __init__(self, dim: int, heads: int, widen: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(dim), Attention(dim, heads))
        self.think = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, dim * widen), nn.GELU(), nn.Linear(dim * widen, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(x)
        thought: Tensor = self.think(x)
        return x + thought


class CompactTransformer(nn.Module):
    """Convolutional tokenizer, transformer encoder, attention-weighted pooling of the tokens."""

    def __init__(self, n_labels: int, dim: int = 112, depth: int = 3, heads: int = 4, tokens: int = 36) -> None:
        super().__init__()
        self.tokenize = nn.Sequential(
            conv_bn(3, 32),
            nn.MaxPool2d(2),
            conv_bn(32, 64),
            nn.MaxPool2d(2),
            conv_bn(64, dim),
            nn.MaxPool2d(2),
        )
        self.position = nn.Parameter(torch.zeros(1, tokens, dim))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.encode = nn.Sequential(*(Encoder(dim, heads, 2) for _ in range(depth)), nn.LayerNorm(dim))
        self.weigh = nn.Linear(dim, 1)
        self.classify = nn.Linear(dim, n_labels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.encode(self.tokenize(x).flatten(2).transpose(1, 2) + self.position)
        weights = torch.softmax(self.weigh(tokens).transpose(1, 2), dim=-1)
        logits: Tensor = self.classify((weights @ tokens).squeeze(1))
        return logits


def cct(n_labels: int) -> nn.Module:
    """Compact convolutional transformer, 36 tokens."""
    return CompactTransformer(n_labels)


@dataclass(frozen=True, slots=True)
class Architecture:
    """One family: how to build it and how it is best trained.

    ``bfloat16``: train in mixed precision. ``muon``: train
    the large matrices with :class:`patches.muon.Muon`.
    """

    name: str
    family: str
    build: Callable[[int], nn.Module]
    size_px: int
    epochs: int
    peak_rate: float
    subject: Literal["signs", "objects"] = "signs"
    bfloat16: bool = False
    muon: bool = False


ARCHITECTURES: dict[str, Architecture] = {
    each.name: each
    for each in (
        Architecture("vgg", "vgg", vgg, 48, 16, 4e-3),
        Architecture("resnet", "resnet", resnet, 48, 16, 4e-3),
        Architecture("mobilenetv2", "mobilenetv2", mobilenetv2, 48, 16, 5e-3),
        Architecture("shufflenetv2", "shufflenetv2", shufflenetv2, 48, 16, 5e-3),
        Architecture("densenet", "densenet", densenet, 48, 14, 5e-3),
        Architecture("cct", "cct", cct, 48, 24, 2e-3),
    )
}
