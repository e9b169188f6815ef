"""genart_jax/models/vqgan.py and its step in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context
from benchmarks.peers.judged import JudgedStep
from benchmarks.peers.kl_autoencoder import down, up
from benchmarks.peers.vqvae import Codebook, perplexity


class Encoder(nn.Module):
    """Images -> vectors (batch, code_dim, *grid)."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.layers, self.out = down(c), nn.Conv2d(c.widths[-1], c.code_dim, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Before quantisation."""
        return self.out(self.layers(x))


class Decoder(nn.Module):
    """Vectors (batch, code_dim, *grid) -> images."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.features, self.out = up(c, c.code_dim), nn.Conv2d(c.widths[0], c.image_shape[2], 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width)."""
        return self.out(self.features(z))


class Step(JudgedStep, Codebook):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        c = context.run.model
        Codebook.__init__(self, c, context.device)
        JudgedStep.__init__(self, context, Encoder(c), Decoder(c))
        self.update = context.compile(self._update)

    def _make(self, images: torch.Tensor, condition: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        with self.context.autocast():
            z = self.encoder(images)
        quantized, commitment, taken, flat = self._nearest(z.float())
        with self.context.autocast():
            hidden = self.decoder.features(quantized)
            output = self.decoder.out(hidden).float()
        return output, hidden, self.options.beta * commitment, perplexity(taken), taken, flat

    def _fit(self, images: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return functional.mse_loss(output, images)

    @torch.no_grad()
    def _after(self, *found: torch.Tensor) -> None:
        self.perplexity, taken, flat = found
        dead = self.update(taken, flat)
        if self.c.revive_below:
            self._revive(dead, flat)
