"""The critic of patches of genart_jax/nn/judges.py, with PyTorch's own spectral normalisation, and its losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class Losses(NamedTuple):
    """What the two players lose, means over all scores."""

    critic: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    generator: Callable[[torch.Tensor], torch.Tensor]


LOSSES = {
    "non_saturating": Losses(
        lambda real, fake: functional.softplus(-real).mean() + functional.softplus(fake).mean(),
        lambda fake: functional.softplus(-fake).mean(),
    ),
    "hinge": Losses(
        lambda real, fake: functional.relu(1 - real).mean() + functional.relu(1 + fake).mean(),
        lambda fake: -fake.mean(),
    ),
    "least_squares": Losses(
        lambda real, fake: 0.5 * ((real - 1).square().mean() + fake.square().mean()),
        lambda fake: 0.5 * (fake - 1).square().mean(),
    ),
}


class PatchCritic(nn.Module):
    """Pictures -> a score of each patch."""

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        convs = []
        for i in range(depth + 1):
            after = width * min(8, 2**i)
            # "SAME" of a kernel of 4: even where the stride is 2, one more below and to the right where it is 1.
            convs += [nn.Conv2d(channels, after, 4, 2, 1)] if i < depth else [nn.Conv2d(channels, after, 4)]
            channels = after
        self.convs = nn.ModuleList([spectral_norm(conv) for conv in convs])
        self.out = spectral_norm(nn.Conv2d(channels, 1, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width), sides that can be halved -> (batch, height / 2^depth, width / 2^depth)."""
        *halving, last = self.convs
        for conv in halving:
            x = functional.leaky_relu(conv(x), 0.2)
        x = functional.leaky_relu(last(functional.pad(x, (1, 2, 1, 2))), 0.2)
        return self.out(functional.pad(x, (1, 2, 1, 2)))[:, 0].float()

    def both(self, real: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of real and of generated pictures, in one pass: no score depends on other pictures."""
        on_real, on_fake = self(torch.cat([real, fake])).chunk(2)
        return on_real, on_fake

    def held(self, still: bool = True) -> None:
        """Has no gradients and a still spectral normalisation, for the other player's turn; or has them again."""
        self.requires_grad_(not still).train(not still)
