"""The adversarial step in PyTorch, for any generator and critic; see genart_jax/steps/gan.py."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import nn

from benchmarks.peers.adversarial_terms import LOSSES, Scores, halves, mean_of, orthogonal, terms_of
from benchmarks.peers.common import Context, average
from genart_jax.config import UserError

Condition: TypeAlias = "dict[str, torch.Tensor]"


class Step:
    """One step a call; the lazy terms in every call whose index is a multiple of their period.

    PyTorch has one real batch for all updates of a step. A subclass says what the networks are, and whether the
    critic's spectral normalisation stands still out of the critic's own pass: it is in evaluation then.
    """

    still = False

    def __init__(self, context: Context) -> None:
        gan = context.run.step
        if gan.loss not in LOSSES or gan.condition_dropout or gan.augment != "none" or gan.lazy_updates != "joint":
            raise UserError(f"--against torch: {', '.join(LOSSES)}, all conditions shown, nothing augmented")
        self.context, self.gan, self.loss, self.count = context, gan, LOSSES[gan.loss], 0
        self.critic_terms, self.generator_terms = terms_of(gan)
        self.period = math.lcm(*[every for _, every in self.critic_terms.values() if every])
        self.generator, self.critic = map(context.place, self.made(context.run.model, context))
        self.modules = {"generator": self.generator, "critic": self.critic}
        self.optimizers = (
            context.optimizer(self.generator.parameters()),
            context.optimizer(self.critic.parameters(), gan.critic_learning_rate),
        )
        self.ema = average([self.generator], gan, context.run.train.batch)
        self.generate, self.critic_loss, self.generator_loss = (
            context.compile(f) for f in (self._generate, self._critic_loss, self._generator_loss)
        )

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """The generator and the critic, for our `model`'s configuration."""
        raise NotImplementedError

    def latent_dim(self) -> int:
        """Length of z."""
        length: int = self.context.run.model.latent_dim
        return length

    def _latents(self) -> torch.Tensor:
        real = self.context.images
        return torch.randn(len(real), self.latent_dim(), device=real.device)

    def _generate(self, z: torch.Tensor, condition: Condition) -> torch.Tensor:
        with self.context.autocast():
            images: torch.Tensor = self.generator(z, condition)
        return images

    def _critic_loss(self, real: torch.Tensor, fake: torch.Tensor, condition: Condition) -> torch.Tensor:
        on_real: Scores
        with self.context.autocast():
            if self.gan.critic_batch == "separate":
                on_real, on_fake = self.critic(real, condition), self.critic(fake, condition)
            else:
                both = {name: torch.cat([value, value]) for name, value in condition.items()}
                on_real, on_fake = halves(self.critic(torch.cat([real, fake]), both))
        return mean_of(self.loss.critic, on_real, on_fake)

    def _generator_loss(self, real: torch.Tensor, fake: torch.Tensor, condition: Condition) -> torch.Tensor:
        with self.context.autocast():
            on_fake = on_real = self.critic(fake, condition)
            if self.loss.paired:
                with torch.no_grad():
                    on_real = self.critic(real, condition)
        loss = mean_of(self.loss.generator, on_real, on_fake)
        for name, (weight, _) in self.generator_terms.items():
            value = (fake - real).square().mean() if name == "pixel_mse" else orthogonal(self.generator)
            loss = loss + weight * value
        return loss

    def _squares(self, images: torch.Tensor, condition: Condition) -> torch.Tensor:
        """|grad D|^2 (batch,); not compiled, as torch.compile has no second derivatives."""
        images = images.detach().requires_grad_()
        with self.context.autocast():
            scores = self.critic(images, condition)
        (gradient,) = torch.autograd.grad(len(images) * mean_of(lambda x: x, scores), images, create_graph=True)
        return gradient.square().flatten(1).sum(1)

    def _penalty(self, name: str, real: torch.Tensor, fake: torch.Tensor, condition: Condition) -> torch.Tensor:
        """A term of the critic."""
        if name != "gp":
            return self._squares(real if name == "r1" else fake, condition).mean()
        share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
        squares = self._squares(torch.lerp(fake, real, share), condition)
        return ((squares + 1e-12).sqrt() - 1).square().mean()

    def _update_critic(
        self, real: torch.Tensor, fake: torch.Tensor, condition: Condition, due: Callable[[int], bool]
    ) -> None:
        optimizer = self.optimizers[1]
        optimizer.zero_grad(set_to_none=True)
        self.critic_loss(real, fake, condition).backward()
        for name, (weight, every) in self.critic_terms.items():
            if due(every):
                (weight * self._penalty(name, real, fake, condition)).backward()
        optimizer.step()

    @contextlib.contextmanager
    def _frozen(self) -> Iterator[None]:
        """The critic as the generator sees it."""
        self.critic.requires_grad_(False).train(not self.still)
        yield
        self.critic.requires_grad_(True).train()

    def __call__(self, index: int) -> None:
        """One step."""
        real, condition, rounds = self.context.images, self.context.condition, self.gan.d_steps
        for optimizer, peak in zip(self.optimizers, (None, self.gan.critic_learning_rate), strict=True):
            self.context.schedule(optimizer, self.count, peak)
        for i in range(rounds):
            last = i + 1 == rounds
            with torch.set_grad_enabled(last):  # the last pictures serve the generator too
                fake = self.generate(self._latents(), condition)
            due = lambda every, last=last: not every or (last and index % every == 0)
            self._update_critic(real, fake.detach(), condition, due)
        with self._frozen():
            for i in range(self.gan.g_steps):
                if i:
                    fake = self.generate(self._latents(), condition)
                self.optimizers[0].zero_grad(set_to_none=True)
                self.generator_loss(real, fake, condition).backward()
                self.optimizers[0].step()
        self.ema.update(self.count)
        self.count += 1
