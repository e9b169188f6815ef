"""Volumes of which a half is missing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.metrics.overlap import iou
from genart_jax.nn import random
from genart_jax.use.complete import complete
from tests import zoo

KEY = jax.random.key(0)
SOLID = {"likelihood": "bernoulli"}


def test_what_is_known_stays_and_the_rest_is_decoded():
    algorithm = ga.build("conv_vae", preset="tiny", image_shape=(8, 8, 8, 1), conditions=zoo.CONDITIONS, step=SOLID)
    batch = zoo.batch(algorithm.batch_spec, 2)
    state, x, told = zoo.start(algorithm, KEY, batch), batch["image"], batch["condition"]
    known = np.zeros((1, 8, 1, 1, 1), np.float32)
    known[:, :4] = 1.0
    done = jax.jit(lambda s, x: complete(algorithm, s, x, known, KEY, told, rounds=1))(state, x)
    np.testing.assert_array_equal(done[:, :4], x[:, :4])

    @jax.jit
    def once(state, x):
        begun = jnp.where(known > 0, x, -1.0)
        return algorithm.decode(state, algorithm.encode(state, begun, random.stream(KEY, "round", 0), told), told)

    np.testing.assert_allclose(done[:, 4:], once(state, x)[:, 4:], rtol=1e-5, atol=1e-6)
    figures = jax.jit(algorithm.evaluate)(state, batch, KEY)
    assert 0 <= float(figures["iou"][0]) <= 2


def test_other_models_are_refused():
    with pytest.raises(ga.UserError, match="encodes and decodes"):
        complete(zoo.tiny("gan3d"), None, jnp.zeros((1, 8, 8, 8, 1)), jnp.ones((1, 8, 8, 8, 1)), KEY)


def test_intersection_over_union():
    a, b = (np.full((3, 4, 4, 4, 1), -1.0, np.float32) for _ in range(2))
    a[0, :2], b[0, 1:3] = 1.0, 1.0
    a[1], b[1] = 0.5, 0.1
    np.testing.assert_allclose(iou(jnp.asarray(a), jnp.asarray(b)), [1 / 3, 1.0, 1.0])
