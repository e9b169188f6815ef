"""The modulated generator, and what its critic sees."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.models import modgan
from genart_jax.nn.residual import Modulated

KEY = jax.random.key(0)
SHAPE, CONDITIONS = (16, 16, 3), (("style", 3),)


def networks(**options):
    """Of a small one."""
    config = modgan.Config(SHAPE, CONDITIONS, 4, width=1, embed_dim=2, style_dim=8, critic_width=2, minibatch_group=2)
    return modgan.networks(ga.config.override(config, **options))


@functools.cache
def generator():
    """A generator and its variables."""
    module = networks()["generator"].module
    return module, jax.jit(lambda: module.init(KEY, jnp.zeros((2, 4)), None, train=True))()


def images(z, style):
    """What it makes of latents and one style."""
    module, variables = generator()
    return module.apply(variables, z, {"style": jnp.full(len(z), style)})[0]


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 28, 1), (16, 24, 3)])
def test_the_generator_doubles_up_to_the_image(shape):
    module = modgan.networks(modgan.Config(shape, CONDITIONS, width=3))["generator"].module
    (made, aux), _ = jax.eval_shape(lambda: module.init_with_output(KEY, jnp.zeros((2, 64)), None, train=True))
    assert made.shape == (2, *shape)
    halved = [(shape[0] // 2**i, shape[1] // 2**i, 3 * 2**i) for i in range(len(aux))]
    assert [aux[f"stage_{i}"].shape[1:] for i in range(len(aux))] == halved[::-1]
    assert min(aux["stage_0"].shape[1:3]) in range(4, 8)


def test_its_latents_and_conditions_change_every_normalisation():
    z = jax.random.normal(KEY, (3, 4))
    first, other, elsewhere = images(z, 0), images(z, 1), images(z + 1.0, 0)
    assert np.abs(first - other).max() > 1e-3
    assert np.abs(first - elsewhere).max() > 1e-3
    module, variables = generator()
    captured = []
    for shift in (0.0, 1.0):
        _, aux = module.apply(variables, z + shift, {"style": jnp.zeros(3, int)})
        captured.append(aux)
    assert all(np.abs(a - b).max() > 1e-6 for a, b in zip(*map(jax.tree.leaves, captured), strict=True))


def test_modulation_is_a_normalisation_scaled_and_shifted():
    module = Modulated(train=True)
    x, w = jax.random.normal(KEY, (4, 3, 3, 2)) * 3 + 1, jax.random.normal(jax.random.key(1), (4, 5))
    variables = module.init(KEY, x, w)
    got, _ = module.apply(variables, x, w, mutable=["batch_stats"])
    mean, variance = np.mean(x, (0, 1, 2)), np.var(x, (0, 1, 2))
    changes = np.asarray(w @ variables["params"]["affine"]["kernel"])[:, None, None]
    wanted = (x - mean) / np.sqrt(variance + 1e-5) * (1 + changes[..., :2]) + changes[..., 2:]
    np.testing.assert_allclose(got, np.where(wanted < 0, 0.2 * wanted, wanted), atol=1e-5)


def test_the_critic_sees_its_neighbours_and_patches():
    network = networks()["critic"]
    critic = network.module
    assert network.group == 2
    x = jax.random.normal(KEY, (4, *SHAPE))
    condition = {"style": jnp.array([0, 1, 2, 0])}
    variables = jax.jit(lambda: critic.init(KEY, x, condition))()
    scores, _ = critic.apply(variables, x, condition)
    assert {name: score.shape for name, score in scores.items()} == {"image": (4,), "patches": (4, 4, 4)}
    # The second of a pair changes: so does the first's score, by the pair's deviation; no other pair's, and no patch.
    changed, _ = critic.apply(variables, x.at[1].multiply(2.0), condition)
    different = np.abs(changed["image"] - scores["image"]) > 1e-6
    np.testing.assert_array_equal(different, [True, True, False, False])
    np.testing.assert_allclose(*(s["patches"][np.array([0, 2, 3])] for s in (changed, scores)), atol=1e-6)


def test_patches_may_know_the_conditions():
    critic = networks(patch_conditions=True)["critic"].module
    x, told = jax.random.normal(KEY, (4, *SHAPE)), lambda *styles: {"style": jnp.array(styles)}
    variables = jax.jit(lambda: critic.init(KEY, x, told(0, 1, 2, 0)))()
    (first, aux), (other, _) = (critic.apply(variables, x, told(*s)) for s in ((0, 1, 2, 0), (1, 1, 2, 0)))
    table = np.asarray(variables["params"]["patch_embed"]["style"])
    wanted = np.asarray(aux["stage_1"][0]) @ (table[1] - table[0])
    np.testing.assert_allclose(other["patches"][0] - first["patches"][0], wanted, atol=1e-5)
    np.testing.assert_array_equal(other["patches"][1:], first["patches"][1:])


def test_the_default_has_the_parameters_that_the_tries_had():
    config = ga.configure("modgan", image_shape=(32, 32, 3), conditions=(("style", 5), ("shape", 9), ("color", 10)))
    count = {}
    for role, network in modgan.networks(config.model).items():
        variables = jax.eval_shape(lambda n=network: n.module.init(KEY, *n.inputs()))
        count[role] = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count == {"generator": 442_739, "critic": 172_914}


def test_without_patches_there_is_one_score():
    critic, inputs, *_ = networks(patches=False, minibatch_group=1)["critic"]
    (score, _), _ = jax.eval_shape(lambda: critic.init_with_output(KEY, *inputs()))
    assert score.shape == (2,)


def test_a_size_below_one_is_refused():
    with pytest.raises(ga.UserError, match="modgan: style_dim must be at least 1"):
        networks(style_dim=0)
