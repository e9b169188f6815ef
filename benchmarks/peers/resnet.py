"""genart_jax/models/resnet.py in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.classifier import ClassifierStep
from benchmarks.peers.common import Context
from genart_jax.config import UserError


def layers(inside: int, out: int, side: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, and its BatchNorm."""
    return nn.Sequential(nn.Conv2d(inside, out, side, stride, side // 2, bias=False), nn.BatchNorm2d(out))


class Block(nn.Module):
    """relu(shortcut(x) + branch(x))."""

    def __init__(self, inside: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        shapes = [(inside, width, 3, stride), (width, width, 3, 1)]
        if bottleneck:
            shapes = [(inside, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
        parts: list[nn.Module] = []
        for shape in shapes:
            parts += [layers(*shape), nn.ReLU(inplace=True)]
        self.branch = nn.Sequential(*parts[:-1])
        self.out = shapes[-1][1]
        same = stride == 1 and inside == self.out
        self.shortcut = nn.Identity() if same else layers(inside, self.out, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width)."""
        return functional.relu(self.shortcut(x) + self.branch(x))


class ResNet(nn.Module):
    """Images -> logits."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        if c.stem == "deep" or c.pooled_shortcut or c.drop_path or c.dropout:
            raise UserError("--against torch: has no ResNet-D, stochastic depth or dropout")
        channels, first = c.image_shape[-1], c.widths[0]
        stem = [layers(channels, first, 3)] if c.stem == "small" else [layers(channels, first, 7, 2)]
        pool = [] if c.stem == "small" else [nn.MaxPool2d(3, 2, 1)]
        self.stem = nn.Sequential(*stem, nn.ReLU(inplace=True), *pool)
        blocks, inside = [], first
        for i, (width, depth) in enumerate(zip(c.widths, c.depths, strict=True)):
            for j in range(depth):
                blocks.append(Block(inside, width, 2 if i and not j else 1, c.bottleneck))
                inside = blocks[-1].out
        self.blocks = nn.Sequential(*blocks)
        classes = sum(classes for _, classes in c.conditions)
        self.out = nn.Linear(inside, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, classes)."""
        return self.out(self.blocks(self.stem(x)).mean((2, 3)))


class Step(ClassifierStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, ResNet)
