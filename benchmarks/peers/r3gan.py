"""genart_jax/models/r3gan.py and its step in PyTorch, both penalties included."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import adversarial
from benchmarks.peers.common import ConditionEmbed, Context
from benchmarks.peers.stylegan2 import levels

SLOPE = 0.2


class Bilinear(nn.Module):
    """[1, 2, 1] in both axes, by a depthwise convolution, to twice or half the size."""

    kernel: torch.Tensor

    def __init__(self, channels: int, gain: float) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.channels = channels
        kernel = gain * line[:, None] * line[None]
        self.register_buffer("kernel", kernel.expand(channels, 1, 3, 3).contiguous(), persistent=False)


class Up(Bilinear):
    """Twice the size."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) -> twice as high and wide."""
        x = functional.conv_transpose2d(x, self.kernel.to(x.dtype), stride=2, groups=self.channels)
        return x[:, :, :-1, :-1]


class Down(Bilinear):
    """Half the size."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) -> half as high and wide."""
        return functional.conv2d(x, self.kernel.to(x.dtype), stride=2, padding=1, groups=self.channels)


class Block(nn.Module):
    """x plus 1x1, grouped 3x3, 1x1."""

    def __init__(self, c: Any, channels: int, depth: int) -> None:
        super().__init__()
        inside = channels * c.expansion
        groups = max(1, inside // c.group_width) if c.group_width else 1
        self.expand = nn.Conv2d(channels, inside, 1)
        self.grouped = nn.Conv2d(inside, inside, 3, padding=1, groups=groups)
        self.project = nn.Conv2d(inside, channels, 1, bias=False)
        for layer in (self.expand, self.grouped):
            gain = math.sqrt(2 / (1 + SLOPE**2)) * depth**-0.25
            nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        y = functional.leaky_relu(self.expand(x), SLOPE)
        return x + self.project(functional.leaky_relu(self.grouped(y), SLOPE))


def mix(inputs: int, outputs: int) -> nn.Conv2d:
    """A linear map of the channels."""
    layer = nn.Conv2d(inputs, outputs, 1, bias=False)
    nn.init.normal_(layer.weight, 0.0, inputs**-0.5)
    return layer


def stack(c: Any, channels: int) -> nn.Sequential:
    """The blocks of a resolution."""
    return nn.Sequential(*[Block(c, channels, c.blocks * len(levels(c))) for _ in range(c.blocks)])


class Generator(nn.Module):
    """z -> images."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        sizes = levels(c)
        height, width, channels = sizes[0]
        self.embed = ConditionEmbed(c.conditions, c.embed_dim, of_layer=True)
        self.first = nn.Linear(c.latent_dim + len(c.conditions) * c.embed_dim, channels, bias=False)
        self.start = nn.Parameter(torch.randn(channels, height, width))
        stages: list[nn.Module] = [stack(c, channels)]
        for _, _, wanted in sizes[1:]:
            stages += [mix(channels, wanted)] if wanted != channels else []
            stages += [Up(wanted), stack(c, wanted)]
            channels = wanted
        self.stages = nn.Sequential(*stages, mix(channels, c.image_shape[2]))

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width)."""
        scale = self.first(torch.cat([z, *self.embed(condition)], 1))
        images: torch.Tensor = self.stages(self.start * scale[:, :, None, None])
        return images.float()


class Critic(nn.Module):
    """Images -> scores."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        sizes = levels(c)
        channels = sizes[-1][2]
        stages: list[nn.Module] = [mix(c.image_shape[2], channels), stack(c, channels)]
        for _, _, wanted in sizes[-2::-1]:
            stages += [Down(channels)]
            stages += [mix(channels, wanted)] if wanted != channels else []
            stages += [stack(c, wanted)]
            channels = wanted
        self.stages = nn.Sequential(*stages)
        height, width, _ = sizes[0]
        self.end = nn.Parameter(torch.randn(channels, height, width) / math.sqrt(height * width))
        self.out = nn.Linear(channels, channels if c.conditions else 1, bias=False)
        self.embed = ConditionEmbed(
            c.conditions, channels, (channels * max(1, len(c.conditions))) ** -0.5, of_layer=True
        )

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        x = self.out((self.stages(x).float() * self.end).sum((2, 3)))
        vectors = self.embed(condition)
        if not vectors:
            return x[:, 0]
        return (x * sum(vectors)).sum(1)


class Step(adversarial.Step):
    """One step a call, with numbers along their cosines; both penalties when their period is due."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.terms = dict(self.critic_terms)

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks."""
        return Generator(model), Critic(model)

    def _scheduled(self, name: str, value: float) -> float:
        """A number along its cosine, where it has one over the whole run."""
        for text in self.context.run.train.schedules:
            if match := re.fullmatch(rf"{name}=([\d.e-]+)\.\.([\d.e-]+)", text):
                share = 0.5 - 0.5 * math.cos(math.pi * min(1.0, self.count / self.context.run.train.steps))
                return float(match[1]) + (float(match[2]) - float(match[1])) * share
        return value

    def __call__(self, index: int) -> None:
        """One step."""
        for optimizer in self.optimizers:
            group = optimizer.param_groups[0]
            group["lr"] = self._scheduled("learning_rate", self.context.run.optimizer.learning_rate)
            group["betas"] = (group["betas"][0], self._scheduled("b2", group["betas"][1]))
        for name, (weight, every) in self.terms.items():
            times = every or 1
            self.critic_terms[name] = times * self._scheduled(name, weight / times), every
        super().__call__(index)
