"""genart_jax/models/gatys.py and its step in PyTorch, by PyTorch's own L-BFGS with its search for strong Wolfe steps.

An iteration of either framework evaluates the loss as often as its line search asks for. PyTorch's evaluates it once
more at the begin of each call, so that a call makes as many iterations as its users have it make, and counts as them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmarks.peers.common import Context
from benchmarks.peers.painting import Encoder, Seen, content, gram, mean_of, unlike, variation
from genart_jax.config import UserError
from genart_jax.nn.vgg import names


class Offset(nn.Module):
    """What is added to a picture."""

    def __init__(self, start: torch.Tensor) -> None:
        super().__init__()
        self.offset = nn.Parameter(start)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(1, channels, height, width)."""
        return images + self.offset


class Step:
    """Twenty iterations in every call whose index is a multiple of that, and none in the others."""

    period = 20

    def __init__(self, context: Context) -> None:
        self.context, self.count, c, o = context, 0, context.run.model, context.run.optimizer
        self.options = context.run.step
        if o.name != "lbfgs" or self.options.keep_color:
            raise UserError("--against torch: gatys by L-BFGS, in all colours")
        known = names(c.depths)
        last = max(known.index(name) for name in (*c.content_layers, *c.style_layers))
        encoder = Encoder(known[: last + 1], c.widths, c.image_shape[2], c.pooling)
        self.encoder, self.config = context.place(encoder).requires_grad_(False), c
        start = self.options.noise * torch.randn(context.images[:1].shape, device=context.device)
        self.picture = Offset(start)  # L-BFGS takes one layout alone
        self.modules: dict[str, Any] = {"pixels": self.picture}
        self.begin(context.images, context.layout(torch.rand_like(context.images) * 2 - 1))
        self.optimizer = torch.optim.LBFGS(
            self.picture.parameters(), 1.0, self.period, 100 * self.period, 0.0, 0.0, 10, "strong_wolfe"
        )
        self.objective = context.compile(self._objective)

    @torch.no_grad()
    def begin(self, contents: torch.Tensor, styles: torch.Tensor) -> None:
        """Takes from a batch of pairs what the picture starts as and what it is compared with: their means."""
        mean = lambda found: {name: x.mean(0, keepdim=True) for name, x in found.items()}
        self.start = contents.mean(0, keepdim=True)
        with self.context.autocast():
            self.content = mean(self.encoder(contents, self.config.content_layers))
            seen = self.encoder(styles, self.config.style_layers)
            self.style: Seen = mean({name: gram(x) for name, x in seen.items()})

    def _objective(self) -> torch.Tensor:
        c, o = self.config, self.options
        picture = self.context.layout(self.picture(self.start))
        with self.context.autocast():
            found = self.encoder(picture, [*c.content_layers, *c.style_layers])
            grams = {name: gram(found[name]) for name in c.style_layers}
        near = o.content_weight * mean_of(content, found, self.content)
        alike = o.style_weight * mean_of(unlike, grams, self.style)
        return (near + alike + o.tv_weight * variation(picture))[0]

    def _evaluated(self) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.objective()
        loss.backward()
        return loss

    def __call__(self, index: int) -> None:
        """The iterations of a period, in its first call."""
        if index % self.period:
            return
        self.loss = self.optimizer.step(self._evaluated)
        self.count += self.period
        if self.optimizer.state[self.picture.offset]["n_iter"] < self.count:
            raise RuntimeError("L-BFGS ended before its iterations did, so that their time is not known")
