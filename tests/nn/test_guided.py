"""The guided filter against a loop over windows in float64, and what it is for."""

import jax
import numpy as np

from genart_jax.nn.guided import smoothed


def by_windows(x, radius, epsilon):
    """He et al. 2013, equations 5, 6 and 8, window by window."""
    height, width = x.shape
    lines, count = np.zeros((2, height, width)), np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            at = (
                slice(max(row - radius, 0), row + radius + 1),
                slice(max(column - radius, 0), column + radius + 1),
            )
            window = x[at]
            slope = window.var() / (window.var() + epsilon)
            lines[(slice(None), *at)] += np.array([slope, (1 - slope) * window.mean()])[:, None, None]
            count[at] += 1
    return (lines[0] * x + lines[1]) / count


def test_equal_to_a_loop_over_windows():
    x = np.random.default_rng(0).uniform(-1, 1, (2, 11, 9, 3))
    found = jax.jit(lambda x: smoothed(x, 2, 0.05))(x.astype(np.float32))
    wanted = np.stack([[by_windows(one[..., c], 2, 0.05) for c in range(3)] for one in x]).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_noise_goes_and_an_edge_stays():
    rng = np.random.default_rng(0)
    step = np.where(np.arange(48) < 24, -0.8, 0.8) * np.ones((48, 1))
    clean = step[None, ..., None].astype(np.float32)
    noisy = clean + 0.04 * rng.normal(size=clean.shape).astype(np.float32)
    found = np.asarray(smoothed(noisy))
    error = lambda x, columns: float(np.sqrt(np.mean((x - clean)[:, :, columns] ** 2)))
    assert error(found, slice(0, 16)) < 0.4 * error(noisy, slice(0, 16))
    assert abs(found[0, :, 24:26].mean() - found[0, :, 22:24].mean() - 1.6) < 0.05
