"""BigGAN's networks against the published counts, its pieces of z, its shared embedding, and truncation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import genart_jax as ga
from genart_jax.models import biggan
from tests import zoo

KEY = jax.random.key(7)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_the_paper_preset_has_the_published_parameters():
    """At 128x128 with 1,000 classes; ours lack three biases a block of the generator, and know a hidden class."""
    config = ga.configure("biggan", preset="paper", image_shape=(128, 128, 3), conditions=(("label", 1000),)).model
    networks = biggan.networks(config)
    shapes = lambda role: jax.eval_shape(networks[role].module.init, KEY, *networks[role].inputs())["params"]
    biases = 3 * 96 * (16 + 8 + 4 + 2 + 1)
    assert count(shapes("generator")) == 70_433_988 - biases + 128
    assert count(shapes("critic")) == 87_982_370 + 16 * 96


@pytest.fixture(scope="module")
def tiny():
    """(generator, variables, run): the tiny preset with conditions, its attention switched on."""
    config = ga.configure("biggan", preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS).model
    generator = biggan.networks(config)["generator"].module
    variables = jax.jit(generator.init)(KEY, jnp.zeros((2, 12)))
    return jax.jit(lambda z, condition: generator.apply(variables, z, condition)), variables, generator


def told(style, shape):
    return {"style": jnp.array([style]), "shape": jnp.array([shape])}


def test_each_piece_of_z_enters_at_its_own_level(tiny):
    """A piece changes the maps from its level on, and none before."""
    run, _, _ = tiny
    z = jax.random.normal(KEY, (1, 12))
    names = [f"stage_{i}" for i in range(3)]
    _, before = run(z, told(0, 0))
    for piece in range(3):
        _, after = run(z.at[:, 4 * piece : 4 * piece + 4].add(1.0), told(0, 0))
        changed = [not np.allclose(before[name], after[name], atol=1e-6) for name in names]
        assert changed == [i >= piece for i in range(3)]


def test_the_shared_embedding_is_a_sum_over_conditions(tiny):
    """The first map does not know it, all others do; what one condition's vector gives to another's is not seen."""
    run, variables, generator = tiny
    z = jax.random.normal(KEY, (1, 12))
    (_, one), (_, other) = run(z, told(0, 0)), run(z, told(1, 0))
    np.testing.assert_array_equal(one["stage_0"], other["stage_0"])
    assert not np.allclose(one["stage_1"], other["stage_1"], atol=1e-6)
    params = variables["params"]
    assert {name: table.shape for name, table in params["embed"].items()} == {"style": (6, 4), "shape": (10, 4)}
    assert "embed" not in str(jax.tree.structure(params["block_0_norm_0"]))
    moved = {name: table + {"style": 1.0, "shape": -1.0}[name] for name, table in params["embed"].items()}
    again = jax.jit(generator.apply)({**variables, "params": params | {"embed": moved}}, z, told(0, 0))
    np.testing.assert_allclose(again[0], run(z, told(0, 0))[0], atol=1e-5)


@pytest.mark.parametrize("threshold", [0.5, 1.0, 2.0])
def test_truncation_is_the_distribution_of_drawing_again(threshold, tiny):
    """Against SciPy's truncated normal: quantile by quantile, so the same threshold and the same shape."""
    _, _, generator = tiny
    share = float(2 * scipy.stats.norm.cdf(threshold) - 1)
    ranks = np.linspace(0.01, 0.99, 99)
    z = jnp.asarray(scipy.stats.norm.ppf(ranks), jnp.float32)
    got = jax.jit(generator.truncated)(z, share)
    np.testing.assert_allclose(got, scipy.stats.truncnorm.ppf(ranks, -threshold, threshold), rtol=1e-4, atol=1e-5)
    far = generator.truncated(jnp.float32([-9.0, 9.0]), share)
    np.testing.assert_allclose(far, [-threshold, threshold], rtol=1e-4)


def test_truncation_is_a_number_of_sampling():
    """1 is as trained; 0 gives one picture, of z = 0; a share outside is refused."""
    algorithm = zoo.tiny("biggan", conditions=())
    state = zoo.start(algorithm, KEY, zoo.full_batch(algorithm, 4))
    draw = jax.jit(lambda state, truncation: algorithm.sample(state, KEY, 4, truncation=truncation))
    whole, half, none = (np.asarray(draw(state, share)) for share in (1.0, 0.5, 0.0))
    np.testing.assert_allclose(none, np.broadcast_to(none[:1], none.shape), atol=1e-5)
    assert 0 < np.abs(half - none).mean() < 0.7 * np.abs(whole - none).mean()
    with pytest.raises(ga.UserError, match=r"truncation: .*a number from 0 to 1"):
        algorithm.sample(state, KEY, 4, truncation=1.5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"latent_dim": 13}, "set model.latent-dim to 12"),
        ({"attention": 2}, "wanted 1 to 1"),
        ({"width": 0}, "at least 1"),
    ],
)
def test_wrong_sizes(options, words):
    with pytest.raises(ga.UserError, match=words):
        zoo.tiny("biggan", **options)
