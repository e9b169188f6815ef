"""genart_jax/models/projected_gan.py and its step in PyTorch.

The features of generated pictures are computed once for both players, as what makes them is frozen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.peers.common import ConditionEmbed, Context, average
from benchmarks.peers.fastgan import Generator, augmented
from benchmarks.peers.lite import Maps
from genart_jax.config import UserError

Condition = dict[str, torch.Tensor]


class Mixing(nn.Module):
    """Maps -> maps of the same sizes, by random kernels: of channels, and from the smaller ones to the larger."""

    def __init__(self, width: int, inputs: list[int]) -> None:
        super().__init__()
        self.channels = nn.ModuleList([nn.Conv2d(n, width << i, 1, bias=False) for i, n in enumerate(inputs)])
        above = lambda i: nn.Conv2d(width << i, max(1, width << i >> 1), 3, padding=1, bias=False)
        self.scales = nn.ModuleList([above(i) for i in range(1, len(inputs))])
        for kernel in self.parameters():
            nn.init.kaiming_normal_(kernel)
        self.requires_grad_(False)

    def forward(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Each (batch, width * 2^i, height, width)."""
        mixed = [conv(x) for conv, x in zip(self.channels, maps, strict=True)]
        for i in reversed(range(len(mixed) - 1)):
            below = self.scales[i](mixed[i + 1])
            mixed[i] = mixed[i] + functional.interpolate(below, mixed[i].shape[2:], mode="bilinear")
        return mixed


