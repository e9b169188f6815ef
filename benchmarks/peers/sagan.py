"""genart_jax/models/sagan.py in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.peers import adversarial
from benchmarks.peers.common import ConditionEmbed, Context
from benchmarks.peers.residual import ConditionalNorm, GeneratorBlock, SelfAttention, critic_blocks, projected
from genart_jax.models.sagan import attends
from genart_jax.nn.pyramid import growth, halvings


class Generator(nn.Module):
    """z -> images."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        count, (height, width) = halvings("sagan", c.image_shape)
        features = [c.width * times for times in reversed(growth(count))]
        self.shape, self.layout = (features[0], height, width), context.layout
        norm = lambda size: ConditionalNorm(c.conditions, size)
        self.start = spectral_norm(nn.Linear(c.latent_dim, features[0] * height * width))
        blocks = [GeneratorBlock(norm, features[i], features[i + 1], spectral_norm) for i in range(count)]
        self.blocks, self.attends = nn.ModuleList(blocks), count - attends(c)
        self.attention = SelfAttention(features[self.attends], c.gamma)
        self.norm = norm(features[-1])
        self.out = spectral_norm(nn.Conv2d(features[-1], c.image_shape[2], 3, 1, 1))

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width) in [-1, 1]."""
        x = self.layout(self.start(z).reshape(-1, *self.shape))
        for i, block in enumerate(self.blocks, 1):
            x = block(x, condition)
            if i == self.attends:
                x = self.attention(x)
        return torch.tanh(self.out(self.norm(x, condition))).float()


class Critic(nn.Module):
    """Images -> scores; the maps after `attends` halvings look at all places."""

    def __init__(self, c: Any, features: list[int], attends: int, attention: nn.Module) -> None:
        super().__init__()
        blocks = critic_blocks(c.image_shape[2], features, len(features) - 1, spectral_norm)
        self.blocks = nn.Sequential(*blocks[:attends], attention, *blocks[attends:])
        self.out = spectral_norm(nn.Linear(features[-1], 1))
        self.embed = ConditionEmbed(c.conditions, features[-1], 0.1)
        for table in self.embed.tables:
            spectral_norm(table)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        pooled = functional.relu(self.blocks(x)).sum(dim=(2, 3), dtype=torch.float32)
        return projected(self.out(pooled)[:, 0].float(), pooled, self.embed(condition))


class Step(adversarial.Step):
    """One step a call."""

    still = True

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks."""
        features = [model.critic_width * times for times in growth(halvings("sagan", model.image_shape)[0])]
        at = attends(model)
        critic = Critic(model, features, at, SelfAttention(features[at - 1], model.gamma))
        return Generator(model, context), critic
