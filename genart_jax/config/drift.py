"""Options of the drifting step. No jax here."""

from __future__ import annotations

import dataclasses

from genart_jax.config.ranges import Count, Positive, Share, Weight


@dataclasses.dataclass(frozen=True)
class Drift:
    """Options of the drifting step."""

    temperatures: tuple[Positive, ...] = (0.02, 0.05, 0.2)
    """Widths of the kernel, in mean distances between two pictures' features; their drifts add up."""
    cells: tuple[Count, ...] = (1, 2, 4)
    """Into how many cells a side features are pooled, means and deviations of each drifting for themselves."""
    condition_weight: Weight = 0.25
    """What a condition that differs adds to a squared distance, in mean squared distances."""
    ema_decay: Share = 0.999
    """Decay of the generator's moving average, after its warm-up (0: off)."""
