"""The GAN of multilayer perceptrons: its sizes, pictures of any rank, and the pixel term in its step."""

import itertools

import jax
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.models import mlp_gan
from tests import zoo

KEY = jax.random.key(3)


def test_the_default_has_three_layers_of_128_and_five_updates_of_each():
    run = ga.configure("mlp_gan", image_shape=(28, 28, 1), conditions=())
    assert (run.step.d_steps, run.step.g_steps, run.model.latent_dim) == (5, 5, 100)
    networks = mlp_gan.networks(run.model)
    made = lambda network: jax.eval_shape(network.module.init, KEY, *network.inputs())["params"]
    count = lambda role: sum(leaf.size for leaf in jax.tree.leaves(made(networks[role])))
    dense = lambda *sizes: sum((a + 1) * b for a, b in itertools.pairwise(sizes))
    assert count("generator") == dense(100, 128, 128, 128, 784)
    assert count("critic") == dense(784, 128, 128, 128, 1)


@pytest.mark.parametrize("shape", [(12,), (4, 4, 4, 2)])
def test_pictures_of_any_rank_and_channels(shape):
    algorithm = zoo.tiny("mlp_gan", image_shape=shape)
    count = 4 * algorithm.batches_per_step
    batch = {
        "image": np.random.default_rng(0).uniform(-1, 1, (count, *shape)).astype(np.float32),
        "condition": {name: np.zeros(count, np.int32) for name, _ in zoo.CONDITIONS},
    }
    state = jax.eval_shape(algorithm.init, KEY, batch)
    state, _ = jax.eval_shape(algorithm.step, state, batch, KEY)
    assert jax.eval_shape(lambda s: algorithm.sample(s, KEY, 3), state).shape == (3, *shape)
    assert "critic_accuracy" in jax.eval_shape(algorithm.evaluate, state, batch, KEY)


def test_wrong_sizes():
    with pytest.raises(ga.UserError, match="at least 1"):
        zoo.tiny("mlp_gan", hidden=(8, 0))
