"""The classification step in PyTorch, for each of its networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context, Ema
from genart_jax.config import UserError


class ClassifierStep:
    """One step a call."""

    period = 1

    def __init__(self, context: Context, network: Callable[[Any], nn.Module]) -> None:
        self.context, self.options, self.count = context, context.run.step, 0
        o = self.options
        if o.mixup or o.cutmix or o.balance or o.probe or o.margin:
            raise UserError("--against torch: has no mixup, cutmix, balance, probe and margin")
        self.modules = {"classifier": context.place(network(context.run.model))}
        self.optimizer = context.optimizer(self.modules["classifier"].parameters(), clips=True)
        self.ema = Ema(self.modules.values(), self.options.ema_decay)
        self.objective = context.compile(self._objective)
        self.classes = [classes for _, classes in context.run.model.conditions]
        self.labels: Sequence[torch.Tensor] = torch.stack([*context.condition.values()])

    def _objective(self, images: torch.Tensor, labels: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Labels are (conditions, batch), or of each condition (batch, classes); the loss is their heads' sum, the
        accuracy their mean.
        """
        with self.context.autocast():
            logits = self.modules["classifier"](images)
        loss, right = torch.zeros(()), torch.zeros(())
        for scores, wanted in zip(logits.float().split(self.classes, dim=1), labels, strict=True):
            loss = loss + functional.cross_entropy(scores, wanted, label_smoothing=self.options.label_smoothing)
            named = wanted if wanted.ndim == 1 else wanted.argmax(1)
            right = right + (scores.detach().argmax(1) == named).float().mean() / len(labels)
        return loss, right

    def __call__(self, index: int) -> None:
        """One step."""
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        loss, self.accuracy = self.objective(self.context.images, self.labels)
        loss.backward()
        if clip := self.context.run.optimizer.clip_norm:
            nn.utils.clip_grad_norm_(self.modules["classifier"].parameters(), clip)
        self.optimizer.step()
        self.ema.update(self.count)
        self.count += 1
