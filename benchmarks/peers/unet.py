"""genart_jax/nn/unet.py in PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.residual import DownConv, UpConv


def padded(x: torch.Tensor, side: int) -> torch.Tensor:
    """(batch, channels, H, W) with edge pixels repeated below and to the right, up to multiples of `side`."""
    below, right = (-n % side for n in x.shape[2:])
    return functional.pad(x, (0, right, 0, below), "replicate") if below or right else x


class Block(nn.Module):
    """x + F(x), where what was told of the picture scales and shifts the channels in between."""

    def __init__(self, width: int, told: int, gated: bool) -> None:
        super().__init__()
        self.gated, inside = gated, 2 * width if gated else width
        self.conv_0, self.conv_1 = nn.Conv2d(width, inside, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
        self.told = nn.Linear(told, 2 * inside) if told else None

    def forward(self, x: torch.Tensor, told: torch.Tensor | None) -> torch.Tensor:
        """(batch, width, height, width), and (batch, told) -> the former shape."""
        y = self.conv_0(x)
        if self.told is not None:
            scale, shift = (0.1 * self.told(told))[:, :, None, None].chunk(2, 1)
            y = torch.addcmul(shift, y, 1 + scale)
        if self.gated:
            gate, value = y.chunk(2, 1)
            y = torch.sigmoid(gate) * functional.elu(value)
        else:
            y = functional.relu(y)
        return x + 0.3 * self.conv_1(y)


class UNet(nn.Module):
    """Pictures of any size -> `out` channels of the same size, zeros in a new network."""

    def __init__(
        self, widths: Sequence[int], inputs: int, out: int, blocks: int, told: int = 0, gated: bool = False
    ) -> None:
        super().__init__()
        level = lambda width: nn.ModuleList([Block(width, told, gated) for _ in range(blocks)])
        self.multiple = 2 ** (len(widths) - 1)
        self.first = nn.Conv2d(inputs, widths[0], 3, 1, 1)
        self.down = nn.ModuleList([DownConv(a, b, 3, 1, 1) for a, b in itertools.pairwise(widths)])
        self.encode = nn.ModuleList([level(width) for width in widths])
        self.up = nn.ModuleList([UpConv(b, a, 3, bias=False) for a, b in itertools.pairwise(widths)])
        self.decode = nn.ModuleList([level(width) for width in widths[:-1]])
        self.out = nn.Conv2d(widths[0], out, 3, 1, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, images: torch.Tensor, told: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, inputs, height, width), and (batch, told) -> (batch, out, height, width)."""
        x, skips = self.first(padded(images, self.multiple)), []
        for i, blocks in enumerate(self.encode):
            if i:
                skips.append(x)
                x = self.down[i - 1](x)
            for block in blocks:
                x = block(x, told)
        for i in reversed(range(len(self.up))):
            x = self.up[i](x) + skips.pop()
            for block in self.decode[i]:
                x = block(x, told)
        return self.out(x)[:, :, : images.shape[2], : images.shape[3]].float()


class Overview(nn.Module):
    """Small pictures -> what they tell as a whole."""

    def __init__(self, channels: int, width: int, out: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [nn.Conv2d(a, b, 3, 2) for a, b in itertools.pairwise([channels, width, 2 * width, 4 * width])]
        )
        self.out = nn.Linear(4 * width, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, side, side) -> (batch, out)."""
        for conv in self.convs:
            before, after = zip(*(divmod(max(0, (n - 1) // 2 * 2 + 3 - n), 2) for n in x.shape[2:]), strict=True)
            (top, left), (more_below, more_right) = before, after
            x = functional.pad(x, (left, left + more_right, top, top + more_below))  # "SAME"
            x = functional.leaky_relu(conv(x), 0.2)
        return self.out(x.mean((2, 3), dtype=torch.float32)).float()
