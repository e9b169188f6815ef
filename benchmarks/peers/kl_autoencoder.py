"""genart_jax/models/kl_autoencoder.py in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context
from benchmarks.peers.vae import VaeStep


def _norm(groups: int, width: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups, width, eps=1e-6)


class Block(nn.Module):
    """Two of GroupNorm, SiLU and a 3x3 convolution, added to the input."""

    def __init__(self, before: int, width: int, groups: int) -> None:
        super().__init__()
        self.norm_0, self.conv_0 = _norm(groups, before), nn.Conv2d(before, width, 3, padding=1)
        self.norm_1, self.conv_1 = _norm(groups, width), nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(before, width, 1) if before != width else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, before, height, width) -> the same, `width` channels."""
        y = self.conv_0(functional.silu(self.norm_0(x)))
        return self.shortcut(x) + self.conv_1(functional.silu(self.norm_1(y)))


class Attention(nn.Module):
    """One head over all places."""

    def __init__(self, size: int, groups: int) -> None:
        super().__init__()
        self.norm = _norm(groups, size)
        self.query, self.key = nn.Linear(size, size), nn.Linear(size, size, bias=False)
        self.value, self.out = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, size, height, width) -> the same."""
        y = self.norm(x).flatten(2).transpose(1, 2)
        y = functional.scaled_dot_product_attention(self.query(y), self.key(y), self.value(y))
        return x + self.out(y).transpose(1, 2).reshape(x.shape)


class Middle(nn.Sequential):
    """A block, self-attention, and a block."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__(Block(width, width, groups), Attention(width, groups), Block(width, width, groups))


class Down(nn.Module):
    """Halves, with the padding on the lower and right side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, width, height, width) -> half as high and wide."""
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    """Doubles by nearest neighbour."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, width, height, width) -> twice as high and wide."""
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


def down(c: Any) -> nn.Sequential:
    """Images -> features of the smallest stage, normalised."""
    layers: list[nn.Module] = [nn.Conv2d(c.image_shape[2], c.widths[0], 3, padding=1)]
    before = c.widths[0]
    for i, width in enumerate(c.widths):
        for _ in range(c.blocks):
            layers.append(Block(before, width, c.groups))
            before = width
        layers += [Down(width)] if i + 1 < len(c.widths) else []
    return nn.Sequential(*layers, Middle(before, c.groups), _norm(c.groups, before), nn.SiLU())


def up(c: Any, inputs: int) -> nn.Sequential:
    """The smallest stage's features, of so many channels -> the largest's, normalised."""
    before = c.widths[-1]
    layers: list[nn.Module] = [nn.Conv2d(inputs, before, 3, padding=1), Middle(before, c.groups)]
    for i, width in enumerate(reversed(c.widths)):
        layers += [Up(before)] if i else []
        for _ in range(c.blocks + 1):
            layers.append(Block(before, width, c.groups))
            before = width
    return nn.Sequential(*layers, _norm(c.groups, before), nn.SiLU())


class Encoder(nn.Module):
    """Images -> mean and log variance, (batch, latent_channels, *grid) each."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.layers = down(c)
        self.out = nn.Conv2d(c.widths[-1], 2 * c.latent_channels, 3, padding=1)
        self.moments = nn.Conv2d(2 * c.latent_channels, 2 * c.latent_channels, 1)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> Any:
        """(mean, log variance)."""
        mean, log_variance = self.moments(self.out(self.layers(x))).chunk(2, dim=1)
        return mean, torch.clamp(log_variance, -30.0, 20.0)


class Decoder(nn.Module):
    """Codes -> images."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        codes = nn.Conv2d(c.latent_channels, c.latent_channels, 1)
        last = nn.Conv2d(c.widths[0], c.image_shape[2], 3, padding=1)
        self.layers = nn.Sequential(codes, up(c, c.latent_channels), last)

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width)."""
        return self.layers(z)


class Step(VaeStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, Encoder(context.run.model), Decoder(context.run.model))
