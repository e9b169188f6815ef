"""genart_jax/models/video_gan.py and its step in PyTorch, where one picture is moved.

Pictures are moved by `affine_grid` and `grid_sample`, bilinear and mirrored; ours doubles them first.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import adversarial
from benchmarks.peers.adversarial_terms import with_deviation
from benchmarks.peers.common import ConditionEmbed, Context
from benchmarks.peers.residual import Modulated
from genart_jax.config import UserError
from genart_jax.nn.pyramid import halvings


class Path(nn.Module):
    """A GRU over the frames with the biases of ours: (batch, frames, inputs) -> (batch, frames, hidden)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, 3 * hidden)
        self.back = nn.Linear(hidden, 3 * hidden, bias=False)
        self.bias = nn.Parameter(torch.zeros(hidden))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From zeros."""
        entering, out = self.enter(x), list[torch.Tensor]()
        memory = x.new_zeros(len(x), self.bias.shape[0])
        for t in range(x.shape[1]):
            (r, z, n), (hr, hz, hn) = entering[:, t].chunk(3, dim=1), self.back(memory).chunk(3, dim=1)
            r, z = torch.sigmoid(r + hr), torch.sigmoid(z + hz)
            memory = (1 - z) * torch.tanh(n + r * (hn + self.bias)) + z * memory
            out.append(memory)
        return torch.stack(out, dim=1)


class Generator(nn.Module):
    """z -> videos."""

    def __init__(self, c: Any, context: Context) -> None:
        super().__init__()
        count, (height, width) = halvings("video_gan", tuple(c.image_shape[1:]))
        features = [c.width << i for i in reversed(range(count + 1))]
        told = len(c.conditions) * c.embed_dim
        self.sizes, self.shape, self.layout = (
            (c.content_dim, c.motion_dim),
            (features[0], height, width),
            context.layout,
        )
        self.embed = ConditionEmbed(c.conditions, c.embed_dim)
        self.content = nn.Linear(c.content_dim + told, c.style_dim)
        self.path, self.motion = Path(c.motion_dim + told, c.hidden), nn.Linear(c.hidden, c.style_dim, bias=False)
        self.start = nn.Linear(c.style_dim, features[0] * height * width, bias=False)
        self.norm = nn.ModuleList([Modulated(f, c.style_dim) for f in features])
        self.up = nn.ModuleList([nn.Conv2d(a, b, 3, 1, 1, bias=False) for a, b in itertools.pairwise(features)])
        self.out = nn.Conv2d(features[-1], c.image_shape[3], 3, 1, 1)
        self.map = nn.Linear(c.style_dim, 6)

    def forward(self, z: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """(batch, channels, frames, height, width) in about [-1, 1]."""
        told, (content, motion) = self.embed(condition), self.sizes
        w = functional.leaky_relu(self.content(torch.cat([z[:, :content], *told], dim=1)), 0.2)
        noise = z[:, content:].reshape(len(z), -1, motion)
        frames = noise.shape[1]
        each = [vector[:, None].expand(-1, frames, -1) for vector in told]
        styles = functional.leaky_relu(self.motion(self.path(torch.cat([noise, *each], dim=2))), 0.2)
        x = self.norm[0](self.start(w).reshape(-1, *self.shape).contiguous(), w)
        for layer, norm in zip(self.up, self.norm[1:], strict=True):
            x = norm(layer(functional.interpolate(x, scale_factor=2)), w)
        pictures = torch.tanh(self.out(x)).float()
        maps = torch.eye(2, 3, device=z.device) + self.map(styles).float().reshape(-1, 2, 3)
        pictures = pictures.repeat_interleave(frames, dim=0)
        grid = functional.affine_grid(maps, list(pictures.shape), align_corners=False)
        moved = functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
        videos = moved.reshape(len(z), frames, *pictures.shape[1:]).transpose(1, 2)
        return self.layout(videos.contiguous())


class Half(nn.Module):
    """One of the critics, of pictures or of clips."""

    def __init__(self, c: Any, width: int, frames: int) -> None:
        super().__init__()
        count, (high, wide) = halvings("video_gan", tuple(c.image_shape[1:]))
        features, self.group = [c.image_shape[3], *(width << i for i in range(count))], c.minibatch_group
        self.down = nn.ModuleList()
        for a, b in itertools.pairwise(features):
            if not frames:
                self.down.append(nn.Conv2d(a, b, 4, 2, 1))
            else:
                over = min(frames, 4) if frames != 3 else 4
                pad = (1 if over == 4 else 0, 1, 1)
                self.down.append(nn.Conv3d(a, b, (over, 4, 4), 2, pad))
                frames = (frames + 1) // 2
        last = max(frames, 1) * high * wide
        self.out = nn.Linear((features[-1] + (self.group > 1)) * last, 1)
        self.places = bool(c.clip_places and isinstance(self.down[0], nn.Conv3d))
        self.embed = ConditionEmbed(c.conditions, features[-1] * (last if self.places else 1))

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (batch,), and the second stage."""
        stages = []
        for layer in self.down:
            x = functional.leaky_relu(layer(x), 0.2)
            stages.append(x)
        x = x.float()
        pooled = x.flatten(1) if self.places else x.flatten(2).sum(dim=2)
        score = self.out(with_deviation(x, self.group).flatten(1))[:, 0]
        vectors = self.embed(condition)
        return score + (sum(vectors) * pooled).sum(1) if vectors else score, stages[1]


class Critic(nn.Module):
    """Videos -> scores by name."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.frame, self.clip = Half(c, c.critic_width, 0), Half(c, c.clip_width or c.critic_width, c.image_shape[0])
        self.patches = nn.Conv2d(2 * c.critic_width, 1, 1) if c.patches else None

    def forward(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Of one frame of each, of the clip, and of patches of that frame."""
        chosen = torch.randint(0, x.shape[2], (len(x),), device=x.device)
        frame, stage = self.frame(x[torch.arange(len(x), device=x.device), :, chosen], condition)
        scores = {"frame": frame, "clip": self.clip(x, condition)[0]}
        return scores if self.patches is None else scores | {"patches": self.patches(stage).float()}


class Step(adversarial.Step):
    """One step a call."""

    def made(self, model: Any, context: Context) -> tuple[nn.Module, nn.Module]:
        """Both networks.

        Raises:
          UserError: frames that are drawn, an LSTM, or an odd number of frames that no peer is written for.
        """
        if model.frames != "moved" or model.cell != "gru" or model.image_shape[0] not in (2, 4, 8, 16):
            raise UserError("--against torch: video_gan moves pictures by a GRU, over 2, 4, 8 or 16 frames")
        return Generator(model, context), Critic(model)

    def latent_dim(self) -> int:
        """The content's length, and each frame's."""
        c = self.context.run.model
        length: int = c.content_dim + c.image_shape[0] * c.motion_dim
        return length
