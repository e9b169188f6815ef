"""Options of the step that trains networks which paint contents in styles. No jax here."""

from __future__ import annotations

import dataclasses
from typing import Literal

from genart_jax.config.ranges import Count, Share, Weight


@dataclasses.dataclass(frozen=True)
class Stylize:
    """Options of the step that trains networks which paint contents in styles."""

    content_weight: Weight = 1.0
    """Weight of the content loss."""
    style_weight: Weight = 10.0
    """Weight of the style loss."""
    tv_weight: Weight = 0.0
    """Weight of the total variation."""
    pixel_weight: Weight = 0.0
    """Weight of the squared error of contents that are made of themselves: by a decoder of their own features, by a
    painter in whatever style. Alone, it is a fast start."""
    style: Literal["moments", "gram"] = "moments"
    """What of the features is the style: means and deviations of channels, or Gram matrices."""
    reduce: Count = 1
    """Train on pictures whose sides are divided by this: 2 costs a quarter of the time."""
    ema_decay: Share = 0.0
    """Decay of moving averages of the parameters, which pictures are made with; 0: none."""
