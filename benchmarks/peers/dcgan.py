"""genart_jax/models/dcgan.py and its step in PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import ConditionEmbed, Context, Ema
from genart_jax.config import UserError


def stages(shape: list[int]) -> tuple[int, int, int]:
    """Number of halvings, and the height and width that they end at."""
    height, width = shape[:2]
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    return count, height, width


class Generator(nn.Module):
    """z -> images."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        count, height, width = stages(c.image_shape)
        features = [c.width << i for i in reversed(range(count))]
        self.shape, self.layout = (features[0], height, width), context.layout
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.start = nn.Linear(c.latent_dim + len(c.conditions) * c.embed_dim, features[0] * height * width, bias=False)
        self.norm = nn.ModuleList([nn.BatchNorm2d(f) for f in features])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in itertools.pairwise(features)]
        )
        self.out = nn.ConvTranspose2d(features[-1], c.image_shape[2], 4, 2, 1)

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width) in [-1, 1]."""
        x = self.start(torch.cat([z, *self.embed(condition)], dim=1))
        x = functional.relu(self.norm[0](self.layout(x.reshape(-1, *self.shape))))
        for i, layer in enumerate(self.up):
            x = functional.relu(self.norm[i + 1](layer(x)))
        return torch.tanh(self.out(x)).float()


class Critic(nn.Module):
    """Images -> scores."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        count, height, width = stages(c.image_shape)
        features = [c.image_shape[2], *(c.width << i for i in range(count))]
        normed = [c.critic_norm and i > 0 for i in range(count)]
        self.down = nn.ModuleList(
            [
                nn.Conv2d(a, b, 4, 2, 1, bias=not norm)
                for a, b, norm in zip(features, features[1:], normed, strict=False)
            ]
        )
        self.norm = nn.ModuleList(
            [nn.BatchNorm2d(f) if norm else nn.Identity() for f, norm in zip(features[1:], normed, strict=True)]
        )
        self.out = nn.Linear(features[-1] * height * width, 1)
        self.embed = ConditionEmbed(c.conditions, features[-1])

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        for layer, norm in zip(self.down, self.norm, strict=True):
            x = functional.leaky_relu(norm(layer(x)), 0.2)
        score = self.out(x.flatten(1))[:, 0].float()
        vectors = self.embed(condition)
        if vectors:
            pooled = x.sum(dim=(2, 3), dtype=torch.float32)
            score = score + (sum(vectors) * pooled).sum(1)
        return score


class Step:
    """One step a call; R1 in every call whose index is a multiple of its period."""

    def __init__(self, context: Context) -> None:
        gan = context.run.step
        known = gan.loss in ("non_saturating", "relativistic")
        if not known or gan.d_steps != 1 or gan.g_steps != 1 or gan.condition_dropout:
            raise UserError(
                "--against torch: only non-saturating and relativistic losses, one update each, all conditions shown"
            )
        self.context, self.gan, self.count = context, gan, 0
        self.period = gan.r1_every if gan.r1_gamma else 1
        self.generator = context.place(Generator(context.run.model, context))
        self.critic = context.place(Critic(context.run.model))
        self.modules = {"generator": self.generator, "critic": self.critic}
        for module in self.modules.values():
            for p in module.parameters():
                nn.init.normal_(p, 0.0, 0.02)
        self.optimizers = (
            context.optimizer(self.generator.parameters()),
            context.optimizer(self.critic.parameters(), gan.critic_learning_rate),
        )
        self.ema = Ema([self.generator], gan.ema_decay)
        self.generate = context.compile(self._generate)
        self.critic_loss, self.generator_loss = (
            context.compile(self._critic_loss),
            context.compile(self._generator_loss),
        )

    def _generate(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.context.autocast():
            return self.generator(z, condition)

    def _critic_loss(
        self, real: torch.Tensor, fake: torch.Tensor, condition: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with self.context.autocast():
            if self.gan.critic_batch == "separate":
                on_real, on_fake = self.critic(real, condition), self.critic(fake, condition)
            else:
                both = {name: torch.cat([value, value]) for name, value in condition.items()}
                on_real, on_fake = self.critic(torch.cat([real, fake]), both).chunk(2)
        if self.gan.loss == "relativistic":
            loss = functional.softplus(on_fake - on_real).mean()
        else:
            loss = functional.softplus(-on_real).mean() + functional.softplus(on_fake).mean()
        return loss, on_real.detach().mean(), on_fake.detach().mean()

    def _generator_loss(
        self, real: torch.Tensor, fake: torch.Tensor, condition: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        with self.context.autocast():
            if self.gan.loss == "relativistic":
                with torch.no_grad():
                    on_real = self.critic(real, condition)
                return functional.softplus(on_real - self.critic(fake, condition)).mean()
            return functional.softplus(-self.critic(fake, condition)).mean()

    def _penalty(self, real: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """R1; not compiled, as torch.compile has no second derivatives."""
        real = real.detach().requires_grad_()
        with self.context.autocast():
            scores = self.critic(real, condition)
        (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()

    def __call__(self, index: int) -> None:
        """One step."""
        real, condition, gan = self.context.images, self.context.condition, self.gan
        for optimizer in self.optimizers:
            self.context.schedule(optimizer, self.count)
            optimizer.zero_grad(set_to_none=True)
        z = torch.randn(len(real), self.context.run.model.latent_dim, device=real.device)
        fake = self.generate(z, condition)
        loss, self.real_score, self.fake_score = self.critic_loss(real, fake.detach(), condition)
        loss.backward()
        if gan.r1_gamma and index % self.period == 0:
            (0.5 * gan.r1_gamma * gan.r1_every * self._penalty(real, condition)).backward()
        self.optimizers[1].step()
        self.critic.requires_grad_(False)
        self.generator_loss(real, fake, condition).backward()
        self.critic.requires_grad_(True)
        self.optimizers[0].step()
        self.ema.update(self.count)
        self.count += 1
