"""genart_jax/models/adain.py and its step in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context
from benchmarks.peers.painting import Encoder, Moments, PaintingStep, Seen, moments
from genart_jax.config import UserError
from genart_jax.models.adain import layers


def adapted(x: torch.Tensor, style: Moments) -> torch.Tensor:
    """Features with a style's moments."""
    mean, std = moments(x)
    return style[1] * (x - mean) / std + style[0]


class Decoder(nn.Module):
    """The encoder backwards, to pictures."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.names, self.scale, before = layers(c)[::-1], c.scale, c.widths[int(c.layers[-1][4]) - 1]
        convs = []
        for name in (name for name in self.names if name.startswith("conv")):
            stage = int(name[4])
            first = c.image_shape[2] if stage == 1 else c.decoder[stage - 2]
            after = first if name.endswith("_1") else c.decoder[stage - 1]
            convs.append(nn.Conv2d(before, after, 3, padding=1, padding_mode="reflect"))
            before = after
        self.convs = nn.ModuleList(convs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width), not confined."""
        x, convs = x / self.scale, iter(self.convs)
        for name in self.names:
            if name.startswith("pool"):
                x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            else:
                x = next(convs)(x)
                x = x if name == "conv1_1" else functional.relu(x)
        return x.float()


class Step(PaintingStep):
    """One step a call: a batch of contents in the styles of another."""

    def __init__(self, context: Context) -> None:
        c, style = context.run.model, context.run.step.style
        if style != "moments":
            raise UserError("--against torch: adain by moments")
        encoder = Encoder(layers(c), c.widths, c.image_shape[2])
        super().__init__(context, "decoder", Decoder(c), encoder, c.layers[-1:], style)

    def paint(self, contents: torch.Tensor, seen: Seen, wanted: Seen) -> tuple[torch.Tensor, Seen]:
        """Its content is to be what is decoded."""
        layer = self.layers[-1]
        code = adapted(seen[layer], wanted[layer])
        return self.painter(code), {layer: code}
