"""genart_jax/models/dehaze.py in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context
from benchmarks.peers.restoring import RestoringStep
from benchmarks.peers.unet import Overview, UNet


class Generator(nn.Module):
    """Hazy pictures, and what their overview tells -> the scenes."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.unet = UNet(c.widths, c.image_shape[2], 1, c.blocks, c.image_shape[2])

    def forward(self, images: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) and (batch, channels) -> the former shape."""
        airlight = torch.sigmoid(told + 1.5)
        inverse, light = 1 + functional.elu(self.unet(images, airlight)), airlight[:, :, None, None]
        return 2 * torch.addcmul(light, 0.5 * (images + 1) - light, inverse) - 1


class Step(RestoringStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        c = context.run.model
        overview = Overview(c.image_shape[2], c.overview_width, c.image_shape[2])
        super().__init__(context, generator=Generator(c), overview=overview)
