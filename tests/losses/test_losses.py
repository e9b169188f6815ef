"""Losses against closed forms, Optax, SciPy and float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from genart_jax.losses import elbo, margin, quantize
from genart_jax.losses.adversarial import LOSSES
from genart_jax.losses.penalties import path_lengths, slope, squared_gradient

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=16) * 3, RNG.normal(size=16) * 3


def log_sigmoid(x):
    return scipy.special.log_expit(x)


EXPECTED = {  # name -> (critic's loss, generator's loss), as the papers write them
    "non_saturating": (lambda r, f: -log_sigmoid(r) - np.log1p(-scipy.special.expit(f)), lambda r, f: -log_sigmoid(f)),
    "minimax": (
        lambda r, f: -np.log(scipy.special.expit(r)) - np.log1p(-scipy.special.expit(f)),
        lambda r, f: np.log1p(-scipy.special.expit(f)),
    ),
    "hinge": (lambda r, f: np.maximum(0, 1 - r) + np.maximum(0, 1 + f), lambda r, f: -f),
    "least_squares": (lambda r, f: (r - 1) ** 2 / 2 + f**2 / 2, lambda r, f: (f - 1) ** 2 / 2),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
    "relativistic": (lambda r, f: -log_sigmoid(r - f), lambda r, f: -log_sigmoid(f - r)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_adversarial_losses_are_the_papers(name):
    for function, expected in zip((LOSSES[name].critic, LOSSES[name].generator), EXPECTED[name], strict=True):
        got = function(jnp.asarray(REAL, jnp.float32), jnp.asarray(FAKE, jnp.float32))
        np.testing.assert_allclose(got, expected(REAL, FAKE), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_adversarial_losses_pull_the_right_way(name):
    """The critic gains by real up and fake down, the generator by fake up; at scores where no hinge is flat."""
    real, fake = jnp.array([0.3]), jnp.array([-0.2])
    slopes = jax.grad(lambda r, f: LOSSES[name].critic(r, f).sum(), argnums=(0, 1))(real, fake)
    assert slopes[0] < 0 < slopes[1] or name == "least_squares"
    assert jax.grad(lambda f: LOSSES[name].generator(real, f).sum())(fake) < 0


def test_adversarial_losses_are_stable_far_out():
    for loss in LOSSES.values():
        for function in loss[:2]:
            assert jnp.isfinite(function(jnp.array([-80.0, 80.0]), jnp.array([80.0, -80.0]))).all()


def test_squared_gradient_of_a_quadratic():
    """score(x) = x.Ax/2 + b.x has the gradient Ax + b; and the penalty's own gradient in A is known."""
    a, b = RNG.normal(size=(12, 12)), RNG.normal(size=12)
    a = a + a.T
    x = RNG.normal(size=(5, 2, 2, 3))
    flat = x.reshape(5, 12)
    score = lambda a, x: (
        0.5 * jnp.einsum("ni,ij,nj->n", x.reshape(-1, 12), a, x.reshape(-1, 12)) + x.reshape(-1, 12) @ b
    )
    with jax.enable_x64(True):
        got = squared_gradient(lambda x: score(jnp.asarray(a), x), jnp.asarray(x))
        gradient = jax.grad(lambda a: jnp.sum(squared_gradient(lambda x: score(a, x), jnp.asarray(x))))(jnp.asarray(a))
    slope = flat @ a + b
    np.testing.assert_allclose(got, (slope**2).sum(axis=1), rtol=1e-5)
    # d/dA of |(A + A')x/2 + b|^2, with the symmetric part taken by the quadratic form.
    outer = np.einsum("ni,nj->ij", slope, flat)
    np.testing.assert_allclose(gradient, outer + outer.T, rtol=1e-4)


def test_path_lengths_of_a_linear_synthesis():
    """Pictures A s, with s the styles of all layers in one row, have J = A: |A^T y| by NumPy."""
    a, layers, features = RNG.normal(size=(4 * 8 * 3, 5 * 6)), 5, 6
    styles, pixels = RNG.normal(size=(3, layers, features)), RNG.normal(size=(3, 4, 8, 3))
    with jax.enable_x64(True):
        synthesis = lambda s: (s.reshape(3, -1) @ a.T).reshape(3, 4, 8, 3)
        got = path_lengths(synthesis, jnp.asarray(styles), jnp.asarray(pixels))
    np.testing.assert_allclose(
        got, np.linalg.norm(pixels.reshape(3, -1) @ a, axis=1) / np.sqrt(4 * 8 * layers), rtol=1e-6
    )


def test_path_lengths_of_pictures_that_stand_still_have_a_derivative():
    """As with a last layer that starts at zero: the length is 0, and so is its derivative, not NaN."""
    styles, pixels = jnp.ones((2, 3, 4)), jnp.ones((2, 4, 4, 1))
    synthesis = lambda w: lambda s: (w * jnp.sum(s, (1, 2)))[:, None, None, None] * jnp.ones((2, 4, 4, 1))
    penalty = lambda w: jnp.mean(jnp.square(path_lengths(synthesis(w), styles, pixels) - 0.5))
    value, slope = jax.value_and_grad(penalty)(jnp.zeros(()))
    assert (float(value), float(slope)) == (0.25, 0.0)
    _, slope = jax.value_and_grad(penalty)(jnp.float32(0.1))  # lengths 8 w: 2 * (0.8 - 0.5) * 8
    np.testing.assert_allclose(slope, 4.8, rtol=1e-5)


@pytest.mark.parametrize("resolution", [32, 256, 1024])
def test_weight_of_the_path_length_is_the_papers(resolution):
    """gamma_pl = ln 2 / (r^2 (ln r - ln 2)) for lengths that are neither averaged over layers nor over pixels."""
    layers = 2 * int(math.log2(resolution)) - 2
    paper = math.log(2) / (resolution**2 * (math.log(resolution) - math.log(2)))
    np.testing.assert_allclose(2 / (resolution**2 * layers), paper, rtol=1e-12)


