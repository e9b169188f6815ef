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


def test_ssim(pair):
    a, b = pair
    options = {"data_range": 2.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for x, y, got in zip(a, b, jax.jit(image.ssim)(a, b), strict=True):
        _, full = skimage.structural_similarity(
            x.astype(np.float64), y.astype(np.float64), channel_axis=-1, full=True, **options
        )
        np.testing.assert_allclose(got, full[5:-5, 5:-5].mean(), rtol=1e-4)
    np.testing.assert_allclose(image.ssim(a, a), 1, rtol=1e-5)
    with pytest.raises(ga.UserError, match="at least 11"):
        image.ssim(a[:, :10], a[:, :10])
    with pytest.raises(ga.UserError, match="different shapes"):
        image.psnr(a, a[:1])
