"""genart_jax/models/pix2pix.py and its step in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context, Ema
from benchmarks.peers.patches import LOSSES, PatchCritic
from benchmarks.peers.restoring import DISTANCES
from genart_jax.config import UserError
from genart_jax.models.pix2pix import halved


def norm(features: int) -> nn.InstanceNorm2d:
    """Each channel of each picture by itself, with a scale and a shift."""
    return nn.InstanceNorm2d(features, eps=1e-6, affine=True)


class Generator(nn.Module):
    """Pictures -> what is made of them: a U-Net whose noise is dropout."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        count = halved(tuple(c.image_shape), c.halvings)
        widths = [c.width * min(8, 2**i) for i in range(count)]
        ends = [c.image_shape[2], *widths]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            bare = i in (0, count - 1)
            conv = nn.Conv2d(ends[i], width, 4, 2, 1, bias=bare)
            self.down.append(nn.Sequential(conv, nn.Identity() if bare else norm(width)))
        for i in reversed(range(count)):
            before = widths[i] * (1 if i == count - 1 else 2)
            after = widths[i - 1] if i else c.target_shape[2]
            layers: list[nn.Module] = [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=not i)]
            layers += [norm(after)] if i else []
            layers += [nn.Dropout(c.dropout)] if i and i > count - 4 else []
            self.up.append(nn.Sequential(*layers))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, ., height, width) -> (batch, channels, height, width) in [-1, 1]."""
        skips: list[torch.Tensor] = []
        for layer in self.down:
            x = layer(functional.leaky_relu(x, 0.2) if skips else x)
            skips.append(x)
        x = skips.pop()
        for layer in self.up:
            x = layer(functional.relu(x))
            x = torch.cat([x, skips.pop()], 1) if skips else x
        return torch.tanh(x.float())


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        self.context, self.count, c, o = context, 0, context.run.model, context.run.step
        usual = not o.degradation and o.loss in LOSSES and o.pixel in DISTANCES and o.d_steps == 1
        others = o.crop, o.turns, o.smooth, o.perceptual_weight, o.style_weight, o.tv_weight, o.critic_terms
        if not usual or any(others) or not o.adversarial_weight:
            raise UserError("--against torch: pix2pix by pixels and a critic, of whole pictures, without regularisers")
        self.options, self.losses = o, LOSSES[o.loss]
        channels = c.image_shape[2] + c.target_shape[2]
        self.generator = context.place(Generator(c))
        self.critic = context.place(PatchCritic(channels, c.critic_width, c.critic_depth))
        self.modules = {"generator": self.generator, "critic": self.critic}
        self.optimizers = (
            context.optimizer(self.generator.parameters()),
            context.optimizer(self.critic.parameters(), o.critic_learning_rate),
        )
        self.ema = Ema([self.generator], o.ema_decay)
        height, width, channels = c.target_shape
        target = torch.rand(len(context.images), channels, height, width, device=context.device) * 2 - 1
        self.target = context.layout(target)
        self.generate, self.critic_loss, self.generator_loss = (
            context.compile(f) for f in (self._generate, self._critic_loss, self._generator_loss)
        )

    def _generate(self, given: torch.Tensor) -> torch.Tensor:
        with self.context.autocast():
            return self.generator(given)

    def _critic_loss(self, given: torch.Tensor, target: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        with self.context.autocast():
            scores = self.critic.both(torch.cat([target, given], 1), torch.cat([fake, given], 1))
        return self.losses.critic(*scores)

    def _generator_loss(self, given: torch.Tensor, target: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        with self.context.autocast():
            scores = self.critic(torch.cat([fake, given], 1))
        near = DISTANCES[self.options.pixel](fake, target)
        return self.options.pixel_weight * near + self.options.adversarial_weight * self.losses.generator(scores)

    def __call__(self, index: int) -> None:
        """One step."""
        given, target = self.context.images, self.target
        for optimizer, peak in zip(self.optimizers, (None, self.options.critic_learning_rate), strict=True):
            self.context.schedule(optimizer, self.count, peak)
            optimizer.zero_grad(set_to_none=True)
        fake = self.generate(given)
        self.lost = self.critic_loss(given, target, fake.detach())
        self.lost.backward()
        self.optimizers[1].step()
        self.critic.held()
        self.loss = self.generator_loss(given, target, fake)
        self.loss.backward()
        self.critic.held(False)
        self.optimizers[0].step()
        self.ema.update(self.count)
        self.count += 1
