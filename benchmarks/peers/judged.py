"""genart_jax/steps/judged.py in PyTorch: an autoencoder with a critic of patches and frozen features beside it.

The pictures are a leaf of the judges' graphs, so each network has one backward pass, and eq. 7 of Esser et al. 2021
needs no more than the last layer's gradients of two slopes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.peers.common import Context, Ema
from benchmarks.peers.painting import content, relative
from genart_jax.config import UserError
from genart_jax.nn import vgg
from genart_jax.nn.judges import LAYERS

Scores = Callable[..., torch.Tensor]

_SOURCES = {
    "vgg19": (vgg.WIDTHS, vgg.DEPTHS, LAYERS["asset:vgg19"]),
    "random": ((4, 8), (1, 1), LAYERS["random"]),
}
_LOSSES: dict[str, tuple[Scores, Scores]] = {
    "hinge": (
        lambda real, fake: functional.relu(1 - real).mean() + functional.relu(1 + fake).mean(),
        lambda fake: -fake.mean(),
    ),
    "least_squares": (
        lambda real, fake: 0.5 * ((real - 1).square().mean() + fake.square().mean()),
        lambda fake: 0.5 * (fake - 1).square().mean(),
    ),
    "non_saturating": (
        lambda real, fake: functional.softplus(-real).mean() + functional.softplus(fake).mean(),
        lambda fake: functional.softplus(-fake).mean(),
    ),
}


class PatchCritic(nn.Module):
    """Images -> a score for each patch, (batch, height / 2^depth, width / 2^depth)."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        depth = c.critic_depth
        if any(side % 2**depth for side in c.image_shape[:2]):
            raise UserError(f"--against torch: a critic whose pictures halve evenly {depth} times")
        widths = [c.image_shape[2], *(c.critic_width * min(8, 2**i) for i in range(depth + 1))]
        halving = lambda a, b: nn.Conv2d(a, b, 4, 2, padding=1)
        layers = [halving(a, b) for a, b in itertools.pairwise(widths[:-1])]
        layers += [nn.Conv2d(widths[-2], widths[-1], 4), nn.Conv2d(widths[-1], 1, 4)]
        self.convs = nn.ModuleList([spectral_norm(layer) for layer in layers])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        for conv in self.convs[:-2]:
            x = functional.leaky_relu(conv(x), 0.2)
        same = lambda conv, x: conv(functional.pad(x, (1, 2, 1, 2)))
        scores: torch.Tensor = same(self.convs[-1], functional.leaky_relu(same(self.convs[-2], x), 0.2))
        return scores[:, 0].float()


