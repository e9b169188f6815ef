"""genart_jax/models/gan3d.py and its step in PyTorch."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import adversarial
from benchmarks.peers.adversarial_terms import with_deviation
from benchmarks.peers.common import ConditionEmbed, Context
from genart_jax.models.gan3d import halvings


class Generator(nn.Module):
    """z -> volumes."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        count, side = halvings(tuple(c.image_shape))
        features = [c.width << i for i in reversed(range(count))]
        self.shape, self.layout = (features[0], side, side, side), context.layout
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.start = nn.Linear(c.latent_dim + len(c.conditions) * c.embed_dim, math.prod(self.shape), bias=False)
        self.norm = nn.ModuleList([nn.BatchNorm3d(f) for f in features])
        self.up = nn.ModuleList(
            [nn.ConvTranspose3d(a, b, 4, 2, 1, bias=False) for a, b in itertools.pairwise(features)]
        )
        self.out = nn.ConvTranspose3d(features[-1], c.image_shape[3], 4, 2, 1)

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, depth, height, width) in [-1, 1]."""
        x = self.start(torch.cat([z, *self.embed(condition)], dim=1))
        x = functional.relu(self.norm[0](self.layout(x.reshape(-1, *self.shape))))
        for i, layer in enumerate(self.up):
            x = functional.relu(self.norm[i + 1](layer(x)))
        return torch.tanh(self.out(x)).float()


class Critic(nn.Module):
    """Volumes -> scores."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        count, side = halvings(tuple(c.image_shape))
        features = [c.image_shape[3], *(c.critic_width << i for i in range(count))]
        self.group = c.minibatch_group
        self.down = nn.ModuleList([nn.Conv3d(a, b, 4, 2, 1) for a, b in itertools.pairwise(features)])
        self.out = nn.Linear((features[-1] + (self.group > 1)) * side**3, 1, bias=False)
        self.embed = ConditionEmbed(c.conditions, features[-1])

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        for layer in self.down:
            x = functional.leaky_relu(layer(x), 0.2)
        x = x.float()
        pooled = x.sum(dim=(2, 3, 4))
        x = with_deviation(x, self.group)
        score = self.out(x.flatten(1))[:, 0]
        vectors = self.embed(condition)
        return score + (sum(vectors) * pooled).sum(1) if vectors else score


class Step(adversarial.Step):
    """One step a call."""

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks."""
        return Generator(model, context), Critic(model)
