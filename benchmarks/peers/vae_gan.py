"""genart_jax/models/vae_gan.py and its step in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from benchmarks.peers.common import ConditionEmbed, Context
from benchmarks.peers.judged import JudgedStep
from benchmarks.peers.kl_autoencoder import down, up
from benchmarks.peers.vae import flat, gaussian_nll
from genart_jax.config import UserError


def place(c: Any) -> tuple[int, int, int]:
    """(channels, height, width) of the smallest stage."""
    height, width = (side >> (len(c.widths) - 1) for side in c.image_shape[:2])
    return c.widths[-1], height, width


class Encoder(nn.Module):
    """Images -> mean and log variance, (batch, latent_dim) each."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.layers, self.embed = down(c), ConditionEmbed(c.conditions, c.embed_dim)
        self.moments = nn.Linear(math.prod(place(c)) + len(c.conditions) * c.embed_dim, 2 * c.latent_dim)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> Any:
        """(mean, log variance)."""
        return self.moments(flat(self.layers(x), self.embed(condition))).float().chunk(2, dim=1)


class Decoder(nn.Module):
    """z -> images."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        self.shape, self.layout = place(c), context.layout
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.place = nn.Linear(c.latent_dim + len(c.conditions) * c.embed_dim, math.prod(self.shape))
        self.layers, self.out = up(c, c.widths[-1]), nn.Conv2d(c.widths[0], c.image_shape[2], 3, padding=1)

    def features(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """What the last layer is applied to, (batch, widths[0], height, width)."""
        x = self.place(flat(z, self.embed(condition))).reshape(-1, *self.shape)
        return self.layers(self.layout(x))

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width)."""
        return self.out(self.features(z, condition))


class Step(JudgedStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        c, o = context.run.model, context.run.step
        more = o.capacity or o.total_correlation or o.mmd or o.free_bits or o.draws > 1 or o.condition_dropout
        if more or o.likelihood != "gaussian" or o.objective != "elbo" or o.scale != "fixed":
            raise UserError("--against torch: vae_gan by a gaussian of fixed scale, beta and one draw alone")
        super().__init__(context, Encoder(c), Decoder(c, context), o.ema_decay)

    def _make(self, images: torch.Tensor, condition: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        with self.context.autocast():
            mean, log_variance = self.encoder(images, condition)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            hidden = self.decoder.features(z, condition)
            output = self.decoder.out(hidden).float()
        kl = torch.mean(0.5 * (torch.square(mean) + torch.exp(log_variance) - 1 - log_variance), dim=0).sum()
        return output, hidden, self.options.beta * kl / images[0].numel()

    def _fit(self, images: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return gaussian_nll(images, output, self.options)[0].mean() / images[0].numel()
