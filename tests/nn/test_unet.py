"""How far a U-Net sees, and that pictures of any size go through it; the networks that judge pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.nn import judges, unet

KEY = jax.random.key(0)


def random_parameters(module, *inputs):
    """None of them 0, so that nothing is hidden."""
    shapes = jax.eval_shape(module.init, KEY, *inputs)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.4, x.shape), jnp.float32), shapes)


@pytest.mark.parametrize(("widths", "blocks", "gated"), [((2, 2, 2), 1, True), ((2, 2), 2, False)])
def test_reach_is_as_far_as_it_sees(widths, blocks, gated):
    module = unet.UNet(widths, 1, blocks, gated)
    side = 160
    images = np.random.default_rng(1).uniform(-1, 1, (2, side, side, 1)).astype(np.float32)
    images[1] = images[0]
    images[1, side // 2, side // 2] += 1.0  # the worst place within a coarse pixel is one of its corners
    images = np.concatenate([images, np.roll(images, (1, 1), (1, 2))])
    made = np.asarray(jax.jit(module.apply)(random_parameters(module, images), images))
    for first, middle in ((0, side // 2), (2, side // 2 + 1)):
        # Some processors round equal pictures of a batch differently.
        rows, columns = np.nonzero((np.abs(made[first] - made[first + 1]) > 1e-6 * np.abs(made).max())[..., 0])
        farthest = max(np.abs(rows - middle).max(), np.abs(columns - middle).max())
        assert farthest <= unet.reach(widths, blocks)
        assert farthest > unet.reach(widths, blocks) / 4


def test_any_size_goes_through():
    module = unet.UNet((2, 4, 4), 3)
    for size in ((1, 1), (7, 13), (16, 8)):
        images = jnp.zeros((2, *size, 3))
        out = jax.eval_shape(lambda x: module.apply(module.init(KEY, x), x), images)
        assert out.shape == (2, *size, 3)


@pytest.mark.parametrize("source", ["vgg19", "lite0", "random"])
def test_the_layers_that_are_compared_are_there(source):
    network = judges.features(source)
    images = network.inputs()[0]
    _, found = jax.eval_shape(lambda x: network.module.apply(network.module.init(KEY, x), x), images)
    assert set(judges.LAYERS[network.frozen]) <= set(found)
    with pytest.raises(ga.UserError, match="there are vgg19, lite0, random"):
        judges.features("alexnet")


def test_a_score_sees_seventy_pixels():
    critic = judges.PatchCritic(2, depth=3, normalized=False)
    images = jnp.zeros((1, 96, 96, 1))
    variables = random_parameters(critic, images)
    score = lambda x: critic.apply(variables, x)[0][0, 6, 6]
    seen = np.nonzero(np.asarray(jax.jit(jax.grad(score))(images))[0, :, :, 0])
    assert [np.ptp(axis) + 1 for axis in seen] == [70, 70]
    assert jax.eval_shape(lambda x: critic.apply(variables, x)[0], images).shape == (1, 12, 12)
