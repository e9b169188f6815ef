"""What the PyTorch versions share: the device, precision and variant, optimizers, moving averages, timing."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from genart_jax.config import UserError

_AT_LEAST = 0.3  # seconds of a round, as in genart_jax.train.bench
_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


class Context:
    """Where and how a variant runs.

    Attributes:
      run: our configuration, as nested namespaces.
      images: (batch, channels, height, width), with depth or frames before the height, in the variant's memory layout.
      condition: name -> integers (batch,).
    """

    def __init__(self, run: dict[str, Any], platform: str, variant: str) -> None:
        self.run: Any = namespace(run)
        self.device = torch.device("cuda" if platform in ("gpu", "cuda") else "cpu")
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise UserError("--against torch: this PyTorch has no CUDA, so there is no peer on the GPU")
        self.channels_last, self.compiled = "channels_last" in variant, "compile" in variant
        self.precision = self.run.train.precision
        torch.manual_seed(0)
        if self.device.type == "cpu":
            torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
        tf32 = self.precision != "float32"  # with bfloat16, for what autocast leaves in float32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
        *sides, channels = self.run.model.image_shape
        size = self.run.train.batch
        self.images = self.layout(torch.rand(size, channels, *sides, device=self.device) * 2 - 1)
        self.condition = {
            name: torch.randint(0, classes, (size,), device=self.device)
            for name, classes in getattr(self.run.model, "conditions", ())
        }

    def layout(self, images: torch.Tensor) -> torch.Tensor:
        """Images, volumes or videos in the variant's memory layout."""
        return images.contiguous(memory_format=_FORMATS[images.ndim]) if self.channels_last else images

    def place(self, module: Any) -> Any:
        """A module on the device, its kernels in the variant's memory layout."""
        module = module.to(self.device)
        for p in module.parameters() if self.channels_last else ():
            if p.ndim in _FORMATS:
                p.data = self.layout(p.data)
        return module

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, by torch.compile where the variant says so."""
        return torch.compile(function, dynamic=False) if self.compiled else function

    def autocast(self) -> Any:
        """The precision policy of a forward pass; parameters stay float32."""
        if self.precision != "bfloat16":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def optimizer(
        self, parameters: Iterable[nn.Parameter], learning_rate: float | None = None, clips: bool = False
    ) -> torch.optim.Optimizer:
        """Our optimizer, fused; `clips`: whether the caller clips the norm of gradients itself.

        Raises:
          UserError: options that this peer does not have.
        """
        o, whole = self.run.optimizer, [*parameters]
        rate = o.learning_rate if learning_rate is None else learning_rate
        if o.weight_decay or o.l1 or o.clip_value or (o.clip_norm and not clips):
            raise UserError("--against torch: has no decoupled decay, l1 and clipping of this kind")
        if o.name == "adam" and not o.l2:
            return torch.optim.Adam(whole, lr=rate, betas=(o.b1, o.b2), eps=o.eps, fused=True)
        if o.name != "sgd" or o.decay_paths != "kernel$":
            raise UserError("--against torch: has Adam without penalties, and SGD with one of kernels")
        kernels = {"params": [p for p in whole if p.ndim > 1], "weight_decay": o.l2}
        groups = [kernels, {"params": [p for p in whole if p.ndim == 1]}]
        return torch.optim.SGD(groups, lr=rate, momentum=o.b1, nesterov=o.nesterov, fused=True)

    def schedule(self, optimizer: torch.optim.Optimizer, count: int, learning_rate: float | None = None) -> None:
        """Sets the learning rate of step number `count`; `learning_rate` replaces the peak."""
        o = self.run.optimizer
        if o.schedule == "constant" and not o.warmup_steps:
            return
        done = min(1.0, max(0, count - o.warmup_steps) / max(1, self.run.train.steps - o.warmup_steps))
        shares = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done}
        if o.schedule not in shares:
            raise UserError(f"--against torch: has no schedule {o.schedule}")
        peak = o.learning_rate if learning_rate is None else learning_rate
        rising = min(1.0, count / o.warmup_steps) if o.warmup_steps else 1.0
        rate = rising * peak * ((1 - o.final_fraction) * shares[o.schedule] + o.final_fraction)
        for group in optimizer.param_groups:
            group["lr"] = rate


class Ema:
    """Moving averages of modules' parameters and statistics, with our warm-up of the decay."""

    def __init__(self, modules: Iterable[nn.Module], decay: float) -> None:
        self._live = [t for m in modules for t in (*m.parameters(), *m.buffers()) if t.is_floating_point()]
        self._average = [t.detach().clone() for t in self._live] if decay else []
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step number `step`."""
        if self._decay:
            decay = min(self._decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._average, self._live, 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The averages are in the modules, for as long as it lasts."""
        kept = [t.detach().clone() for t in self._live[: len(self._average)]]
        with torch.no_grad():
            for live, average in zip(self._live, self._average, strict=False):
                live.copy_(average)
            yield
            for live, own in zip(self._live, kept, strict=False):
                live.copy_(own)


