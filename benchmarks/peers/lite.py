"""The maps of a frozen EfficientNet-lite in PyTorch, of genart_jax/nn/efficientnet.py.

Its weights are random, which changes no time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Layer(nn.Module):
    """A convolution with "SAME" padding, the longer side at the end, and BatchNorm as in evaluation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out")
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, height, width) -> the same divided by the stride, `outputs` channels."""
        if self.stride > 1:
            height, width = (max((-(-n // self.stride) - 1) * self.stride + self.kernel - n, 0) for n in x.shape[2:])
            x = functional.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return self.norm(self.conv(x))


class Block(nn.Module):
    """Widens by 1x1, filters each channel, narrows by 1x1; the sum where shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inside, self.sums = inputs * expand, stride == 1 and inputs == outputs
        self.expand = Layer(inputs, inside, 1) if expand > 1 else None
        self.depthwise = Layer(inside, inside, kernel, stride, inside)
        self.project = Layer(inside, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, height, width) -> the same divided by the stride, `outputs` channels."""
        y = x if self.expand is None else functional.relu6(self.expand(x))
        y = self.project(functional.relu6(self.depthwise(y)))
        return x + y if self.sums else y


class Maps(nn.Module):
    """Images (batch, 1 or 3, height, width) in [-1, 1] -> maps of the layers that `c` takes, in their order."""

    def __init__(self, c: Any, pixels: bool = False) -> None:
        super().__init__()
        self.pixels, self.enlarge, self.wanted = pixels, c.enlarge, c.layers
        self.stem = Layer(3, c.stem, 3, 2)
        blocks, before = list[Block](), c.stem
        sizes = zip(c.widths, c.depths, c.kernels, c.strides, strict=True)
        for stage, (width, depth, kernel, stride) in enumerate(sizes):
            for i in range(depth):
                blocks.append(Block(before, width, kernel, 1 if i else stride, c.expand if stage else 1))
                before = width
        last = -1 if self.wanted[-1] == "stem" else int(self.wanted[-1].removeprefix("block_"))
        self.blocks = nn.ModuleList(blocks[: last + 1])
        self.requires_grad_(False).eval()

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """See the class; with `pixels` the images themselves come first."""
        x = images.expand(-1, 3, -1, -1)
        if self.enlarge > 1:
            x = functional.interpolate(x, scale_factor=float(self.enlarge), mode="bilinear")
        x = functional.relu6(self.stem(x * (127.5 / 128) + 0.5 / 128))
        found = {"stem": x}
        for i, block in enumerate(self.blocks):
            found[f"block_{i}"] = x = block(x)
        return [*([images] if self.pixels else []), *(found[name] for name in self.wanted)]
