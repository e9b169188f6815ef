"""Random numbers by example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genart_jax.nn import random


def drop(rate: float, keys: jax.Array | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(random.Dropout(rate).apply({}, jnp.ones(shape), keys))


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_dropout_meets_its_rate_and_keeps_the_mean(rate: float) -> None:
    keys = random.example_keys(jax.random.key(0), 64)
    out = drop(rate, keys, (64, 3, 7, 101))  # an odd number an example
    kept = out != 0
    deviation = np.sqrt(rate * (1 - rate) / out.size)
    assert abs(np.mean(~kept) - rate) < 5 * deviation
    np.testing.assert_allclose(out[kept], 1 / (1 - rate), rtol=1e-6)
    # Neighbours are independent: the two halves of a random word among them.
    pairs = kept.reshape(64, -1)
    both = np.mean(pairs[:, 0:2120:2] & pairs[:, 1:2121:2])
    assert abs(both - (1 - rate) ** 2) < 5 * np.sqrt(0.25 / pairs[:, ::2].size)


def test_dropout_knows_examples_and_not_their_batch() -> None:
    keys = random.example_keys(jax.random.key(0), 8)
    whole = drop(0.5, keys, (8, 33))
    np.testing.assert_array_equal(np.concatenate([drop(0.5, keys[:4], (4, 33)), drop(0.5, keys[4:], (4, 33))]), whole)
    assert len({row.tobytes() for row in whole}) == 8
    np.testing.assert_array_equal(drop(0.5, None, (8, 33)), 1)
    np.testing.assert_array_equal(drop(0.0, keys, (8, 33)), 1)


def test_coarse_uniform_is_uniform() -> None:
    from scipy import stats

    out = np.asarray(random.coarse_uniform(random.example_keys(jax.random.key(1), 16), (5, 401)))
    assert out.shape == (16, 5, 401)
    assert out.min() > 0
    assert out.max() < 1
    assert stats.kstest(out.ravel(), "uniform").pvalue > 0.01
