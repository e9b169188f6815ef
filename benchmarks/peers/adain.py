"""genart_jax/models/adain.py and its step in PyTorch; the encoder's weights are random, which changes no time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context, Ema
from genart_jax.config import UserError
from genart_jax.models.adain import layers

Moments = tuple[torch.Tensor, torch.Tensor]


def moments(x: torch.Tensor) -> Moments:
    """Means and deviations of channels, (batch, channels, 1, 1)."""
    variance, mean = torch.var_mean(x.float(), dim=(2, 3), keepdim=True, correction=0)
    return mean, torch.sqrt(variance + 1e-5)


def adapted(x: torch.Tensor, style: Moments) -> torch.Tensor:
    """Features with a style's moments."""
    mean, std = moments(x)
    return style[1] * (x - mean) / std + style[0]


class Encoder(nn.Module):
    """VGG's convolutions up to the decoded layer."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.names, self.wanted = layers(c), c.layers
        widths = [c.image_shape[2], *(c.widths[int(name[4]) - 1] for name in self.names if name.startswith("conv"))]
        self.convs = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths)])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What is after the ReLU of each wanted layer."""
        found, convs = {}, iter(self.convs)
        for name in self.names:
            if name.startswith("pool"):
                x = functional.max_pool2d(x, 2)
            else:
                x = found[f"relu{name[4:]}"] = functional.relu(next(convs)(x))
        return [found[name] for name in self.wanted]


class Decoder(nn.Module):
    """The encoder backwards, to pictures."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.names, self.scale, before = layers(c)[::-1], c.scale, c.widths[int(c.layers[-1][4]) - 1]
        convs = []
        for name in (name for name in self.names if name.startswith("conv")):
            stage = int(name[4])
            first = c.image_shape[2] if stage == 1 else c.decoder[stage - 2]
            after = first if name.endswith("_1") else c.decoder[stage - 1]
            convs.append(nn.Conv2d(before, after, 3, padding=1, padding_mode="reflect"))
            before = after
        self.convs = nn.ModuleList(convs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width), not confined."""
        x, convs = x / self.scale, iter(self.convs)
        for name in self.names:
            if name.startswith("pool"):
                x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            else:
                x = next(convs)(x)
                x = x if name == "conv1_1" else functional.relu(x)
        return x.float()


def relative(distance: Callable[..., torch.Tensor], found: Any, target: Any) -> torch.Tensor:
    """A distance as a share of that of nothing from the target: (batch,)."""
    zero = tuple(map(torch.zeros_like, target)) if isinstance(target, tuple) else torch.zeros_like(target)
    return distance(found, target) / (distance(zero, target) + 1e-12)


def content(found: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Half the mean squared distance, (batch,)."""
    return 0.5 * torch.square(found.float() - target.float()).mean((1, 2, 3))


def apart(found: Moments, target: Moments) -> torch.Tensor:
    """Squared distances of moments, means over channels, (batch,)."""
    means, deviations = (torch.square(a - b).mean((1, 2, 3)) for a, b in zip(found, target, strict=True))
    return means + deviations


class Step:
    """One step a call: a batch of contents in the styles of another."""

    period = 1

    def __init__(self, context: Context) -> None:
        self.context, self.count, c, self.options = context, 0, context.run.model, context.run.step
        if self.options.style != "moments" or self.options.pixel_weight or self.options.reduce != 1:
            raise UserError("--against torch: adain by content and moments, at the pictures' own size")
        self.encoder = context.place(Encoder(c)).requires_grad_(False)
        self.modules = {"decoder": context.place(Decoder(c))}
        self.optimizer = context.optimizer(self.modules["decoder"].parameters())
        self.ema = Ema(self.modules.values(), self.options.ema_decay)
        height, width, channels = c.other_shape
        contents = torch.rand(len(context.images), channels, height, width, device=context.device) * 2 - 1
        self.contents = context.layout(contents)
        self.objective = context.compile(self._objective)

    def _objective(self, contents: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
        o = self.options
        with self.context.autocast():
            seen, wanted = self.encoder(contents), [moments(x) for x in self.encoder(styles)]
            code = adapted(seen[-1], wanted[-1])
            painted = self.modules["decoder"](code)
            found = self.encoder(painted)
        kept = relative(content, found[-1], code)
        style = torch.stack([relative(apart, moments(a), b) for a, b in zip(found, wanted, strict=True)]).mean(0)
        loss = o.content_weight * kept + o.style_weight * style
        if o.tv_weight:
            rows, columns = painted.diff(dim=2), painted.diff(dim=3)
            loss = loss + o.tv_weight * (rows.square().mean((1, 2, 3)) + columns.square().mean((1, 2, 3)))
        return loss.mean()

    def __call__(self, index: int) -> None:
        """One step."""
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        self.loss = self.objective(self.contents, self.context.images)
        self.loss.backward()
        self.optimizer.step()
        self.ema.update(self.count)
        self.count += 1
