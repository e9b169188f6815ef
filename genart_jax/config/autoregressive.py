"""Options of the autoregressive step. No jax here."""

from __future__ import annotations

import dataclasses

from genart_jax.config.ranges import Decay, Positive, Share


@dataclasses.dataclass(frozen=True)
class Autoregressive:
    """Options of the autoregressive step."""

    condition_dropout: Decay = 0.1
    """Probability with which each condition of an example is hidden in training; above 0, samples may hide it too."""
    temperature: Positive = 1.0
    """Logits are divided by this when codes are drawn: below 1 the likelier ones are drawn more often still."""
    ema_decay: Share = 0.999
    """Decay of the moving average of the parameters, after its warm-up (0: off)."""
