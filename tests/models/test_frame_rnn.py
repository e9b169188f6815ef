"""The recurrent predictor: what each frame depends on, its latents, and videos that begin with given frames."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.models import frame_rnn
from genart_jax.steps import posteriors
from tests import zoo

KEY = jax.random.key(0)
SHAPE = (3, 16, 16, 3)


@functools.cache
def small():
    """The algorithm, its first state with all parameters moved, and a batch."""
    algorithm = zoo.tiny("frame_rnn")
    batch = zoo.batch(algorithm.batch_spec, 2)
    state = zoo.start(algorithm, KEY, batch)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: np.asarray(x) + rng.normal(0, 0.1, x.shape).astype(np.float32), state.params)
    return algorithm, state.replace(params=params, ema={}), batch


def test_the_memory_of_a_convolutional_lstm():
    """Of one pixel, against equation 3 of Shi et al. 2015 in NumPy."""
    cell = frame_rnn.ConvLSTM(2)
    memory, x = (jnp.full((1, 1, 1, 2), 0.3), jnp.full((1, 1, 1, 2), -0.2)), jnp.full((1, 1, 1, 1), 0.7)
    variables = jax.jit(lambda: cell.init(KEY, memory, x))()
    kernel = np.asarray(variables["params"]["gates"]["kernel"])[1, 1]
    enter, forget, leave, new = np.split(np.array([0.7, -0.2, -0.2]) @ kernel, 4)
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    wanted = sigmoid(forget + 1) * 0.3 + sigmoid(enter) * np.tanh(new)
    got = cell.apply(variables, memory, x)
    np.testing.assert_allclose(got[0][0, 0, 0], wanted, rtol=1e-5)
    np.testing.assert_allclose(got[1][0, 0, 0], sigmoid(leave) * np.tanh(wanted), rtol=1e-5)


def test_a_frame_depends_on_those_before_it_and_on_its_latent():
    algorithm, state, batch = small()
    posterior = posteriors.bind(algorithm.networks)
    noise = np.random.default_rng(1).normal(0, 1, (2, 3 * 2)).astype(np.float32)
    bound = jax.jit(lambda x: posterior.bound(state.variables, posteriors.Asked(x, batch["condition"], noise, False)))
    base, other = bound(batch["image"]), bound(batch["image"].at[:, 1].multiply(-1.0))
    assert base.output.shape == (2, *SHAPE)
    assert base.kl.shape == (2, 3)
    assert float(base.kl.min()) > 0
    np.testing.assert_array_equal(other.output[:, 0], base.output[:, 0])
    assert np.abs(other.output[:, 1] - base.output[:, 1]).max() > 1e-5, "the posterior has seen it"
    assert np.abs(other.output[:, 2] - base.output[:, 2]).max() > 1e-5, "and the frame after it"
    np.testing.assert_array_equal(other.kl[:, 0], base.kl[:, 0])


def test_latents_of_a_video_decode_to_what_its_posterior_drew():
    """By the decoder's own frames: the prior of each sees the same ones as when they were encoded."""
    algorithm, state, batch = small()
    decoder, encoder = (algorithm.networks[role].module for role in ("decoder", "encoder"))
    noise = np.random.default_rng(1).normal(0, 1, (2, 3 * 2)).astype(np.float32)

    @jax.jit
    def both(images):
        maps, _ = encoder.apply({"params": state.params["encoder"]}, images, batch["condition"])
        variables = {"params": state.params["decoder"]}
        _, aux = decoder.apply(variables, noise, batch["condition"], maps)
        own = lambda module: module._walk(
            module._drawn(noise)._replace(posterior=maps[1], drawn=jnp.ones((2, 3))), batch["condition"]
        )
        drawn = decoder.apply(variables, method=own)["frames"]
        return drawn, decoder.apply(variables, aux["latents"], batch["condition"])[0], aux["latents"]

    drawn, decoded, latents = both(batch["image"])
    assert np.abs(latents - noise).max() > 0.05, "the posterior is not the prior"
    np.testing.assert_allclose(decoded, drawn, atol=1e-4)


def test_videos_that_begin_with_given_frames():
    algorithm, state, batch = small()
    extend = jax.jit(algorithm.uses["extend"].function, static_argnames="frames")
    told = {name: np.zeros(2, np.int32) for name in batch["condition"]}
    given = batch["image"][:, :2]
    short, long = extend(state, given, KEY, told), extend(state, given, KEY, told, frames=5)
    assert (short.shape, long.shape) == ((2, *SHAPE), (2, 5, *SHAPE[1:]))
    np.testing.assert_array_equal(long[:, :2], given)
    np.testing.assert_allclose(long[:, :3], short, atol=1e-6)
    other = extend(state, given.at[:, 0].multiply(-1.0), KEY, told)
    assert np.abs(other[:, 2] - short[:, 2]).max() > 1e-5, "more than the last frame counts"
    again = extend(state, given, jax.random.key(1), told)
    assert np.abs(again[:, 2] - short[:, 2]).max() > 1e-5
    for frames, words in ((2.0, "2 are given, so that none is left"), (4.5, "wanted a whole number")):
        with pytest.raises(ga.UserError, match=words):
            algorithm.uses["extend"].function(state, given, KEY, told, frames)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_shape": (16, 16, 3)}, r"image_shape \(16, 16, 3\): wanted videos"),
        ({"depth": 3}, "depth 1 to 2"),
        ({"latent_dim": 0}, "must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(options, words):
    with pytest.raises(ga.UserError, match=words):
        frame_rnn.networks(ga.config.override(frame_rnn.Config(image_shape=SHAPE), **options))
