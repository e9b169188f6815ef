"""How posteriors lie together, against a linear model with Gaussian noise, of which all of it is known."""

import numpy as np
import pytest

from genart_jax.evaluate import aggregate
from genart_jax.evaluate.pictures import open_run

N = 2000


def posteriors(back=1.0, aside=0.0):
    """Means and log variances of posteriors of pictures that a linear model draws, the means `back` of what they should
    be and `aside`; and the covariance of the mixture, which is a Gaussian of infinitely many pictures.

    x = W z + s e has the posterior N(V W' x / s^2, V) with V = (I + W' W / s^2)^-1 (Bishop 2006, equation 12.42).
    """
    rng = np.random.default_rng(0)
    weights, scale = np.array([[1.0, 0.2], [0.0, 0.8], [0.5, -0.3]]), 0.7
    variance = np.linalg.inv(np.eye(2) + weights.T @ weights / scale**2)
    basis = np.linalg.eigh(variance)[1]  # in which the posterior has no covariance
    x = rng.standard_normal((N, 2)) @ weights.T + scale * rng.standard_normal((N, 3))
    exact = x @ (weights @ variance / scale**2) @ basis
    spread = basis.T @ variance @ basis
    covariance = back**2 * (np.eye(2) - spread) + spread
    return back * exact + aside, np.broadcast_to(np.log(np.diag(spread)), (N, 2)), covariance, spread


def test_exact_posteriors_are_the_prior_together():
    mean, log_variance, _, spread = posteriors()
    found = aggregate.figures(mean, log_variance)
    assert abs(found["aggregate_kl"]) < 0.06
    assert abs(found["aggregate_kl_moments"]) < 0.01
    np.testing.assert_allclose(found["mutual_information"], -0.5 * np.log(np.linalg.det(spread)), atol=0.06)
    np.testing.assert_allclose(found["aggregate_variance"], 1, atol=0.05)
    assert found["aggregate_mean"] < 0.05
    assert found["active_units"] == 2


@pytest.mark.parametrize(("back", "aside"), [(0.4, 0.0), (1.6, 0.0), (1.0, 0.9)])
def test_the_divergence_is_that_of_the_known_gaussian(back, aside):
    mean, log_variance, covariance, _ = posteriors(back, aside)
    found = aggregate.figures(mean, log_variance)
    known = 0.5 * (np.trace(covariance) + 2 * aside**2 - 2 - np.log(np.linalg.det(covariance)))
    assert known > 0.1
    np.testing.assert_allclose(found["aggregate_kl"], known, atol=0.1)
    np.testing.assert_allclose(found["aggregate_kl_moments"], known, atol=0.1)
    kl = 0.5 * np.mean(np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1))
    np.testing.assert_allclose(found["aggregate_kl"] + found["mutual_information"], kl, rtol=1e-6)


def test_posteriors_far_apart_tell_the_picture():
    """Of n of them, log n nats: all that can be told."""
    found = aggregate.figures(1000.0 * np.arange(8)[:, None], np.zeros((8, 1)))
    np.testing.assert_allclose(found["mutual_information"], np.log(8), rtol=1e-6)
    few = aggregate.figures(np.zeros((8, 3)), np.zeros((8, 3)))
    assert few["active_units"] == 0
    assert "aggregate_kl_moments" not in few  # 8 pictures say nothing of a covariance of 3


def test_a_run(runs):
    trained = open_run(runs / "vae")
    rows = np.arange(300)  # in batches of 250
    found = aggregate.encoded(trained, rows)
    again = aggregate.encoded(trained, rows[250:])
    assert found.mean.shape == found.log_variance.shape == (300, 4)
    np.testing.assert_allclose(found.mean[250:], again.mean, atol=1e-5)
    np.testing.assert_array_equal(found.condition["style"][250:], again.condition["style"])
    figures = aggregate.of_run(trained, num=300)
    assert 0 <= figures["active_units"] <= 4
    assert figures["aggregate_kl_moments"] < figures["aggregate_kl"] + 0.1
    assert aggregate.of_run(open_run(runs / "gan")) == {}
