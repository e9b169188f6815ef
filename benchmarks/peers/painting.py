"""The step of genart_jax/steps/stylize.py in PyTorch, for each of its networks.

The weights of the network that compares are random, which changes no time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context, Ema
from genart_jax.config import UserError

Moments = tuple[torch.Tensor, torch.Tensor]
Seen = dict[str, Any]
"""By layer: activations, their moments or their Gram matrices."""


def moments(x: torch.Tensor) -> Moments:
    """Means and deviations of channels, (batch, channels, 1, 1)."""
    variance, mean = torch.var_mean(x.float(), dim=(2, 3), keepdim=True, correction=0)
    return mean, torch.sqrt(variance + 1e-5)


def gram(x: torch.Tensor) -> torch.Tensor:
    """Gram matrices over the number of positions, (batch, channels, channels)."""
    flat = x.flatten(2)
    return (flat @ flat.transpose(1, 2)).float() / flat.shape[2]


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


def unlike(found: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """A quarter of the mean squared distance of Gram matrices, (batch,)."""
    return 0.25 * torch.square(found - target).mean((1, 2))


def variation(images: torch.Tensor) -> torch.Tensor:
    """Mean squared differences of neighbours, (batch,)."""
    rows, columns = images.diff(dim=2), images.diff(dim=3)
    return rows.square().mean((1, 2, 3)) + columns.square().mean((1, 2, 3))


def mean_of(distance: Callable[..., torch.Tensor], found: Seen, target: Seen) -> torch.Tensor:
    """The mean over a target's layers of the relative distances, (batch,)."""
    return torch.stack([relative(distance, found[name], wanted) for name, wanted in target.items()]).mean(0)


class Encoder(nn.Module):
    """VGG's convolutions and poolings of these names, in their order."""

    def __init__(self, names: Sequence[str], widths: Sequence[int], channels: int, pooling: str = "max") -> None:
        super().__init__()
        self.names = [name for name in names if not name.startswith("relu")]
        self.pool = functional.max_pool2d if pooling == "max" else functional.avg_pool2d
        sizes = [channels, *(widths[int(name[4]) - 1] for name in self.names if name.startswith("conv"))]
        self.convs = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(sizes)])

    def forward(self, x: torch.Tensor, wanted: Sequence[str]) -> dict[str, torch.Tensor]:
        """What is after the ReLU of each wanted layer; nothing is computed after the last of them."""
        found, convs = {}, iter(self.convs)
        for name in self.names:
            if name.startswith("pool"):
                x = self.pool(x, 2)
            else:
                x = found[f"relu{name[4:]}"] = functional.relu(next(convs)(x))
            if all(layer in found for layer in wanted):
                break
        return {name: found[name] for name in wanted}


class PaintingStep:
    """One step a call: a batch of contents in the styles of another."""

    period = 1

    def __init__(
        self, context: Context, role: str, painter: nn.Module, encoder: Encoder, kept: Sequence[str], style: str
    ) -> None:
        self.context, self.count, c, self.options = context, 0, context.run.model, context.run.step
        if self.options.pixel_weight:
            raise UserError("--against torch: paints by content, style and variation, not by pixels")
        self.statistic: Callable[[torch.Tensor], Any] = moments if style == "moments" else gram
        self.distance: Callable[..., torch.Tensor] = apart if style == "moments" else unlike
        self.encoder = context.place(encoder).requires_grad_(False)
        self.painter, self.kept, self.layers = context.place(painter), kept, c.layers
        self.modules = {role: self.painter}
        self.optimizer = context.optimizer(self.painter.parameters())
        self.ema = Ema([self.painter], self.options.ema_decay)
        height, width, channels = c.other_shape
        contents = torch.rand(len(context.images), channels, height, width, device=context.device) * 2 - 1
        self.contents = context.layout(contents)
        self.objective = context.compile(self._objective)

    def paint(self, contents: torch.Tensor, seen: Seen, wanted: Seen) -> tuple[torch.Tensor, Seen]:
        """The contents in their styles, and what their content is to be.

        Args:
          contents: (batch, channels, height, width).
          seen: their activations.
          wanted: the moments or Gram matrices of the styles.
        """
        raise NotImplementedError

    def _objective(self, contents: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
        o = self.options
        if o.reduce > 1:
            contents, styles = (functional.avg_pool2d(x, o.reduce) for x in (contents, styles))
        told = lambda found: {name: self.statistic(found[name]) for name in self.layers}
        with self.context.autocast():
            seen, wanted = self.encoder(contents, self.kept), told(self.encoder(styles, self.layers))
            painted, target = self.paint(contents, seen, wanted)
            found = self.encoder(painted, [*self.kept, *self.layers])
            style = mean_of(self.distance, told(found), wanted)
        loss = o.content_weight * mean_of(content, found, target) + o.style_weight * style
        return (loss + o.tv_weight * variation(painted) if o.tv_weight else loss).mean()

    def __call__(self, index: int) -> None:
        """One step."""
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        self.loss = self.objective(self.contents, self.context.images)
        self.loss.backward()
        self.optimizer.step()
        self.ema.update(self.count)
        self.count += 1
