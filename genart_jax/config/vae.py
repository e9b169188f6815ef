"""Options of the variational step. No jax here."""

from __future__ import annotations

import dataclasses
from typing import Literal

from genart_jax.config.ranges import Count, Decay, Natural, Positive, Share, Weight


@dataclasses.dataclass(frozen=True)
class Vae:
    """Options of the variational step."""

    likelihood: Literal["gaussian", "bernoulli", "discrete_gaussian", "logistic_mixture"] = "gaussian"
    """Decoder's distribution of a pixel: a density with one scale for all of them, shares of white, or masses of 8-bit
    levels, of a Gaussian with a scale for each (Ho et al. 2020) or of mixtures (Salimans et al. 2017)."""
    beta: Weight = 1.0
    """Weight of the KL divergence (Higgins et al. 2017)."""
    free_bits: Weight = 0.0
    """Nats a latent dimension may cost for free, over the batch's mean (Kingma et al. 2016)."""
    capacity: Weight = 0.0
    """Nats that the KL divergence is held at, its distance from them weighed by beta (Burgess et al. 2018; 0: off)."""
    capacity_steps: Natural = 0
    """Steps over which the capacity rises to that from 0 (0: half of the run)."""
    total_correlation: Weight = 0.0
    """Weight of the total correlation of the batch's latents, on top of the KL divergence: beta - 1 of beta-TC-VAE
    (Chen et al. 2018)."""
    mmd: Weight = 0.0
    """Weight of the discrepancy between the batch's latents and the prior (InfoVAE, Zhao et al. 2019; then beta is less
    than 1)."""
    objective: Literal["elbo", "iwae", "dreg"] = "elbo"
    """Bound that is trained: by the divergence, by weighted draws (Burda et al. 2016), or the same with doubly
    reparametrised gradients of the encoder (Tucker et al. 2019)."""
    draws: Count = 1
    """Latents drawn of each example in training."""
    scale: Literal["optimal", "fixed"] = "optimal"
    """Gaussian's standard deviation: the optimum for the batch (Rybkin et al. 2021), or fixed_scale."""
    fixed_scale: Positive = 0.1
    """Standard deviation in units of [-1, 1], where scale is fixed."""
    binarize: Literal["none", "threshold", "stochastic"] = "none"
    """How pixels become 0 or 1 for the Bernoulli likelihood (none: grey values as probabilities)."""
    condition_dropout: Decay = 0.0
    """Probability with which each condition of an example is hidden in training; above 0, samples may hide it too."""
    ema_decay: Share = 0.999
    """Decay of the moving average of the parameters, after its warm-up (0: off)."""
    mixtures: Count = 5
    """Distributions of a logistic_mixture."""
