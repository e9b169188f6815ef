"""genart_jax/models/simple_cnn.py in PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.classifier import ClassifierStep
from benchmarks.peers.common import Context


class CNN(nn.Module):
    """Images -> logits."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        height, width, channels = c.image_shape
        features = [channels, *c.features]
        pairs = [*itertools.pairwise(features), *[(features[-1], features[-1])] * c.again]
        self.conv = nn.ModuleList([nn.Conv2d(a, b, 3, 1, 1, bias=not c.norm) for a, b in pairs])
        norm = (lambda width: nn.BatchNorm2d(width)) if c.norm else (lambda width: nn.Identity())
        self.norm = nn.ModuleList([norm(b) for _, b in pairs])
        self.stages, self.dropout = len(c.features), c.dropout
        inputs = (height >> self.stages) * (width >> self.stages) * features[-1]
        self.hidden = nn.Linear(inputs, c.hidden) if c.hidden else None
        classes = sum(classes for _, classes in c.conditions)
        self.out = nn.Linear(c.hidden or inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, classes)."""
        for i, (layer, norm) in enumerate(zip(self.conv, self.norm, strict=True)):
            x = (
                functional.relu(norm(functional.max_pool2d(layer(x), 2)))
                if i < self.stages
                else x + functional.relu(norm(layer(x)))
            )
        x = functional.dropout(x.flatten(1), self.dropout, self.training)
        if self.hidden is not None:
            x = functional.dropout(functional.relu(self.hidden(x)), self.dropout, self.training)
        return self.out(x)


class Step(ClassifierStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, CNN)
