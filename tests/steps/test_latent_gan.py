"""A GAN in the latents of a frozen VAE."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax import registry
from tests import zoo

KEY = jax.random.key(9)


def test_players_see_the_means_of_posteriors_in_units_of_the_first_batch():
    algorithm = zoo.tiny("latent_gan")
    batch = zoo.batch(algorithm.batch_spec, 16)
    state = zoo.start(algorithm, KEY, batch)
    run = ga.configure("conv_vae", preset="tiny", image_shape=zoo.SHAPE)
    encoder = registry.model_module("conv_vae").networks(run.model)["encoder"].module
    (mean, _), _ = encoder.apply(state.frozen["tokenizer"]["encoder"], batch["image"])
    units = (mean - mean.mean()) / mean.std()
    np.testing.assert_allclose(state.extra["latent_mean"], mean.mean(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(state.extra["latent_scale"], mean.std(), rtol=1e-4)
    scores, _ = ga.run(algorithm, state, "critic", units, batch["condition"])
    sums = jax.jit(algorithm.evaluate)(state, batch, KEY)
    np.testing.assert_allclose(sums["real_score"][0] / 16, scores.mean(), rtol=1e-3, atol=1e-5)
    after, _ = jax.jit(algorithm.step, static_argnames="due")(state, batch, KEY, due=algorithm.due(1))
    assert zoo.norm(zoo.moved(state.frozen, after.frozen)) == 0
    assert after.extra["latent_scale"] == state.extra["latent_scale"]


def test_the_generator_may_play_more_than_once_a_step():
    """The further rounds encode pictures, not latents once more."""
    one, two = (zoo.tiny("latent_gan", step={"g_steps": n}) for n in (1, 2))
    batch = zoo.batch(one.batch_spec, 8)
    state = zoo.start(one, KEY, batch)
    after = [jax.jit(each.step)(state, batch, KEY)[0].params["generator"] for each in (one, two)]
    moved = [zoo.norm(zoo.moved(params, state.params["generator"])) for params in after]
    assert moved[1] > 1.2 * moved[0]


def test_pictures_are_what_the_first_stage_decodes():
    algorithm = zoo.tiny("latent_gan")
    state = zoo.start(algorithm, KEY, zoo.batch(algorithm.batch_spec, 16))
    told = {"style": jnp.array([1, 2]), "shape": jnp.array([3, 4])}
    z = jax.random.normal(KEY, (2, 4))
    made, _ = ga.run(algorithm, state, "generator", z, told)
    decoded, _ = algorithm.networks["tokenizer"].module.apply(
        state.frozen["tokenizer"], made * state.extra["latent_scale"] + state.extra["latent_mean"], method="decode"
    )
    np.testing.assert_allclose(jax.jit(algorithm.decode)(state, z, told), decoded, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokenizer": "untrained:vqvae/tiny"}, "vqvae makes no latents"),
        ({"step": {"augment": "diffaugment"}}, "latent_gan sees latents, no pictures"),
        ({"latent_shape": (9,)}, r"model.latent_shape \(9,\): the tokenizer untrained:conv_vae/tiny has \(4,\)"),
    ],
)
def test_what_does_not_go_together(options, said):
    with pytest.raises(ga.UserError, match=said):
        zoo.tiny("latent_gan", **options)
