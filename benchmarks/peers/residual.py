"""genart_jax/nn/residual.py and its attention in PyTorch, with PyTorch's own spectral normalisation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.peers.common import ConditionEmbed


def plain(module: nn.Module) -> nn.Module:
    """In place of `spectral_norm`: the module as it is."""
    return module


def widened(weight: torch.Tensor) -> torch.Tensor:
    """(., ., 3, 3) -> (., ., 4, 4): our algebra for a 3x3 convolution beside a change of resolution."""
    return 4 * functional.avg_pool2d(functional.pad(weight, (1, 1, 1, 1)), 2, 1)


class UpConv(nn.Conv2d):
    """Doubling, then a 3x3 convolution."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, C, H, W) -> (batch, ., 2H, 2W)."""
        return functional.conv_transpose2d(x, widened(self.weight).flip(2, 3).transpose(0, 1), None, 2, 1)


class DownConv(nn.Conv2d):
    """A 3x3 convolution, then averaging."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, C, H, W) -> (batch, ., H/2, W/2)."""
        return functional.conv2d(x, 0.25 * widened(self.weight), self.bias, 2, 1)


class ConditionalNorm(nn.Module):
    """BatchNorm with offsets of scale and shift."""

    def __init__(self, conditions: Any, features: int) -> None:
        super().__init__()
        self.statistics = nn.BatchNorm2d(features, affine=False)
        self.scale, self.shift = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.offsets = ConditionEmbed(conditions, 2 * features, 0.0)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, C, H, W), after a ReLU."""
        scale: torch.Tensor = self.scale
        shift: torch.Tensor = self.shift
        if vectors := self.offsets(condition):
            scale_offset, shift_offset = sum(vectors).chunk(2, dim=1)
            scale, shift = scale + scale_offset, shift + shift_offset
        scale, shift = (v.reshape(-1, x.shape[1], 1, 1) for v in (scale, shift))
        return functional.relu(torch.addcmul(shift, self.statistics(x), scale))


class Modulated(nn.Module):
    """BatchNorm whose scale and shift are linear in w, and a leaky ReLU."""

    def __init__(self, features: int, style: int) -> None:
        super().__init__()
        self.norm, self.affine = nn.BatchNorm2d(features, affine=False), nn.Linear(style, 2 * features)

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """Of x's shape."""
        scale, shift = self.affine(w)[:, :, None, None].chunk(2, dim=1)
        return functional.leaky_relu(self.norm(x) * (1 + scale) + shift, 0.2)


class GeneratorBlock(nn.Module):
    """Doubles height and width. `norm`: features -> what stands in front of a 3x3 convolution, its ReLU included."""

    def __init__(
        self,
        norm: Callable[[int], nn.Module],
        inputs: int,
        features: int,
        wrap: Callable[[nn.Module], nn.Module] = plain,
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList([norm(inputs), norm(features)])
        self.up = wrap(UpConv(inputs, features, 3, bias=False))
        self.conv = wrap(nn.Conv2d(features, features, 3, 1, 1, bias=False))
        self.skip = wrap(nn.Conv2d(inputs, features, 1, bias=False))

    def forward(self, x: torch.Tensor, told: Any) -> torch.Tensor:
        """(batch, C, H, W) and what the norms are told -> (batch, features, 2H, 2W)."""
        y: torch.Tensor = self.conv(self.norms[1](self.up(self.norms[0](x, told)), told))
        return y + functional.interpolate(self.skip(x), scale_factor=2)


class CriticBlock(nn.Module):
    """Halves height and width with `down`."""

    def __init__(
        self, inputs: int, features: int, first: bool, down: bool, wrap: Callable[[nn.Module], nn.Module] = plain
    ) -> None:
        super().__init__()
        self.first, self.down = first, down
        self.conv_0 = wrap(nn.Conv2d(inputs, features, 3, 1, 1))
        self.conv_1 = wrap((DownConv if down else nn.Conv2d)(features, features, 3, 1, 1))
        learned = down or inputs != features
        self.skip = wrap(nn.Conv2d(inputs, features, 1)) if learned else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, C, H, W) -> (batch, features, H/2, W/2) or without the halving."""
        y: torch.Tensor = self.conv_1(functional.relu(self.conv_0(x if self.first else functional.relu(x))))
        return y + self.skip(functional.avg_pool2d(x, 2) if self.down else x)


def critic_blocks(
    inputs: int, features: list[int], halving: int, wrap: Callable[[nn.Module], nn.Module] = plain, first: bool = True
) -> list[nn.Module]:
    """A critic's blocks, of which the first `halving` halve; `first`: the first of them sees pictures."""
    pairs = itertools.pairwise([inputs, *features])
    return [CriticBlock(a, b, first and i == 0, i < halving, wrap) for i, (a, b) in enumerate(pairs)]


def projected(score: torch.Tensor, features: torch.Tensor, vectors: list[torch.Tensor]) -> torch.Tensor:
    """Scores (batch, ...) with the products of features (batch, n, ...) with each condition's vector (batch, n)."""
    if not vectors:
        return score
    vector: torch.Tensor = torch.stack(vectors).sum(0)
    return score + (vector.reshape(*vector.shape, *[1] * (features.ndim - 2)) * features).sum(1)


class ProjectionCritic(nn.Module):
    """Images -> scores (batch,), by sums over places of what `blocks` give; all with spectral normalisation."""

    def __init__(self, blocks: Sequence[nn.Module], features: int, conditions: Any, stddev: float = 1.0) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.out = spectral_norm(nn.Linear(features, 1))
        self.embed = ConditionEmbed(conditions, features, stddev)
        for table in self.embed.tables:
            spectral_norm(table)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        pooled = functional.relu(self.blocks(x)).sum(dim=(2, 3), dtype=torch.float32)
        return projected(self.out(pooled)[:, 0].float(), pooled, self.embed(condition))


class SelfAttention(nn.Module):
    """x and gamma times what each place sees of all; with `pool`, of the largest of each 2x2."""

    def __init__(self, features: int, gamma: float, shrink_values: int = 8, pool: bool = False) -> None:
        super().__init__()
        few, values = max(1, features // 8), max(1, features // shrink_values)
        layer = lambda inputs, outputs: spectral_norm(nn.Conv2d(inputs, outputs, 1, bias=False))
        self.queries, self.keys, self.values = layer(features, few), layer(features, few), layer(features, values)
        self.out, self.pool = layer(values, features), pool
        self.gamma = nn.Parameter(torch.tensor(gamma))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, C, H, W) -> the same."""
        queries, keys, values = self.queries(x), self.keys(x), self.values(x)
        if self.pool:
            keys, values = functional.max_pool2d(keys, 2), functional.max_pool2d(values, 2)
        flat = [v.flatten(2).transpose(1, 2)[:, None] for v in (queries, keys, values)]
        seen = functional.scaled_dot_product_attention(*flat, scale=1.0)[:, 0]
        out: torch.Tensor = self.out(seen.transpose(1, 2).unflatten(2, x.shape[2:]))
        return x + self.gamma * out
