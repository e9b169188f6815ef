"""genart_jax/models/code_prior.py and its step in PyTorch, over the codes of an untrained vqvae."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import vqvae
from benchmarks.peers.common import ConditionEmbed, Context, Ema
from benchmarks.peers.first_stage import first_stage
from genart_jax.config import UserError


class Block(nn.Module):
    """Causal attention and two dense layers, each normalised before and added to its input."""

    def __init__(self, c: Any) -> None:
        super().__init__()
        self.heads = c.heads
        self.norm_1, self.norm_2 = nn.LayerNorm(c.width), nn.LayerNorm(c.width)
        self.qkv, self.project = nn.Linear(c.width, 3 * c.width, bias=False), nn.Linear(c.width, c.width)
        self.wide, self.narrow = nn.Linear(c.width, 4 * c.width), nn.Linear(4 * c.width, c.width)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, length, width) -> the same."""
        parts = self.qkv(self.norm_1(x)).unflatten(-1, (3 * self.heads, -1)).transpose(1, 2).chunk(3, dim=1)
        seen = functional.scaled_dot_product_attention(*parts, is_causal=True)
        x = x + self.dropout(self.project(seen.transpose(1, 2).flatten(2)))
        y = functional.gelu(self.wide(self.norm_2(x)), approximate="tanh")
        return x + self.dropout(self.narrow(y))


class Prior(nn.Module):
    """Codes (batch, length) -> logits of each, given those before it, (batch, length, codes)."""

    def __init__(self, c: Any, codes: int, length: int) -> None:
        super().__init__()
        self.begin = codes
        self.tokens = nn.Embedding(codes + 1, c.width)
        self.positions = nn.Parameter(torch.empty(length, c.width))
        self.embed = ConditionEmbed(c.conditions, c.width)
        self.blocks = nn.Sequential(*[Block(c) for _ in range(c.layers)])
        self.norm, self.out = nn.LayerNorm(c.width), nn.Linear(c.width, codes)
        self.dropout = nn.Dropout(c.dropout)
        for p in self.parameters():
            if p.ndim > 1:
                nn.init.normal_(p, 0.0, 0.02)
        for block in self.blocks:
            for layer in (block.project, block.narrow):
                nn.init.normal_(layer.weight, 0.0, 0.02 / (2 * c.layers) ** 0.5)
        for layer in self.modules():
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, codes: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
        """See the class."""
        x = self.tokens(functional.pad(codes[:, :-1], (1, 0), value=self.begin)) + self.positions
        for vector in self.embed(condition):
            x = x + vector[:, None]
        logits: torch.Tensor = self.out(self.norm(self.blocks(self.dropout(x)))).float()
        return logits


def adam(context: Context, module: nn.Module) -> torch.optim.Optimizer:
    """Our Adam or AdamW, which decays the weights of dense layers alone."""
    o = context.run.optimizer
    if o.name != "adamw" or o.decay_paths != "kernel$" or o.l1 or o.l2 or o.clip_value:
        return context.optimizer(module.parameters(), clips=True)
    kernels = [layer.weight for layer in module.modules() if isinstance(layer, nn.Linear)]
    rest = [p for p in module.parameters() if all(p is not kernel for kernel in kernels)]
    groups = [{"params": kernels, "weight_decay": o.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=o.learning_rate, betas=(o.b1, o.b2), eps=o.eps, fused=True)


class Step:
    """One step a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        run = context.run
        c, first = run.model, first_stage(run.model, "vqvae")
        if first.levels:
            raise UserError("--against torch: code_prior over a vqvae with a learned codebook, without levels")
        self.context, self.count = context, 0
        self.encoder = context.place(vqvae.Encoder(first)).requires_grad_(False)
        self.embedding = (torch.rand(first.codes, first.code_dim, device=context.device) * 2 - 1) / first.codes
        height, width, _ = c.image_shape
        length = (height >> first.stages) * (width >> first.stages)
        prior = context.place(Prior(c, first.codes, length))
        self.modules: dict[str, nn.Module] = {"prior": prior}
        self.optimizer = adam(context, prior)
        self.ema = Ema(self.modules.values(), run.step.ema_decay)
        self.tokenize, self.objective = context.compile(self._tokenize), context.compile(self._objective)

    @torch.no_grad()
    def _tokenize(self, images: torch.Tensor) -> torch.Tensor:
        """Codes of pictures, row by row: (batch, length)."""
        with self.context.autocast():
            z = self.encoder(images)
        flat = z.float().flatten(2).transpose(1, 2)
        return (self.embedding.square().sum(1) - 2 * flat @ self.embedding.T).argmin(2)

    def _hidden(self, condition: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Each condition of an example is hidden at times; the row after the last class stands for that."""
        step, classes = self.context.run.step, dict(self.context.run.model.conditions)
        if not (classes and step.condition_dropout + step.unconditional):
            return condition
        lot = lambda value, share: torch.rand(len(value), device=value.device) < share
        alone = lot(next(iter(condition.values())), step.unconditional)
        hidden = lambda value: lot(value, step.condition_dropout) | alone
        return {name: torch.where(hidden(value), classes[name], value) for name, value in condition.items()}

    def _objective(self, codes: torch.Tensor, condition: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        with self.context.autocast():
            logits = self.modules["prior"](codes, self._hidden(condition))
        accuracy = (logits.detach().argmax(2) == codes).float().mean()
        return functional.cross_entropy(logits.flatten(0, 1), codes.flatten()), accuracy

    def __call__(self, index: int) -> None:
        """One step."""
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        self.loss, self.accuracy = self.objective(self.tokenize(self.context.images), self.context.condition)
        self.loss.backward()
        if clip := self.context.run.optimizer.clip_norm:
            nn.utils.clip_grad_norm_(self.modules["prior"].parameters(), clip)
        self.optimizer.step()
        self.ema.update(self.count)
        self.count += 1
