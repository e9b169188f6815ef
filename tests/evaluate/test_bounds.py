"""Bounds by draws against a likelihood that is known: of a linear model with Gaussian noise."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import genart_jax as ga
from genart_jax.data.source import Split, example
from genart_jax.evaluate import pictures
from genart_jax.evaluate.bounds import importance_bound, log_likelihood
from genart_jax.steps import vae
from tests import zoo

KEY, SHAPE, LATENT, SCALE = jax.random.key(6), (2, 2, 1), 2, 0.4


class Encoder(nn.Module):
    """A posterior that is wider than the true one, and a little aside of it."""

    @nn.compact
    def __call__(self, images, condition=None, train=False):
        mean = nn.Dense(LATENT, name="mean")(images.reshape(len(images), -1))
        return (mean, jnp.full_like(mean, -0.5)), {}


class Decoder(nn.Module):
    @nn.compact
    def __call__(self, z, condition=None, train=False):
        return nn.Dense(4, name="out")(z).reshape(-1, *SHAPE), {}


@functools.cache
def model():
    """The algorithm, its state, pictures, and log p of each in nats of 8-bit levels."""
    run = ga.configure("mlp_vae", preset="tiny", image_shape=SHAPE, latent_dim=LATENT,
                       step={"likelihood": "gaussian", "scale": "fixed", "fixed_scale": SCALE})  # fmt: skip
    roles = {
        "encoder": ga.Network(Encoder(), (jnp.zeros((2, *SHAPE)),)),
        "decoder": ga.Network(Decoder(), (jnp.zeros((2, LATENT)),)),
    }
    algorithm = vae.build(roles, run)
    rng = np.random.default_rng(0)
    weights, shift = 0.5 * rng.normal(size=(LATENT, 4)), 0.1 * rng.normal(size=4)
    precision = np.eye(LATENT) + weights @ weights.T / SCALE**2
    back = np.linalg.solve(precision, weights / SCALE**2).T
    params = {
        "encoder": {"mean": {"kernel": 0.8 * back, "bias": -shift @ back}},
        "decoder": {"out": {"kernel": weights, "bias": shift}},
    }
    images = (rng.integers(0, 256, (16, *SHAPE)) / 127.5 - 1).astype(np.float32)
    batch = {"image": jnp.asarray(images), "condition": {}}
    state = zoo.start(algorithm, KEY, batch).replace(params=jax.tree.map(jnp.float32, params), ema={})
    covariance = weights.T @ weights + SCALE**2 * np.eye(4)
    known = stats.multivariate_normal(shift, covariance).logpdf(images.reshape(16, 4)) - 4 * np.log(127.5)
    return algorithm, state, batch, known


def bound(draws):
    algorithm, state, batch, _ = model()
    return np.asarray(jax.jit(lambda s, b: log_likelihood(algorithm, s, b, KEY, draws))(state, batch))


def test_bounds_rise_with_the_draws_to_the_known_likelihood():
    algorithm, state, batch, known = model()
    sums = jax.jit(algorithm.evaluate)(state, batch, KEY)
    elbo = float(sums["elbo"][0] / sums["elbo"][1])
    few, many = np.mean(bound(10)), bound(5000)
    assert elbo < few < many.mean() + 0.02
    np.testing.assert_allclose(many, known, atol=0.1)
    assert elbo < known.mean() - 0.2  # so that there is something to gain


def test_one_draw_is_the_evidence_bound():
    """In the mean: of many pictures, each drawn once."""
    algorithm, state, batch, _ = model()
    many = jax.tree.map(lambda x: jnp.tile(x, (200, 1, 1, 1)), batch)
    values = jax.jit(lambda s, b: log_likelihood(algorithm, s, b, KEY, 1))(state, many)
    sums = jax.jit(algorithm.evaluate)(state, many, KEY)
    elbo = float(sums["elbo"][0] / sums["elbo"][1])
    assert abs(float(values.mean()) - elbo) < 4 * float(values.std()) / len(values) ** 0.5


def test_a_run(runs):
    found = importance_bound(runs / "vae", 2, num=70)
    assert found["iw_examples"] == 70
    np.testing.assert_allclose(found["iw_bits_per_dim"], -found["iw_elbo"] / (32 * 32 * 3 * np.log(2)), rtol=1e-5)
    assert 4 < found["iw_bits_per_dim"] < 12
    assert found["iw_elbo_of_one"] < found["iw_elbo"]


def test_pictures_are_a_fixed_choice_of_all():
    """Not the first, which in the art set are of one style."""
    labels = np.repeat(np.arange(5), 20)
    for split in (Split(100, {"image": labels}), Split(100, read=lambda i: {"image": labels[i]})):
        rows = pictures.choose_rows(split, 30)
        part = pictures.of_rows(split, rows)
        found = [example(part, i)["image"] for i in range(part.size)]
        np.testing.assert_array_equal(found, labels[rows])
        assert set(found) == set(range(5))


def test_other_models_have_none():
    algorithm = zoo.tiny("vqvae")
    with pytest.raises(ga.UserError, match="no bound of a likelihood by draws"):
        log_likelihood(algorithm, None, {}, KEY, 2)
