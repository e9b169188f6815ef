"""The U-Net of pix2pix: as large as the paper's; dropout is its noise."""

import jax
import numpy as np

import genart_jax as ga
from genart_jax.models import pix2pix
from tests import zoo


def test_the_papers_generator_is_as_large_as_published():
    """54.414 million parameters at 256 pixels, as the authors' program counts them."""
    shapes = {"image_shape": (256, 256, 3), "target_shape": (256, 256, 3)}
    network = pix2pix.networks(ga.config.override(ga.get_config("pix2pix", "paper").model, **shapes))["generator"]
    params = jax.eval_shape(network.module.init, jax.random.key(0), *network.inputs())["params"]
    count = sum(x.size for x in jax.tree.leaves(params))
    biases = params["down_0"]["bias"].size + params["down_7"]["bias"].size  # which theirs has not
    assert count - biases == 54_413_955
    assert len(params) == 16 + 6 + 7


def test_dropout_is_the_noise_in_use_too():
    algorithm = zoo.tiny("pix2pix")
    batch = zoo.batch(algorithm.batch_spec, 4)
    state = zoo.start(algorithm, jax.random.key(0), batch)
    transform = jax.jit(algorithm.transform)
    first, again, other = (transform(state, batch["image"], jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4


def test_sides_are_halved_as_often_as_they_can_be():
    assert [pix2pix.halved(shape, 6) for shape in ((64, 64, 3), (256, 256, 3), (48, 64, 3), (15, 64, 3))] == [
        6,
        6,
        4,
        0,
    ]
