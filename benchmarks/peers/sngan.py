"""genart_jax/models/sngan.py and its step in PyTorch, with PyTorch's own spectral normalisation."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.peers.common import ConditionEmbed, Context, Ema
from benchmarks.peers.dcgan import stages
from genart_jax.config import UserError
from genart_jax.models import sngan


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
        self.offsets = ConditionEmbed(conditions, 2 * features)
        for weight in self.offsets.parameters():
            nn.init.zeros_(weight)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, C, H, W), after a ReLU."""
        scale: torch.Tensor = self.scale
        shift: torch.Tensor = self.shift
        if vectors := self.offsets(condition):
            scale_offset, shift_offset = sum(vectors).chunk(2, dim=1)
            scale, shift = scale + scale_offset, shift + shift_offset
        scale, shift = (v.reshape(-1, x.shape[1], 1, 1) for v in (scale, shift))
        return functional.relu(torch.addcmul(shift, self.statistics(x), scale))


class GeneratorBlock(nn.Module):
    """Doubles height and width."""

    def __init__(self, conditions: Any, inputs: int, features: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ConditionalNorm(conditions, inputs), ConditionalNorm(conditions, features)])
        self.up = UpConv(inputs, features, 3, bias=False)
        self.conv = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.skip = nn.Conv2d(inputs, features, 1, bias=False)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, C, H, W) -> (batch, features, 2H, 2W)."""
        y = self.conv(self.norms[1](self.up(self.norms[0](x, condition)), condition))
        return y + functional.interpolate(self.skip(x), scale_factor=2)


class Generator(nn.Module):
    """z -> images."""

    def __init__(self, c: Any, features: list[int], context: Context) -> None:
        super().__init__()
        _, height, width = stages(c.image_shape)
        self.shape, self.layout = (features[0], height, width), context.layout
        self.start = nn.Linear(c.latent_dim, features[0] * height * width)
        self.blocks = nn.ModuleList([GeneratorBlock(c.conditions, a, b) for a, b in itertools.pairwise(features)])
        self.norm = ConditionalNorm(c.conditions, features[-1])
        self.out = nn.Conv2d(features[-1], c.image_shape[2], 3, 1, 1)

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width) in [-1, 1]."""
        x = self.layout(self.start(z).reshape(-1, *self.shape))
        for block in self.blocks:
            x = block(x, condition)
        return torch.tanh(self.out(self.norm(x, condition))).float()


class CriticBlock(nn.Module):
    """Halves height and width with `down`."""

    def __init__(self, inputs: int, features: int, first: bool, down: bool) -> None:
        super().__init__()
        self.first, self.down = first, down
        self.conv_0 = spectral_norm(nn.Conv2d(inputs, features, 3, 1, 1))
        self.conv_1 = spectral_norm((DownConv if down else nn.Conv2d)(features, features, 3, 1, 1))
        learned = down or inputs != features
        self.skip = spectral_norm(nn.Conv2d(inputs, features, 1)) if learned else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, C, H, W) -> (batch, features, H/2, W/2) or without the halving."""
        y = self.conv_1(functional.relu(self.conv_0(x if self.first else functional.relu(x))))
        return y + self.skip(functional.avg_pool2d(x, 2) if self.down else x)


class Critic(nn.Module):
    """Images -> scores."""

    def __init__(self, c: Any, features: list[int], halving: int) -> None:
        super().__init__()
        pairs = itertools.pairwise([c.image_shape[2], *features])
        self.blocks = nn.Sequential(*[CriticBlock(a, b, i == 0, i < halving) for i, (a, b) in enumerate(pairs)])
        self.out = spectral_norm(nn.Linear(features[-1], 1))
        self.embed = ConditionEmbed(c.conditions, features[-1])
        for table in self.embed.tables:
            spectral_norm(table)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        pooled = functional.relu(self.blocks(x)).sum(dim=(2, 3), dtype=torch.float32)
        score = self.out(pooled)[:, 0]
        vectors = self.embed(condition)
        return score + (sum(vectors) * pooled).sum(1) if vectors else score


class Step:
    """One generator update a call, after `d_steps` critic updates. PyTorch has one real batch for all of them."""

    period = 1

    def __init__(self, context: Context) -> None:
        gan, model = context.run.step, context.run.model
        if gan.loss != "hinge" or gan.g_steps != 1 or gan.condition_dropout or gan.r1_gamma:
            raise UserError("--against torch: only the hinge loss, one generator update, no R1, all conditions shown")
        self.context, self.gan, self.count = context, gan, 0
        features, critic_features, halving = sngan.channels(model)
        self.generator = context.place(Generator(model, features, context))
        self.critic = context.place(Critic(model, critic_features, halving))
        self.modules = {"generator": self.generator, "critic": self.critic}
        self.optimizers = (
            context.optimizer(self.generator.parameters()),
            context.optimizer(self.critic.parameters(), gan.critic_learning_rate),
        )
        self.ema = Ema([self.generator], gan.ema_decay)
        self.generate = context.compile(self._generate)
        self.critic_loss = context.compile(self._critic_loss)
        self.generator_loss = context.compile(self._generator_loss)

    def _generate(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.context.autocast():
            return self.generator(z, condition)

    def _critic_loss(
        self, real: torch.Tensor, fake: torch.Tensor, condition: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with self.context.autocast():
            both = {name: torch.cat([value, value]) for name, value in condition.items()}
            on_real, on_fake = self.critic(torch.cat([real, fake]), both).float().chunk(2)
        loss = functional.relu(1 - on_real).mean() + functional.relu(1 + on_fake).mean()
        return loss, on_real.detach().mean(), on_fake.detach().mean()

    def _generator_loss(self, fake: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.context.autocast():
            return -self.critic(fake, condition).float().mean()

    def __call__(self, index: int) -> None:
        """One step."""
        real, condition = self.context.images, self.context.condition
        for optimizer, peak in zip(self.optimizers, (None, self.gan.critic_learning_rate), strict=True):
            self.context.schedule(optimizer, self.count, peak)
            optimizer.zero_grad(set_to_none=True)
        for i in range(self.gan.d_steps):
            last = i + 1 == self.gan.d_steps
            z = torch.randn(len(real), self.context.run.model.latent_dim, device=real.device)
            with torch.set_grad_enabled(last):  # the last pictures serve the generator too
                fake = self.generate(z, condition)
            loss, self.real_score, self.fake_score = self.critic_loss(real, fake.detach(), condition)
            self.optimizers[1].zero_grad(set_to_none=True)
            loss.backward()
            self.optimizers[1].step()
        # Out of training, its spectral normalisation stands still.
        self.critic.requires_grad_(False).eval()
        self.generator_loss(fake, condition).backward()
        self.critic.requires_grad_(True).train()
        self.optimizers[0].step()
        self.ema.update(self.count)
        self.count += 1
