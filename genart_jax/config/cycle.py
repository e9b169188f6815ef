"""Options of the step between two sets of pictures that are not paired. No jax here."""

from __future__ import annotations

import dataclasses
from typing import Literal

from genart_jax.config.ranges import Natural, Share, Weight


@dataclasses.dataclass(frozen=True)
class Cycle:
    """Options of the step between two sets of pictures that are not paired."""

    crop: Natural = 0
    """Train on a square of so many pixels of each picture, at a random place (0: on all of it)."""
    turns: bool = False
    """Mirror and turn each training picture at random, in one of eight ways; they are squares."""
    pixel: Literal["l1", "l2", "charbonnier"] = "l1"
    """Distance of pixels, for the two weights that follow."""
    cycle_weight: Weight = 10.0
    """Weight of the distance of a picture from what is made of it there and back."""
    identity_weight: Weight = 0.0
    """Weight of the distance of a picture from what is made of it where it is already of that set (0: off)."""
    adversarial_weight: Weight = 1.0
    """Weight of what the critics make of pictures."""
    loss: str = "least_squares"
    """Adversarial loss of all players: non_saturating, minimax, hinge, least_squares, wasserstein or relativistic."""
    pool: Natural = 50
    """Pictures made earlier that are kept for each critic: half of what it sees is from there (0: none)."""
    critic_learning_rate: Weight | None = None
    """The critics' peak learning rate; None: the maps'."""
    ema_decay: Share = 0.999
    """Decay of the moving average of the maps' parameters, after its warm-up (0: off)."""
