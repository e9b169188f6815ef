"""genart_jax/models/vqvae.py and its step in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context
from genart_jax.config import UserError

_SMOOTHING = 1e-5


class Residual(nn.Module):
    """Blocks of ReLU, 3x3, ReLU, 1x1."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.wide = nn.ModuleList([nn.Conv2d(c.width, c.width, 3, padding=1) for _ in range(c.blocks)])
        self.narrow = nn.ModuleList([nn.Conv2d(c.width, c.width, 1) for _ in range(c.blocks)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, width, height, width) -> the same."""
        for wide, narrow in zip(self.wide, self.narrow, strict=True):
            x = x + narrow(functional.relu(wide(functional.relu(x))))
        return functional.relu(x)


class Encoder(nn.Module):
    """Images -> vectors (batch, code_dim, *grid)."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        inputs = [c.image_shape[2]] + [c.width] * (c.stages - 1)
        self.down = nn.ModuleList([nn.Conv2d(n, c.width, 4, 2, 1) for n in inputs])
        self.residual = Residual(c)
        self.out = nn.Conv2d(c.width, c.code_dim, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Before quantisation."""
        for i, layer in enumerate(self.down):
            x = layer(x if i == 0 else functional.relu(x))
        return self.out(self.residual(x))


class Decoder(nn.Module):
    """Vectors (batch, code_dim, *grid) -> images."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.start = nn.Conv2d(c.code_dim, c.width, 3, padding=1)
        self.residual = Residual(c)
        outputs = [c.width] * (c.stages - 1) + [c.image_shape[2]]
        self.up = nn.ModuleList([nn.ConvTranspose2d(c.width, n, 4, 2, 1) for n in outputs])

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width)."""
        x = self.residual(self.start(z))
        for layer in self.up[:-1]:
            x = functional.relu(layer(x))
        return self.up[-1](x)


class Codebook:
    """Vectors that follow the encodings by moving averages."""

    def __init__(self, c: Any, device: torch.device) -> None:
        self.c = c
        self.embedding = (torch.rand(c.codes, c.code_dim, device=device) * 2 - 1) / c.codes
        self.size = torch.zeros(c.codes, device=device)
        self.total = torch.zeros_like(self.embedding)

    def _nearest(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """(batch, code_dim, *grid) -> the nearest vectors with the gradient passed straight through, the commitment,
        which code is taken by each place (places, codes), and the encodings (places, code_dim).
        """
        flat = z.permute(0, 2, 3, 1).reshape(-1, self.c.code_dim)
        fixed = flat.detach()
        codes = (self.embedding.square().sum(1) - 2 * fixed @ self.embedding.T).argmin(1)
        rows = self.embedding[codes]
        quantized = rows.reshape(len(z), *z.shape[2:], -1).permute(0, 3, 1, 2)
        taken = functional.one_hot(codes, self.c.codes).float()
        return z + (quantized - z).detach(), functional.mse_loss(flat, rows), taken, fixed

    def _update(self, taken: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
        """The codebook's averages; returns which codes are dead."""
        c = self.c
        self.size.lerp_(taken.sum(0), 1 - c.decay)
        self.total.lerp_(taken.T @ flat, 1 - c.decay)
        whole = self.size.sum()
        smooth = (self.size + _SMOOTHING) / (whole + c.codes * _SMOOTHING) * whole
        self.embedding.copy_(torch.where(self.size[:, None] > 0, self.total / smooth[:, None], self.embedding))
        return self.size < c.revive_below * whole / c.codes

    @torch.no_grad()
    def _revive(self, dead: torch.Tensor, flat: torch.Tensor) -> None:
        """Sets dead codes to encodings of the batch; not compiled, as their number changes."""
        which = dead.nonzero()[:, 0]
        if len(which):
            even = self.size.sum() / self.c.codes
            rows = flat[torch.randint(len(flat), (len(which),), device=flat.device)]
            self.embedding[which], self.total[which], self.size[which] = rows, rows * even, even


def perplexity(taken: torch.Tensor) -> torch.Tensor:
    """How many codes are in use, of which code each place takes."""
    share = taken.mean(0)
    return torch.exp(-torch.xlogy(share, share).sum())


class Step(Codebook):
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        c = context.run.model
        super().__init__(c, context.device)
        self.context, self.beta = context, context.run.step.beta
        if c.levels:
            raise UserError("--against torch: only a learned codebook, without levels")
        self.modules = {"encoder": context.place(Encoder(c)), "decoder": context.place(Decoder(c))}
        self.optimizer = context.optimizer([p for module in self.modules.values() for p in module.parameters()])
        self.count = 0
        self.objective, self.update = context.compile(self._objective), context.compile(self._update)

    def _objective(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        with self.context.autocast():
            z = self.modules["encoder"](images)
        quantized, commitment, taken, flat = self._nearest(z.float())
        with self.context.autocast():
            output = self.modules["decoder"](quantized)
        loss = functional.mse_loss(output.float(), images) + self.beta * commitment
        return loss, perplexity(taken), taken, flat

    def __call__(self, index: int) -> None:
        """One step."""
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        loss, self.perplexity, taken, flat = self.objective(self.context.images)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            dead = self.update(taken, flat)
        if self.c.revive_below:
            self._revive(dead, flat)
        self.count += 1
