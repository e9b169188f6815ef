"""genart_jax/models/conv_vae.py in PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import ConditionEmbed, Context
from benchmarks.peers.vae import VaeStep, flat
from genart_jax.config import UserError


class Encoder(nn.Module):
    """Images -> mean and log variance."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        height, width, channels = c.image_shape
        features = [channels, *(c.width * 2**i for i in range(c.stages))]
        self.down = nn.ModuleList([nn.Conv2d(a, b, 4, 2, 1) for a, b in itertools.pairwise(features)])
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        area = (height >> c.stages) * (width >> c.stages)
        self.hidden = nn.Linear(area * features[-1] + len(c.conditions) * c.embed_dim, c.hidden)
        self.out = nn.Linear(c.hidden, 2 * c.latent_dim)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> Any:
        """(mean, log variance)."""
        for layer in self.down:
            x = functional.relu(layer(x))
        x = functional.relu(self.hidden(flat(x, self.embed(condition))))
        return self.out(x).chunk(2, dim=1)


class Decoder(nn.Module):
    """z -> images."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        height, width, channels = c.image_shape
        self.layout = context.layout
        self.shape = (c.width << (c.stages - 1), height >> c.stages, width >> c.stages)
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.hidden = nn.Linear(c.latent_dim + len(c.conditions) * c.embed_dim, c.hidden)
        self.start = nn.Linear(c.hidden, self.shape[0] * self.shape[1] * self.shape[2])
        features = [c.width << i for i in reversed(range(c.stages))] + [channels]
        self.up = nn.ModuleList([nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in itertools.pairwise(features)])

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width)."""
        x = functional.relu(self.hidden(flat(z, self.embed(condition))))
        x = self.layout(functional.relu(self.start(x)).reshape(-1, *self.shape))
        for layer in self.up[:-1]:
            x = functional.relu(layer(x))
        return self.up[-1](x)


class Step(VaeStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        if context.run.model.blocks:
            raise UserError("--against torch: conv_vae without residual blocks; set model.blocks to 0")
        super().__init__(context, Encoder(context.run.model), Decoder(context.run.model, context))
