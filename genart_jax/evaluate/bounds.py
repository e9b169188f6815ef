"""Importance-weighted bounds of a VAE's log likelihood (Burda et al. 2016, "Importance weighted autoencoders")."""

from __future__ import annotations

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError
from genart_jax.data.pipeline import evaluation_batches, prepare
from genart_jax.evaluate.pictures import open_run
from genart_jax.losses.elbo import bits_per_dimension
from genart_jax.nn import random
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Json
from genart_jax.runtime.watch import watched
from genart_jax.types import Algorithm, Batch, State

_BATCH = 64


def log_likelihood(algorithm: Algorithm, state: State, batch: Batch, key: jax.Array, draws: int) -> jax.Array:
    """The logarithm of the mean weight of k draws for each example, (batch,) nats: a lower bound of the log likelihood,
    which in the mean rises with k (eq. 8 and theorem 1 there).

    Memory does not grow with the draws. Works under `jit`, with `draws` static.

    Raises:
      UserError: a model without weights of draws.
    """
    if "weigh" not in algorithm.uses:
        raise UserError("this model gives no bound of a likelihood by draws; VAEs with one likelihood do")
    weigh = algorithm.uses["weigh"].function

    def more(total: jax.Array, index: jax.Array) -> tuple[jax.Array, None]:
        drawn = weigh(state, batch["image"], jax.random.fold_in(key, index), batch.get("condition", {}))
        return jnp.logaddexp(total, drawn), None

    start = jnp.full(len(batch["image"]), -jnp.inf)
    total, _ = jax.lax.scan(more, start, jnp.arange(draws))
    return total - math.log(draws)


def importance_bound(directory: str | Path, draws: int, num: int = 1000, seed: int = 0) -> Json:
    """The bound of a run's model on the first `num` test pictures: `iw_elbo` in nats and `iw_bits_per_dim`.

    Args:
      directory: the run.
      draws: of latents for each picture; 1 is the evidence lower bound, with noise.
      num: pictures.
      seed: of the draws.

    Raises:
      UserError: no run there, or its model is no VAE.
    """
    trained = open_run(directory)
    algorithm, state = trained.model
    fields, data = algorithm.batch_spec.fields, trained.saved.run.data
    compiled = compiler.jit(
        lambda state, raw, key: log_likelihood(algorithm, state, prepare(raw, None, data, fields), key, draws)
    )
    key, parts, left = jax.random.key(seed), [], min(num, trained.source.test.size)
    batches = evaluation_batches(trained.source.test.only(fields), _BATCH, 0, 1, data.workers, _BATCH)
    for index, raw in enumerate(watched(batches, left, "test pictures bounded", _BATCH)):
        if left <= 0:
            break
        parts.append(np.asarray(compiled(state, raw, random.stream(key, "bound", index)))[:left])
        left -= len(parts[-1])
    values = np.concatenate(parts)
    dimensions = math.prod(algorithm.batch_spec.image_shape)
    mean = float(values.mean())
    return {
        "iw_elbo": mean,
        "iw_bits_per_dim": float(bits_per_dimension(jnp.float32(-mean), dimensions)),
        "iw_draws": draws,
        "iw_examples": len(values),
        "iw_standard_error": float(values.std() / math.sqrt(len(values))),
    }
