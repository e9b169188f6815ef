"""DCGAN's layouts of the first tutorials: the maps that they make, dropout's masks, and patches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.models import dcgan
from tests import zoo

KEY = jax.random.key(5)


def maps(preset, size):
    """Shapes of the generator's maps from its start on and the picture, then of the critic's and its scores."""
    config = ga.configure("dcgan", preset=preset, image_shape=(size, size, 3), conditions=()).model
    out = []
    for network in dcgan.networks(config).values():
        make = lambda key, n=network: n.module.init_with_output(key, *n.inputs())[0]
        made, aux = jax.eval_shape(make, KEY)
        out += [*(map_.shape[1:] for map_ in aux.values()), made.shape[1:]]
    return out


def test_start7_makes_56_pixels_by_strides_1_2_2_2():
    down = [(28, 28, 32), (14, 14, 64), (7, 7, 128), (7, 7, 256), ()]
    assert maps("start7", 56) == [(7, 7, 256), (7, 7, 128), (14, 14, 64), (28, 28, 32), (56, 56, 3), *down]
    model = ga.get_config("dcgan", "start7").model
    assert (model.kernel, model.dropout) == (5, 0.3)


def test_start8_makes_32_pixels_and_flat8_stays_at_8():
    assert maps("start8", 32) == [(8, 8, 256), (16, 16, 128), (32, 32, 3), (16, 16, 128), (8, 8, 256), ()]
    assert maps("flat8", 8) == [(8, 8, 8)] * 3 + [(8, 8, 3)] + [(8, 8, 8)] * 3 + [()]


def test_three_convolutions_a_stage():
    config = ga.configure("dcgan", preset="vgg", image_shape=(32, 32, 3), conditions=()).model
    for network in dcgan.networks(config).values():
        params = jax.eval_shape(network.module.init, KEY, *network.inputs())["params"]
        assert sum(leaf.ndim == 4 for leaf in jax.tree.leaves(params)) == 3 + 3 * 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_shape": (56, 50, 3), "strides": (1, 2, 2)}, "multiples of 4"),
        ({"strides": (2, 2), "features": (8,)}, "as many"),
        ({"strides": (2, 0)}, "multiples"),
        ({"dropout": 1.0}, "dropout"),
        ({"patch": 3}, "patch 0 to 2"),
        ({"convs_per_stage": 0}, "at least 1"),
    ],
)
def test_wrong_layouts(options, words):
    with pytest.raises(ga.UserError, match=words):
        zoo.tiny("dcgan", **options)


def test_a_patch_s_score_depends_on_its_pixels_alone():
    """After two stages of 4x4 kernels and a 3x3 one, a score sees 18 pixels a side, at steps of 4."""
    config = dcgan.Config((32, 32, 3), (("style", 3),), width=4, patch=2)
    critic = dcgan.networks(config)["critic"].module
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)), jnp.float32)
    variables = jax.jit(critic.init)(KEY, images)
    score = lambda x, style=0: critic.apply(variables, x, {"style": jnp.full(1, style)})[0]
    assert jax.eval_shape(score, images).shape == (1, 8, 8)
    moved = jax.jit(jax.grad(lambda x: score(x)[0, 3, 4]))(images)[0]
    rows, columns = (np.flatnonzero(np.abs(moved).sum((axis, 2)) > 0) for axis in (1, 0))
    assert (rows[0], rows[-1]) == (12 - 7, 12 + 10)
    assert (columns[0], columns[-1]) == (16 - 7, 16 + 10)
    assert not np.allclose(*(jax.jit(score, static_argnums=1)(images, style) for style in (0, 1)))


def test_dropout_drops_in_training_alone_and_by_the_example():
    """Each example has a mask of its own, which the others do not change; a seventh of 0.3 is off by less than 0.02."""
    config = dcgan.Config((16, 16, 3), (), width=8, dropout=0.3)
    critic = dcgan.networks(config)["critic"].module
    images = jnp.ones((4, 16, 16, 3))
    variables = jax.jit(critic.init)(KEY, images)
    apply = jax.jit(lambda x, key: critic.apply(variables, x, train=True, rngs={"dropout": key}))
    plain, _ = jax.jit(lambda x: critic.apply(variables, x, train=True))(images)
    assert float(np.ptp(plain)) < 1e-5, "nothing is dropped without the stream"
    scores, aux = apply(images, KEY)
    assert len(np.unique(np.asarray(scores))) == 4
    np.testing.assert_allclose(apply(images[:2], KEY)[0], scores[:2], rtol=1e-5)
    assert abs(float(jnp.mean(aux["stage_0"] == 0)) - 0.3) < 0.02
    assert not np.allclose(apply(images, jax.random.key(1))[0], scores)


def test_the_step_s_critic_drops():
    """With a rate of nearly 1 the critic hears nothing: its scores of real and of generated pictures come together."""
    rows = []
    for rate in (0.0, 0.999):
        algorithm = zoo.tiny("dcgan", dropout=rate, conditions=(), step={"r1_gamma": 0.0})
        batch = zoo.full_batch(algorithm, 8)
        _, metrics = jax.jit(algorithm.step)(zoo.start(algorithm, KEY, batch), batch, KEY)
        rows.append(abs(float(metrics["real_score"] - metrics["fake_score"])))
    assert rows[1] < 0.1 * rows[0]
