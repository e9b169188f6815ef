"""Options of the autoregressive step. No jax here."""

from __future__ import annotations

import dataclasses

from genart_jax.config.ranges import Decay, Positive, Share, Weight


@dataclasses.dataclass(frozen=True)
class Autoregressive:
    """Options of the autoregressive step."""

    condition_dropout: Decay = 0.1
    """Probability with which each condition of an example is hidden in training; above 0, samples may hide it too."""
    unconditional: Decay = 0.0
    """Probability with which all conditions of an example are hidden together besides, as guidance needs it."""
    temperature: Positive = 1.0
    """Logits are divided by this when codes are drawn: below 1 the likelier ones are drawn more often still. Samples
    may choose another."""
    guidance: Weight = 1.0
    """Codes are drawn from logits so many times as far from those without conditions as those with them are (Ho &
    Salimans 2022): 1 is as trained; others need conditions that are hidden at times (either of the first
    two options) and twice the time. Samples may choose another."""
    ema_decay: Share = 0.999
    """Decay of the moving average of the parameters, after its warm-up (0: off)."""
