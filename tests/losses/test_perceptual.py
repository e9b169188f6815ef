"""Distances of moments, and relative distances, against NumPy; those of Gram matrices: tests/steps/test_pixels.py."""

import jax.numpy as jnp
import numpy as np

from genart_jax.losses import perceptual
from genart_jax.nn.instance import Moments

RNG = np.random.default_rng(0)


def test_distance_of_moments():
    one, two = RNG.normal(size=(2, 2, 3, 1, 1, 5)).astype(np.float32)  # (mean, std), three examples
    got = perceptual.moments(Moments(*map(jnp.asarray, one)), Moments(*map(jnp.asarray, two)))
    wanted = [np.mean((one[0, i] - two[0, i]) ** 2) + np.mean((one[1, i] - two[1, i]) ** 2) for i in range(3)]
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_relative_distances_do_not_know_the_scale():
    a, b = RNG.normal(size=(2, 3, 4, 4, 2)).astype(np.float32)
    wanted = [np.sum((x - y) ** 2) / np.sum(y**2) for x, y in zip(a, b, strict=True)]
    for scale in (1.0, 1000.0):
        got = perceptual.relative(perceptual.content, jnp.asarray(scale * a), jnp.asarray(scale * b))
        np.testing.assert_allclose(got, wanted, rtol=1e-4)
    nothing = Moments(jnp.zeros((3, 1, 1, 2)), jnp.zeros((3, 1, 1, 2)))
    target = Moments(*(jnp.asarray(RNG.normal(size=(3, 1, 1, 2)), jnp.float32) for _ in range(2)))
    np.testing.assert_allclose(perceptual.relative(perceptual.moments, nothing, target), 1.0, rtol=1e-5)
