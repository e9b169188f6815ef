"""genart_jax/models/stylegan2.py and its step in PyTorch, lazy penalties included."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import ConditionEmbed, Context
from genart_jax.config import UserError


def levels(c: Any) -> list[tuple[int, int, int]]:
    """(height, width, channels) of each resolution, from the smallest."""
    height, width = c.image_shape[:2]
    count = 1
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    return [(height << i, width << i, max(1, min(c.channel_max, c.channel_base // (4 << i)))) for i in range(count)]


def leaky(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU times the root of 2."""
    return functional.leaky_relu(x, 0.2) * math.sqrt(2.0)


def unit_moment(x: torch.Tensor) -> torch.Tensor:
    """Rows of mean square 1."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class Filter(nn.Module):
    """[1, 3, 3, 1] in both axes, by a depthwise convolution."""

    kernel: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.channels = channels
        kernel = line[:, None] * line[None]
        self.register_buffer("kernel", kernel.expand(channels, 1, 4, 4).contiguous(), persistent=False)

    def blur(self, x: torch.Tensor, pad: int, stride: int = 1, gain: float = 1.0) -> torch.Tensor:
        """Padded with zeros on all sides, filtered, and every `stride`-th pixel kept."""
        kernel = self.kernel if gain == 1.0 else self.kernel * gain
        return functional.conv2d(x, kernel.to(x.dtype), stride=stride, padding=pad, groups=self.channels)

    def up(self, x: torch.Tensor) -> torch.Tensor:
        """Twice the size."""
        kernel = (self.kernel * 4.0).to(x.dtype)
        return functional.conv_transpose2d(x, kernel, stride=2, padding=1, groups=self.channels)


class Linear(nn.Module):
    """Dense layer with an equalised learning rate."""

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.gain, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in) -> (batch, out)."""
        bias = self.bias if self.rate == 1.0 else self.bias * self.rate
        return functional.linear(x, self.weight * self.gain, bias)


