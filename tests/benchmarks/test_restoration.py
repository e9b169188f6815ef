"""The scores of restored scenes, and what is done without learning."""

import jax
import numpy as np
import pytest

from benchmarks import restoration
from genart_jax.data import degrade
from genart_jax.types import to_float, to_uint8


def scene(height=96, width=120):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 7), np.cos(y / 9), np.sin((x + y) / 5)], -1)
    return (110 + 80 * waves + rng.normal(0, 8, (height, width, 3))).clip(0, 255).astype(np.uint8)


def test_figures_are_inside_of_the_holes():
    wanted, mask = scene(), np.zeros((96, 120), bool)
    mask[10:20, 30:50] = True
    made = wanted.copy()
    made[mask] = wanted[mask] // 2 * 2 + 1
    error = np.mean((wanted[mask].astype(float) - made[mask]) ** 2)
    psnr, ssim = restoration.figures("holes", 1, wanted, made, mask)
    np.testing.assert_allclose(psnr, 10 * np.log10(255**2 / error), rtol=1e-6)
    assert 0.99 < ssim < 1


def test_holes_are_as_large_as_in_training():
    given, mask = restoration.degraded("holes", 1, scene(200, 300), "a name")
    assert mask.shape == (200, 300)
    assert 0.03 < mask.mean() < 0.5
    assert (given[mask] == 128).all()
    again, _ = restoration.degraded("holes", 1, scene(200, 300), "a name")
    other, _ = restoration.degraded("holes", 1, scene(200, 300), "another")
    np.testing.assert_array_equal(given, again)
    assert (given != other).any()


def test_the_dark_channel_prior_clears():
    pytest.importorskip("cv2")
    wanted = scene()
    wanted[::4] = wanted[::4] // 8  # dark things everywhere
    hazy = to_uint8(degrade.haze(to_float(wanted[None]), jax.random.split(jax.random.key(0), 1)).image)[0]
    cleared = restoration.dark_channel(hazy)
    before, after = (restoration.figures("haze", 1, wanted, x, None)[0] for x in (hazy, cleared))
    assert after > before + 2
    dark = (wanted // 4).astype(np.uint8)
    assert restoration.equalised(dark).mean() > 2 * dark.mean()
    assert abs(restoration.brightened(dark).mean() - 127) < 30


def test_the_table():
    rows = {"degraded": restoration.Row([20.0, 30.0], [0.5, 0.7]), "ours": restoration.Row([25.0, 24.0], [0.8, 0.9])}
    lines = restoration.table("a title", rows, ["one", "two"])
    assert "| degraded | 25.00 | 20.00 (one) | 0.6000 | 0.5000 |" in lines
    assert "| ours | 24.50 | 24.00 (two) | 0.8500 | 0.8000 |" in lines
