"""Resampling against SciPy, forwards, backwards and twice, and inside a loop."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import scipy.signal

from genart_jax.nn import resample

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 8, 6, 3)).astype(np.float32)
LINE = np.array([1.0, 3.0, 3.0, 1.0]) / 8
SQUARE = np.outer(LINE, LINE)


def each_image(function, x):
    """`function` of every (height, width) plane of an (N, H, W, C) array."""
    planes = [[function(x[n, :, :, c].astype(np.float64)) for c in range(x.shape[-1])] for n in range(len(x))]
    return np.moveaxis(np.array(planes), 1, -1)


def stuffed(plane, factor):
    out = np.zeros([side * factor for side in plane.shape])
    out[::factor, ::factor] = plane
    return out


@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("taps", [(1.0, 3.0, 3.0, 1.0), (1.0, -2.0, 5.0), (0.5, 0.1, 0.2, 0.3, -1.0, 2.0)])
def test_upfirdn_is_scipys_along_every_axis(up, down, taps):
    full = (len(taps) - 1, len(taps) - 1)
    got = resample.upfirdn(jnp.asarray(X), taps, up=up, down=down, padding=full)
    expected = scipy.signal.upfirdn(taps, X.astype(np.float64), up, down, axis=1)
    expected = scipy.signal.upfirdn(taps, expected, up, down, axis=2)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_negative_padding_crops():
    whole = resample.upfirdn(jnp.asarray(X), LINE, padding=(1, 2))
    np.testing.assert_allclose(resample.upfirdn(jnp.asarray(X), LINE, padding=(-1, 0)), whole[:, 2:-2, 2:-2], atol=1e-6)


def test_upsample_is_scipys_convolution_of_zeros_between_pixels():
    expected = each_image(lambda p: scipy.signal.convolve2d(stuffed(p, 2), 4 * SQUARE)[1:-2, 1:-2], X)
    np.testing.assert_allclose(resample.upsample(jnp.asarray(X)), expected, rtol=1e-5, atol=1e-6)


def test_downsample_is_every_second_pixel_of_scipys_convolution():
    expected = each_image(lambda p: scipy.signal.convolve2d(p, SQUARE)[2:-1:2, 2:-1:2], X)
    np.testing.assert_allclose(resample.downsample(jnp.asarray(X)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", [resample.upsample, resample.downsample])
@pytest.mark.parametrize("taps", [resample.FILTER, (1.0, 2.0, 1.0, 0.0), (1.0, 1.0)])
def test_brightness_and_place_are_kept(function, taps):
    flat = function(jnp.ones((1, 12, 12, 1)), 2, taps)
    np.testing.assert_allclose(flat[:, 3:-3, 3:-3], 1.0, rtol=1e-6)
    if tuple(taps) == tuple(taps)[::-1]:  # symmetric, so it commutes with mirrors
        mirror = lambda x: x[:, ::-1, ::-1]
        np.testing.assert_allclose(
            function(mirror(jnp.asarray(X)), 2, taps), mirror(function(jnp.asarray(X), 2, taps)), atol=1e-6
        )


@pytest.mark.parametrize("side", [1, 3])
def test_upsampling_convolution(side):
    """Zeros between the pixels, a full convolution with the flipped kernel, then the filter: by SciPy."""
    kernel = RNG.normal(size=(side, side, 3, 5)).astype(np.float32)
    got = resample.upsample_conv(jnp.asarray(X), jnp.asarray(kernel))
    assert got.shape == (2, 16, 12, 5)
    cut = side // 2 + 1
    for n in range(2):
        for out in range(5):
            total = 0
            for c in range(3):
                wide = scipy.signal.convolve2d(stuffed(X[n, :, :, c], 2)[:-1, :-1], kernel[::-1, ::-1, c, out])
                wide = scipy.signal.convolve2d(np.pad(wide, 1 - side // 2 + 1), 4 * SQUARE, "valid")
                total = total + wide
            np.testing.assert_allclose(got[n, :, :, out], total[:16, :12], rtol=1e-4, atol=1e-5)
    # Inside, it is what its name says.
    plain = each_conv(resample.upsample(jnp.asarray(X)), kernel)
    np.testing.assert_allclose(got[:, cut:-cut, cut:-cut], plain[:, cut:-cut, cut:-cut], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [1, 3])
def test_downsampling_convolution(side):
    kernel = RNG.normal(size=(side, side, 3, 5)).astype(np.float32)
    got = resample.conv_downsample(jnp.asarray(X), jnp.asarray(kernel))
    assert got.shape == (2, 4, 3, 5)
    plain = resample.downsample(jnp.asarray(each_conv(X, kernel), jnp.float32))
    np.testing.assert_allclose(got[:, 1:-1, 1:-1], plain[:, 1:-1, 1:-1], rtol=1e-4, atol=1e-5)


def each_conv(x, kernel):
    """A "SAME" convolution by SciPy."""
    x = np.asarray(x, np.float64)
    out = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for n, c, o in np.ndindex(len(x), x.shape[-1], kernel.shape[-1]):
        out[n, :, :, o] += scipy.signal.correlate2d(x[n, :, :, c], kernel[:, :, c, o], "same")
    return out


@pytest.mark.parametrize("function", [resample.upsample, resample.downsample, lambda x: resample.upfirdn(x, LINE)])
def test_derivatives_of_the_first_and_second_order(function):
    cubed = lambda x: jnp.sum(function(x) ** 3)
    jax.test_util.check_grads(
        cubed, (jnp.asarray(X[:1, :, :, :1]),), order=2, modes=["fwd", "rev"], atol=0.05, rtol=0.05
    )


@pytest.mark.parametrize("function", [resample.upsample, resample.downsample])
def test_inside_a_loop_and_a_branch(function):
    gradient = jax.grad(lambda x: jnp.sum(function(x) ** 2))
    expected = gradient(jnp.asarray(X))
    _, looped = jax.jit(lambda x: jax.lax.scan(lambda carry, _: (carry, gradient(x)), 0, None, length=2))(X)
    branched = jax.jit(lambda x, due: jax.lax.cond(due, gradient, jnp.zeros_like, x))(X, True)
    np.testing.assert_allclose(looped[1], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(branched, expected, rtol=1e-5, atol=1e-6)
