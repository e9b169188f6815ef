"""genart_jax/models/efficientnet_lite0.py in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.classifier import ClassifierStep
from benchmarks.peers.common import Context
from genart_jax.config import UserError


class Conv(nn.Conv2d):
    """A convolution without bias and with "SAME" padding, which is uneven where the stride is 2 and sides are even."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride, groups=groups, bias=False)
        self.side, self.step = side, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, height, width) -> (batch, outputs, ...), sides divided by the stride and rounded up."""
        high, wide = (max(0, (-(-n // self.step) - 1) * self.step + self.side - n) for n in x.shape[2:])
        if high % 2 == wide % 2 == 0:
            padding = high // 2, wide // 2
        else:
            padding = 0, 0
            x = functional.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return functional.conv2d(x, self.weight, None, self.stride, padding, 1, self.groups)


class Norm(nn.BatchNorm2d):
    """BatchNorm as the published network has it, with or without a bias that trains."""

    def __init__(self, features: int, biased: bool = True) -> None:
        super().__init__(features, eps=1e-3, momentum=0.01)
        if not biased:
            del self.bias
            self.register_buffer("bias", torch.zeros(features), persistent=False)


class Block(nn.Module):
    """An inverted residual block."""

    def __init__(self, inputs: int, width: int, side: int, stride: int, expand: int, biased: bool) -> None:
        super().__init__()
        inside = inputs * expand
        parts: list[nn.Module] = []
        if expand > 1:
            parts += [Conv(inputs, inside, 1), Norm(inside), nn.ReLU6(inplace=True)]
        parts += [Conv(inside, inside, side, stride, inside), Norm(inside), nn.ReLU6(inplace=True)]
        self.branch = nn.Sequential(*parts, Conv(inside, width, 1), Norm(width, biased))
        self.added = stride == 1 and inputs == width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, height, width) -> (batch, width, ...), sides divided by the stride."""
        y: torch.Tensor = self.branch(x)
        return x + y if self.added else y


class EfficientNetLite(nn.Module):
    """Images -> logits."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        if c.drop_path or c.enlarge != 1:
            raise UserError("--against torch: has no stochastic depth and no enlarged pictures")
        parts: list[nn.Module] = [Conv(c.image_shape[-1], c.stem, 3, 2), Norm(c.stem), nn.ReLU6(inplace=True)]
        inside = c.stem
        for stage, (width, depth, side, stride) in enumerate(
            zip(c.widths, c.depths, c.kernels, c.strides, strict=True)
        ):
            for i in range(depth):
                parts.append(Block(inside, width, side, 1 if i else stride, c.expand if stage else 1, c.project_bias))
                inside = width
        parts += [Conv(inside, c.head, 1), Norm(c.head), nn.ReLU6(inplace=True)]
        self.trunk = nn.Sequential(*parts)
        self.dropout = nn.Dropout(c.dropout)
        self.out = nn.Linear(c.head, sum(classes for _, classes in c.conditions))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, classes)."""
        x = self.trunk(x * (127.5 / 128) + 0.5 / 128).mean((2, 3), dtype=torch.float32)
        return self.out(self.dropout(x))


class Step(ClassifierStep):
    """One step a call."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, EfficientNetLite)
