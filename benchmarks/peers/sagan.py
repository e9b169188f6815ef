"""genart_jax/models/sagan.py in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.peers import adversarial
from benchmarks.peers.common import Context
from benchmarks.peers.residual import ConditionalNorm, GeneratorBlock, ProjectionCritic, SelfAttention, critic_blocks
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


def critic(c: Any, features: list[int], attends: int, attention: nn.Module) -> nn.Module:
    """Images -> scores; the maps after `attends` halvings look at all places."""
    blocks = critic_blocks(c.image_shape[2], features, len(features) - 1, spectral_norm)
    return ProjectionCritic([*blocks[:attends], attention, *blocks[attends:]], features[-1], c.conditions, 0.1)


class Step(adversarial.Step):
    """One step a call."""

    still = True

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks."""
        features = [model.critic_width * times for times in growth(halvings("sagan", model.image_shape)[0])]
        at = attends(model)
        attention = SelfAttention(features[at - 1], model.gamma)
        return Generator(model, context), critic(model, features, at, attention)
