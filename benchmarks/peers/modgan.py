"""genart_jax/models/modgan.py in PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import adversarial
from benchmarks.peers.adversarial_terms import Scores, with_deviation
from benchmarks.peers.common import ConditionEmbed, Context
from benchmarks.peers.residual import Modulated, UpConv, projected
from genart_jax.config import UserError
from genart_jax.nn.pyramid import halvings


class Generator(nn.Module):
    """z -> images."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        count, (height, width) = halvings("modgan", c.image_shape)
        features = [c.width << i for i in reversed(range(count + 1))]
        self.shape, self.layout = (features[0], height, width), context.layout
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.map = nn.Linear(c.latent_dim + len(c.conditions) * c.embed_dim, c.style_dim)
        self.start = nn.Linear(c.style_dim, features[0] * height * width, bias=False)
        self.norm = nn.ModuleList([Modulated(f, c.style_dim) for f in features])
        self.up = nn.ModuleList([UpConv(a, b, 3, bias=False) for a, b in itertools.pairwise(features)])
        self.out = nn.Conv2d(features[-1], c.image_shape[2], 3, 1, 1)

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width) in [-1, 1]."""
        w = functional.leaky_relu(self.map(torch.cat([z, *self.embed(condition)], dim=1)), 0.2)
        x = self.norm[0](self.layout(self.start(w).reshape(-1, *self.shape)), w)
        for layer, norm in zip(self.up, self.norm[1:], strict=True):
            x = norm(layer(x), w)
        return torch.tanh(self.out(x)).float()


class Critic(nn.Module):
    """Images -> scores, of the whole and with patches of places."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        count, (height, width) = halvings("modgan", c.image_shape)
        features, self.group = [c.image_shape[2], *(c.critic_width << i for i in range(count))], c.minibatch_group
        self.down = nn.ModuleList([nn.Conv2d(a, b, 4, 2, 1) for a, b in itertools.pairwise(features)])
        self.out = nn.Linear((features[-1] + (self.group > 1)) * height * width, 1)
        self.embed = ConditionEmbed(c.conditions, features[-1], 0.02)
        self.patches = nn.Conv2d(features[2], 1, 1) if c.patches else None
        self.patch_embed = ConditionEmbed(c.conditions if c.patches and c.patch_conditions else (), features[2], 0.02)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> Scores:
        """(batch,), or {"image": (batch,), "patches": (batch, height / 4, width / 4)}."""
        stages = []
        for layer in self.down:
            x = functional.leaky_relu(layer(x), 0.2)
            stages.append(x)
        x = x.float()
        pooled = x.sum(dim=(2, 3))
        score = self.out(with_deviation(x, self.group).flatten(1))[:, 0].float()
        score = projected(score, pooled, self.embed(condition))
        if self.patches is None:
            return score
        places = stages[1].float()
        patches = projected(self.patches(places)[:, 0].float(), places, self.patch_embed(condition))
        return {"image": score, "patches": patches}


class Step(adversarial.Step):
    """One step a call."""

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks.

        Raises:
          UserError: options that this peer does not have.
        """
        if context.run.train.batch % model.minibatch_group:
            raise UserError("--against torch: a batch of modgan is whole groups there")
        return Generator(model, context), Critic(model)
