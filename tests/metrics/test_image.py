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
    # By the hook of tests/shapes.py, where it is installed.
    with pytest.raises((ga.UserError, TypeError), match=r"different shapes|annotated"):
        image.psnr(a, a[:1])


def test_luma_is_that_of_papers():
    """MATLAB's rgb2ycbcr, as scikit-image has it; black is 16 and white 235 of 255."""
    from skimage.color import rgb2ycbcr

    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 3), np.uint8)
    levels = (np.asarray(image.luma(ga.to_float(pixels))) + 1) * 127.5
    np.testing.assert_allclose(levels[..., 0], rgb2ycbcr(pixels)[..., 0], atol=1e-3)
    grey = (np.asarray(image.luma(ga.to_float(np.uint8([0, 255]).reshape(1, 1, 2, 1)))) + 1) * 127.5
    np.testing.assert_allclose(grey.ravel(), [16, 235], atol=1e-3)


def test_a_border_is_cut_off(pair):
    np.testing.assert_array_equal(image.shaved(pair[0], 4), pair[0][:, 4:-4, 4:-4])
    np.testing.assert_array_equal(image.shaved(pair[0], 0), pair[0])
    with pytest.raises(ga.UserError, match="a border of 10 leaves nothing of 20x27"):
        image.shaved(pair[0], 10)


def test_ms_ssim():
    """Against the definition written out by SciPy's correlation, in float64."""
    from scipy.ndimage import correlate1d

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:180, :181]
    a = np.stack([np.sin(x / 9), np.cos(y / 13)], -1)
    b = np.clip(0.8 * a + rng.normal(0, 0.2, a.shape), -1, 1)
    window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    blur = lambda x: correlate1d(correlate1d(x, window / window.sum(), 0), window / window.sum(), 1)[5:-5, 5:-5]
    p, q, expected = (a + 1) / 2, (b + 1) / 2, 1.0
    for i, power in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mp, mq = blur(p), blur(q)
        vp, vq, cov = blur(p * p) - mp**2, blur(q * q) - mq**2, blur(p * q) - mp * mq
        found = (2 * cov + 0.03**2) / (vp + vq + 0.03**2)
        if i == 4:
            found = found * (2 * mp * mq + 0.01**2) / (mp**2 + mq**2 + 0.01**2)
        expected *= found.mean() ** power
        p, q = (x[: len(x) // 2 * 2, : x.shape[1] // 2 * 2] for x in (p, q))
        p, q = (x.reshape(len(x) // 2, 2, x.shape[1] // 2, 2, 2).mean((1, 3)) for x in (p, q))
    got = image.ms_ssim(np.float32(a[None]), np.float32(b[None]))
    np.testing.assert_allclose(got, [expected], rtol=1e-4)
    assert 0.2 < expected < 0.9
    with pytest.raises(ga.UserError, match="sides of at least 176"):
        image.ms_ssim(np.float32(a[None, :175]), np.float32(b[None, :175]))
