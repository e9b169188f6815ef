"""genart_jax/models/inpaint.py in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context
from benchmarks.peers.restoring import RestoringStep
from benchmarks.peers.unet import UNet, padded
from genart_jax.config import UserError


def filled(images: torch.Tensor, mask: torch.Tensor, halvings: int) -> torch.Tensor:
    """Pictures whose holes have the colours of what is near, by so many halvings of the sides."""
    known = 1 - mask
    levels = [padded(torch.cat([images * known, known], 1), 2**halvings)]
    for _ in range(halvings):
        total, count = functional.avg_pool2d(levels[-1], 2).tensor_split([-1], 1)
        share = (4 * count).clamp(max=1.0)
        levels.append(torch.cat([total / count.clamp(min=1e-6) * share, share], 1))
    total, count = levels[-1].tensor_split([-1], 1)
    pixels = total / count.clamp(min=1e-6)
    for level in reversed(levels[:-1]):
        total, count = level.tensor_split([-1], 1)
        # Doubling and then (1, 2, 1) / 4 is bilinear interpolation.
        pixels = total + (1 - count) * functional.interpolate(pixels, scale_factor=2.0, mode="bilinear")
    return pixels[:, :, : images.shape[2], : images.shape[3]]


class Generator(nn.Module):
    """Pictures with holes -> without."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        channels = c.image_shape[2]
        self.unet = UNet(c.widths, channels + 1, channels, c.blocks, gated=True)
        self.halvings = len(c.widths) - 1

    def forward(self, images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) and (batch, 1, height, width), 1 in holes -> the former shape."""
        start = filled(images, mask, self.halvings)
        return torch.lerp(images, start + self.unet(torch.cat([start, mask], 1)), mask)


class Step(RestoringStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        c = context.run.model
        if not c.masked or context.run.step.degradation != "holes":
            raise UserError("--against torch: inpaint with the masks of holes")
        super().__init__(context, generator=Generator(c))
