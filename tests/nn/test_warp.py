"""Interpolation filters and affine maps, against SciPy and tables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage

from genart_jax.nn.warp import bands, doubling, midpoint, warp

# Daubechies 1992, tables 6.1 and 6.3.
DB2 = np.array([1 + np.sqrt(3), 3 + np.sqrt(3), 3 - np.sqrt(3), 1 - np.sqrt(3)]) / (4 * np.sqrt(2))
SYM6 = np.array([
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148,
])  # fmt: skip


def pictures(n=6, shape=(12, 20, 2), seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, *shape)).astype(np.float32)


def maps(n=6, seed=1):
    """General affine maps with translations of a few pixels, and one that reaches far outside."""
    rng = np.random.default_rng(seed)
    out = np.concatenate([rng.normal(size=(n, 2, 2)), rng.uniform(-5, 5, (n, 2, 1))], axis=2)
    out[0, :, :2] *= 4
    return out.astype(np.float32)


@pytest.mark.parametrize(("taps", "wavelet"), [(4, DB2), (12, SYM6)])
def test_midpoint_weights_are_the_wavelets_half_band_filter(taps, wavelet):
    product = np.convolve(wavelet, wavelet[::-1])
    np.testing.assert_allclose(midpoint(taps), product[::2], atol=1e-9)
    np.testing.assert_allclose(np.delete(product[1::2], taps // 2 - 1), 0, atol=1e-9)


def test_midpoint_weights_interpolate_polynomials():
    places = np.arange(12) - 5.0
    values = np.random.default_rng(0).normal(size=12)
    np.testing.assert_allclose(midpoint(12) @ values, scipy.interpolate.KroghInterpolator(places, values)(0.5))


@pytest.mark.parametrize("size", [1, 2, 7, 32])
def test_doubling_is_filtering_with_mirrored_edges(size):
    x = np.random.default_rng(0).normal(size=size)
    kernel = np.zeros(23)
    kernel[::2], kernel[11] = midpoint(12), 1
    stuffed = np.zeros(2 * size - 1)
    stuffed[::2] = x
    wanted = scipy.ndimage.convolve1d(stuffed, kernel, mode="mirror") if size > 1 else x
    np.testing.assert_allclose(doubling(size) @ x, wanted, atol=1e-6)


def test_warp_equals_scipy():
    images, m = pictures(), maps()
    out = np.asarray(warp(images, m))
    flip = np.array([[0, 1], [1, 0]])  # SciPy has (row, column)
    for image, matrix, got in zip(images, m.astype(np.float64), out, strict=True):
        dense = np.einsum("yh,hwc,xw->yxc", doubling(12), image, doubling(20)).astype(np.float64)
        centre = (np.array(image.shape[:2]) - 1) / 2
        linear, shift = flip @ matrix[:, :2] @ flip, flip @ matrix[:, 2]
        offset = 2 * (centre + shift - linear @ centre)
        for c in range(2):
            wanted = scipy.ndimage.affine_transform(
                dense[..., c], 2 * linear, offset, image.shape[:2], order=1, mode="mirror"
            )
            np.testing.assert_allclose(got[..., c], wanted, atol=2e-4)


def test_warp_of_smooth_pictures_is_near_exact():
    """A rotated and scaled wave against its formula: plain bilinear lookup would be off by twenty times as much."""
    y, x = np.mgrid[:32, :40]
    wave = lambda x, y: np.cos(0.9 * x + 0.5 * y)
    angle = 0.4
    m = np.array([[[np.cos(angle), -np.sin(angle), 0.3], [np.sin(angle), np.cos(angle), -0.2]]]) * [[[0.9, 0.9, 1]]]
    image = wave(x, y)[None, ..., None].astype(np.float32)
    got = np.asarray(warp(image, m.astype(np.float32)))[0, 10:-10, 10:-10, 0]
    at = lambda row: row[0] * (x - 19.5) + row[1] * (y - 15.5) + row[2]
    wanted = wave(at(m[0, 0]) + 19.5, at(m[0, 1]) + 15.5)[10:-10, 10:-10]
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.05


@pytest.mark.parametrize("shape", [(16, 16, 3), (8, 12, 1), (9, 9, 4)])
def test_moves_by_whole_pixels_are_exact(shape):
    image = pictures(1, shape)
    moves = {
        "flip": ([[-1, 0, 0], [0, 1, 0]], image[:, :, ::-1]),
        "half turn": ([[-1, 0, 0], [0, -1, 0]], image[:, ::-1, ::-1]),
        "shift": ([[1, 0, -2], [0, 1, 0]], np.pad(image, ((0, 0), (0, 0), (2, 0), (0, 0)), mode="reflect")[:, :, :-2]),
    }
    if shape[0] == shape[1]:
        moves["quarter turn"] = ([[0, -1, 0], [1, 0, 0]], np.rot90(image, 1, (1, 2)))
    for name, (matrix, wanted) in moves.items():
        got = warp(image, np.array([matrix], np.float32))
        np.testing.assert_allclose(got, wanted, atol=1e-6, err_msg=name)


def test_warp_is_linear_and_its_gradient_the_transpose():
    images, m = pictures(), maps()
    out, pullback = jax.vjp(lambda x: warp(x, m), images)
    y = pictures(seed=3)
    np.testing.assert_allclose(jnp.sum(out * y), jnp.sum(pullback(jnp.asarray(y))[0] * images), rtol=1e-4)
    second = jax.grad(lambda x: jnp.sum(jax.grad(lambda x: jnp.sum(warp(x, m) ** 2))(x) ** 2))(images)
    assert np.isfinite(second).all() and float(jnp.max(jnp.abs(second))) > 0  # noqa: PT018


def octaves(frequency):
    """Responses of the four bands at an angular frequency, from the wavelet's own."""
    low = lambda w: np.abs(np.exp(-1j * w * np.arange(4)) @ DB2) ** 2 / 2
    a, b, c = low(frequency), low(2 * frequency), low(4 * frequency)
    return np.array([a * b * c, a * b * (1 - c), a * (1 - b), 1 - a])


def test_bands_are_octaves_that_add_up():
    size = 64
    matrices = bands(size).astype(np.float64)
    np.testing.assert_allclose(matrices.sum(0), np.eye(size), atol=1e-6)
    for k in range(size):  # cosines that mirrored edges continue: eigenvectors
        frequency = np.pi * k / (size - 1)
        wave = np.cos(frequency * np.arange(size))
        wanted = octaves(frequency)[:, None] * wave
        np.testing.assert_allclose(matrices @ wave, wanted, atol=1e-5)
    # Each is the strongest in the middle of its octave.
    assert [octaves(np.pi * m).argmax() for m in (1 / 16, 3 / 16, 3 / 8, 3 / 4)] == [0, 1, 2, 3]


def test_bands_mirror_the_edges():
    row = bands(40)[2].astype(np.float64)
    x = np.random.default_rng(0).normal(size=40)
    np.testing.assert_allclose(row @ x, scipy.ndimage.correlate1d(x, row[20, 11:30], mode="mirror"), atol=1e-5)