class HalfLife(Ema):
    """The same by a half-life in images, with our ramp."""

    def __init__(self, modules: Iterable[nn.Module], gan: Any, batch: int) -> None:
        super().__init__(modules, 1.0)
        self._half, self._ramp, self._batch = gan.ema_images, gan.ema_ramp, batch

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step number `step`."""
        half = min(self._half, self._ramp * step * self._batch) if self._ramp else self._half
        torch._foreach_lerp_(self._average, self._live, 1 - 0.5 ** (self._batch / max(half, 1e-8)))


def average(modules: Iterable[nn.Module], gan: Any, batch: int) -> Ema:
    """The moving average that the adversarial step's options ask for."""
    return HalfLife(modules, gan, batch) if gan.ema_images else Ema(modules, gan.ema_decay)


class ConditionEmbed(nn.Module):
    """Our `nn.embed.ConditionEmbed`: a table for each condition, with a row for a hidden one."""

    def __init__(
        self, conditions: Iterable[tuple[str, int]], features: int, stddev: float = 1.0, of_layer: bool = False
    ) -> None:
        super().__init__()
        self.names = [name for name, _ in conditions]
        self.tables = nn.ModuleList([nn.Embedding(classes + 1, features) for _, classes in conditions])
        for table, (_, classes) in zip(self.tables, conditions, strict=True):
            nn.init.normal_(table.weight, 0.0, stddev * classes**-0.5 if of_layer else stddev)

    def forward(self, condition: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """One (batch, features) vector a condition."""
        return [table(condition[name]) for name, table in zip(self.names, self.tables, strict=True)]


class Subject:
    """A variant of a model for a worker; see `benchmarks.worker`."""

    def __init__(self, name: str, run: dict[str, Any], platform: str, variant: str) -> None:
        self._context = context = Context(run, platform, variant)
        self._model = importlib.import_module(f"benchmarks.peers.{name}").Step(context)
        self._period = self._model.period
        self.facts: dict[str, Any] = {
            "parameters": {
                role: sum(p.numel() for p in module.parameters()) for role, module in self._model.modules.items()
            },
            "threads": torch.get_num_threads(),
        }
        for _ in range(2):  # compiles
            self._run(self._period)
        start = time.perf_counter()
        self._run(self._period)
        self._repeats = max(1, math.ceil(_AT_LEAST / (time.perf_counter() - start)))

    def device_memory(self) -> int | None:
        """The most memory of the GPU that tensors have held, in bytes; None on a CPU."""
        return torch.cuda.max_memory_allocated() if self._context.device.type == "cuda" else None

    def _run(self, steps: int, first: int = 0) -> None:
        for i in range(first, first + steps):
            self._model(i % self._period)
        if self._context.device.type == "cuda":
            torch.cuda.synchronize()

    def round(self) -> float:
        """Seconds of a step, over whole periods, after a step that is not timed."""
        self._run(1, first=1)
        steps = self._repeats * self._period
        start = time.perf_counter()
        self._run(steps)
        return (time.perf_counter() - start) / steps


def namespace(value: Any) -> Any:
    """Dictionaries as namespaces, also inside of one another."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: namespace(item) for key, item in value.items()})
    return [namespace(item) for item in value] if isinstance(value, list) else value
