"""What is missing of a volume or a picture, by a VAE."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.nn import random
from genart_jax.types import Algorithm, State, Told


def complete(
    algorithm: Algorithm,
    state: State,
    images: jax.Array,
    known: jax.Array,
    key: jax.Array,
    condition: Told = None,
    rounds: int = 20,
) -> jax.Array:
    """Examples whose unknown part is drawn from the model, given the rest: float32, as long as `images`, in [-1, 1].

    Rezende, Mohamed & Wierstra 2014, "Stochastic backpropagation and approximate inference in deep generative models",
    arXiv:1401.4082, appendix F: encode, decode, put back what is known, and again. The unknown part begins at -1, the
    air of a volume. It compiles with `jax.jit`, with `rounds` as a constant.

    Args:
      algorithm: of a model that encodes and decodes.
      state: its state.
      images: (batch, ...) in [-1, 1]; what they are where they are not known does not count.
      known: (batch, ..., 1 or channels), above 0 where they are known.
      key: of the draws.
      condition: as in `decode`.
      rounds: how often.

    Raises:
      UserError: the model does not encode and decode.
    """
    if algorithm.encode is None or algorithm.decode is None:
        raise UserError("complete needs a model that encodes and decodes, such as conv_vae")
    encode, decode, told = algorithm.encode, algorithm.decode, () if condition is None else (condition,)
    there = known > 0

    def again(i: jax.Array, x: jax.Array) -> jax.Array:
        z = encode(state, x, random.stream(key, "round", i), *told)
        return jnp.where(there, images, decode(state, z, *told))

    return jax.lax.fori_loop(0, rounds, again, jnp.where(there, images, -1.0))
