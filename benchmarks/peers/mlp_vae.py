"""genart_jax/models/mlp_vae.py in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from benchmarks.peers.common import ConditionEmbed, Context
from benchmarks.peers.vae import VaeStep, flat


class Encoder(nn.Module):
    """Images -> mean and log variance."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.hidden = nn.Linear(math.prod(c.image_shape) + len(c.conditions) * c.embed_dim, c.hidden)
        self.out = nn.Linear(c.hidden, 2 * c.latent_dim)

    def forward(self, images: torch.Tensor, condition: dict[str, torch.Tensor]) -> Any:
        """(mean, log variance)."""
        return self.out(torch.tanh(self.hidden(flat(images, self.embed(condition))))).chunk(2, dim=1)


class Decoder(nn.Module):
    """z -> images."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        height, width, channels = c.image_shape
        self.shape = (channels, height, width)
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.hidden = nn.Linear(c.latent_dim + len(c.conditions) * c.embed_dim, c.hidden)
        self.out = nn.Linear(c.hidden, math.prod(self.shape))

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width)."""
        return self.out(torch.tanh(self.hidden(flat(z, self.embed(condition))))).reshape(-1, *self.shape)


class Step(VaeStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, Encoder(context.run.model), Decoder(context.run.model))
