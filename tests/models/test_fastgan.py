"""FastGAN: what its critic's decoders draw, and noise of the generator's own."""

import functools

import jax
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.models import fastgan
from tests import zoo

KEY = jax.random.key(4)
SHAPE = (16, 32, 3)


@functools.cache
def critic():
    """The module, its variables and eight pictures."""
    config = ga.configure("fastgan", preset="tiny", image_shape=SHAPE, conditions=()).model
    module, inputs, *_ = fastgan.networks(config)["critic"]
    images = zoo.batch(ga.BatchSpec(SHAPE), 8)["image"]
    return module, jax.jit(lambda: module.init(KEY, *inputs(), train=True))(), images


def test_a_quarter_is_cut_from_each_picture():
    x = np.arange(4 * 4 * 6 * 2, dtype=np.float32).reshape(4, 4, 6, 2)
    got = fastgan.quarter(x, np.arange(4))
    for i, (top, left) in enumerate([(0, 0), (0, 3), (2, 0), (2, 3)]):
        np.testing.assert_array_equal(got[i], x[i, top : top + 2, left : left + 3])


def test_decoders_are_to_draw_the_picture_and_a_quarter_of_it():
    module, variables, images = critic()
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(np.arange(8))
    (scores, aux), _ = jax.jit(
        lambda keys: module.apply(variables, images, train=True, keys=keys, mutable=["batch_stats"])
    )(keys)
    assert scores.shape == (8, 5, 13)  # places of an 8x16 map under a 4x4 kernel
    assert set(aux["rebuilt"]) == {"whole", "part"}
    for made, wanted in aux["rebuilt"].values():
        assert made.shape == wanted.shape
    np.testing.assert_array_equal(aux["rebuilt"]["whole"][1], images)
    part = np.asarray(aux["rebuilt"]["part"][1])
    corners = [np.asarray(images)[:, t : t + 8, left : left + 16] for t in (0, 8) for left in (0, 16)]
    found = [[np.array_equal(part[i], corner[i]) for corner in corners] for i in range(8)]
    assert np.all(np.sum(found, axis=1) == 1)
    assert np.sum(np.any(found, axis=0)) > 1  # not the same corner of all
    plain = jax.eval_shape(lambda: module.apply(variables, images, train=True, mutable=["batch_stats"])[0][1])
    assert "rebuilt" not in plain  # scoring draws nothing


def test_a_critic_without_decoders_refuses_the_term():
    with pytest.raises(ga.UserError, match="critic of dcgan has no decoders"):
        zoo.tiny("dcgan", step={"critic_terms": ("reconstruction=1",)})


def test_noise_is_in_the_samples():
    algorithm = zoo.tiny("fastgan", optimizer=zoo.SGD)
    state = zoo.start(algorithm, KEY, zoo.full_batch(algorithm, 8))
    strengths = lambda path, leaf: leaf + 1.0 if path[-1].key == "noise" else leaf
    ema = jax.tree_util.tree_map_with_path(strengths, state.ema)
    loud, sample = state.replace(ema=ema), jax.jit(algorithm.sample, static_argnums=2)
    assert not np.allclose(sample(state, KEY, 2), sample(loud, KEY, 2))


SIZES = {(28, 28, 1): True, (64, 32, 3): True, (256, 256, 3): True, (8, 8, 3): False, (30, 30, 3): False}


@pytest.mark.parametrize(("shape", "good"), SIZES.items())
def test_sizes(shape, good):
    config = fastgan.Config(shape, (), latent_dim=8, channel_base=64, channel_max=8)
    if not good:
        with pytest.raises(ga.UserError, match="fastgan: image_shape"):
            fastgan.networks(config)
        return
    module, inputs, *_ = fastgan.networks(config)["generator"]
    out = jax.eval_shape(lambda: module.init_with_output(KEY, *inputs())[0][0])
    assert out.shape == (2, *shape)


def test_colour_is_refused_for_one_channel_in_plain_words():
    with pytest.raises(ga.UserError, match="'color' needs 3 channels, not 1"):
        ga.build("fastgan", image_shape=(32, 32, 1), conditions=())


@pytest.mark.parametrize("name", ["fastgan", "projected_gan"])
def test_conditions_may_scale_batch_norm_and_leave_the_first_layer_to_z(name):
    algorithm = zoo.tiny(name, conditional_norm=True, optimizer=zoo.SGD)
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    params = state.params["generator"]
    assert params["in"]["kernel"].shape[0] == 8  # z alone
    draw = jax.jit(lambda state, index: algorithm.sample(state, KEY, 4, {c: index for c, _ in zoo.CONDITIONS}))
    np.testing.assert_array_equal(draw(state, 0), draw(state, 1))  # offsets begin at 0
    state, _ = jax.jit(algorithm.step)(state, batch, KEY)
    assert np.abs(draw(state, 0) - draw(state, 1)).max() > 0
