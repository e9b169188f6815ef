"""genart_jax/models/multistyle.py and its step in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context
from benchmarks.peers.painting import Encoder, PaintingStep, Seen
from genart_jax.nn.vgg import names


class Layer(nn.Module):
    """A convolution over reflected borders, then instance normalisation with each style's scale, and maybe shift."""

    def __init__(self, styles: int, before: int, after: int, side: int, stride: int = 1, shifted: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, side, stride, side // 2, bias=False, padding_mode="reflect")
        self.scale = nn.Parameter(torch.ones(styles, after))
        self.shift = nn.Parameter(0.1 * torch.randn(styles, after)) if shifted else None

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """(batch, before, height, width), and each one's style (batch,) -> (batch, after, ., .)."""
        x = functional.instance_norm(self.conv(x), eps=1e-5)
        told = lambda table: functional.embedding(style, table)[:, :, None, None].to(x.dtype)
        scale = told(self.scale)
        return x * scale if self.shift is None else torch.addcmul(told(self.shift), x, scale)


class Painter(nn.Module):
    """Pictures -> the same, painted, each in the style of its number."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        channels, ((_, styles),) = c.image_shape[2], c.conditions
        first, *rest = c.contract
        ends, wide = [first, *rest], c.contract[-1]
        contract = [Layer(styles, c.other_shape[2], first, 9)]
        self.contract = nn.ModuleList([*contract, *(Layer(styles, ends[i], n, 3, 2) for i, n in enumerate(rest))])
        self.blocks = nn.ModuleList(
            [
                nn.ModuleList([Layer(styles, wide, wide, 3), Layer(styles, wide, wide, 3, shifted=False)])
                for _ in range(c.blocks)
            ]
        )
        ends = [wide, *c.expand]
        self.expand = nn.ModuleList([Layer(styles, ends[i], n, 3) for i, n in enumerate(c.expand)])
        self.out = Layer(styles, ends[-1], channels, 9)

    def forward(self, images: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) in [-1, 1], and (batch,) -> the former shape and range."""
        x = (images + 1) / 2
        for layer in self.contract:
            x = functional.relu(layer(x, style))
        for inner, outer in self.blocks:
            x = x + outer(functional.relu(inner(x, style)), style)
        for layer in self.expand:
            x = functional.relu(layer(functional.interpolate(x, scale_factor=2.0, mode="nearest"), style))
        return 2 * torch.sigmoid(self.out(x, style).float()) - 1


class Step(PaintingStep):
    """One step a call: a batch of contents in the styles of another, which are known by their numbers."""

    def __init__(self, context: Context) -> None:
        c = context.run.model
        known = names(c.depths)
        last = max(known.index(name) for name in (*c.content_layers, *c.layers))
        encoder = Encoder(known[: last + 1], c.widths, c.image_shape[2])
        super().__init__(context, "painter", Painter(c), encoder, c.content_layers, context.run.step.style)
        ((label, _),) = c.conditions
        self.style = context.condition[label]

    def paint(self, contents: torch.Tensor, seen: Seen, wanted: Seen) -> tuple[torch.Tensor, Seen]:
        """Its content is to be the contents' own."""
        return self.painter(contents, self.style), seen
