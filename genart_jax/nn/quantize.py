"""From vectors to codes and back: a learned codebook, or fixed levels of each number.

Either module maps z (batch, *positions, features) to ((quantized, codes), {}): the nearest vectors that have a code,
with the gradient passed straight through to z, and their codes, int32 (batch, *positions). `lookup` maps codes back.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.nn import random
from genart_jax.runtime.values import Array

Quantized = tuple[tuple[jax.Array, jax.Array], dict[str, jax.Array]]

_SMOOTHING = 1e-5


def straight_through(z: jax.Array, quantized: jax.Array) -> jax.Array:
    """`quantized`, with the gradient of the identity in z (van den Oord et al. 2017, section 3.2)."""
    return z + jax.lax.stop_gradient(quantized - z)


class VectorQuantizer(nn.Module):
    """A codebook that follows the encodings by moving averages (van den Oord et al. 2017, eq. 1 and appendix A.1).

    Its collection "codebook" has the vectors, and the averages that they are the ratios of: how many encodings of a
    batch took a code, and their sum. Training steps change it; nothing here has a gradient. Averages are of the whole
    batch, also when it is split over `axis_name`.

    Attributes:
      codes: number of vectors.
      features: length of a vector.
      decay: of the moving averages.
      revive_below: a code that is taken less often than this share of what an even use would give it is set to an
        encoding of the batch (0: never). As no code has been taken before the first step, nearly all of them start so.
      axis_name: axis of `pmap` or `shard_map` over which the batch is split.
    """

    codes: int
    features: int
    decay: float = 0.99
    revive_below: float = 0.0
    axis_name: str | None = None

    def setup(self) -> None:
        """Makes the codebook."""
        shape, limit = (self.codes, self.features), 1.0 / self.codes
        uniform = lambda: jax.random.uniform(self.make_rng("params"), shape, minval=-limit, maxval=limit)
        self.embedding: nn.Variable[jax.Array] = self.variable("codebook", "embedding", uniform)
        self.count: nn.Variable[jax.Array] = self.variable("codebook", "count", jnp.zeros, (self.codes,))
        self.total: nn.Variable[jax.Array] = self.variable("codebook", "total", jnp.zeros, shape)

    def __call__(self, z: jax.Array, key: jax.Array | None = None, train: bool = False) -> Quantized:
        """`key` (one for the whole batch) chooses encodings for codes to be set to; None: none is."""
        z = z.astype(jnp.float32)
        fixed, vectors = jax.lax.stop_gradient(z), self.embedding.value
        # |z - e|^2 without |z|^2, which is the same for every e.
        distance = jnp.sum(jnp.square(vectors), axis=-1) - 2.0 * (fixed.reshape(-1, self.features) @ vectors.T)
        codes = jnp.argmin(distance, axis=-1).astype(jnp.int32)
        quantized = straight_through(z, vectors[codes].reshape(z.shape))
        if train and not self.is_initializing():
            self._update(fixed, codes, key)
        return (quantized, codes.reshape(z.shape[:-1])), {}

    def lookup(self, codes: jax.Array) -> jax.Array:
        """Codes (...) -> vectors (..., features)."""
        return self.embedding.value[codes]

    def _update(self, z: jax.Array, codes: jax.Array, key: jax.Array | None) -> None:
        sums = lambda x: x if self.axis_name is None else jax.lax.psum(x, self.axis_name)
        taken = jax.nn.one_hot(codes, self.codes)
        mean = lambda old, new: self.decay * old + (1.0 - self.decay) * sums(new)
        count = mean(self.count.value, jnp.sum(taken, axis=0))
        total = mean(self.total.value, taken.T @ z.reshape(-1, self.features))
        size = jnp.sum(count)
        # Laplace smoothing: a code that is hardly taken is not divided by nearly nothing.
        smooth = (count + _SMOOTHING) / (size + self.codes * _SMOOTHING) * size
        vectors = jnp.where(count[:, None] > 0, total / smooth[:, None], self.embedding.value)
        if key is not None and self.revive_below > 0:
            even = size / self.codes
            dead = count < self.revive_below * even
            chosen = self._candidates(z, key)[(jnp.cumsum(dead) - 1) % self.codes]
            vectors = jnp.where(dead[:, None], chosen, vectors)
            count = jnp.where(dead, even, count)
            total = jnp.where(dead[:, None], chosen * even, total)
        self.embedding.value, self.count.value, self.total.value = vectors, count, total

    def _candidates(self, z: jax.Array, key: jax.Array) -> jax.Array:
        """Random encodings of the whole batch, (codes, features): spread over its examples, in random order."""
        devices = 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)
        positions = math.prod(z.shape[1:-1])
        each = min(positions, -(-self.codes // (len(z) * devices)))  # of an example
        keys = random.example_keys(random.stream(key, "positions"), len(z), self.axis_name)
        places = jax.vmap(lambda k: jax.random.permutation(k, positions)[:each])(keys)
        found = jnp.take_along_axis(z.reshape(len(z), positions, -1), places[..., None], axis=1)
        found = found.reshape(-1, self.features)
        if self.axis_name is not None:
            # A sum of what each device has at its own place: the same on all of them, and known to be.
            own = jnp.zeros((devices, *found.shape)).at[jax.lax.axis_index(self.axis_name)].set(found)
            found = jax.lax.psum(own, self.axis_name).reshape(-1, self.features)
        order = jax.random.permutation(random.stream(key, "order"), len(found))
        return found[order[jnp.arange(self.codes) % len(found)]]


class FiniteScalarQuantizer(nn.Module):
    """Each number of a vector is bounded and rounded to a few levels (Mentzer et al. 2023, section 3.1).

    A code numbers the combinations of levels, the first number's running fastest. Values are multiples of
    1 / (levels // 2), in [-1, 1]. Nothing is learned here.

    Attributes:
      levels: of each number, at least 3.
    """

    levels: tuple[int, ...]

    @property
    def codes(self) -> int:
        """Number of codes."""
        return math.prod(self.levels)

    @nn.compact
    def __call__(self, z: jax.Array, key: jax.Array | None = None, train: bool = False) -> Quantized:
        """`key` is not used."""
        levels = np.array(self.levels)
        half = np.float32((levels - 1) * (1 - 1e-3) / 2)  # rounding never reaches a level more
        # An even number of levels has one more below 0 than above; the shift keeps 0 at 0.
        offset = np.where(levels % 2, np.float32(0), np.float32(0.5))
        shift = np.arctanh(offset / half)
        bounded = jnp.tanh(z.astype(jnp.float32) + shift) * half - offset
        rounded = straight_through(bounded, jnp.round(bounded))
        digits = jnp.round(rounded).astype(jnp.int32) + levels // 2
        codes = jnp.sum(digits * self._basis, axis=-1)
        return (rounded / np.asarray(levels // 2, np.float32), codes.astype(jnp.int32)), {}

    def lookup(self, codes: jax.Array) -> jax.Array:
        """Codes (...) -> vectors (..., len(levels))."""
        levels = np.array(self.levels, np.int32)
        digits = codes[..., None] // self._basis % levels
        return (digits - levels // 2).astype(jnp.float32) / np.asarray(levels // 2, np.float32)

    @property
    def _basis(self) -> Array:
        return np.cumprod([1, *self.levels[:-1]]).astype(np.int32)
