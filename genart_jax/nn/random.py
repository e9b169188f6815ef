"""Random numbers that are the same on any number of devices.

A step folds the run's key with a stream's name and the step number; what is drawn for an example folds in the example's
index in the global batch. So a new stream leaves the others alone, and a batch may be split in any way.
"""

from __future__ import annotations

import math
import zlib

import flax.linen as nn
import jax
import jax.numpy as jnp


def stream(key: jax.Array, name: str, step: jax.Array | int | None = None) -> jax.Array:
    """The key of a named stream, at a step if one is given; of an array of keys, those of each."""
    if key.ndim:
        return jax.vmap(lambda one: stream(one, name, step))(key)
    key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    return key if step is None else jax.random.fold_in(key, step)


def example_keys(key: jax.Array, num: int, axis_name: str | None = None) -> jax.Array:
    """One key for each of the `num` examples here, by its index in the global batch.

    Under `axis_name` each device holds `num` examples of a batch that is num times as many devices long.
    """
    index = jnp.arange(num)
    if axis_name is not None:
        index = index + jax.lax.axis_index(axis_name) * num
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def example_streams(keys: jax.Array | None, name: str) -> jax.Array | None:
    """The keys of a named stream, one an example; None stays None."""
    return None if keys is None else jax.vmap(lambda key: stream(key, name))(keys)


def normal(keys: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """Standard normal numbers of (len(keys), *shape), each example from its own key."""
    return jax.vmap(lambda k: jax.random.normal(k, shape))(keys)


def uniform(keys: jax.Array, shape: tuple[int, ...] = (), low: float = 0.0, high: float = 1.0) -> jax.Array:
    """Uniform numbers in [low, high) of (len(keys), *shape), each example from its own key."""
    return jax.vmap(lambda k: jax.random.uniform(k, shape, minval=low, maxval=high))(keys)


def randint(keys: jax.Array, num: int) -> jax.Array:
    """Integers in [0, num) of (len(keys),), each example from its own key."""
    return jax.vmap(lambda k: jax.random.randint(k, (), 0, num))(keys)


def coarse_uniform(keys: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """Uniform numbers on a grid of 65,536 in (0, 1), of (len(keys), *shape): half the cost of `uniform`."""
    return (sixteen_bits(keys, shape).astype(jnp.float32) + 0.5) / 2**16


def sixteen_bits(keys: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Integers of (len(keys), *shape) in [0, 65536), each example from its own key."""
    count = math.prod(shape)
    pairs = jax.vmap(lambda k: jax.random.bits(k, (-(-count // 2),), jnp.uint32))(keys)
    halves = jax.lax.bitcast_convert_type(pairs, jnp.uint16).reshape(len(keys), -1)
    return halves[:, :count].reshape(len(keys), *shape)


class Dropout(nn.Module):
    """Dropout with one key an example (Srivastava et al. 2014), kept values scaled by 1/(1 - rate).

    The rate is met to 1 in 65,536: two values are drawn from 32 random bits, whose making is the most of its time.
    `nn.Dropout` draws for the whole batch, so under `pmap` every device would use the same mask.
    """

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        """`keys` (batch,) of `example_keys`, or None in evaluation: the identity."""
        if keys is None or self.rate == 0.0:
            return x
        keep = sixteen_bits(keys, x.shape[1:]) >= round(self.rate * 2**16)
        return jnp.where(keep, x / (1.0 - self.rate), jnp.zeros((), x.dtype))
