"""How the posteriors of test pictures lie together, beside the prior that samples are drawn from.

Hoffman & Johnson 2016, "ELBO surgery: yet another way to carve up the variational evidence lower bound": the mean KL
divergence of the posteriors to the prior is the information that a latent has of its picture, and the divergence of all
posteriors together, their aggregate, to the prior. The latter is what samples suffer from.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from genart_jax.evaluate import pictures
from genart_jax.evaluate.pictures import Trained
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.steps import common, networks, posteriors
from genart_jax.types import Algorithm, Batch, State, to_float

ACTIVE = 0.01
"""Variance of a latent's mean over pictures above which it is in use (Burda et al. 2016, section 5.4)."""
_BATCH = 250
_PICTURES = 1000
_LEAST = 4  # pictures to a dimension, below which they say nothing of a covariance


class Encoded(NamedTuple):
    """Posteriors of n pictures, mean and log variance (n, latents), and the classes of these by condition (n,)."""

    mean: Array
    log_variance: Array
    condition: dict[str, Array]


def has_one(algorithm: Algorithm) -> bool:
    """Whether a model is a VAE that has one posterior for a picture, and no layers of them."""
    return "weigh" in algorithm.uses and not isinstance(posteriors.bind(algorithm.networks), posteriors.Layered)


def encoded(trained: Trained, rows: Array) -> Encoded:
    """What a run's encoder makes of rows of the test split; latents of any shape are flat."""
    algorithm, state = trained.model
    told = [name for name, _ in algorithm.batch_spec.conditions]

    def posterior(state: State, batch: Batch) -> tuple[jax.Array, jax.Array]:
        wanted = common.conditions_of(batch, algorithm.batch_spec)
        at = networks.averaged(state)
        (mean, log_variance), _ = networks.run(algorithm.networks, at, "encoder", batch["image"], wanted)
        flat = lambda x: x.reshape(x.shape[0], -1)
        return flat(mean), flat(log_variance)

    compiled, parts, labels = compiler.jit(posterior), list[tuple[Array, Array]](), list[dict[str, Array]]()
    size = min(_BATCH, len(rows))
    for start in range(0, len(rows), size):
        some = pictures.read_rows(trained.source.test, np.resize(rows[start : start + size], size))
        condition = {name: some.condition[name] for name in told}
        mean, log_variance = compiled(state, {"image": to_float(some.images), "condition": condition})
        parts.append((np.asarray(mean), np.asarray(log_variance)))
        labels.append(some.condition)
    means, variances = (np.concatenate(column)[: len(rows)] for column in zip(*parts, strict=True))
    joined = {name: np.concatenate([one[name] for one in labels])[: len(rows)] for name in labels[0]}
    return Encoded(means, variances, joined)


def figures(mean: Array, log_variance: Array, seed: int = 0) -> dict[str, float]:
    """Of posteriors (n, latents), mean and log variance each, in nats where they are divergences.

    aggregate_kl: KL(q(z) || p(z)) of the mixture of these n posteriors, by one draw of each. The information is at most
    log n, so that where it comes near, this is too large.
    mutual_information: of picture and latent, the mean divergence less aggregate_kl.
    aggregate_kl_moments: the divergence of the Gaussian of the mixture's mean and covariance, a lower bound of
    aggregate_kl; left out with less than four pictures to a dimension.
    aggregate_mean: the mixture's mean, root of its mean square over dimensions (the prior's: 0).
    aggregate_variance: the mixture's, in the mean over dimensions (the prior's: 1).
    active_units: dimensions whose mean varies by more than 0.01 over pictures.
    """
    mean, log_variance = mean.astype(np.float64), log_variance.astype(np.float64)
    n, size = mean.shape
    variance = np.exp(log_variance)
    noise = np.asarray(np.random.default_rng(seed).standard_normal(mean.shape))
    information = float(np.mean(_log_ratio(mean, log_variance, mean + np.sqrt(variance) * noise, noise)))
    kl = float(np.mean(np.sum(np.square(mean) + variance - 1 - log_variance, axis=1))) / 2
    center = mean.mean(axis=0)
    spread = mean.var(axis=0) + variance.mean(axis=0)
    out = {"aggregate_kl": kl - information, "mutual_information": information}
    if n >= _LEAST * size:
        covariance = np.cov(mean, rowvar=False, bias=True).reshape(size, size) + np.diag(variance.mean(axis=0))
        apart = np.square(center).sum() + spread.sum() - size - np.linalg.slogdet(covariance)[1]
        out["aggregate_kl_moments"] = float(apart) / 2
    return out | {
        "aggregate_mean": float(np.sqrt(np.mean(np.square(center)))),
        "aggregate_variance": float(np.mean(spread)),
        "active_units": float(np.sum(mean.var(axis=0) > ACTIVE)),
    }


def _log_ratio(mean: Array, log_variance: Array, z: Array, noise: Array) -> Array:
    """Log q(z | its own picture) - log of the mixture of all at z, (n,), where z is made by `noise`."""
    precision = np.exp(-log_variance)
    sizes = np.sum(np.square(mean) * precision + log_variance, axis=1)
    others = -0.5 * (np.square(z) @ precision.T - 2 * z @ (mean * precision).T + sizes)
    own = -0.5 * np.sum(np.square(noise) + log_variance, axis=1)
    peak = others.max(axis=1, keepdims=True)
    mixture = peak[:, 0] + np.log(np.mean(np.exp(others - peak), axis=1))
    return np.asarray(own - mixture)


def of_run(trained: Trained, seed: int = 0, num: int = _PICTURES) -> dict[str, float]:
    """`figures` of a run's test pictures, up to `num`; none of a model that has not one posterior for a picture."""
    if not has_one(trained.model.algorithm) or trained.source.test.size < 2:
        return {}
    found = encoded(trained, pictures.choose_rows(trained.source.test, min(num, trained.source.test.size)))
    return figures(found.mean, found.log_variance, seed)
