"""genart_jax/models/wgan_gp.py in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import adversarial
from benchmarks.peers.common import ConditionEmbed, Context
from benchmarks.peers.residual import critic_blocks, projected
from benchmarks.peers.sngan import Generator
from genart_jax.models import wgan_gp


class Critic(nn.Module):
    """Images -> scores."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        _, features, halving = wgan_gp.channels(c)
        pyramid, channels = halving == len(features), c.image_shape[2]
        enter = [nn.Conv2d(channels, c.critic_width, 3, 1, 1)] if pyramid else []
        blocks = critic_blocks(c.critic_width if pyramid else channels, features, halving, first=not pyramid)
        self.blocks = nn.Sequential(*enter, *blocks)
        self.out = nn.Linear(features[-1], 1, bias=False)
        self.embed = ConditionEmbed(c.conditions, features[-1], 0.1)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        pooled = functional.relu(self.blocks(x)).mean(dim=(2, 3), dtype=torch.float32)
        return projected(self.out(pooled)[:, 0].float(), pooled, self.embed(condition))


class Step(adversarial.Step):
    """One step a call: five critic updates with their penalty, and one of the generator, by default."""

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks."""
        return Generator(model, wgan_gp.channels(model)[0], context), Critic(model)
