"""Options of the adversarial step. No jax here."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from genart_jax.config.ranges import Count, Range, Share, Weight


@dataclasses.dataclass(frozen=True)
class Gan:
    """Options of the adversarial step."""

    loss: str = "non_saturating"
    """Adversarial loss of both players: non_saturating, minimax, hinge, least_squares, wasserstein or relativistic."""
    d_steps: Count = 1
    """Critic updates a step, each on its own real batch."""
    g_steps: Count = 1
    """Generator updates a step."""
    critic_learning_rate: Weight | None = None
    """The critic's peak learning rate; None: the generator's."""
    critic_batch: Literal["joint", "separate"] = "joint"
    """The critic sees real and generated pictures in one batch, or each in its own (for BatchNorm in the critic)."""
    r1_gamma: Weight = 0.0
    """Weight of the R1 penalty, gamma/2 * |grad D(real)|^2 (0: off)."""
    r1_every: Count = 16
    """R1 is computed every so many steps, and its weight multiplied by the critic updates in between."""
    path_weight: Weight = 0.0
    """Weight of the path length penalty (0: off; Karras et al. 2020: 2). Needs a mapping network."""
    path_every: Count = 4
    """The path length penalty is computed every so many steps, and its weight multiplied by them."""
    path_shrink: Count = 2
    """The path length penalty is computed for a batch that is so many times smaller."""
    path_decay: Share = 0.01
    """Share of the newest in the running mean of path lengths."""
    lazy_updates: Literal["joint", "separate"] = "joint"
    """R1 and path length join the next update, or get one of their own and learning rate and moments that allow it."""
    critic_terms: tuple[str, ...] = ()
    """Regularisers of the critic, as NAME=WEIGHT, or NAME=WEIGHT@PERIOD for a lazy one, such as r1=0.5@8 r2=0.5@8 gp=10
    (r1, r2, gp, zero_gp, lecam, consistency, latent_consistency, orthogonal; matching where there are
    conditions; reconstruction where the critic has decoders)."""
    generator_terms: tuple[str, ...] = ()
    """Regularisers of the generator, likewise (latent_spread, pixel_mse, orthogonal; path length has options of
    its own)."""
    style_mixing: Share = 0.0
    """Probability that the styles of an example's later layers come from another z. Needs a mapping network."""
    ema_decay: Share = 0.999
    """Decay of the generator's moving average, after its warm-up (0: off)."""
    ema_images: Weight = 0.0
    """Half-life of that average in images, in place of ema_decay (0: ema_decay)."""
    ema_ramp: Weight = 0.05
    """The half-life in images is at most this times the images seen (0: no ramp)."""
    condition_dropout: Share = 0.0
    """Probability with which each condition of an example is hidden from both players in training; above 0, samples
    may hide it too."""
    augment: Literal["none", "diffaugment", "ada"] = "none"
    """How the critic's pictures are augmented, real and generated alike: DiffAugment (Zhao et al. 2020), or the
    pipeline of adaptive discriminator augmentation (Karras et al. 2020b)."""
    augment_ops: tuple[str, ...] = ()
    """Which parts of it: color, translation, cutout of diffaugment (empty: all); blit, geometric, color, filter, noise,
    cutout of ada (empty: the first three)."""
    augment_schedule: Literal["auto", "constant", "adaptive", "cosine"] = "auto"
    """Its probability: constant, by the critic's overfitting, or a rise; auto: adaptive for ada, else constant."""
    augment_p: Share = 1.0
    """That probability where it is constant, the end of its rise, and the most that adaptive may reach."""
    augment_target: Annotated[float, Range(-1, 1)] = 0.6
    """Adaptive: the probability rises while the mean sign of the critic's scores of real pictures is above this."""
    augment_images: Count = 500_000
    """Real pictures in which the probability can go from 0 to 1 (adaptive), or rises to augment-p (cosine)."""
