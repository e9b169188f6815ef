"""Options of the classification step. No jax here."""

from __future__ import annotations

import dataclasses
from typing import Literal

from genart_jax.config.ranges import Decay, Share, Weight


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Options of the classification step."""

    label_smoothing: Decay = 0.0
    """Mass that the target distribution spreads over all classes."""
    mixup: Weight = 0.0
    """Blend examples and their labels by a share from Beta(mixup, mixup) (Zhang et al. 2018; 0: off)."""
    cutmix: Weight = 0.0
    """Paste a box of one example into another and mix labels by area, a share from Beta(cutmix, cutmix) (Yun et al.
    2019; 0: off). With mixup, each example takes one of the two."""
    probe: bool = False
    """Train the last layer alone, on the features that the network has as it is: for --init-from and few pictures."""
    balance: Share = 0.0
    """How far rare classes weigh more: by their share of the examples seen so far to the power of minus this, so that
    with 1 all classes weigh the same (0: off)."""
    margin: Literal["", "arcface", "cosface"] = ""
    """For networks whose scores are cosines (simple_cnn with --model.embedding): in training the true class's is made
    worse by a margin, of the angle (Deng et al. 2019) or the cosine (Wang et al. 2018); empty: none of that."""
    margin_size: Weight = 0.3
    """The margin: radians of arcface, or of the cosine."""
    margin_scale: Weight = 16.0
    """By which cosines are multiplied, to be scores."""
    mirror: bool = False
    """Predictions are the mean of what is seen in a picture and in its mirror image (Simonyan & Zisserman 2015, section
    3.2): twice the time of a prediction, none of a training."""
    ema_decay: Share = 0.999
    """Decay of the moving average of the parameters, after its warm-up (0: off)."""
