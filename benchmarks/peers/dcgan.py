"""genart_jax/models/dcgan.py and its step in PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import adversarial
from benchmarks.peers.common import ConditionEmbed, Context


def stages(shape: list[int]) -> tuple[int, int, int]:
    """Number of halvings, and the height and width that they end at."""
    height, width = shape[:2]
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    return count, height, width


class Generator(nn.Module):
    """z -> images."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        count, height, width = stages(c.image_shape)
        features = [c.width << i for i in reversed(range(count))]
        self.shape, self.layout = (features[0], height, width), context.layout
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.start = nn.Linear(c.latent_dim + len(c.conditions) * c.embed_dim, features[0] * height * width, bias=False)
        self.norm = nn.ModuleList([nn.BatchNorm2d(f) for f in features])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in itertools.pairwise(features)]
        )
        self.out = nn.ConvTranspose2d(features[-1], c.image_shape[2], 4, 2, 1)

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width) in [-1, 1]."""
        x = self.start(torch.cat([z, *self.embed(condition)], dim=1))
        x = functional.relu(self.norm[0](self.layout(x.reshape(-1, *self.shape))))
        for i, layer in enumerate(self.up):
            x = functional.relu(self.norm[i + 1](layer(x)))
        return torch.tanh(self.out(x)).float()


class Critic(nn.Module):
    """Images -> scores."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        count, height, width = stages(c.image_shape)
        features = [c.image_shape[2], *(c.width << i for i in range(count))]
        normed = [c.critic_norm and i > 0 for i in range(count)]
        self.down = nn.ModuleList(
            [
                nn.Conv2d(a, b, 4, 2, 1, bias=not norm)
                for a, b, norm in zip(features, features[1:], normed, strict=False)
            ]
        )
        self.norm = nn.ModuleList(
            [nn.BatchNorm2d(f) if norm else nn.Identity() for f, norm in zip(features[1:], normed, strict=True)]
        )
        self.out = nn.Linear(features[-1] * height * width, 1)
        self.embed = ConditionEmbed(c.conditions, features[-1])

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        for layer, norm in zip(self.down, self.norm, strict=True):
            x = functional.leaky_relu(norm(layer(x)), 0.2)
        score = self.out(x.flatten(1))[:, 0].float()
        vectors = self.embed(condition)
        if vectors:
            pooled = x.sum(dim=(2, 3), dtype=torch.float32)
            score = score + (sum(vectors) * pooled).sum(1)
        return score


class Step(adversarial.Step):
    """One step a call; R1 in every call whose index is a multiple of its period."""

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks."""
        made = Generator(model, context), Critic(model)
        for module in made:
            for p in module.parameters():
                nn.init.normal_(p, 0.0, 0.02)
        return made
