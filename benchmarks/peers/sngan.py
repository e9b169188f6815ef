"""genart_jax/models/sngan.py and its step in PyTorch, with PyTorch's own spectral normalisation."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.peers import adversarial
from benchmarks.peers.common import Context
from benchmarks.peers.dcgan import stages
from benchmarks.peers.residual import ConditionalNorm, GeneratorBlock, ProjectionCritic, critic_blocks
from genart_jax.models import sngan


class Generator(nn.Module):
    """z -> images."""

    def __init__(self, c: Any, features: list[int], context: Context) -> None:
        super().__init__()
        _, height, width = stages(c.image_shape)
        self.shape, self.layout = (features[0], height, width), context.layout
        self.start = nn.Linear(c.latent_dim, features[0] * height * width)
        norm = lambda size: ConditionalNorm(c.conditions, size)
        self.blocks = nn.ModuleList([GeneratorBlock(norm, a, b) for a, b in itertools.pairwise(features)])
        self.norm = norm(features[-1])
        self.out = nn.Conv2d(features[-1], c.image_shape[2], 3, 1, 1)

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width) in [-1, 1]."""
        x = self.layout(self.start(z).reshape(-1, *self.shape))
        for block in self.blocks:
            x = block(x, condition)
        return torch.tanh(self.out(self.norm(x, condition))).float()


class Step(adversarial.Step):
    """One step a call: five critic updates, and one of the generator, by default."""

    still = True

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks."""
        features, critic_features, halving = sngan.channels(model)
        blocks = critic_blocks(model.image_shape[2], critic_features, halving, spectral_norm)
        critic = ProjectionCritic(blocks, critic_features[-1], model.conditions)
        return Generator(model, features, context), critic
