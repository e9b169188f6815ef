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
        self.heads = Heads(c, height >> self.stages, width >> self.stages) if c.attend else None
        if self.heads is not None:
            return
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
        if self.heads is not None:
            scores: torch.Tensor = self.heads(x)
            return scores
        x = functional.dropout(x.flatten(1), self.dropout, self.training)
        if self.hidden is not None:
            x = functional.dropout(functional.relu(self.hidden(x)), self.dropout, self.training)
        return self.out(x)


class Heads(nn.Module):
    """Features -> logits, each condition's from where its head looks."""

    def __init__(self, c: Any, height: int, width: int) -> None:
        super().__init__()
        self.classes, channels = [classes for _, classes in c.conditions], c.features[-1]
        count, self.dropout, alike = len(self.classes), c.dropout, len({*self.classes}) == 1
        self.look = nn.Conv2d(channels, c.attend, (1, 9), padding=(0, 4))
        self.score = nn.Conv2d(c.attend, count, (1, 9), padding=(0, 4), bias=False)
        self.rows = nn.Parameter(0.1 * torch.randn(c.attend, height, 1))
        self.columns = nn.Parameter(0.1 * torch.randn(c.attend, 1, width))
        middle = lambda number: (torch.arange(number) + 0.5) / number
        self.line = nn.Parameter(-0.5 * (count * (middle(width)[:, None] - middle(count))) ** 2)
        self.own = nn.ModuleList([nn.Linear(channels, classes) for classes in self.classes])
        self.common = nn.Linear(channels, self.classes[0], bias=False) if alike else None
        for layer in self.own if alike else ():
            nn.init.zeros_(layer.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) -> (batch, classes of all conditions)."""
        scores = self.score(torch.tanh(self.look(x) + self.rows + self.columns)).permute(0, 2, 3, 1) + self.line
        weights = scores.flatten(1, 2).softmax(1)
        seen = weights.transpose(1, 2) @ x.permute(0, 2, 3, 1).flatten(1, 2)
        seen = functional.dropout(seen, self.dropout, self.training)
        logits = torch.cat([layer(seen[:, i]) for i, layer in enumerate(self.own)], 1)
        return logits if self.common is None else logits + self.common(seen).flatten(1)


class Step(ClassifierStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, CNN)
