"""Options of the optimizer. No jax here."""

from __future__ import annotations

import dataclasses
from typing import Literal

from genart_jax.config.ranges import Decay, Momentum, Natural, Weight


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An Optax optimizer, its schedule, and what is done to gradients before it."""

    name: str = "adam"
    """Update rule: adam, adamw, sgd, lion, rmsprop or another of Optax's by its name there."""
    learning_rate: Weight = 2e-4
    """Peak learning rate."""
    b1: Momentum = 0.9
    """First-moment decay of adam, adamw and lion; momentum of sgd and rmsprop."""
    b2: Decay = 0.999
    """Second-moment decay of adam, adamw, lion and rmsprop."""
    eps: Weight = 1e-8
    """Added to the denominator of adam and adamw; of rmsprop, to the mean square under its root, as Optax does by
    default: there, 1e-8 keeps a denominator above 1e-4."""
    nesterov: bool = False
    """Nesterov momentum (adam, adamw, sgd, rmsprop)."""
    schedule: Literal["constant", "cosine", "linear", "exponential"] = "constant"
    """Shape of the learning rate after the warm-up, over train.steps."""
    warmup_steps: Natural = 0
    """Updates over which the learning rate rises linearly from 0."""
    final_fraction: Weight = 0.0
    """The schedule ends at this fraction of the peak (exponential needs more than 0)."""
    weight_decay: Weight = 0.0
    """Decoupled weight decay, for every optimizer (Loshchilov & Hutter 2019)."""
    decay_paths: str = r"kernel$"
    """Regular expression: the parameter paths that weight_decay, l1 and l2 touch."""
    l1: Weight = 0.0
    """L1 penalty; its gradient, l1 * sign(w), is added to the loss's."""
    l2: Weight = 0.0
    """L2 penalty (l2/2 * |w|^2); its gradient, l2 * w, is added to the loss's."""
    clip_norm: Weight = 0.0
    """Clip the global gradient norm to this (0: off)."""
    clip_value: Weight = 0.0
    """Clip each gradient entry to +- this (0: off)."""
