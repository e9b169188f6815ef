"""genart_jax/models/mlp_gan.py in PyTorch."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import adversarial
from benchmarks.peers.common import ConditionEmbed, Context


class Perceptron(nn.Module):
    """(batch, inputs) and conditions -> (batch, outputs)."""

    def __init__(self, c: Any, inputs: int, outputs: int) -> None:
        super().__init__()
        self.slope, self.embed = c.slope, ConditionEmbed(c.conditions, c.embed_dim)
        sizes = [inputs + len(c.conditions) * c.embed_dim, *c.hidden]
        self.hidden = nn.ModuleList([nn.Linear(a, b) for a, b in itertools.pairwise(sizes)])
        self.out = nn.Linear(sizes[-1], outputs)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """See the class."""
        x = torch.cat([x, *self.embed(condition)], dim=1)
        for layer in self.hidden:
            x = functional.leaky_relu(layer(x), self.slope)
        out: torch.Tensor = self.out(x).float()
        return out


class Generator(nn.Module):
    """z -> images."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        *sides, channels = c.image_shape
        self.shape = (channels, *sides)
        self.layers = Perceptron(c, c.latent_dim, math.prod(self.shape))

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, *sides) in [-1, 1]."""
        return torch.tanh(self.layers(z, condition)).reshape(-1, *self.shape)


class Critic(nn.Module):
    """Images -> scores."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.layers = Perceptron(c, math.prod(c.image_shape), 1)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        scores: torch.Tensor = self.layers(x.flatten(1), condition)
        return scores[:, 0]


class Step(adversarial.Step):
    """One step a call: five updates of each player by default."""

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks."""
        return Generator(model), Critic(model)
