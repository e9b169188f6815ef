"""genart_jax/models/fastgan.py and its step in PyTorch: DiffAugment, and the decoders of the critic's features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import ConditionEmbed, Context, average
from benchmarks.peers.stylegan2 import levels
from genart_jax.config import UserError

DOUBLINGS = 4


def conv(inputs: int, outputs: int, side: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """A convolution with "SAME" padding."""
    return nn.Conv2d(inputs, outputs, side, stride, (side - 1) // 2, bias=bias)


class Gated(nn.Module):
    """3x3 convolution, noise, BatchNorm and a gated linear unit, at twice the size where it is `up`."""

    def __init__(self, inputs: int, features: int, up: bool, noisy: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.up = conv(inputs, 2 * features, 3), nn.BatchNorm2d(2 * features), up
        self.noise = nn.Parameter(torch.zeros([])) if noisy else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, features, height, width)."""
        x = self.conv(functional.interpolate(x, scale_factor=2.0) if self.up else x)
        if self.noise is not None:
            noise = torch.randn(len(x), 1, *x.shape[2:], device=x.device) * self.noise
            x = x + noise.to(x.dtype)
        return functional.glu(self.norm(x), 1)


class Excitation(nn.Module):
    """A low resolution says how strong each channel of a high one is."""

    def __init__(self, low: int, high: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.squeeze = nn.Linear(low * size[0] * size[1], high, bias=False)
        self.excite = nn.Linear(high, high, bias=False)

    def forward(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """The shape of `high`."""
        x = functional.adaptive_avg_pool2d(low, self.size).flatten(1)
        x = torch.sigmoid(self.excite(functional.leaky_relu(self.squeeze(x), 0.1)))
        return high * x[:, :, None, None]


class Generator(nn.Module):
    """z -> images."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        sizes, self.skip = levels(c), c.skip
        height, width, features = sizes[0]
        self.shape, self.layout = (2 * features, height, width), context.layout
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        inputs = c.latent_dim + len(c.conditions) * c.embed_dim
        self.first = nn.Linear(inputs, 2 * features * height * width, bias=False)
        self.norm = nn.BatchNorm2d(2 * features)
        self.ups, self.excites = nn.ModuleList(), nn.ModuleList()
        for i, (_, _, wanted) in enumerate(sizes[1:], 1):
            layers = [Gated(sizes[i - 1][2], wanted, True, True)]
            layers += [Gated(wanted, wanted, False, True)] if i % 2 else []
            self.ups.append(nn.Sequential(*layers))
            if i >= self.skip:
                self.excites.append(Excitation(sizes[i - self.skip][2], wanted, (height, width)))
        self.out = conv(sizes[-1][2], c.image_shape[2], 3, bias=True)

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, height, width) in [-1, 1]."""
        x = self.first(torch.cat([z, *self.embed(condition)], 1))
        stages = [functional.glu(self.norm(self.layout(x.reshape(-1, *self.shape))), 1)]
        for i, up in enumerate(self.ups, 1):
            x = up(stages[-1])
            stages.append(self.excites[i - self.skip](stages[i - self.skip], x) if i >= self.skip else x)
        return torch.tanh(self.out(stages[-1])).float()


class Halving(nn.Module):
    """The mean of two convolutions and of a 1x1 one of the mean of 2x2."""

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*self._layer(inputs, features, 4, 2), *self._layer(features, features, 3, 1))
        self.direct = nn.Sequential(nn.AvgPool2d(2), *self._layer(inputs, features, 1, 1))

    @staticmethod
    def _layer(inputs: int, features: int, side: int, stride: int) -> list[nn.Module]:
        return [conv(inputs, features, side, stride), nn.BatchNorm2d(features), nn.LeakyReLU(0.2)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Half as high and wide."""
        mean: torch.Tensor = 0.5 * (self.main(x) + self.direct(x))
        return mean


def decoder(inputs: int, features: int, doublings: int, channels: int) -> nn.Sequential:
    """Features -> pictures."""
    layers: list[nn.Module] = []
    for i in range(doublings):
        layers.append(Gated(inputs, max(1, features >> i), True, False))
        inputs = max(1, features >> i)
    return nn.Sequential(*layers, conv(inputs, channels, 3, bias=True), nn.Tanh())


class Critic(nn.Module):
    """Images -> scores of places, and what the decoders make of them."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        widths = [features for _, _, features in levels(c)]
        top, colors = len(widths) - 1, c.image_shape[2]
        self.first = conv(colors, widths[top], 3, bias=True)
        self.downs = nn.ModuleList([Halving(widths[i + 1], widths[i]) for i in range(top - 1, 0, -1)])
        self.mix = nn.Sequential(conv(widths[1], widths[1], 1), nn.BatchNorm2d(widths[1]), nn.LeakyReLU(0.2))
        self.out = nn.Conv2d(widths[1], 1, 4, bias=False)
        self.embed = ConditionEmbed(c.conditions, widths[1])
        self.whole = decoder(widths[1], max(1, widths[1] // 2), min(top - 1, DOUBLINGS), colors)
        self.part = decoder(widths[2], max(1, widths[2] // 2), min(top - 2, DOUBLINGS), colors)

    def forward(
        self, x: torch.Tensor, condition: dict[str, torch.Tensor], which: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (batch, h, w), and with `which` quarter the decoders' mean absolute difference."""
        images = x
        stages = [functional.leaky_relu(self.first(x), 0.2)]
        for down in self.downs:
            stages.append(down(stages[-1]))
        y = self.mix(stages[-1]).float()
        scores = self.out(y)[:, 0]
        vectors = self.embed(condition)
        if vectors:
            scores = scores + (sum(vectors) * y.mean((2, 3))).sum(1)[:, None, None]
        if which is None:
            return scores, scores.new_zeros([])
        drawn = self.whole(stages[-1]), self.part(quarter(stages[-2], which))
        wanted = images, quarter(images, which)
        pairs = zip(drawn, wanted, strict=True)
        lost = [(a.float() - functional.adaptive_avg_pool2d(b, a.shape[2:])).abs().mean() for a, b in pairs]
        return scores, lost[0] + lost[1]


def quarter(x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """One of four quarters of each example."""
    n, channels, height, width = x.shape
    parts = x.reshape(n, channels, 2, height // 2, 2, width // 2)
    return parts[torch.arange(n, device=x.device), :, which // 2, :, which % 2]


def augmented(x: torch.Tensor, ops: Sequence[str]) -> torch.Tensor:
    """DiffAugment's colour and translation."""
    n, device = len(x), x.device
    if "color" in ops:
        draw = torch.rand(3, n, 1, 1, 1, device=device)
        x = x + draw[0] - 0.5
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * 2 * draw[1]
        mean = x.mean((1, 2, 3), keepdim=True)
        x = mean + (x - mean) * (draw[2] + 0.5)
    if "translation" in ops:
        height, width = x.shape[2:]
        most = int(height / 8 + 0.5), int(width / 8 + 0.5)
        rows, columns = (
            torch.arange(side, device=device) + torch.randint(0, 2 * m + 1, (n, 1), device=device)
            for side, m in zip((height, width), most, strict=True)
        )
        padded = functional.pad(x, (most[1], most[1], most[0], most[0])).permute(0, 2, 3, 1)
        index = torch.arange(n, device=device)[:, None, None]
        x = padded[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return x


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        run = context.run
        gan = run.step
        usual = gan.loss == "hinge" and gan.critic_batch == "separate" and gan.augment == "diffaugment"
        usual = usual and list(gan.critic_terms) == ["reconstruction=1"]
        usual = usual and bool(gan.augment_ops) and "cutout" not in gan.augment_ops
        if not usual or gan.d_steps != 1 or gan.g_steps != 1 or gan.condition_dropout:
            raise UserError("--against torch: fastgan as its default preset has it")
        self.context, self.gan, self.count = context, gan, 0
        self.generator = context.place(Generator(run.model, context))
        self.critic = context.place(Critic(run.model))
        self.modules = {"generator": self.generator, "critic": self.critic}
        for module in self.modules.values():
            for p in module.parameters():
                if p.ndim > 1:
                    nn.init.normal_(p, 0.0, 0.02)
        self.optimizers = (
            context.optimizer(self.generator.parameters()),
            context.optimizer(self.critic.parameters(), gan.critic_learning_rate),
        )
        self.ema = average([self.generator], gan, run.train.batch)
        self.generate, self.critic_loss, self.generator_loss = (
            context.compile(f) for f in (self._generate, self._critic_loss, self._generator_loss)
        )

    def _generate(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.context.autocast():
            images: torch.Tensor = self.generator(z, condition)
        return images

    def _critic_loss(self, real: torch.Tensor, fake: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        which = torch.randint(0, 4, (len(real),), device=real.device)
        with self.context.autocast():
            on_real, lost = self.critic(augmented(real, self.gan.augment_ops), condition, which)
            on_fake, _ = self.critic(augmented(fake, self.gan.augment_ops), condition)
        return functional.relu(1 - on_real).mean() + functional.relu(1 + on_fake).mean() + lost

    def _generator_loss(self, fake: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.context.autocast():
            scores, _ = self.critic(augmented(fake, self.gan.augment_ops), condition)
        return -scores.mean()

    def __call__(self, index: int) -> None:
        """One step."""
        real, condition = self.context.images, self.context.condition
        for optimizer in self.optimizers:
            self.context.schedule(optimizer, self.count)
            optimizer.zero_grad(set_to_none=True)
        z = torch.randn(len(real), self.context.run.model.latent_dim, device=real.device)
        fake = self.generate(z, condition)
        self.critic_loss(real, fake.detach(), condition).backward()
        self.optimizers[1].step()
        self.critic.requires_grad_(False)
        self.generator_loss(fake, condition).backward()
        self.critic.requires_grad_(True)
        self.optimizers[0].step()
        self.ema.update(self.count)
        self.count += 1
