"""The hierarchical VAE: layers, what they cost, and latents that decode to what they encode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

import genart_jax as ga
from genart_jax.models import hvae
from genart_jax.nn.gaussian import kl_normals
from genart_jax.steps import networks, posteriors
from tests import zoo

KEY = jax.random.key(3)


@pytest.mark.parametrize(("mean", "variance", "at", "spread"), [(0.3, 0.5, -1.0, 2.0), (0.0, 1.5, 0.0, 0.7)])
def test_the_divergence_of_two_gaussians(mean, variance, at, spread):
    """Against the integral of its definition."""
    q, p = stats.norm(mean, variance**0.5), stats.norm(at, spread**0.5)
    wanted, _ = integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), -12, 12)
    got = kl_normals(*(jnp.float32(v) for v in (mean, np.log(variance), at, np.log(spread))))
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_layers_go_from_small_to_large():
    config = hvae.Config(image_shape=(32, 48, 3), layers=(2, 1), latent_channels=3)
    assert hvae.grid(config) == [((4, 6), 2), ((8, 12), 1), ((16, 24), 1), ((32, 48), 1)]
    assert hvae.latent_size(config) == 3 * (2 * 24 + 96 + 384 + 1536)
    with pytest.raises(ga.UserError, match="must be at least 1"):
        hvae.networks(ga.config.override(config, layers=(2, 0)))


def test_latents_of_a_picture_decode_to_what_its_posterior_drew():
    """Priors and posteriors of random weights; every layer's KL is positive, and together they are the bound's."""
    algorithm = zoo.tiny("hvae", layers=(2, 1))
    batch = zoo.batch(algorithm.batch_spec, 4)
    state = zoo.start(algorithm, KEY, batch)
    moved = jax.tree.map(
        lambda x: x + 0.3 * jax.random.normal(KEY, x.shape) / max(1, x.size // x.shape[-1]) ** 0.5, state.params
    )
    at = state.replace(params=moved, ema={}).variables
    posterior = posteriors.bind(algorithm.networks)
    assert isinstance(posterior, posteriors.Layered)
    noise = jax.random.normal(jax.random.key(1), (4, *posterior.shape))
    condition = batch["condition"]

    @jax.jit
    def both(at):
        bound = posterior.bound(at, posteriors.Asked(batch["image"], condition, noise, False))
        latents = posterior.encode(at, batch["image"], condition, noise)
        (again, aux), _ = networks.apply(algorithm.networks, at, "decoder", latents, condition)
        return bound, latents, again, aux["kl"]

    bound, latents, again, kl = both(at)
    assert bound.kl.shape == (4, 4)
    assert float(bound.kl.min()) > 0
    assert float(jnp.abs(latents - noise).max()) > 0.1  # the posterior is not the prior
    np.testing.assert_allclose(again, bound.output, atol=2e-3)
    np.testing.assert_array_equal(kl, np.zeros((4, 4)))
