"""Distances between two pictures, against scikit-image."""

import jax
import numpy as np
import pytest
from skimage import metrics as skimage

import genart_jax as ga
from genart_jax.metrics import image


@pytest.fixture
def pair():
    a = np.random.default_rng(0).uniform(-1, 1, (3, 20, 27, 3)).astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 0.2, a.shape).astype(np.float32)
    return a, np.clip(a + noise, -1, 1)


def test_psnr(pair):
    a, b = pair
    expected = [skimage.peak_signal_noise_ratio(x, y, data_range=2.0) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(image.psnr(a, b), expected, rtol=1e-5)


def reference_ssim(x, y, data_range):
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1}
    x, y = x.astype(np.float64), y.astype(np.float64)
    _, full = skimage.structural_similarity(x, y, data_range=data_range, full=True, **options)
    return full[5:-5, 5:-5].mean()


def gradient_and_noise(low, high):
    ramp = np.linspace(low, high, 16 * 19).reshape(16, 19, 1).repeat(3, 2)
    noise = np.random.default_rng(2).normal(0, 6, ramp.shape)
    return tuple(np.clip(x, 0, 255).round().astype(np.uint8) for x in (ramp, ramp + noise))


@pytest.mark.parametrize(
    ("a", "b", "known"),
    [
        (np.full((11, 11, 1), 127, np.uint8), np.full((11, 11, 1), 137, np.uint8), 0.997),
        (np.full((11, 11, 1), 0, np.uint8), np.full((11, 11, 1), 10, np.uint8), None),
        (*gradient_and_noise(100, 155), None),
        (*gradient_and_noise(0, 40), None),
        (*gradient_and_noise(0, 255), None),
    ],
    ids=["mid-grey", "black", "around mid-grey", "dark", "whole range"],
)
def test_ssim_is_that_of_the_bytes(a, b, known):
    expected = reference_ssim(a, b, 255)
    got = float(image.ssim(ga.to_float(a[None]), ga.to_float(b[None]))[0])
    assert got == pytest.approx(expected, abs=2e-5)
    assert known is None or got == pytest.approx(known, abs=5e-4)


def test_ssim(pair):
    a, b = pair
    for x, y, got in zip(a, b, jax.jit(image.ssim)(a, b), strict=True):
        np.testing.assert_allclose(got, reference_ssim((x + 1.0) / 2, (y + 1.0) / 2, 1.0), rtol=1e-4)
    np.testing.assert_allclose(image.ssim(a, a), 1, rtol=1e-5)
    with pytest.raises(ga.UserError, match="at least 11"):
        image.ssim(a[:, :10], a[:, :10])
    with pytest.raises(ga.UserError, match="different shapes"):
        image.psnr(a, a[:1])