class Mapping(nn.Module):
    """The mapping network of styles, or of the critic's conditions (no latent)."""

    mean: torch.Tensor

    def __init__(self, c: Any, latent: bool) -> None:
        super().__init__()
        self.embed = ConditionEmbed(c.conditions, c.latent_dim)
        first = c.latent_dim * (int(latent) + int(bool(c.conditions)))
        layers = c.mapping_layers if latent else c.critic_mapping_layers or c.mapping_layers
        sizes = [first, *[c.style_dim] * layers]
        self.layers = nn.ModuleList([Linear(a, b, c.mapping_rate) for a, b in itertools.pairwise(sizes)])
        if latent:
            self.register_buffer("mean", torch.zeros(c.style_dim))

    def forward(self, z: torch.Tensor | None, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, style_dim)."""
        vectors = self.embed(condition)
        parts = ([] if z is None else [unit_moment(z)]) + ([unit_moment(sum(vectors))] if vectors else [])
        x = torch.cat(parts, dim=1)
        for layer in self.layers:
            x = leaky(layer(x))
        return x


class StyleConv(nn.Module):
    """Modulated convolution by scaled inputs and outputs, noise, bias, activation; or only a bias, to a picture."""

    def __init__(self, inputs: int, outputs: int, style: int, side: int = 3, up: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.gain = 1 / math.sqrt(inputs * side * side)
        self.affine = Linear(style, inputs, bias=1.0)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.picture, self.up, self.side = side == 1, up, side
        if up:
            self.filter = Filter(outputs)
        if not self.picture:
            self.noise = nn.Parameter(torch.zeros([]))

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """(batch, in, height, width) -> (batch, out, height, width), or twice the size."""
        style, weight = self.affine(w), self.weight * self.gain
        x = x * style[:, :, None, None].to(x.dtype)
        if self.up:
            x = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = self.filter.blur(x, 1, gain=4.0)
        else:
            x = functional.conv2d(x, weight, padding=self.side // 2)
        if self.picture:
            return x + self.bias[:, None, None]
        scale = (style.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()
        noise = torch.randn(len(x), 1, *x.shape[2:], device=x.device) * self.noise
        x = torch.addcmul(noise.to(x.dtype), x, scale[:, :, None, None].to(x.dtype))
        return leaky(x + self.bias[:, None, None])


class Generator(nn.Module):
    """z -> images, in two halves."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        sizes, style, channels = levels(c), c.style_dim, c.image_shape[2]
        self.mapping = Mapping(c, latent=True)
        self.count, self.decay = 2 * len(sizes), c.style_decay
        self.const = nn.Parameter(torch.randn(sizes[0][2], *sizes[0][:2]))
        self.ups = nn.ModuleList([StyleConv(a[2], b[2], style, up=True) for a, b in itertools.pairwise(sizes)])
        self.convs = nn.ModuleList([StyleConv(s[2], s[2], style) for s in sizes])
        self.images = nn.ModuleList([StyleConv(s[2], channels, style, side=1) for s in sizes])
        self.filter = Filter(channels)

    def styles(self, z: torch.Tensor, condition: dict[str, torch.Tensor], mixing: float, track: bool) -> torch.Tensor:
        """(batch, layers, style_dim), of two latents where they are mixed."""
        w = self.mapping(z, condition)
        if track:
            self.mapping.mean.lerp_(w.detach().mean(0).float(), 1 - self.decay)
        styles = w[:, None].expand(-1, self.count, -1)
        if mixing:
            other = self.mapping(torch.randn_like(z), condition)
            cut = 1 + (torch.rand(len(z), device=z.device) * (self.count - 1)).floor()
            cut = torch.where(torch.rand(len(z), device=z.device) < mixing, cut, self.count)
            first = torch.arange(self.count, device=z.device) < cut[:, None]
            styles = torch.where(first[..., None], styles, other[:, None])
        return styles

    def synthesis(self, styles: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width)."""
        x = self.const[None].expand(len(styles), -1, -1, -1)
        image: Any = None
        for i, conv in enumerate(self.convs):
            if i:
                x = self.ups[i - 1](x, styles[:, 2 * i - 1])
            x = conv(x, styles[:, 2 * i])
            part = self.images[i](x, styles[:, 2 * i + 1]).float()
            image = part if image is None else self.filter.up(image) + part
        return image


class Conv(nn.Module):
    """Convolution with an equalised learning rate, filtered downsampling if asked for."""

    def __init__(self, inputs: int, outputs: int, side: int, down: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.gain, self.side, self.down = 1 / math.sqrt(inputs * side * side), side, down
        if down:
            self.filter = Filter(inputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in, height, width) -> (batch, out, height, width), or half the size."""
        weight = self.weight * self.gain
        if not self.down:
            return functional.conv2d(x, weight, self.bias, padding=self.side // 2)
        if self.side == 1:
            return functional.conv2d(self.filter.blur(x, 1, stride=2), weight, self.bias)
        return functional.conv2d(self.filter.blur(x, 2), weight, self.bias, stride=2)


class Critic(nn.Module):
    """Images -> scores."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        sizes, self.residual = levels(c), c.critic == "residual"
        pairs = list(itertools.pairwise(sizes))[::-1]
        self.first = Conv(c.image_shape[2], sizes[-1][2], 1)
        self.convs = nn.ModuleList([Conv(b[2], b[2], 3) for _, b in pairs])
        self.downs = nn.ModuleList([Conv(b[2], a[2], 3, down=True) for a, b in pairs])
        self.skips = nn.ModuleList(
            [Conv(b[2], a[2], 1, down=True, bias=False) for a, b in pairs] if self.residual else []
        )
        height, width, channels = sizes[0]
        self.group = c.minibatch_group
        self.last = Conv(channels + 1, channels, 3)
        self.dense = Linear(channels * height * width, channels)
        self.out = Linear(channels, c.style_dim if c.conditions else 1)
        self.mapping = Mapping(c, latent=False) if c.conditions else None

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch,)."""
        x = leaky(self.first(x))
        for i, (conv, down) in enumerate(zip(self.convs, self.downs, strict=True)):
            y = leaky(down(leaky(conv(x))))
            x = (y + self.skips[i](x)) * 0.5**0.5 if self.residual else y
        groups = x.reshape(len(x) // self.group, self.group, -1).float()
        deviation = (groups.var(1, correction=0) + 1e-8).sqrt().mean(1).repeat_interleave(self.group)
        channel = deviation[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x.dtype)
        x = leaky(self.dense(leaky(self.last(torch.cat([x, channel], 1))).flatten(1)))
        x = self.out(x).float()
        if self.mapping is None:
            return x[:, 0]
        return (x * self.mapping(None, condition)).sum(1) / math.sqrt(x.shape[1])


class Average:
    """The generator's moving average by its half-life in images, with the ramp."""

    def __init__(self, module: nn.Module, gan: Any, batch: int) -> None:
        self._live = [*module.parameters(), module.get_buffer("mapping.mean")]
        self._average = [t.detach().clone() for t in self._live]
        self._half, self._ramp, self._batch = gan.ema_images, gan.ema_ramp, batch

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step number `step`."""
        half = min(self._half, self._ramp * step * self._batch) if self._ramp else self._half
        torch._foreach_lerp_(self._average, self._live, 1 - 0.5 ** (self._batch / max(half, 1e-8)))


class Step:
    """One step a call; R1 and path length in every call whose index is a multiple of their periods."""

    def __init__(self, context: Context) -> None:
        run = context.run
        gan = run.step
        usual = gan.loss == "non_saturating" and gan.lazy_updates == "separate"
        if not usual or gan.d_steps != 1 or gan.g_steps != 1 or gan.condition_dropout or not gan.ema_images:
            raise UserError("--against torch: only the non-saturating loss, one update each, lazy updates of their own")
        self.context, self.gan, self.count = context, gan, 0
        self.period = math.lcm(gan.r1_every if gan.r1_gamma else 1, gan.path_every if gan.path_weight else 1)
        self.generator = context.place(Generator(run.model))
        self.critic = context.place(Critic(run.model))
        self.modules = {"generator": self.generator, "critic": self.critic}
        self.optimizers = (
            self._optimizer(self.generator, gan.path_every if gan.path_weight else 0),
            self._optimizer(self.critic, gan.r1_every if gan.r1_gamma else 0, gan.critic_learning_rate),
        )
        self.ema = Average(self.generator, gan, run.train.batch)
        self.path_mean = torch.zeros([], device=context.device)
        self.generate = context.compile(self._generate)
        self.critic_loss = context.compile(self._critic_loss)
        self.generator_loss = context.compile(self._generator_loss)

    def _optimizer(self, module: nn.Module, every: int, rate: float | None = None) -> torch.optim.Adam:
        """Adam with the correction for lazy updates."""
        optimizer = self.context.optimizer(module.parameters(), rate)
        c = every / (every + 1) if every else 1.0
        for group in optimizer.param_groups:
            group["lr"] *= c
            group["betas"] = tuple(b**c for b in group["betas"])
        return optimizer

    def _latent(self, count: int) -> torch.Tensor:
        return torch.randn(count, self.context.run.model.latent_dim, device=self.context.device)

    def _generate(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.context.autocast():
            styles = self.generator.styles(z, condition, self.gan.style_mixing, track=True)
            return self.generator.synthesis(styles)

    def _critic_loss(self, real: torch.Tensor, fake: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.context.autocast():
            on_real, on_fake = self.critic(real, condition), self.critic(fake, condition)
        return functional.softplus(-on_real).mean() + functional.softplus(on_fake).mean()

    def _generator_loss(self, fake: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.context.autocast():
            return functional.softplus(-self.critic(fake, condition)).mean()

    def _r1(self, real: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """Not compiled, as torch.compile has no second derivatives."""
        real = real.detach().requires_grad_()
        with self.context.autocast():
            scores = self.critic(real, condition)
        (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()

    def _path(self, count: int, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """Not compiled, for the same reason."""
        shrink = self.gan.path_shrink
        condition = {name: value[::shrink] for name, value in condition.items()}
        with self.context.autocast():
            z = self._latent(count // shrink)
            styles = self.generator.styles(z, condition, self.gan.style_mixing, track=False)
            images = self.generator.synthesis(styles)
        pixels = torch.randn_like(images) / math.sqrt(images.shape[2] * images.shape[3])
        (gradient,) = torch.autograd.grad((images * pixels).sum(), styles, create_graph=True)
        lengths = gradient.float().square().sum(2).mean(1).sqrt()
        value = (lengths - self.path_mean).square().mean()
        self.path_mean.lerp_(lengths.detach().mean(), self.gan.path_decay)
        return value

    def __call__(self, index: int) -> None:
        """One step."""
        real, condition, gan = self.context.images, self.context.condition, self.gan
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        fake = self.generate(self._latent(len(real)), condition)
        self.critic_loss(real, fake.detach(), condition).backward()
        self.optimizers[1].step()
        if gan.r1_gamma and index % gan.r1_every == 0:
            self.optimizers[1].zero_grad(set_to_none=True)
            (0.5 * gan.r1_gamma * gan.r1_every * self._r1(real, condition)).backward()
            self.optimizers[1].step()
        self.critic.requires_grad_(False)
        self.generator_loss(fake, condition).backward()
        self.critic.requires_grad_(True)
        self.optimizers[0].step()
        if gan.path_weight and index % gan.path_every == 0:
            self.optimizers[0].zero_grad(set_to_none=True)
            (gan.path_weight * gan.path_every * self._path(len(real), condition)).backward()
            self.optimizers[0].step()
        self.ema.update(self.count)
        self.count += 1
