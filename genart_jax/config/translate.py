"""Options of the step from picture to picture. No jax here."""

from __future__ import annotations

import dataclasses
from typing import Literal

from genart_jax.config.ranges import Count, Natural, Share, Weight

Degradation = Literal["", "downsample", "holes", "old", "haze", "faults", "dull", "camera", "noise", "jpeg"]


@dataclasses.dataclass(frozen=True)
class Translate:
    """Options of the step from picture to picture."""

    degradation: Degradation = ""
    """How the input is made of the image, which is then the target: downsample (by the model's scale), holes, old (a
    photograph's age), haze, faults (darkness, cast, noise and blocks), dull (the same, slight), camera, noise or jpeg.
    Empty: the input is the image, and the data has the target."""
    crop: Natural = 0
    """Train on a square of so many pixels of each input, at a random place (0: on all of it)."""
    turns: bool = False
    """Mirror and turn each training pair at random, in one of eight ways; pairs are squares."""
    smooth: Share = 0.0
    """How much of an edge-preserving filter is in the targets of training (0: none, 1: it alone); scores are against
    the targets as they are."""
    pixel: Literal["l1", "l2", "charbonnier"] = "l1"
    """Distance of pixels."""
    pixel_weight: Weight = 1.0
    """Weight of the distance of pixels."""
    perceptual_weight: Weight = 0.0
    """Weight of the distance of a frozen network's activations (0: off).

    It is of the activations as they are: about 10 over EfficientNet-lite0 and 10,000 over VGG19 for a blurred picture.
    """
    perceptual_layers: tuple[str, ...] = ()
    """Which activations; empty: those that the network's users mostly take."""
    style_weight: Weight = 0.0
    """Weight of the distance of Gram matrices of that network's activations (0: off)."""
    style_layers: tuple[str, ...] = ()
    """Which activations; empty: those of perceptual_layers."""
    tv_weight: Weight = 0.0
    """Weight of the total variation (0: off)."""
    adversarial_weight: Weight = 0.0
    """Weight of what the critic makes of the output (0: no critic)."""
    loss: str = "hinge"
    """Adversarial loss of both players: non_saturating, minimax, hinge, least_squares, wasserstein or relativistic."""
    d_steps: Count = 1
    """Critic updates a step, each on its own batch."""
    critic_learning_rate: Weight | None = None
    """The critic's peak learning rate; None: the generator's."""
    critic_terms: tuple[str, ...] = ()
    """Regularisers of the critic, as NAME=WEIGHT or NAME=WEIGHT@PERIOD (r1, r2, gp, zero_gp, lecam, orthogonal)."""
    ema_decay: Share = 0.999
    """Decay of the moving average of the parameters, after its warm-up (0: off)."""
