"""The variational step in PyTorch, for any encoder and decoder; see genart_jax/steps/vae.py."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import Context, Ema
from genart_jax.config import UserError

LEVEL = 1 / 127.5


def gaussian_nll(images: torch.Tensor, output: torch.Tensor, options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """-log p of 8-bit pixels that are made continuous, (batch,), and the mean squared error."""
    x = images + LEVEL * (torch.rand_like(images) - 0.5)
    error = torch.mean(torch.square(x - output))
    variance = error if options.scale == "optimal" else torch.full_like(error, options.fixed_scale**2)
    log_scale = 0.5 * torch.log(variance + 1e-8)
    squared = torch.square(x - output).flatten(1).sum(1)
    level = log_scale + 0.5 * math.log(2 * math.pi) - math.log(LEVEL)
    return 0.5 * squared * torch.exp(-2 * log_scale) + images[0].numel() * level, error


class VaeStep:
    """One step a call. `modules` has the encoder and the decoder."""

    period = 1

    def __init__(self, context: Context, encoder: nn.Module, decoder: nn.Module) -> None:
        options = context.run.step
        if options.likelihood == "bernoulli" and options.binarize != "none":
            raise UserError("--against torch: the Bernoulli likelihood takes grey values, without binarize")
        more = options.capacity or options.total_correlation or options.mmd or options.draws > 1
        if options.likelihood not in ("gaussian", "bernoulli") or options.objective != "elbo" or more:
            raise UserError("--against torch: has the evidence bound with beta, gaussian or bernoulli, of one draw")
        if options.condition_dropout:
            raise UserError("--against torch: conditions are not hidden there; set step.condition-dropout to 0")
        self.context, self.options = context, options
        self.modules = {"encoder": context.place(encoder), "decoder": context.place(decoder)}
        parameters = [p for module in self.modules.values() for p in module.parameters()]
        self.optimizer = context.optimizer(parameters)
        self.ema = Ema(self.modules.values(), options.ema_decay)
        self.error = torch.ones((), device=context.device)
        self.count = 0
        self.objective = context.compile(self._objective)

    def _objective(self, images: torch.Tensor, condition: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        options, dimensions = self.options, images[0].numel()
        with self.context.autocast():
            mean, log_variance = self.modules["encoder"](images, condition)
            mean, log_variance = mean.float(), log_variance.float()
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            output = self.modules["decoder"](z, condition).float()
        error = torch.zeros((), device=images.device)
        if options.likelihood == "gaussian":
            reconstruction, error = gaussian_nll(images, output, options)
        else:
            x = 0.5 * (images + 1)
            reconstruction = functional.binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1)
        kl = torch.mean(0.5 * (torch.square(mean) + torch.exp(log_variance) - 1 - log_variance), dim=0)
        cost = torch.clamp(kl, min=options.free_bits).sum() if options.free_bits else kl.sum()
        return (torch.mean(reconstruction) + options.beta * cost) / dimensions, error.detach()

    def __call__(self, index: int) -> None:
        """One step."""
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        loss, error = self.objective(self.context.images, self.context.condition)
        loss.backward()
        self.optimizer.step()
        self.error.lerp_(error, 1 - min(0.99, self.count / (1 + self.count)))
        self.ema.update(self.count)
        self.count += 1


def flat(images: torch.Tensor, vectors: list[Any]) -> torch.Tensor:
    """Images and vectors of conditions, joined in rows."""
    return torch.cat([images.flatten(1), *vectors], dim=1)
