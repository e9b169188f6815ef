"""The convolutions of genart_jax/models/vgg.py in PyTorch, out of training: features of pictures."""

from __future__ import annotations

import torch

from benchmarks.peers.common import Context
from benchmarks.peers.vgg import VGG


class Step:
    """One pass over a batch a call."""

    period = 1

    def __init__(self, context: Context) -> None:
        self.context = context
        trunk = context.place(VGG(context.run.model).trunk).eval().requires_grad_(False)
        self.modules = {"features": trunk}
        self.forward = context.compile(trunk)

    def __call__(self, index: int) -> None:
        """One pass."""
        with torch.inference_mode(), self.context.autocast():
            self.features = self.forward(self.context.images)
