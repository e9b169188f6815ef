"""genart_jax/models/frame_rnn.py in PyTorch, with the variational step over its frames.

The frames before are known in training, so all but the recurrences is computed of all frames at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import ConditionEmbed, Context, Ema
from benchmarks.peers.residual import UpConv
from benchmarks.peers.vae import gaussian_nll
from genart_jax.config import UserError

_WIDEST = 6.0


class Memory(nn.Module):
    """A convolutional LSTM: what comes in, (batch, frames, inputs, height, width) -> its outputs."""

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.features = features
        self.gates = nn.Conv2d(inputs + features, 4 * features, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, features, height, width)."""
        cell = out = x.new_zeros(len(x), self.features, *x.shape[3:])
        found = []
        for one in x.unbind(1):
            enter, forget, leave, new = self.gates(torch.cat([one, out], dim=1)).chunk(4, dim=1)
            cell = torch.sigmoid(forget + 1.0) * cell + torch.sigmoid(enter) * torch.tanh(new)
            out = torch.sigmoid(leave) * torch.tanh(cell)
            found.append(out)
        return torch.stack(found, dim=1)


class Frame(nn.Module):
    """Frames (n, channels, height, width) -> their features after each halving, the smallest last."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        widths = [c.image_shape[3], *(c.width * 2**i for i in range(c.depth + 1))]
        layer = lambda i: nn.Conv2d(widths[i], widths[i + 1], *((4, 2, 1) if i else (3, 1, 1)))
        self.down = nn.ModuleList([layer(i) for i in range(c.depth + 1)])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """See the class."""
        found = []
        for layer in self.down:
            x = functional.leaky_relu(layer(x), 0.2)
            found.append(x)
        return found


class Gaussian(nn.Linear):
    """Maps (n, features, height, width) -> means and log variances, (n, latents) each."""

    def forward(self, x: torch.Tensor) -> Any:
        """See the class."""
        mean, log_variance = super().forward(x.flatten(1)).float().chunk(2, dim=1)
        return mean, _WIDEST * torch.tanh(log_variance / _WIDEST)


class Picture(nn.Module):
    """The predictor's maps and the features of the frames before -> frames (n, channels, height, width)."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        widths = [*(c.width * 2**i for i in range(c.depth)), c.hidden]
        self.up = nn.ModuleList([UpConv(widths[i + 1], widths[i], 3, bias=False) for i in reversed(range(c.depth))])
        self.join = nn.ModuleList([nn.Conv2d(2 * widths[i], widths[i], 3, padding=1) for i in reversed(range(c.depth))])
        self.out = nn.Conv2d(c.width, c.image_shape[3] + 1, 3, padding=1)

    def forward(self, x: torch.Tensor, skips: list[torch.Tensor], before: torch.Tensor) -> torch.Tensor:
        """See the class."""
        for up, join, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            x = functional.leaky_relu(up(x), 0.2)
            x = functional.leaky_relu(join(torch.cat([x, skip], dim=1)), 0.2)
        x = self.out(x).float()
        stays = torch.sigmoid(x[:, -1:])
        return stays * before + (1 - stays) * torch.tanh(x[:, :-1]) * 1.1


class Encoder(nn.Module):
    """Videos (batch, channels, frames, height, width) -> what the posterior sees, (batch, frames, hidden, h, w)."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        features = c.width * 2**c.depth
        self.frame, self.memory = Frame(c), Memory(features, c.hidden)
        self.embed = ConditionEmbed(c.conditions, features)

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """See the class."""
        frames: torch.Tensor = self.frame(x.transpose(1, 2).flatten(0, 1))[-1]
        features = frames.unflatten(0, (len(x), -1))
        for vector in self.embed(condition):
            features = features + vector[:, None, :, None, None]
        return self.memory(features)


class Decoder(nn.Module):
    """Videos and the encoder's maps -> videos, and each frame's divergence (batch, frames)."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        features, (height, width) = c.width * 2**c.depth, (side >> c.depth for side in c.image_shape[1:3])
        gaussian = lambda: Gaussian(c.hidden * height * width, 2 * c.latent_dim)
        self.frame, self.picture = Frame(c), Picture(c)
        self.prior_memory, self.predictor_memory = Memory(features, c.hidden), Memory(features + c.hidden, c.hidden)
        self.prior, self.posterior = gaussian(), gaussian()
        self.enter = nn.Linear(c.latent_dim, c.hidden)
        self.embed = ConditionEmbed(c.conditions, features)

    def forward(
        self, videos: torch.Tensor, maps: torch.Tensor, condition: dict[str, torch.Tensor], noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`noise` (batch, frames, latents); the first frame comes after grey."""
        batch, frames = noise.shape[:2]
        whole = lambda x: x.unflatten(0, (batch, frames))
        before = functional.pad(videos[:, :, :-1], (0, 0, 0, 0, 1, 0)).transpose(1, 2).flatten(0, 1)
        skips = self.frame(before)
        features = whole(skips[-1])
        for vector in self.embed(condition):
            features = features + vector[:, None, :, None, None]
        at, log_spread = self.prior(self.prior_memory(features).flatten(0, 1))
        mean, log_variance = self.posterior(maps.flatten(0, 1))
        z = mean + torch.exp(0.5 * log_variance) * noise.flatten(0, 1)
        beside = whole(self.enter(z))[..., None, None].expand(-1, -1, -1, *features.shape[3:])
        seen = self.predictor_memory(torch.cat([features, beside.to(features.dtype)], dim=2))
        made = whole(self.picture(seen.flatten(0, 1), skips, before))
        apart = log_spread - log_variance
        kl = 0.5 * (apart - 1 + torch.exp(-apart) + torch.square(mean - at) * torch.exp(-log_spread))
        return made.transpose(1, 2), whole(kl.sum(1))


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        c, options = context.run.model, context.run.step
        plain = options.likelihood == "gaussian" and options.objective == "elbo" and options.draws == 1
        if not plain or options.capacity or options.free_bits or options.condition_dropout:
            raise UserError("--against torch: has frame_rnn with a Gaussian and the evidence bound of one draw")
        self.context, self.options, self.count = context, options, 0
        self.modules: dict[str, nn.Module] = {
            "encoder": context.place(Encoder(c)), "decoder": context.place(Decoder(c)),
        }  # fmt: skip
        self.parameters = [p for module in self.modules.values() for p in module.parameters()]
        self.optimizer = context.optimizer(self.parameters, clips=True)
        self.ema = Ema(self.modules.values(), options.ema_decay)
        self.error = torch.ones((), device=context.device)
        self.objective = context.compile(self._objective)

    def _objective(
        self, videos: torch.Tensor, condition: dict[str, torch.Tensor], noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with self.context.autocast():
            maps = self.modules["encoder"](videos, condition)
            output, kl = self.modules["decoder"](videos, maps, condition, noise)
        reconstruction, error = gaussian_nll(videos, output, self.options)
        return (torch.mean(reconstruction) + self.options.beta * kl.sum(1).mean()) / videos[0].numel(), error.detach()

    def __call__(self, index: int) -> None:
        """One step."""
        videos, c = self.context.images, self.context.run.model
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        noise = torch.randn(len(videos), videos.shape[2], c.latent_dim, device=videos.device)
        self.loss, error = self.objective(videos, self.context.condition, noise)
        self.loss.backward()
        if clip := self.context.run.optimizer.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, clip)
        self.optimizer.step()
        self.error.lerp_(error, 1 - min(0.99, self.count / (1 + self.count)))
        self.ema.update(self.count)
        self.count += 1
