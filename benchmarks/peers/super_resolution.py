"""genart_jax/models/super_resolution.py and its step in PyTorch, where the loss is a distance of pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context, Ema
from genart_jax.config import UserError


def resized(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Sides times a factor, bicubic; the kernel widens where they shrink. It is the cubic of Pillow's BICUBIC."""
    return functional.interpolate(images, scale_factor=factor, mode="bicubic", antialias=True)


class Generator(nn.Module):
    """(batch, channels, height, width) -> the same, `scale` times as high and wide."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        conv = lambda before, after: nn.Conv2d(before, after, 3, padding=1)
        channels, self.scale = c.image_shape[2], c.scale
        self.first = conv(channels, c.width)
        blocks = [nn.ModuleList([conv(c.width, c.width), conv(c.width, c.width)]) for _ in range(c.blocks)]
        self.blocks = nn.ModuleList(blocks)
        self.last = conv(c.width, c.width)
        self.out = conv(c.width, channels * c.scale**2)
        nn.init.zeros_(self.out.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = first = self.first(images)
        for a, b in self.blocks:
            x = x + 0.1 * b(functional.relu(a(x)))
        detail = functional.pixel_shuffle(self.out(self.last(x) + first).float(), self.scale)
        return resized(images, float(self.scale)) + detail


def crop(images: torch.Tensor, top: torch.Tensor, left: torch.Tensor, side: int) -> torch.Tensor:
    """A square of each picture."""
    steps = torch.arange(side, device=images.device)
    rows, columns = (top[:, None] + steps)[:, None, :, None], (left[:, None] + steps)[:, None, None, :]
    examples = torch.arange(len(images), device=images.device)[:, None, None, None]
    channels = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
    return images[examples, channels, rows, columns]


def turned(images: torch.Tensor, way: torch.Tensor) -> torch.Tensor:
    """Mirrored and turned in one of eight ways."""
    way = way[:, None, None, None]
    images = torch.where(way & 1 > 0, images.flip(2), images)
    images = torch.where(way & 2 > 0, images.flip(3), images)
    return torch.where(way & 4 > 0, images.transpose(2, 3), images)


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        self.context, self.count, c, o = context, 0, context.run.model, context.run.step
        plain = o.degradation == "downsample" and o.pixel == "l1" and o.crop and o.turns and not c.growth
        if not plain or o.perceptual_weight or o.style_weight or o.tv_weight or o.adversarial_weight:
            raise UserError("--against torch: super_resolution as its default preset has it, by L1 alone")
        self.scale, self.side = c.scale, o.crop
        self.modules = {"generator": context.place(Generator(c))}
        self.optimizer = context.optimizer(self.modules["generator"].parameters())
        self.ema = Ema(self.modules.values(), o.ema_decay)
        self.objective = context.compile(self._objective)

    def _objective(self, images: torch.Tensor, place: torch.Tensor, way: torch.Tensor) -> torch.Tensor:
        small = resized(images, 1 / self.scale).clamp(-1, 1)
        height, width = small.shape[2:]
        top, left = ((place * (torch.tensor([height, width], device=place.device) - self.side + 1)).long()).T
        small = turned(crop(small, top, left, self.side), way)
        target = turned(crop(images, top * self.scale, left * self.scale, self.side * self.scale), way)
        with self.context.autocast():
            made = self.modules["generator"](self.context.layout(small))
        return self.context.run.step.pixel_weight * functional.l1_loss(made.float(), target)

    def __call__(self, index: int) -> None:
        """One step."""
        images = self.context.images
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        place = torch.rand(len(images), 2, device=images.device)
        way = torch.randint(0, 8, (len(images),), device=images.device)
        self.loss = self.objective(images, place, way)
        self.loss.backward()
        self.optimizer.step()
        self.ema.update(self.count)
        self.count += 1
