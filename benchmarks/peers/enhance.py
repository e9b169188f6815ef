"""genart_jax/models/enhance.py in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmarks.peers.common import Context
from benchmarks.peers.restoring import RestoringStep
from benchmarks.peers.unet import Overview, UNet


class Generator(nn.Module):
    """Pictures, and what their overview tells -> better ones."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        channels = c.image_shape[2]
        self.unet = UNet(c.widths, channels, channels, c.blocks, c.told)

    def forward(self, images: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) and (batch, told) -> the former shape."""
        return images + self.unet(images, told)


class Step(RestoringStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        c = context.run.model
        overview = Overview(c.image_shape[2], c.overview_width, c.told)
        super().__init__(context, generator=Generator(c), overview=overview)
