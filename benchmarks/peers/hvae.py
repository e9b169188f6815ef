"""genart_jax/models/hvae.py in PyTorch, with the variational step over its layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import ConditionEmbed, Context, Ema
from genart_jax.config import UserError
from genart_jax.nn.pyramid import halvings

_WIDEST, _LEAST, _HALF_LEVEL = 6.0, -7.0, 1 / 255


def grid(c: Any) -> list[tuple[tuple[int, int], int]]:
    """((height, width), layers) of each resolution, from the smallest."""
    count, (height, width) = halvings("hvae", tuple(c.image_shape))
    return [((height << i, width << i), c.layers[min(i, len(c.layers) - 1)]) for i in range(count + 1)]


class Block(nn.Module):
    """GELU and a convolution, four times."""

    def __init__(self, inputs: int, outputs: int, middle: int) -> None:
        super().__init__()
        shapes = (inputs, middle, 1), (middle, middle, 3), (middle, middle, 3), (middle, outputs, 1)
        self.convs = nn.ModuleList([nn.Conv2d(a, b, side, padding=side // 2) for a, b, side in shapes])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, height, width) -> (batch, outputs, height, width)."""
        for conv in self.convs:
            x = conv(functional.gelu(x, approximate="tanh"))
        return x


class Encoder(nn.Module):
    """Images -> a map of each resolution, from the smallest."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.start = nn.Conv2d(c.image_shape[2], c.width, 3, padding=1)
        self.embed = ConditionEmbed(c.conditions, c.width)
        blocks = lambda: nn.ModuleList([Block(c.width, c.width, c.middle) for _ in range(c.blocks)])
        self.stages = nn.ModuleList([blocks() for _ in grid(c)])  # from the largest

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """See the class."""
        x, found = self.start(x), []
        for vector in self.embed(condition):
            x = x + vector[:, :, None, None]
        for i, stage in enumerate(self.stages):
            x = functional.avg_pool2d(x, 2) if i else x
            for block in stage:
                x = x + block(x)
            found.append(x)
        return found[::-1]


class Layer(nn.Module):
    """One layer of latents; its posterior sees the encoder's map."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.latents = c.latent_channels
        self.prior = Block(c.width, 2 * c.latent_channels + c.width, c.middle)
        self.posterior = Block(2 * c.width, 2 * c.latent_channels, c.middle)
        self.drawn = nn.Conv2d(c.latent_channels, c.width, 1)
        self.block = Block(c.width, c.width, c.middle)
        nn.init.zeros_(self.prior.convs[-1].weight)

    def forward(self, x: torch.Tensor, seen: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The state, and the KL divergence (batch,)."""
        bounded = lambda y: _WIDEST * torch.tanh(y / _WIDEST)
        prior = self.prior(x)
        at, log_spread = (y.float() for y in prior[:, : 2 * self.latents].chunk(2, dim=1))
        mean, log_variance = self.posterior(torch.cat([x, seen], dim=1)).float().chunk(2, dim=1)
        log_spread, log_variance = bounded(log_spread), bounded(log_variance)
        z = mean + torch.exp(0.5 * log_variance) * noise
        apart = log_spread - log_variance
        kl = 0.5 * (apart - 1 + torch.exp(-apart) + torch.square(mean - at) * torch.exp(-log_spread))
        x = x + prior[:, 2 * self.latents :]
        x = x + self.drawn(z)
        return x + self.block(x), kl.flatten(1).sum(1)


class Decoder(nn.Module):
    """The encoder's maps -> numbers of each pixel, and the layers' divergences."""

    def __init__(self, c: Any, mixtures: int) -> None:
        super().__init__()
        self.latents, self.resolutions = c.latent_channels, grid(c)
        self.first = nn.Parameter(0.1 * torch.randn(c.width, *self.resolutions[0][0]))
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.told = nn.ModuleList([nn.Linear(c.embed_dim, c.width, bias=False) for _ in c.conditions])
        self.layers = nn.ModuleList([Layer(c) for _, layers in self.resolutions for _ in range(layers)])
        channels = c.image_shape[2]
        outputs = mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)
        self.out = nn.Conv2d(c.width, c.outputs or outputs, 1)

    def forward(
        self, maps: list[torch.Tensor], condition: dict[str, torch.Tensor], noise: list[torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, outputs, height, width), and (batch, layers); `noise` of each layer instead of draws."""
        x = self.first.expand(len(maps[0]), *self.first.shape)
        for told, vector in zip(self.told, self.embed(condition), strict=True):
            x = x + told(vector)[:, :, None, None]
        kls, index = list[torch.Tensor](), 0
        for i, ((height, width), layers) in enumerate(self.resolutions):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest") if i else x
            for _ in range(layers):
                shape = len(x), self.latents, height, width
                drawn = torch.randn(shape, device=x.device) if noise is None else noise[index]
                x, kl = self.layers[index](x, maps[i], drawn)
                kls.append(kl)
                index += 1
        return self.out(functional.gelu(x, approximate="tanh")), torch.stack(kls, dim=1)


def mixture_nll(x: torch.Tensor, output: torch.Tensor, mixtures: int) -> torch.Tensor:
    """`losses.elbo.logistic_mixture_nll`, channels first: (batch,)."""
    channels = x.shape[1]
    parts = output.unflatten(1, (mixtures, -1))
    logits, means = parts[:, :, 0], list(parts[:, :, 1 : 1 + channels].unbind(2))
    log_scales = parts[:, :, 1 + channels : 1 + 2 * channels].clamp(min=_LEAST)
    factors, begin = torch.tanh(parts[:, :, 1 + 2 * channels :]), 0
    for i in range(channels):
        for j in range(i):
            means[i] = means[i] + factors[:, :, begin] * x[:, None, j]
            begin += 1
    scale, level = torch.exp(-log_scales), x[:, None]
    centred = level - torch.stack(means, dim=2)
    high, low = scale * (centred + _HALF_LEVEL), scale * (centred - _HALF_LEVEL)
    bottom, top = functional.logsigmoid(high), functional.logsigmoid(-low)
    inside = bottom + top + torch.log(-torch.expm1(-2 * _HALF_LEVEL * scale))
    mass = torch.where(level < -1 + _HALF_LEVEL, bottom, torch.where(level > 1 - _HALF_LEVEL, top, inside))
    pixel = torch.logsumexp(torch.log_softmax(logits, dim=1) + mass.sum(2), dim=1)
    return -pixel.flatten(1).sum(1)


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        c, options = context.run.model, context.run.step
        plain = options.likelihood == "logistic_mixture" and options.objective == "elbo" and options.draws == 1
        if not plain or options.capacity or options.free_bits or options.condition_dropout:
            raise UserError("--against torch: has hvae with a logistic mixture and the evidence bound of one draw")
        self.context, self.options = context, options
        encoder, decoder = context.place(Encoder(c)), context.place(Decoder(c, options.mixtures))
        self.modules: dict[str, nn.Module] = {"encoder": encoder, "decoder": decoder}
        self.parameters = [p for module in self.modules.values() for p in module.parameters()]
        self.optimizer = context.optimizer(self.parameters, clips=True)
        self.ema = Ema(self.modules.values(), options.ema_decay)
        self.count = 0
        self.objective = context.compile(self._objective)

    def _objective(
        self, images: torch.Tensor, condition: dict[str, torch.Tensor], noise: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        with self.context.autocast():
            maps = self.modules["encoder"](images, condition)
            output, kl = self.modules["decoder"](maps, condition, noise)
        reconstruction = mixture_nll(images, output.float(), self.options.mixtures)
        return torch.mean(reconstruction + self.options.beta * kl.sum(1)) / images[0].numel()

    def __call__(self, index: int) -> None:
        """One step."""
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.objective(self.context.images, self.context.condition)
        loss.backward()
        if clip := self.context.run.optimizer.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, clip)
        self.optimizer.step()
        self.ema.update(self.count)
        self.count += 1
