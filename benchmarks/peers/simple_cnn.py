"""genart_jax/models/simple_cnn.py and its step in PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context, Ema


class CNN(nn.Module):
    """Images -> logits."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        height, width, channels = c.image_shape
        features = [channels, *c.features]
        self.conv = nn.ModuleList([nn.Conv2d(a, b, 3, 1, 1) for a, b in itertools.pairwise(features)])
        area = (height >> len(c.features)) * (width >> len(c.features))
        self.dropout = c.dropout
        self.hidden = nn.Linear(area * features[-1], c.hidden)
        ((_, classes),) = c.conditions
        self.out = nn.Linear(c.hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, classes)."""
        for layer in self.conv:
            x = functional.relu(functional.max_pool2d(layer(x), 2))
        x = functional.dropout(x.flatten(1), self.dropout, self.training)
        x = functional.dropout(functional.relu(self.hidden(x)), self.dropout, self.training)
        return self.out(x)


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        self.context, self.options, self.count = context, context.run.step, 0
        self.modules = {"classifier": context.place(CNN(context.run.model))}
        self.optimizer = context.optimizer(self.modules["classifier"].parameters())
        self.ema = Ema(self.modules.values(), self.options.ema_decay)
        self.objective = context.compile(self._objective)
        (self.labels,) = context.condition.values()

    def _objective(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with self.context.autocast():
            logits = self.modules["classifier"](images)
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=self.options.label_smoothing)
        return loss, (logits.detach().argmax(1) == labels).float().mean()

    def __call__(self, index: int) -> None:
        """One step."""
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        loss, self.accuracy = self.objective(self.context.images, self.labels)
        loss.backward()
        self.optimizer.step()
        self.ema.update(self.count)
        self.count += 1
