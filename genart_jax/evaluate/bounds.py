"""Importance-weighted bounds of a VAE's log likelihood (Burda et al. 2016, "Importance weighted autoencoders")."""

from __future__ import annotations

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.data.pipeline import evaluation_batches, prepare
from genart_jax.evaluate import pictures
from genart_jax.evaluate.pictures import open_run
from genart_jax.losses.elbo import bits_per_dimension
from genart_jax.metrics.features import error_of_mean
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array, Json
from genart_jax.runtime.watch import watched
from genart_jax.train.checkpoint import Model
from genart_jax.types import Algorithm, Batch, State

_BATCH = 64


def log_likelihood(algorithm: Algorithm, state: State, batch: Batch, key: jax.Array, draws: int) -> jax.Array:
    """The logarithm of the mean weight of k draws for each example, (batch,) nats: a lower bound of the log likelihood,
    which in the mean rises with k (eq. 8 and theorem 1 there).

    Memory does not grow with the draws. Works under `jit`, with `draws` static.

    Raises:
      UserError: a model without weights of draws.
    """
    return by_draws(algorithm, state, batch, key, draws)[0]


def by_draws(
    algorithm: Algorithm, state: State, batch: Batch, key: jax.Array, draws: int
) -> tuple[jax.Array, jax.Array]:
    """`log_likelihood`, and the mean of the logarithms of the same weights, the evidence lower bound: (batch,) each."""
    if "weigh" not in algorithm.uses:
        raise UserError("this model gives no bound of a likelihood by draws; VAEs with one likelihood do")
    weigh = algorithm.uses["weigh"].function

    def more(sums: tuple[jax.Array, jax.Array], index: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        drawn = weigh(state, batch["image"], jax.random.fold_in(key, index), batch.get("condition", {}))
        return (jnp.logaddexp(sums[0], drawn), sums[1] + drawn / draws), None

    start = jnp.full(len(batch["image"]), -jnp.inf)
    (total, mean), _ = jax.lax.scan(more, (start, jnp.zeros_like(start)), jnp.arange(draws))
    return total - math.log(draws), mean


def importance_bound(directory: str | Path | Model, draws: int, num: int = 1000, seed: int = 0) -> Json:
    """The bound of a run's model on `num` test pictures, a choice that is always the same: `iw_elbo` in nats and
    `iw_bits_per_dim`, and beside them `iw_elbo_of_one`, the evidence lower bound of these pictures.

    Args:
      directory: the run, or its model as `ga.load(RUN, step)` gives it.
      draws: of latents for each picture; 1 is the evidence lower bound, with noise.
      num: pictures, if there are as many.
      seed: of the draws.

    Raises:
      UserError: no run there, or its model is no VAE.
    """
    trained = open_run(directory)
    algorithm, state = trained.model
    fields, data = algorithm.batch_spec.fields, trained.saved.run.data
    compiled = compiler.jit(
        lambda state, raw, key: jnp.stack(by_draws(algorithm, state, prepare(raw, None, data, fields), key, draws))
    )
    test = trained.source.test.only(fields)
    key, parts, left = jax.random.key(seed), list[Array](), min(num, test.size)
    chosen = pictures.of_rows(test, pictures.choose_rows(test, left))
    batches = evaluation_batches(chosen, _BATCH, 0, 1, data.workers, _BATCH)
    for index, raw in enumerate(watched(batches, left, "test pictures bounded", _BATCH)):
        if left <= 0:
            break
        parts.append(np.asarray(compiled(state, raw, random.stream(key, "bound", index)))[:, :left])
        left -= parts[-1].shape[1]
    values, of_one = np.concatenate(parts, axis=1)
    dimensions = math.prod(algorithm.batch_spec.image_shape)
    mean = float(values.mean())
    return {
        "iw_elbo": mean,
        "iw_elbo_of_one": float(of_one.mean()),
        "iw_bits_per_dim": float(bits_per_dimension(jnp.float32(-mean), dimensions)),
        "iw_draws": draws,
        "iw_examples": len(values),
        "iw_standard_error": error_of_mean(values),
    }
