"""genart_jax/models/gan3d.py and its step in PyTorch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import ConditionEmbed, Context, Ema
from genart_jax.config import UserError
from genart_jax.models.gan3d import halvings


class Generator(nn.Module):
    """z -> volumes."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        count, side = halvings(tuple(c.image_shape))
        features = [c.width << i for i in reversed(range(count))]
        self.shape, self.layout = (features[0], side, side, side), context.layout
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.start = nn.Linear(c.latent_dim + len(c.conditions) * c.embed_dim, math.prod(self.shape), bias=False)
        self.norm = nn.ModuleList([nn.BatchNorm3d(f) for f in features])
        self.up = nn.ModuleList(
            [nn.ConvTranspose3d(a, b, 4, 2, 1, bias=False) for a, b in itertools.pairwise(features)]
        )
        self.out = nn.ConvTranspose3d(features[-1], c.image_shape[3], 4, 2, 1)

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, depth, height, width) in [-1, 1]."""
        x = self.start(torch.cat([z, *self.embed(condition)], dim=1))
        x = functional.relu(self.norm[0](self.layout(x.reshape(-1, *self.shape))))
        for i, layer in enumerate(self.up):
            x = functional.relu(self.norm[i + 1](layer(x)))
        return torch.tanh(self.out(x)).float()


def with_deviation(x: torch.Tensor, group: int) -> torch.Tensor:
    """How much neighbours differ, as one more channel (for a group of 1: none)."""
    if group == 1:
        return x
    grouped = x.reshape(len(x) // group, group, -1)
    deviation = (grouped.var(dim=1, correction=0) + 1e-8).sqrt().mean(dim=-1)
    channel = deviation.repeat_interleave(group).reshape(-1, *[1] * (x.ndim - 1))
    return torch.cat([x, channel.expand(-1, -1, *x.shape[2:])], dim=1)


class Critic(nn.Module):
    """Volumes -> scores."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        count, side = halvings(tuple(c.image_shape))
        features = [c.image_shape[3], *(c.critic_width << i for i in range(count))]
        self.group = c.minibatch_group
        self.down = nn.ModuleList([nn.Conv3d(a, b, 4, 2, 1) for a, b in itertools.pairwise(features)])
        self.out = nn.Linear((features[-1] + (self.group > 1)) * side**3, 1, bias=False)
        self.embed = ConditionEmbed(c.conditions, features[-1])

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        for layer in self.down:
            x = functional.leaky_relu(layer(x), 0.2)
        x = x.float()
        pooled = x.sum(dim=(2, 3, 4))
        x = with_deviation(x, self.group)
        score = self.out(x.flatten(1))[:, 0]
        vectors = self.embed(condition)
        return score + (sum(vectors) * pooled).sum(1) if vectors else score


Scores: TypeAlias = "torch.Tensor | dict[str, torch.Tensor]"


def mean_of(function: Callable[..., torch.Tensor], *scores: Scores) -> torch.Tensor:
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


def worse(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The relativistic loss of the second's player."""
    return functional.softplus(one - other)


class Step:
    """One step a call; the penalties in every call whose index is a multiple of their period."""

    made = staticmethod(lambda model, context: (Generator(model, context), Critic(model)))

    def __init__(self, context: Context) -> None:
        gan = context.run.step
        terms = [term.partition("=") for term in gan.critic_terms]
        self.terms = {
            name: (float(rest.partition("@")[0]), int(rest.partition("@")[2] or 1)) for name, _, rest in terms
        }
        periods = {every for _, every in self.terms.values()}
        if gan.loss != "relativistic" or gan.d_steps != 1 or set(self.terms) - {"r1", "r2"} or len(periods) > 1:
            raise UserError("--against torch: this model has the relativistic loss, with r1 and r2 of one period")
        self.context, self.count, self.period = context, 0, max(periods, default=1)
        self.generator, self.critic = map(context.place, self.made(context.run.model, context))
        self.modules = {"generator": self.generator, "critic": self.critic}
        self.optimizers = (
            context.optimizer(self.generator.parameters()),
            context.optimizer(self.critic.parameters(), gan.critic_learning_rate),
        )
        self.ema = Ema([self.generator], gan.ema_decay)
        self.generate = context.compile(self._generate)
        self.critic_loss = context.compile(self._critic_loss)
        self.generator_loss = context.compile(self._generator_loss)

    def latent_dim(self) -> int:
        """Length of z."""
        length: int = self.context.run.model.latent_dim
        return length

    def _generate(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.context.autocast():
            return self.generator(z, condition)

    def _critic_loss(self, real: torch.Tensor, fake: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        both = {name: torch.cat([value, value]) for name, value in condition.items()}
        with self.context.autocast():
            on_real, on_fake = halves(self.critic(torch.cat([real, fake]), both))
        return mean_of(worse, on_fake, on_real)

    def _generator_loss(
        self, real: torch.Tensor, fake: torch.Tensor, condition: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        with self.context.autocast():
            with torch.no_grad():
                on_real = self.critic(real, condition)
            return mean_of(worse, on_real, self.critic(fake, condition))

    def _penalty(self, images: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """R1 or R2; not compiled, as torch.compile has no second derivatives."""
        images = images.detach().requires_grad_()
        with self.context.autocast():
            scores = self.critic(images, condition)
        whole = len(images) * mean_of(lambda x: x, scores)
        (gradient,) = torch.autograd.grad(whole, images, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()

    def __call__(self, index: int) -> None:
        """One step."""
        real, condition = self.context.images, self.context.condition
        for optimizer in self.optimizers:
            self.context.schedule(optimizer, self.count)
            optimizer.zero_grad(set_to_none=True)
        fake = self.generate(torch.randn(len(real), self.latent_dim(), device=real.device), condition)
        self.critic_loss(real, fake.detach(), condition).backward()
        if index % self.period == 0:
            for name, (weight, every) in self.terms.items():
                (weight * every * self._penalty(real if name == "r1" else fake, condition)).backward()
        self.optimizers[1].step()
        self.critic.requires_grad_(False)
        self.generator_loss(real, fake, condition).backward()
        self.critic.requires_grad_(True)
        self.optimizers[0].step()
        self.ema.update(self.count)
        self.count += 1
