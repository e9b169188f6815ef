"""Codes of pictures of any size: pieces and the whole."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.train.checkpoint import Model
from genart_jax.use import coded
from tests import zoo

KEY = jax.random.key(4)


@functools.cache
def model():
    """An untrained one, whose codes are a quarter of a picture's sides."""
    algorithm = zoo.tiny("kl_autoencoder", image_shape=(16, 16, 3), widths=(4, 8, 8))
    return Model(algorithm, zoo.start(algorithm, KEY, zoo.batch(algorithm.batch_spec, 2)))


def picture(height, width):
    """Soft forms."""
    y, x = np.mgrid[:height, :width] / 16
    return np.stack([np.sin(x + y), np.cos(x) * np.sin(2 * y), np.cos(y)], axis=-1).astype(np.float32)


def test_a_small_picture_goes_through_whole():
    algorithm, state = model()
    x = picture(24, 32)
    codes = ga.encode_picture(model(), x)
    ((mean, _), _) = ga.run(algorithm, state, "encoder", x[None])
    np.testing.assert_allclose(codes, mean[0], atol=1e-5)
    assert codes.shape == (6, 8, 2)
    made = ga.decode_codes(model(), codes)
    output, _ = ga.run(algorithm, state, "decoder", jnp.asarray(codes)[None])
    np.testing.assert_allclose(made, np.clip(output[0], -1, 1), atol=1e-5)
    levels = np.asarray(ga.to_uint8(x))
    np.testing.assert_allclose(ga.encode_picture(model(), levels), codes, atol=0.05)


def step(far, ends):
    """The mean difference of neighbours where pieces end."""
    return np.mean([np.abs(far[:, end] - far[:, end - 1]).mean() for end in ends])


def test_pieces_are_put_together_without_an_edge():
    """What is wrong of a piece, by its own normalisation and its padding, changes slowly where pieces meet."""
    x = picture(64, 96)
    whole, blended, cut = (ga.encode_picture(model(), x, *sizes) for sizes in ((96, 16), (32, 16), (32, 0)))
    assert step(blended - whole, (8, 16)) < 0.75 * step(cut - whole, (8, 16))
    whole, blended, cut = (ga.decode_codes(model(), whole / 4, *sizes) for sizes in ((96, 16), (32, 16), (32, 0)))
    assert blended.shape == (64, 96, 3)
    assert step(blended - whole, (32, 64)) < 0.75 * step(cut - whole, (32, 64))


@pytest.mark.parametrize("length", [1, 7, 8, 9, 20, 33])
def test_pieces_cover_a_line(length):
    """Of a network that changes nothing, so does what is put together."""
    x = np.random.default_rng(0).normal(size=(length, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(coded._blended(lambda piece: piece, x, 8, 4, 1, 1), x, rtol=1e-5)


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda m: ga.encode_picture(m, np.zeros((18, 16, 3))), "sides in multiples of 4"),
        (lambda m: ga.encode_picture(m, np.zeros((16, 16, 1))), "wanted 3 channels"),
        (lambda m: ga.encode_picture(m, np.zeros((16, 16, 3)), longest=30), "longest 30 and overlap 128: wanted"),
        (lambda m: ga.decode_codes(m, np.zeros((4, 4, 3))), r"codes of \(4, 4, 3\): wanted \(height, width, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(use, said):
    with pytest.raises(ga.UserError, match=said):
        use(model())


def test_a_model_with_vectors_is_refused():
    algorithm = zoo.tiny("mlp_vae")
    with pytest.raises(ga.UserError, match="codes are no maps"):
        ga.encode_picture(Model(algorithm, None), picture(16, 16))
