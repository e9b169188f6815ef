"""Losses and regularisers of the adversarial step; see genart_jax/losses/adversarial.py and terms.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import nn
from torch.nn import functional

from genart_jax.config import UserError

Scores: TypeAlias = "torch.Tensor | dict[str, torch.Tensor]"
Function: TypeAlias = "Callable[..., torch.Tensor]"


class Loss(NamedTuple):
    """Of both players: functions of the scores of real and of generated pictures; `paired`: the second's needs both."""

    critic: Function
    generator: Function
    paired: bool = False


LOSSES = {
    "non_saturating": Loss(
        lambda real, fake: functional.softplus(-real) + functional.softplus(fake),
        lambda real, fake: functional.softplus(-fake),
    ),
    "hinge": Loss(
        lambda real, fake: functional.relu(1 - real) + functional.relu(1 + fake),
        lambda real, fake: -fake,
    ),
    "wasserstein": Loss(lambda real, fake: fake - real, lambda real, fake: -fake),
    "relativistic": Loss(
        lambda real, fake: functional.softplus(fake - real),
        lambda real, fake: functional.softplus(real - fake),
        paired=True,
    ),
}


def mean_of(function: Function, *scores: Scores) -> torch.Tensor:
    """The mean of a function of scores; of several by name, the mean of their means."""
    if isinstance(scores[0], torch.Tensor):
        return function(*scores).mean()
    each = [function(*(s[name] for s in scores)).mean() for name in scores[0]]
    return torch.stack(each).mean()


def halves(scores: Scores) -> tuple[Scores, Scores]:
    """Those of the first half of a batch and of the second."""
    if isinstance(scores, torch.Tensor):
        first, second = scores.chunk(2)
        return first, second
    parts = {name: value.chunk(2) for name, value in scores.items()}
    return {name: part[0] for name, part in parts.items()}, {name: part[1] for name, part in parts.items()}


def with_deviation(x: torch.Tensor, group: int) -> torch.Tensor:
    """How much neighbours differ, as one more channel (for a group of 1: none)."""
    if group == 1:
        return x
    grouped = x.reshape(len(x) // group, group, -1)
    deviation = (grouped.var(dim=1, correction=0) + 1e-8).sqrt().mean(dim=-1)
    channel = deviation.repeat_interleave(group).reshape(-1, *[1] * (x.ndim - 1))
    return torch.cat([x, channel.expand(-1, -1, *x.shape[2:])], dim=1)


def parse(texts: Iterable[str], known: Iterable[str], updates: int) -> dict[str, tuple[float, int]]:
    """Name -> (weight, period) of terms like "r1=0.5@8"; the period is 0 of a term of every update.

    A lazy term's weight is multiplied by what it stands for: its period, and the player's `updates` in a step.

    Raises:
      UserError: a term that this peer does not have.
    """
    found = {}
    for text in texts:
        name, _, rest = text.partition("=")
        weight, _, every = rest.partition("@")
        if name not in known:
            raise UserError(f"--against torch: has the terms {', '.join(known)}, not {name}")
        period = int(every or 0)
        found[name] = float(weight) * (updates * period if period else 1), period
    return found


def terms_of(gan: Any) -> tuple[dict[str, tuple[float, int]], dict[str, tuple[float, int]]]:
    """The critic's and the generator's, as `parse` gives them.

    Raises:
      UserError: a term that this peer does not have.
    """
    r1 = [f"r1={0.5 * gan.r1_gamma}@{gan.r1_every}"] if gan.r1_gamma else []
    critic = parse([*r1, *gan.critic_terms], ("r1", "r2", "gp"), gan.d_steps)
    generator = parse(gan.generator_terms, ("pixel_mse", "orthogonal"), 1)
    if any(every for _, every in generator.values()):
        raise UserError("--against torch: has no lazy terms of the generator")
    return critic, generator


def orthogonal(module: nn.Module) -> torch.Tensor:
    """|W'W (1 - I)|^2 over all kernels, whose columns are the outputs; those of spectral normalisation undivided."""
    total = torch.zeros((), device=next(module.parameters()).device)
    for name, p in module.named_parameters():
        if p.ndim > 1:
            rows = p.t() if "tables." in name else p.flatten(1)
            products = rows @ rows.t()
            total = total + products.square().sum() - products.diagonal().square().sum()
    return total
