"""The drifting field: its symmetry, closed forms, and samples that follow it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genart_jax.losses import drifting

RNG = np.random.default_rng(0)
normal = lambda *shape: jnp.asarray(RNG.standard_normal(shape), jnp.float32)


def by_the_paper(x, real, fake, temperature, together, own=False):
    """Every pair of a real and a generated sample, one after the other, float64."""
    x, real, fake = (np.asarray(a, np.float64) for a in (x, real, fake))
    k = lambda ys: np.exp(-np.linalg.norm(x[:, None] - ys[None], axis=-1) / temperature)
    near, far = k(real), k(fake)
    if own:
        np.fill_diagonal(far, 0)
    if together:
        both = np.concatenate([near, far], 1)
        both = np.sqrt(both / both.sum(1, keepdims=True) * both / both.sum(0, keepdims=True))
        near, far = both[:, : len(real)], both[:, len(real) :]
    else:
        near, far = near / near.sum(1, keepdims=True), far / far.sum(1, keepdims=True)
    out = np.zeros_like(x)
    for n, i, j in np.ndindex(len(x), len(real), len(fake)):
        out[n] += near[n, i] * far[n, j] * (real[i] - fake[j])
    return out


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_it_is_a_sum_over_pairs(together, own):
    fake, real = normal(5, 3), normal(7, 3) + 1
    x = fake if own else normal(4, 3)
    got = drifting.field(x, real, fake, 0.7, together=together, own=own)
    np.testing.assert_allclose(got, by_the_paper(x, real, fake, 0.7, together, own), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("kernel", [drifting.laplace, drifting.gaussian])
def test_it_turns_its_sign_and_vanishes_between_equal_sets(together, kernel):
    x, real, fake = normal(2, 6, 3), normal(2, 5, 3), normal(2, 5, 3) + 0.5
    v = lambda real, fake: drifting.field(x, real, fake, 0.8, kernel=kernel, together=together)
    there, back = v(real, fake), v(fake, real)
    np.testing.assert_allclose(there, -back, rtol=1e-4, atol=1e-5)
    assert np.abs(there).max() > 0.05
    np.testing.assert_allclose(v(real, real[:, ::-1]), 0.0, atol=1e-5)


def test_gaussians_on_a_line_have_a_closed_form():
    """A mean shift with a Gaussian kernel of width h towards N(m, s^2) is h^2 (m - x) / (s^2 + h^2)."""
    h, x = 0.6, np.linspace(-1, 1.5, 9)
    quantiles = (np.arange(4000) + 0.5) / 4000
    line = lambda m, s: jnp.asarray(scipy.stats.norm.ppf(quantiles, m, s)[:, None], jnp.float32)
    at, options = jnp.asarray(x[:, None], jnp.float32), {"kernel": drifting.gaussian, "together": False}
    got = drifting.field(at, line(1.0, 0.5), line(-0.5, 0.8), h, **options)[:, 0]
    shift = lambda m, s: h**2 * (m - x) / (s**2 + h**2)
    np.testing.assert_allclose(got, shift(1.0, 0.5) - shift(-0.5, 0.8), atol=2e-3)


def test_particles_come_to_their_target():
    """Two clusters in a plane, one with three quarters of the samples: the particles find both, and their shares."""
    where = np.where(RNG.random(256) < 0.75, -2.0, 2.0)
    real = jnp.stack([jnp.asarray(where, jnp.float32), jnp.zeros(256)], 1) + 0.3 * normal(256, 2)

    @jax.jit
    def run(x):
        move = lambda x, _: (x + 0.3 * drifting.field(x, real, x, 1.0, together=False, own=True), None)
        return jax.lax.scan(move, x, length=300)[0]

    x = np.asarray(run(0.1 * normal(256, 2)))
    assert np.mean(np.abs(np.abs(x[:, 0]) - 2) < 1) > 0.97
    np.testing.assert_allclose(np.mean(x[:, 0] < 0), np.mean(where < 0), atol=0.1)
    np.testing.assert_allclose(x[x[:, 0] < 0].std(0), 0.3, atol=0.1)


def test_moves_do_not_depend_on_the_scale_and_have_unit_squares():
    real, fake = normal(2, 8, 5) + 1, normal(2, 6, 5)
    one, other = (drifting.moves(k * real, k * fake, (0.1, 0.4)) for k in (1.0, 50.0))
    np.testing.assert_allclose(one.drift, other.drift, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(one.size, other.size, rtol=1e-3)
    np.testing.assert_allclose(50 * one.scale, other.scale, rtol=1e-5)
    np.testing.assert_allclose(jnp.mean(drifting.moves(real, fake, (0.4,)).drift ** 2, axis=(1, 2)), 1.0, rtol=1e-3)
    pairs = drifting.distances(fake / one.scale, real / one.scale)
    assert 0.7 * 5**0.5 < float(pairs.mean()) < 1.4 * 5**0.5


def test_the_regression_pulls_along_the_drift():
    x, drift, scale = normal(3, 4, 5), normal(3, 4, 5), jnp.full((3, 1, 1), 2.0)
    values, pullback = jax.vjp(lambda x: drifting.regression(x, drift, scale), x)
    np.testing.assert_allclose(values, np.mean(np.square(drift), axis=2).sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(pullback(jnp.ones(4))[0], -2 * drift / (2.0 * 5), rtol=1e-4, atol=1e-6)


def test_cells_are_means_and_deviations():
    maps = normal(2, 4, 6, 3)
    mean, deviation = drifting.cells(maps, 2)
    assert mean.shape == (4, 2, 3)
    part = np.asarray(maps)[:, 2:, 3:]  # lower right
    np.testing.assert_allclose(mean[3], part.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(deviation[3], part.std((1, 2)), atol=1e-4)
    (places,) = drifting.cells(maps[:, :, :4], 4)
    np.testing.assert_array_equal(places[5], maps[:, 1, 1])
