"""genart_jax/models/cyclegan.py and its step in PyTorch, the pools of earlier pictures included."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context, Ema
from benchmarks.peers.patches import LOSSES, PatchCritic
from benchmarks.peers.residual import UpConv
from benchmarks.peers.restoring import DISTANCES
from benchmarks.peers.unet import padded
from genart_jax.config import UserError

MAPS, CRITICS = ("there", "back"), ("critic_other", "critic_image")


class Map(nn.Module):
    """Pictures of one set -> of the other."""

    def __init__(self, c: Any, inputs: int, channels: int) -> None:
        super().__init__()
        self.normalized, self.added, wide = c.normalized, c.added, 4 * c.width
        conv = lambda a, b, side, stride=1: self._normal(
            nn.Conv2d(a, b, side, stride, side // 2, bias=not c.normalized, padding_mode="reflect"), b
        )
        widths = [c.width, 2 * c.width, wide]
        self.down = nn.ModuleList(
            [conv(inputs, c.width, 7), *(conv(a, 2 * a, 3, 2) for a in widths[:2])],
        )
        self.blocks = nn.ModuleList(
            [nn.Sequential(conv(wide, wide, 3), nn.ReLU(), conv(wide, wide, 3)) for _ in range(c.blocks)]
        )
        self.up = nn.ModuleList([self._normal(UpConv(2 * a, a, 3, bias=False), a) for a in widths[1::-1]])
        self.out = nn.Conv2d(c.width, channels, 7, 1, 3, padding_mode="reflect")
        if c.added:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def _normal(self, layer: nn.Module, features: int) -> nn.Module:
        return nn.Sequential(layer, nn.InstanceNorm2d(features, 1e-6, affine=True)) if self.normalized else layer

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, ., height, width) -> (batch, channels, height, width)."""
        x = padded(images, 4)
        for layer in self.down:
            x = functional.relu(layer(x))
        for block in self.blocks:
            x = x + (block(x) if self.normalized else 0.3 * block(x))
        for layer in self.up:
            x = functional.relu(layer(x))
        x = self.out(x)[:, :, : images.shape[2], : images.shape[3]].float()
        return images + x if self.added else torch.tanh(x)


class Pool:
    """Pictures made earlier: example i of n has the slots i, i + n, i + 2n, ... of (size, channels, height, width)."""

    def __init__(self, size: int, like: torch.Tensor) -> None:
        self.pictures = like.new_zeros(size, *like.shape[1:])
        self.num = min(size, len(like))
        self.columns, self.filled = max(1, size // len(like)), 0
        self.index = torch.arange(self.num, device=like.device)

    @torch.no_grad()
    def __call__(self, made: torch.Tensor) -> torch.Tensor:
        """What a critic sees in place of what was made: with probability one half an older one, which that replaces."""
        if self.filled < self.columns:
            self.pictures[self.index + len(made) * self.filled] = made[: self.num]
            self.filled += 1
            return made
        slot = self.index + len(made) * torch.randint(0, self.columns, (self.num,), device=made.device)
        new, old = made[: self.num], self.pictures[slot]
        seen = (torch.rand(self.num, device=made.device) < 0.5)[:, None, None, None]
        self.pictures[slot] = torch.where(seen, new, old)
        return torch.cat([torch.where(seen, old, new), made[self.num :]])


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        self.context, self.count, c, o = context, 0, context.run.model, context.run.step
        if o.loss not in LOSSES or o.pixel not in DISTANCES or o.crop or o.turns:
            raise UserError(f"--against torch: cyclegan of whole pictures, by {', '.join(LOSSES)} and L1 or L2")
        self.options, self.losses, self.distance = o, LOSSES[o.loss], DISTANCES[o.pixel]
        channels = c.image_shape[2], c.other_shape[2]
        modules = {
            "there": Map(c, *channels),
            "back": Map(c, *channels[::-1]),
            "critic_other": PatchCritic(channels[1], c.critic_width, c.critic_depth),
            "critic_image": PatchCritic(channels[0], c.critic_width, c.critic_depth),
        }
        self.modules: dict[str, Any] = {role: context.place(module) for role, module in modules.items()}
        parameters = lambda roles: [p for role in roles for p in self.modules[role].parameters()]
        self.optimizers = (
            context.optimizer(parameters(MAPS)),
            context.optimizer(parameters(CRITICS), o.critic_learning_rate),
        )
        self.ema = Ema([self.modules[role] for role in MAPS], o.ema_decay)
        height, width, channel = c.other_shape
        other = torch.rand(len(context.images), channel, height, width, device=context.device) * 2 - 1
        self.other = context.layout(other)
        self.pools = [Pool(o.pool, images) for images in (self.other, context.images)] if o.pool else []
        self.map, self.critics_loss, self.maps_loss = (
            context.compile(f) for f in (self._map, self._critics_loss, self._maps_loss)
        )

    def _map(self, image: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Pictures of the second set and of the first; the distance of both round trips, and of what should stay."""
        there, back = (self.modules[role] for role in MAPS)
        with self.context.autocast():
            made_other, made_image = there(image), back(other)
            rounds = self.distance(there(made_image), other) + self.distance(back(made_other), image)
            if not self.options.identity_weight:
                return made_other, made_image, self.options.cycle_weight * rounds
            same = self.distance(there(other), other) + self.distance(back(image), image)
        return made_other, made_image, self.options.cycle_weight * rounds + self.options.identity_weight * same

    def _critics_loss(self, *pictures: torch.Tensor) -> torch.Tensor:
        """Of the real ones of both sides, then of those to be told from them."""
        with self.context.autocast():
            scores = [self.modules[CRITICS[i]].both(pictures[i], pictures[i + 2]) for i in range(2)]
        return self.losses.critic(*scores[0]) + self.losses.critic(*scores[1])

    def _maps_loss(self, other: torch.Tensor, image: torch.Tensor, apart: torch.Tensor) -> torch.Tensor:
        with self.context.autocast():
            scores = self.modules[CRITICS[0]](other), self.modules[CRITICS[1]](image)
        fooled = self.losses.generator(scores[0]) + self.losses.generator(scores[1])
        return apart + self.options.adversarial_weight * fooled

    def __call__(self, index: int) -> None:
        """One step."""
        image, other = self.context.images, self.other
        for optimizer, peak in zip(self.optimizers, (None, self.options.critic_learning_rate), strict=True):
            self.context.schedule(optimizer, self.count, peak)
            optimizer.zero_grad(set_to_none=True)
        made_other, made_image, apart = self.map(image, other)
        seen = [made_other.detach(), made_image.detach()]
        if self.pools:
            seen = [self.context.layout(pool(made)) for pool, made in zip(self.pools, seen, strict=True)]
        self.lost = self.critics_loss(other, image, *seen)
        self.lost.backward()
        self.optimizers[1].step()
        for role in CRITICS:
            self.modules[role].held()
        self.loss = self.maps_loss(made_other, made_image, apart)
        self.loss.backward()
        for role in CRITICS:
            self.modules[role].held(False)
        self.optimizers[0].step()
        self.ema.update(self.count)
        self.count += 1
