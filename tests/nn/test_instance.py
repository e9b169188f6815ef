"""Moments of features, and normalisations by them, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.nn.instance import ConditionalInstanceNorm, Moments, adaptive, mixed, moments

RNG = np.random.default_rng(0)
# Epsilon, 1e-5, is nothing next to variances of 4 and more.
CONTENT = (RNG.normal(size=(2, 5, 7, 3)) * [3, 2, 20] + [1, -2, 40]).astype(np.float32)
STYLE = (RNG.normal(size=(2, 9, 4, 3)) * [0.7, 2, 11] + [-3, 0, 5]).astype(np.float32)


def of(x):
    x = np.asarray(x, np.float64)
    return x.mean((1, 2)), np.sqrt(x.var((1, 2)) + 1e-5)


def test_moments_are_those_of_numpy_in_any_precision():
    for got, wanted in zip(moments(jnp.asarray(CONTENT)), of(CONTENT), strict=True):
        np.testing.assert_allclose(got[:, 0, 0], wanted, rtol=1e-5)
    half = jnp.asarray(np.full((1, 300, 300, 1), 300.0), jnp.float16)  # whose sum of squares is no float16
    mean, std = moments(half)
    np.testing.assert_allclose([mean[0, 0, 0, 0], std[0, 0, 0, 0]], [300, 1e-5**0.5], rtol=1e-5)


def test_adapted_features_have_the_moments_of_the_style():
    made = adaptive(jnp.asarray(CONTENT), moments(jnp.asarray(STYLE)))
    for got, wanted in zip(of(made), of(STYLE), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    # What each place has of its own is the content's.
    normalised = lambda x: (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    np.testing.assert_allclose(normalised(np.asarray(made)), normalised(CONTENT), atol=1e-4)


def test_a_style_like_the_content_changes_nothing():
    features = jnp.asarray(CONTENT)
    np.testing.assert_allclose(adaptive(features, moments(features)), CONTENT, rtol=1e-5, atol=1e-5)


def test_a_part_with_the_moments_of_the_whole_is_that_part_of_the_whole():
    features, style = jnp.asarray(CONTENT), moments(jnp.asarray(STYLE))
    part = adaptive(features[:, 1:3, 2:6], style, moments(features))
    np.testing.assert_allclose(part, adaptive(features, style)[:, 1:3, 2:6], rtol=1e-6)


def test_mixtures_are_linear_and_may_depend_on_the_place():
    styles = Moments(*(jnp.asarray(x, jnp.float32) for x in of(STYLE)))  # two of them
    for at in (0.0, 0.3, 1.0):
        got = mixed(styles, jnp.array([[1 - at, at]]))
        for one, table in zip(got, of(STYLE), strict=True):
            np.testing.assert_allclose(one[0, 0, 0], (1 - at) * table[0] + at * table[1], rtol=1e-5)
    left = np.zeros((1, 5, 7, 2), np.float32)
    left[:, :, :3, 0], left[:, :, 3:, 1] = 1, 1
    content = jnp.asarray(CONTENT[:1])
    got = adaptive(content, mixed(styles, jnp.asarray(left)))
    alone = [adaptive(content, mixed(styles, jnp.eye(2)[i : i + 1])) for i in range(2)]
    np.testing.assert_allclose(got[:, :, :3], alone[0][:, :, :3], rtol=1e-5)
    np.testing.assert_allclose(got[:, :, 3:], alone[1][:, :, 3:], rtol=1e-5)


def test_conditional_instance_normalisation_in_closed_form():
    layer, share = ConditionalInstanceNorm(4), jax.nn.one_hot(jnp.array([3, 1]), 4)
    scale, shift = RNG.normal(size=(2, 4, 3)).astype(np.float32)
    given = {"params": {"scale": jnp.asarray(scale), "shift": jnp.asarray(shift)}}
    got, own = layer.apply(given, jnp.asarray(CONTENT), share)
    mean, std = (x[:, None, None] for x in of(CONTENT))
    for i, style in enumerate((3, 1)):
        wanted = scale[style] * (CONTENT[i] - mean[i]) / std[i] + shift[style]
        np.testing.assert_allclose(got[i], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(own.std, std, rtol=1e-5)
    fresh = layer.init(jax.random.key(0), jnp.asarray(CONTENT), share)
    np.testing.assert_array_equal(fresh["params"]["scale"], np.ones((4, 3)))
    assert 0.02 < np.std(fresh["params"]["shift"]) < 0.3
    assert set(
        ConditionalInstanceNorm(4, shifted=False).init(jax.random.key(0), jnp.asarray(CONTENT), share)["params"]
    ) == {"scale"}