class Features(nn.Module):
    """A frozen VGG's activations that are compared; its weights are random, which changes no time."""

    mean: torch.Tensor

    def __init__(self, source: str) -> None:
        super().__init__()
        if source not in _SOURCES:
            raise UserError(f"--against torch: compares features of {' or '.join(_SOURCES)}")
        widths, depths, self.wanted = _SOURCES[source]
        names = vgg.names(depths)
        self.names = names[: names.index(self.wanted[-1]) + 1]
        channels = [3, *(widths[int(name[4]) - 1] for name in self.names if name.startswith("conv"))]
        self.convs = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(channels)])
        for layer in self.convs:
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("mean", torch.zeros(3, 1, 1))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(batch, 1 or 3, height, width) -> one activation a layer."""
        x, found, convs = x.expand(-1, 3, -1, -1) - self.mean, [], iter(self.convs)
        for name in self.names:
            if name.startswith("conv"):
                x = next(convs)(x)
            else:
                x = functional.relu(x) if name.startswith("relu") else functional.max_pool2d(x, 2)
            found += [x] if name in self.wanted else []
        return found


class JudgedStep:
    """One step a call. `decoder` has its last layer as `out`, and `features` makes what that is applied to."""

    period = 1

    def __init__(self, context: Context, encoder: nn.Module, decoder: nn.Module, ema_decay: float = 0.0) -> None:
        c, options = context.run.model, context.run.step
        weighed = options.perceptual_weight and options.adversarial_weight and options.adaptive
        if not weighed or options.loss not in _LOSSES:
            raise UserError(f"--against torch: judges with weights, adaptive, and a loss {' or '.join(_LOSSES)}")
        self.context, self.options, self.count = context, options, 0
        self.critic_value, self.fooled_value = _LOSSES[options.loss]
        self.encoder, self.decoder = context.place(encoder), context.place(decoder)
        self.critic = context.place(PatchCritic(c))
        self.features = context.place(Features(c.features)).requires_grad_(False)
        self.modules = {"encoder": self.encoder, "decoder": self.decoder, "critic": self.critic}
        autoencoder = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = context.optimizer(autoencoder)
        self.critic_optimizer = context.optimizer(self.critic.parameters(), options.critic_learning_rate)
        self.ema = Ema([self.encoder, self.decoder], ema_decay)
        self.make, self.near, self.fooled, self.critic_loss, self.balance = (
            context.compile(f) for f in (self._make, self._near, self._fooled, self._critic_loss, self._balance)
        )

    def _make(self, images: torch.Tensor, condition: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Reconstructions, what the last layer makes them of, the costs besides, and what `_after` takes."""
        raise NotImplementedError

    def _fit(self, images: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """The autoencoder's own loss of reconstructions."""
        raise NotImplementedError

    def _after(self, *found: torch.Tensor) -> None:
        """What changes after a step, besides parameters."""

    def _perceptual(self, images: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        with self.context.autocast():
            with torch.no_grad():
                wanted = self.features(images)
            found = self.features(output)
        distances = [relative(content, a, b).mean() for a, b in zip(found, wanted, strict=True)]
        return torch.stack(distances).mean()

    def _near(self, images: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All losses of reconstructions but the critic's, and the distance of features."""
        distance = self._perceptual(images, output)
        return self._fit(images, output) + self.options.perceptual_weight * distance, distance.detach()

    def _fooled(self, output: torch.Tensor) -> torch.Tensor:
        with self.context.autocast():
            return self.fooled_value(self.critic(output))

    def _critic_loss(self, images: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        with self.context.autocast():
            return self.critic_value(*self.critic(torch.cat([images, output])).chunk(2))

    @torch.no_grad()
    def _balance(self, hidden: torch.Tensor, slope: torch.Tensor, pull: torch.Tensor) -> torch.Tensor:
        """How much longer one slope's gradient is at the last layer than another's."""
        kernel, hidden = self.decoder.out.weight, hidden.detach().float()
        length = lambda x: torch.sqrt(
            torch.nn.grad.conv2d_weight(hidden, kernel.shape, x, padding=1).square().sum()
            + x.sum((0, 2, 3)).square().sum()
        )
        return torch.clamp(length(slope) / (length(pull) + 1e-4), 0.0, 1e4)

    def __call__(self, index: int) -> None:
        """One step."""
        images, options = self.context.images, self.options
        rates = (None, options.critic_learning_rate)
        for optimizer, rate in zip((self.optimizer, self.critic_optimizer), rates, strict=True):
            self.context.schedule(optimizer, self.count, rate)
            optimizer.zero_grad(set_to_none=True)
        output, hidden, cost, *found = self.make(images, self.context.condition)
        on = float(self.count >= options.critic_start)
        critic_loss = self.critic_loss(images, output.detach())
        (on * critic_loss).backward()
        self.critic_optimizer.step()
        leaf = output.detach().requires_grad_()
        near, distance = self.near(images, leaf)
        (slope,) = torch.autograd.grad(near, leaf)
        # Out of training, its spectral normalisation stands still.
        self.critic.requires_grad_(False).eval()
        fooled = self.fooled(leaf)
        (pull,) = torch.autograd.grad(fooled, leaf)
        self.critic.requires_grad_(True).train()
        weight = self.balance(hidden, slope, pull)
        torch.autograd.backward([output, cost], [slope + on * options.adversarial_weight * weight * pull, None])
        self.optimizer.step()
        self._after(*found)
        self.ema.update(self.count)
        self.values = {
            "critic_loss": critic_loss.detach(), "perceptual_loss": distance, "adversarial_loss": fooled.detach(),
            "adaptive_weight": weight, "loss": near.detach() + cost.detach(),
        }  # fmt: skip
        self.count += 1
