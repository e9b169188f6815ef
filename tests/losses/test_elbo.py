"""Likelihoods of 8-bit levels: against SciPy in float64, and as shares of one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genart_jax.losses import elbo

LEVELS = np.arange(256) / 127.5 - 1


def masses(cdf):
    """Of every level, by a distribution function: the outermost ones have no outer end."""
    ends = (np.arange(255) + 0.5) / 127.5 - 1
    return np.diff(np.concatenate([[0.0], cdf(ends), [1.0]]))


@pytest.mark.parametrize(("mean", "log_scale"), [(0.1, -1.0), (-1.2, 0.5), (0.98, -4.0), (3.0, -2.0)])
def test_a_discrete_gaussian_has_the_masses_of_a_gaussian(mean, log_scale):
    output = jnp.broadcast_to(jnp.array([mean, log_scale], jnp.float32), (256, 1, 1, 2))
    nll = elbo.discrete_gaussian_nll(jnp.asarray(LEVELS, jnp.float32).reshape(256, 1, 1, 1), output)
    normal = stats.norm(mean, np.exp(log_scale))
    upper = masses(normal.cdf)
    wanted = -np.log(np.maximum(upper, 1e-30))
    near = upper > 1e-7  # where a difference in float64 has digits
    assert near.any()
    np.testing.assert_allclose(np.asarray(nll)[near], wanted[near], rtol=2e-3, atol=2e-3)
    assert np.isfinite(nll).all()
    np.testing.assert_allclose(np.exp(-np.asarray(nll, np.float64)).sum(), 1.0, rtol=2e-4)


def test_far_from_the_mean_a_discrete_gaussian_has_a_slope():
    """Where all masses are below what float32 can add to 1."""
    x = jnp.full((1, 1, 1, 1), 0.9)
    output = jnp.array([-0.9, -5.0]).reshape(1, 1, 1, 2)
    nll, slope = jax.value_and_grad(lambda o: elbo.discrete_gaussian_nll(x, o)[0])(output)
    assert float(nll) > 1e4
    assert np.isfinite(slope).all()
    assert float(slope[0, 0, 0, 0]) < 0  # towards the level


def logistic(mean, log_scale):
    return stats.logistic(mean, np.exp(log_scale))


def test_a_mixture_of_one_channel_is_the_sum_of_its_parts():
    logits, means, log_scales = (np.array(v) for v in ((0.3, -0.5), (-0.8, 0.6), (-2.0, -3.0)))
    output = jnp.asarray(np.stack([logits, means, log_scales], -1).reshape(1, 1, 1, 6), jnp.float32)
    nll = elbo.logistic_mixture_nll(
        jnp.asarray(LEVELS, jnp.float32).reshape(256, 1, 1, 1), jnp.broadcast_to(output, (256, 1, 1, 6)), 2
    )
    shares = np.exp(logits) / np.exp(logits).sum()
    wanted = sum(s * masses(logistic(m, ls).cdf) for s, m, ls in zip(shares, means, log_scales, strict=True))
    np.testing.assert_allclose(nll, -np.log(wanted), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.exp(-np.asarray(nll, np.float64)).sum(), 1.0, rtol=1e-5)


def test_channels_follow_those_before_them():
    """Of two parts and three channels, written out with SciPy."""
    rng = np.random.default_rng(0)
    output = rng.normal(size=(2, 1, 3, elbo.mixture_outputs(3, 2)))
    levels = rng.integers(0, 256, (2, 1, 3, 3))
    levels[0, 0, 0] = 0, 255, 0
    x = levels / 127.5 - 1
    got = elbo.logistic_mixture_nll(jnp.asarray(x, jnp.float32), jnp.asarray(output, jnp.float32), 2)
    for i in range(2):
        total = 0.0
        for place in range(3):
            parts, mass = output[i, 0, place].reshape(2, -1), []
            for part in parts:
                red, green, blue = part[1:4]
                a, b, c = np.tanh(part[7:])
                pixel = x[i, 0, place]
                centres = red, green + a * pixel[0], blue + b * pixel[0] + c * pixel[1]
                each = [
                    masses(logistic(m, max(s, -7)).cdf)[level]
                    for m, s, level in zip(centres, part[4:7], levels[i, 0, place], strict=True)
                ]
                mass.append(np.prod(each))
            shares = np.exp(parts[:, 0]) / np.exp(parts[:, 0]).sum()
            total -= np.log(shares @ mass)
        np.testing.assert_allclose(got[i], total, rtol=1e-4)


def test_what_is_drawn():
    """The mean; of a mixture that of its parts, whose channels follow one another and are within [-1, 1] each."""
    plain = jnp.array([0.5, -3.0, 0.2, 1.0, 1.0, 1.0]).reshape(1, 1, 1, 6)
    np.testing.assert_allclose(elbo.picture("discrete_gaussian", plain, 3, 1)[0, 0, 0], [0.5, -1.0, 0.2])
    part = lambda logit, *rest: [logit, *rest, -1.0, -1.0, np.arctanh(0.5)]
    two = jnp.array(part(0.0, 0.9, 0.9) + part(np.log(3.0), 0.4, 0.1)).reshape(1, 1, 1, -1)
    assert two.shape[-1] == elbo.outputs("logistic_mixture", 2, 2)
    np.testing.assert_allclose(elbo.picture("logistic_mixture", two, 2, 2)[0, 0, 0], [0.525, 0.475], rtol=1e-5)
