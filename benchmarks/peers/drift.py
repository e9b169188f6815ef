"""genart_jax/models/drift.py and its step in PyTorch."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.peers.common import Context, Ema
from benchmarks.peers.fastgan import Generator
from benchmarks.peers.lite import Maps


def distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared: (sets, n, m), for a (sets, n, features) and b (sets, m, features)."""
    square = lambda x: x.square().sum(-1)
    return (square(a)[:, :, None] + square(b)[:, None] - 2 * a @ b.mT).clamp(min=0)


def cells(maps: torch.Tensor, count: int) -> list[torch.Tensor]:
    """Means, and deviations where they are of several places, of count x count cells: (count^2, n, channels)."""
    n, channels, height, width = maps.shape
    high, wide = height // count, width // count
    parts = maps[:, :, : high * count, : wide * count].reshape(n, channels, count, high, count, wide)
    parts = parts.permute(2, 4, 0, 3, 5, 1).reshape(count * count, n, high * wide, channels)
    if high * wide == 1:
        return [parts[:, :, 0]]
    variance, mean = torch.var_mean(parts, dim=2, correction=0)
    return [mean, torch.sqrt(variance + 1e-6)]


def field(real: torch.Tensor, fake: torch.Tensor, near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """The drift (sets, n, features), by the logarithms of the kernel to real and to generated samples."""
    far = far.masked_fill(torch.eye(far.shape[-1], dtype=torch.bool, device=far.device), -torch.inf)
    logits = torch.cat([near, far], dim=-1)
    weights = torch.exp(0.5 * (torch.log_softmax(logits, -1) + torch.log_softmax(logits, -2)))
    attracting, repelling = weights.split([real.shape[-2], fake.shape[-2]], dim=-1)
    total = lambda weights: weights.sum(-1, keepdim=True)
    return (attracting * total(repelling)) @ real - (repelling * total(attracting)) @ fake


@torch.no_grad()
def moves(
    real: torch.Tensor, fake: torch.Tensor, temperatures: tuple[float, ...], more: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scale (sets, 1, 1), drift of what is divided by it, as (sets, n, features), and its size (sets, n)."""
    features = fake.shape[-1]
    to_real, to_fake = distances(fake, real), distances(fake, fake)
    mean = torch.cat([to_real.sqrt(), to_fake.sqrt()], dim=-1).mean((-2, -1), keepdim=True) + 1e-6
    real, fake = real / mean, fake / mean
    near, far = (torch.sqrt(squares / mean.square() + more) for squares in (to_real, to_fake))
    drift, size = torch.zeros_like(fake), fake.new_zeros(fake.shape[:-1])
    for temperature in temperatures:
        found = field(real, fake, -near / temperature, -far / temperature)
        size = size + found.square().sum(-1).sqrt() / len(temperatures)
        found = found / (found.abs().amax((-2, -1), keepdim=True) + 1e-30)
        drift = drift + found / torch.sqrt(found.square().mean((-2, -1), keepdim=True) + 1e-12)
    return mean / features**0.5, drift, size


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        run = context.run
        self.context, self.options, self.count = context, run.step, 0
        self.generator = context.place(Generator(run.model, context))
        self.features = context.place(Maps(run.model, pixels=True))
        self.modules = {"generator": self.generator}
        for p in self.generator.parameters():
            if p.ndim > 1:
                nn.init.normal_(p, 0.0, 0.02)
        self.optimizer = context.optimizer(self.generator.parameters())
        self.ema = Ema([self.generator], run.step.ema_decay)
        self.objective = context.compile(self._objective)

    def _vectors(self, images: torch.Tensor) -> list[torch.Tensor]:
        """What drifts of pictures, (sets, n, features) each."""
        maps = [x.float() for x in self.features(images)]
        counts = [(x, count) for x in maps for count in self.options.cells if count <= min(x.shape[2:])]
        return [part for x, count in counts for part in cells(x, count)]

    def _followed(
        self, real: list[torch.Tensor], fake: list[torch.Tensor], condition: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and the mean size of the drift."""
        differ = sum((v[:, None] != v[None]).float() for v in condition.values())
        more = self.options.condition_weight * torch.as_tensor(differ, device=fake[0].device)
        values, sizes = list[torch.Tensor](), list[torch.Tensor]()
        for x, y in zip(fake, real, strict=True):
            scale, drift, size = moves(y, x.detach(), self.options.temperatures, more)
            x = x / scale
            values.append(torch.square(x - (x.detach() + drift)).mean())
            sizes.append(size.mean())
        return torch.stack(values).mean(), torch.stack(sizes).mean()

    def _objective(
        self, images: torch.Tensor, z: torch.Tensor, condition: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with self.context.autocast():
            with torch.no_grad():
                real = self._vectors(images)
            fake = self._vectors(self.generator(z, condition))
        return self._followed(real, fake, condition)

    def __call__(self, index: int) -> None:
        """One step."""
        images = self.context.images
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        z = torch.randn(len(images), self.context.run.model.latent_dim, device=images.device)
        self.loss, self.drift = self.objective(images, z, self.context.condition)
        self.loss.backward()
        self.optimizer.step()
        self.ema.update(self.count)
        self.count += 1