def test_kl_against_numerical_integration():
    mean, log_variance = np.array([[0.7, -1.2, 0.0]]), np.array([[0.3, -2.0, 0.0]])
    x = np.linspace(-12, 12, 200001)
    expected = []
    for m, lv in zip(mean[0], log_variance[0], strict=True):
        q = scipy.stats.norm(m, math.exp(0.5 * lv))
        expected.append(np.trapezoid(q.pdf(x) * (q.logpdf(x) - scipy.stats.norm.logpdf(x)), x))
    got = elbo.kl_normal(jnp.asarray(mean, jnp.float32), jnp.asarray(log_variance, jnp.float32))
    np.testing.assert_allclose(got[0], expected, atol=1e-5)


def test_gaussian_nll_against_scipy():
    x, mean = RNG.normal(size=(4, 3, 3, 2)), RNG.normal(size=(4, 3, 3, 2))
    expected = -scipy.stats.norm(mean, 0.3).logpdf(x).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(elbo.gaussian_nll(jnp.asarray(x), jnp.asarray(mean), 0.3), expected, rtol=1e-5)


def test_bernoulli_nll_against_scipy():
    x, logits = RNG.integers(0, 2, size=(4, 3, 3, 1)), RNG.normal(size=(4, 3, 3, 1)) * 5
    expected = -scipy.stats.bernoulli(scipy.special.expit(logits)).logpmf(x).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(
        elbo.bernoulli_nll(jnp.asarray(x, jnp.float32), jnp.asarray(logits)), expected, rtol=1e-4
    )


def test_bernoulli_nll_of_extreme_logits():
    logits = np.array([[-200, -30, -12, -1e-3, 0, 2, 17, 90]], np.float32)
    for x in (0.0, 1.0):
        value, slope = jax.vmap(
            jax.value_and_grad(lambda v, x=x: elbo.bernoulli_nll(jnp.full((1, 1), x), v[None, None])[0])
        )(jnp.asarray(logits[0]))
        np.testing.assert_allclose(
            value, np.logaddexp(0, logits[0].astype("float64")) - x * logits[0], rtol=1e-6, atol=1e-7
        )
        np.testing.assert_allclose(slope, scipy.special.expit(logits[0].astype("float64")) - x, rtol=1e-6, atol=1e-7)


def test_bits_per_dimension_of_uniform_levels_is_eight():
    nats = jnp.array([12 * math.log(256)])
    np.testing.assert_allclose(elbo.bits_per_dimension(nats, 12), 8, rtol=1e-6)


def test_slope_of_pairs():
    x, y = RNG.normal(size=(2, 6, 4, 4, 3)).astype(np.float32)
    y[-1] = x[-1]
    a, b = RNG.normal(size=(2, 6)).astype(np.float32)
    expected = np.abs(a - b)[:-1] / np.sqrt(((x - y) ** 2).reshape(6, -1).sum(1))[:-1]
    got = slope(jnp.asarray(a), jnp.asarray(b), jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(got, [*expected, 0], rtol=1e-5)


def test_commitment_pulls_encodings_alone():
    z, e = RNG.normal(size=(3, 4, 5)), RNG.normal(size=(3, 4, 5))
    value = quantize.commitment(jnp.float32(z), jnp.float32(e))
    np.testing.assert_allclose(value, ((z - e) ** 2).mean(axis=(1, 2)), rtol=1e-5)
    gradients = jax.grad(lambda z, e: jnp.sum(quantize.commitment(z, e)), (0, 1))(jnp.float32(z), jnp.float32(e))
    np.testing.assert_allclose(gradients[0], 2 * (z - e) / 20, rtol=1e-4, atol=1e-6)
    assert not np.any(gradients[1])


def test_perplexity_of_code_usage():
    codes = RNG.integers(0, 6, (5, 4, 4))
    share = quantize.usage(jnp.asarray(codes), 8)
    for got, one in zip(share, codes, strict=True):
        np.testing.assert_allclose(got, np.bincount(one.ravel(), minlength=8) / 16, rtol=1e-5)
    whole = np.bincount(codes.ravel(), minlength=8) / codes.size
    got = quantize.perplexity(jnp.mean(share, axis=0))
    np.testing.assert_allclose(got, np.exp(scipy.stats.entropy(whole)), rtol=1e-5)
    np.testing.assert_allclose(quantize.perplexity(jnp.full(7, 1 / 7)), 7, rtol=1e-5)
    np.testing.assert_allclose(quantize.perplexity(jnp.eye(7)[0]), 1, rtol=1e-6)


def test_margins_are_those_of_the_angle_and_the_cosine():
    angle = np.linspace(0.01, np.pi - 0.41, 20)
    np.testing.assert_allclose(margin.arcface(jnp.cos(angle), 0.4), np.cos(angle + 0.4), atol=1e-5)
    np.testing.assert_allclose(margin.cosface(jnp.cos(angle), 0.4), np.cos(angle) - 0.4, atol=1e-6)
    falling = margin.arcface(jnp.cos(np.linspace(0, np.pi, 200)), 0.4)
    assert (np.diff(falling) < 0).all()
    assert np.isfinite(jax.grad(lambda c: margin.arcface(c, 0.4))(1.0))
    cosines, targets = np.array([[0.2, 0.5, -0.1]]), np.array([[0.1, 0.8, 0.1]])
    got = margin.with_margin(jnp.array(cosines), jnp.array(targets), "cosface", 0.3, 10.0)
    np.testing.assert_allclose(got, [[2.0, 2.0, -1.0]], atol=1e-5)
