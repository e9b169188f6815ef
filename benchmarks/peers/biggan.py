"""genart_jax/models/biggan.py in PyTorch."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.peers import adversarial
from benchmarks.peers.common import ConditionEmbed, Context
from benchmarks.peers.residual import GeneratorBlock, SelfAttention
from benchmarks.peers.sagan import critic
from genart_jax.nn.pyramid import growth, halvings


class SharedNorm(nn.Module):
    """BatchNorm whose scale and shift are linear in a vector."""

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.statistics = nn.BatchNorm2d(features, affine=False)
        self.scale = spectral_norm(nn.Linear(inputs, features, bias=False))
        self.shift = spectral_norm(nn.Linear(inputs, features, bias=False))

    def forward(self, x: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        """(batch, C, H, W), after a ReLU."""
        scale, shift = (layer(vector)[:, :, None, None] for layer in (self.scale, self.shift))
        return functional.relu(torch.addcmul(shift, self.statistics(x), 1 + scale))


class Generator(nn.Module):
    """z -> images."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        count, (height, width) = halvings("biggan", c.image_shape)
        features = [c.width * times for times in reversed(growth(count))]
        self.shape, self.layout = (features[0], height, width), context.layout
        piece = c.latent_dim // (count + 1)
        self.embed = ConditionEmbed(c.conditions, c.embed_dim, 1 / math.sqrt(c.embed_dim))
        norm = functools.partial(SharedNorm, piece + (c.embed_dim if c.conditions else 0))
        self.start = spectral_norm(nn.Linear(piece, features[0] * height * width))
        blocks = [GeneratorBlock(norm, features[i], features[i + 1], spectral_norm) for i in range(count)]
        self.blocks, self.attends = nn.ModuleList(blocks), count - c.attention
        self.attention = SelfAttention(features[self.attends], c.gamma, 2, pool=True)
        self.norm = nn.BatchNorm2d(features[-1])
        self.out = spectral_norm(nn.Conv2d(features[-1], c.image_shape[2], 3, 1, 1))

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width) in [-1, 1]."""
        first, *pieces = z.chunk(len(self.blocks) + 1, dim=1)
        vectors = self.embed(condition)
        shared = [sum(vectors[1:], vectors[0])] if vectors else []
        x = self.layout(self.start(first).reshape(-1, *self.shape))
        for i, (block, piece) in enumerate(zip(self.blocks, pieces, strict=True), 1):
            x = block(x, torch.cat([piece, *shared], dim=1))
            if i == self.attends:
                x = self.attention(x)
        return torch.tanh(self.out(functional.relu(self.norm(x)))).float()


class Step(adversarial.Step):
    """One step a call: two critic updates, and one of the generator with its orthogonal term, by default."""

    still = True

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks, with orthogonal kernels."""
        features = [model.width * times for times in growth(halvings("biggan", model.image_shape)[0])]
        attention = SelfAttention(features[model.attention - 1], model.gamma, 2, pool=True)
        made = Generator(model, context), critic(model, features, model.attention, attention)
        for module in made:
            for name, p in module.named_parameters():
                if p.ndim > 1 and "tables." not in name:
                    nn.init.orthogonal_(p)
        return made
