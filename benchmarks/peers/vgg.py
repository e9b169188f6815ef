"""genart_jax/models/vgg.py in PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn

from benchmarks.peers.classifier import ClassifierStep
from benchmarks.peers.common import Context


class VGG(nn.Module):
    """Images -> logits."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        height, width, inside = c.image_shape
        parts: list[nn.Module] = []
        for features, depth in zip(c.widths, c.depths, strict=True):
            for _ in range(depth):
                parts.append(nn.Conv2d(inside, features, 3, 1, 1, bias=not c.norm))
                parts += [nn.BatchNorm2d(features)] * c.norm + [nn.ReLU(inplace=True)]
                inside = features
            parts.append(nn.MaxPool2d(2) if c.pooling == "max" else nn.AvgPool2d(2))
        self.trunk = nn.Sequential(*parts)
        units = [(height >> len(c.widths)) * (width >> len(c.widths)) * inside, *c.hidden]
        dense: list[nn.Module] = []
        for a, b in itertools.pairwise(units):
            dense += [nn.Linear(a, b), nn.ReLU(inplace=True), nn.Dropout(c.dropout)]
        classes = sum(classes for _, classes in c.conditions)
        self.dense = nn.Sequential(*dense, nn.Linear(units[-1], classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, classes)."""
        return self.dense(self.trunk(x).flatten(1))


class Step(ClassifierStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, VGG)