class Projection(nn.Module):
    """Images -> mixed maps of frozen features, the largest first."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.features = Maps(c)
        height, width, channels = c.image_shape
        with torch.no_grad():
            maps = self.features(torch.zeros(1, channels, height, width))
        self.mixing = Mixing(c.critic_width, [x.shape[1] for x in maps])
        self.sides = [(x.shape[2], x.shape[3]) for x in maps]

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """See the class."""
        return self.mixing(self.features(images))


class Scale(nn.Module):
    """One map -> scores of its places."""

    def __init__(self, c: Any, features: int, sides: tuple[int, int]) -> None:
        super().__init__()
        layers, inputs = list[nn.Module](), features
        while not layers or min(sides) >= 8:
            features = min(2 * inputs, 512) if layers else inputs
            halves = min(sides) >= 8
            if halves and any(side % 2 for side in sides):
                raise UserError("--against torch: projected_gan whose maps halve evenly")
            shape = (4, 2, 1) if halves else (3, 1, 1)
            layers += [spectral_norm(nn.Conv2d(inputs, features, *shape)), nn.LeakyReLU(0.2)]
            inputs, sides = features, (sides[0] >> halves, sides[1] >> halves)
        self.layers = nn.Sequential(*layers)
        self.out = spectral_norm(nn.Conv2d(features, 1, 3, padding=1, bias=False))
        self.embed = ConditionEmbed(c.conditions, features)
        for table in self.embed.tables:
            nn.init.normal_(table.weight, 0.0, 0.1)
            spectral_norm(table)

    def forward(self, x: torch.Tensor, condition: Condition) -> torch.Tensor:
        """(batch, h, w)."""
        x = self.layers(x).float()
        scores: torch.Tensor = self.out(x)[:, 0].float()
        vectors = self.embed(condition)
        return scores + (sum(vectors) * x.mean((2, 3))).sum(1)[:, None, None] if vectors else scores


class Critic(nn.Module):
    """Mixed maps -> scores of the places of each."""

    def __init__(self, c: Any, sides: list[tuple[int, int]]) -> None:
        super().__init__()
        self.scales = nn.ModuleList([Scale(c, c.critic_width << i, pair) for i, pair in enumerate(sides)])

    def forward(self, maps: list[torch.Tensor], condition: Condition) -> list[torch.Tensor]:
        """See the class."""
        return [scale(x, condition) for scale, x in zip(self.scales, maps, strict=True)]


def cutout(x: torch.Tensor) -> torch.Tensor:
    """A hole of half of each side, its centre anywhere in the picture."""
    inside = []
    for side in x.shape[2:]:
        hole = int(side / 2 + 0.5)
        place = torch.rand(len(x), 1, device=x.device) * (side + 1 - hole % 2)
        first, at = place.floor() - hole // 2, torch.arange(side, device=x.device)
        inside.append((at >= first) & (at < first + hole))
    return x.masked_fill(inside[0][:, None, :, None] & inside[1][:, None, None], 0.0)


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        run = context.run
        gan = run.step
        usual = gan.loss == "hinge" and gan.critic_batch == "joint" and gan.augment == "diffaugment"
        more = gan.critic_terms or gan.generator_terms or gan.r1_gamma or gan.condition_dropout or gan.augment_p != 1
        if not usual or more or not gan.augment_ops or gan.d_steps != 1 or gan.g_steps != 1 or run.train.schedules:
            raise UserError("--against torch: projected_gan as its default preset has it")
        self.context, self.gan, self.count = context, gan, 0
        self.generator = context.place(Generator(run.model, context))
        for p in self.generator.parameters():
            if p.ndim > 1:
                nn.init.normal_(p, 0.0, 0.02)
        projection = Projection(run.model)
        self.critic = context.place(Critic(run.model, projection.sides))
        self.projection = context.place(projection)
        self.modules = {"generator": self.generator, "critic": self.critic}
        self.optimizers = (
            context.optimizer(self.generator.parameters()),
            context.optimizer(self.critic.parameters(), gan.critic_learning_rate),
        )
        self.ema = average([self.generator], gan, run.train.batch)
        self.project, self.generate, self.critic_loss, self.generator_loss = (
            context.compile(f) for f in (self._project, self._generate, self._critic_loss, self._generator_loss)
        )

    def _seen(self, images: torch.Tensor) -> list[torch.Tensor]:
        """What the critic is applied to, of augmented pictures."""
        images = augmented(images, self.gan.augment_ops)
        return self.projection(cutout(images) if "cutout" in self.gan.augment_ops else images)

    @torch.no_grad()
    def _project(self, images: torch.Tensor) -> list[torch.Tensor]:
        with self.context.autocast():
            return self._seen(images)

    def _generate(self, z: torch.Tensor, condition: Condition) -> list[torch.Tensor]:
        """Generated pictures, as the critic sees them."""
        with self.context.autocast():
            return self._seen(self.generator(z, condition))

    def _critic_loss(
        self, real: list[torch.Tensor], fake: list[torch.Tensor], condition: Condition
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        both = {name: torch.cat([value, value]) for name, value in condition.items()}
        with self.context.autocast():
            scores = self.critic([torch.cat(pair) for pair in zip(real, fake, strict=True)], both)
        parts = [x.chunk(2) for x in scores]
        losses = [functional.relu(1 - a).mean() + functional.relu(1 + b).mean() for a, b in parts]
        on_real, on_fake = (torch.stack([x.detach().mean() for x in side]).mean() for side in zip(*parts, strict=True))
        return torch.stack(losses).mean(), on_real, on_fake

    def _generator_loss(self, fake: list[torch.Tensor], condition: Condition) -> torch.Tensor:
        with self.context.autocast():
            scores = self.critic(fake, condition)
        return -torch.stack([x.mean() for x in scores]).mean()

    def __call__(self, index: int) -> None:
        """One step."""
        images, condition = self.context.images, self.context.condition
        for optimizer, peak in zip(self.optimizers, (None, self.gan.critic_learning_rate), strict=True):
            self.context.schedule(optimizer, self.count, peak)
            optimizer.zero_grad(set_to_none=True)
        z = torch.randn(len(images), self.context.run.model.latent_dim, device=images.device)
        fake = self.generate(z, condition)
        self.loss, self.real_score, self.fake_score = self.critic_loss(
            self.project(images), [x.detach() for x in fake], condition
        )
        self.loss.backward()
        self.optimizers[1].step()
        # Out of training, its spectral normalisation stands still.
        self.critic.requires_grad_(False).eval()
        self.generator_loss(fake, condition).backward()
        self.critic.requires_grad_(True).train()
        self.optimizers[0].step()
        self.ema.update(self.count)
        self.count += 1
