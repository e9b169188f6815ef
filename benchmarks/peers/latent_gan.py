"""genart_jax/models/latent_gan.py and its step in PyTorch, over an untrained conv_vae."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import conv_vae
from benchmarks.peers.common import ConditionEmbed, Context, average
from benchmarks.peers.first_stage import first_stage
from genart_jax.config import UserError

Condition = dict[str, torch.Tensor]


class Perceptron(nn.Module):
    """(batch, inputs) and conditions -> (batch, outputs)."""

    def __init__(self, c: Any, inputs: int, outputs: int) -> None:
        super().__init__()
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.first = nn.Linear(inputs + len(c.conditions) * c.embed_dim, c.width)
        pair = lambda: nn.ModuleList([nn.Linear(c.width, c.width) for _ in range(2)])
        self.blocks = nn.ModuleList([pair() for _ in range(c.blocks)])
        self.out = nn.Linear(c.width, outputs)

    def forward(self, x: torch.Tensor, condition: Condition) -> torch.Tensor:
        """See the class."""
        x = self.first(torch.cat([x, *self.embed(condition)], dim=1))
        for before, after in self.blocks:
            y = before(functional.leaky_relu(x, 0.2))
            x = (x + after(functional.leaky_relu(y, 0.2))) * 0.5**0.5
        found: torch.Tensor = self.out(functional.leaky_relu(x, 0.2)).float()
        return found


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        run, gan = context.run, context.run.step
        terms = [re.fullmatch(r"r1=([\d.e-]+)", term) for term in gan.critic_terms]
        usual = gan.loss == "non_saturating" and gan.critic_batch == "joint" and len(terms) < 2 and all(terms)
        more = gan.condition_dropout or gan.r1_gamma or gan.generator_terms or gan.augment != "none"
        if not usual or more or gan.d_steps != 1 or gan.g_steps != 1 or run.train.schedules:
            raise UserError("--against torch: latent_gan as its default preset has it")
        c, first = run.model, first_stage(run.model, "conv_vae")
        if first.conditions or first.blocks:
            raise UserError("--against torch: latent_gan over a conv_vae without conditions and residual blocks")
        self.context, self.gan, self.count = context, gan, 0
        self.penalty_weight = sum(float(term[1]) for term in terms if term)
        self.encoder = context.place(conv_vae.Encoder(first)).requires_grad_(False)
        self.generator = context.place(Perceptron(c, c.latent_dim, first.latent_dim))
        self.critic = context.place(Perceptron(c, first.latent_dim, 1))
        self.modules = {"generator": self.generator, "critic": self.critic}
        self.optimizers = (
            context.optimizer(self.generator.parameters()),
            context.optimizer(self.critic.parameters(), gan.critic_learning_rate),
        )
        self.ema = average([self.generator], gan, run.train.batch)
        self.mean, self.scale = torch.zeros((), device=context.device), torch.ones((), device=context.device)
        self.begin(context.images)
        self.judged, self.generate, self.critic_loss, self.generator_loss = (
            context.compile(f) for f in (self._judged, self._generate, self._critic_loss, self._generator_loss)
        )

    @torch.no_grad()
    def begin(self, images: torch.Tensor) -> None:
        """Latents are in units of the first batch's."""
        z, _ = self.encoder(images, {})
        self.mean, self.scale = z.mean(), z.std(correction=0) + 1e-6

    @torch.no_grad()
    def _judged(self, images: torch.Tensor) -> torch.Tensor:
        with self.context.autocast():
            z: torch.Tensor = self.encoder(images, {})[0].float()
        return (z - self.mean) / self.scale

    def _generate(self, z: torch.Tensor, condition: Condition) -> torch.Tensor:
        with self.context.autocast():
            made: torch.Tensor = self.generator(z, condition)
        return made

    def _critic_loss(self, real: torch.Tensor, fake: torch.Tensor, condition: Condition) -> torch.Tensor:
        both = {name: torch.cat([value, value]) for name, value in condition.items()}
        with self.context.autocast():
            on_real, on_fake = self.critic(torch.cat([real, fake]), both).chunk(2)
        return functional.softplus(-on_real).mean() + functional.softplus(on_fake).mean()

    def _generator_loss(self, fake: torch.Tensor, condition: Condition) -> torch.Tensor:
        with self.context.autocast():
            return functional.softplus(-self.critic(fake, condition)).mean()

    def _penalty(self, real: torch.Tensor, condition: Condition) -> torch.Tensor:
        """R1; not compiled, as torch.compile has no second derivatives."""
        real = real.detach().requires_grad_()
        with self.context.autocast():
            scores = self.critic(real, condition)
        (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()

    def __call__(self, index: int) -> None:
        """One step."""
        condition = self.context.condition
        for optimizer, peak in zip(self.optimizers, (None, self.gan.critic_learning_rate), strict=True):
            self.context.schedule(optimizer, self.count, peak)
            optimizer.zero_grad(set_to_none=True)
        real = self.judged(self.context.images)
        fake = self.generate(torch.randn(len(real), self.context.run.model.latent_dim, device=real.device), condition)
        self.loss = self.critic_loss(real, fake.detach(), condition)
        self.loss.backward()
        if self.penalty_weight:
            (self.penalty_weight * self._penalty(real, condition)).backward()
        self.optimizers[1].step()
        self.critic.requires_grad_(False)
        self.generator_loss(fake, condition).backward()
        self.critic.requires_grad_(True)
        self.optimizers[0].step()
        self.ema.update(self.count)
        self.count += 1
