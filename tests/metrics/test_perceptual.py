"""Distances in a network's activations."""

import numpy as np
import pytest

import genart_jax as ga
from genart_jax.metrics import perceptual


def activations(seed):
    rng = np.random.default_rng(seed)
    layers = [np.maximum(rng.standard_normal((3, side, side + 1, width)), 0) for side, width in ((6, 4), (3, 8))]
    layers[0][1, 2, 3] = 0  # a place without any activation
    return [x.astype(np.float32) for x in layers]


def by_hand(a, b, heads):
    """Place by place, in float64."""
    out = np.zeros(len(a[0]))
    for x, y, w in zip(a, b, heads, strict=True):
        n, height, width, _ = x.shape
        for i, row, column in np.ndindex(n, height, width):
            u, v = (z[i, row, column].astype(np.float64) for z in (x, y))
            u, v = (z / (np.linalg.norm(z) + 1e-10) for z in (u, v))
            out[i] += np.sum(w * (u - v) ** 2) / (height * width)
    return out


@pytest.mark.parametrize("weighted", [False, True])
def test_against_places_one_by_one(weighted):
    a, b = activations(0), activations(1)
    heads = [np.random.default_rng(2).random(x.shape[-1]).astype(np.float32) for x in a]
    wanted = by_hand(a, b, heads if weighted else [1, 1])
    np.testing.assert_allclose(perceptual.lpips(a, b, heads if weighted else None), wanted, rtol=1e-5)
    np.testing.assert_array_equal(perceptual.lpips(a, a, heads), 0)
    np.testing.assert_allclose(perceptual.lpips(b, a), perceptual.lpips(a, b), rtol=1e-6)
    longer = [3 * x for x in b]  # only directions count
    np.testing.assert_allclose(perceptual.lpips(a, longer), perceptual.lpips(a, b), rtol=1e-5)


def test_mistakes():
    a = activations(0)
    with pytest.raises(ga.UserError, match="different shapes"):
        perceptual.lpips(a, [x[:2] for x in a])
    with pytest.raises(ga.UserError, match="do not fit"):
        perceptual.lpips(a, a, [np.ones(4), np.ones(7)])
