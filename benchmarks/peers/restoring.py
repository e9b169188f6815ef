"""The step of restoration in PyTorch, where the loss is a distance of pixels: for each of its networks."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import degrade
from benchmarks.peers.common import Context, Ema
from benchmarks.peers.super_resolution import crop, turned
from genart_jax.config import UserError

DISTANCES = {"l1": functional.l1_loss, "l2": functional.mse_loss}


def reduced(images: torch.Tensor, side: int) -> torch.Tensor:
    """(batch, channels, height, width) -> (batch, channels, side, side), by a triangle that widens."""
    return functional.interpolate(images, (side, side), mode="bilinear", antialias=True)


class RestoringStep:
    """One step a call: pictures are spoilt, and the role `generator` is to mend them.

    It is given the spoilt ones, and the mask of holes or what the role `overview` tells of them reduced.
    """

    period = 1

    def __init__(self, context: Context, **modules: nn.Module) -> None:
        self.context, self.count, o = context, 0, context.run.step
        plain = o.degradation in degrade.NAMED and o.pixel in DISTANCES and context.run.model.image_shape[2] == 3
        others = o.smooth, o.perceptual_weight, o.style_weight, o.tv_weight, o.adversarial_weight
        if not plain or any(others):
            known = ", ".join(degrade.NAMED)
            raise UserError(f"--against torch: restores colours after {known}, by L1 or L2 of pixels alone")
        self.options, self.spoil = o, degrade.NAMED[o.degradation]()
        if isinstance(self.spoil, nn.Module):
            self.spoil = context.place(self.spoil)
        self.modules = {role: context.place(module) for role, module in modules.items()}
        self.optimizer = context.optimizer(p for module in self.modules.values() for p in module.parameters())
        self.ema = Ema(self.modules.values(), o.ema_decay)
        self.objective = context.compile(self._objective)

    def make(self, given: torch.Tensor, mask: torch.Tensor | None, small: torch.Tensor | None) -> torch.Tensor:
        """What is made of spoilt pictures, (batch, channels, height, width)."""
        beside = mask if small is None else self.modules["overview"](small)
        return self.modules["generator"](given, beside)

    @torch.no_grad()
    def _pairs(
        self, images: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Pictures to mend and as they should be, cut and turned; the mask; and the whole ones, reduced."""
        given, mask = self.spoil(images)
        small = None
        if "overview" in self.modules:
            small = self.context.layout(reduced(given, self.context.run.model.overview_side))
        planes, side = torch.cat([given, images] + ([] if mask is None else [mask]), 1), self.options.crop
        if side and images.shape[2:] != (side, side):
            top, left = (
                (torch.rand(len(images), device=images.device) * (n - side + 1)).long() for n in images.shape[2:]
            )
            planes = crop(planes, top, left, side)
        if self.options.turns:
            planes = turned(planes, torch.randint(0, 8, (len(images),), device=images.device))
        channels = images.shape[1]
        given, target, *masks = (self.context.layout(x) for x in planes.split(channels, 1))
        return given, target, masks[0] if masks else None, small

    def _objective(self, images: torch.Tensor) -> torch.Tensor:
        given, target, mask, small = self._pairs(images)
        with self.context.autocast():
            made = self.make(given, mask, small)
        return self.options.pixel_weight * DISTANCES[self.options.pixel](made.float(), target)

    def __call__(self, index: int) -> None:
        """One step."""
        self.context.schedule(self.optimizer, self.count)
        self.optimizer.zero_grad(set_to_none=True)
        self.loss = self.objective(self.context.images)
        self.loss.backward()
        self.optimizer.step()
        self.ema.update(self.count)
        self.count += 1
