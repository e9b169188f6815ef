"""Projected GAN: projections that never train, and a tree of scores."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import genart_jax as ga
from genart_jax.models import efficientnet_lite0, projected_gan
from genart_jax.steps.critics import value_of
from tests import zoo

KEY = jax.random.key(4)


def test_features_and_mixing_get_no_update_and_the_critics_do():
    algorithm = zoo.tiny("projected_gan", optimizer=zoo.SGD)
    batch = zoo.full_batch(algorithm, 8)
    first = zoo.start(algorithm, KEY, batch)
    after, metrics = jax.jit(algorithm.step)(first, batch, KEY)
    assert set(first.params) == {"generator", "critic"}
    assert set(first.frozen) == {"features", "mixing"}
    for (path, a), b in zip(jax.tree.leaves_with_path(first.frozen), jax.tree.leaves(after.frozen), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=jax.tree_util.keystr(path))
    for role in first.params:
        assert zoo.norm(zoo.moved(first.params[role], after.params[role])) > 1e-4, role
    # The generator's gradient comes through both.
    assert float(metrics["generator_grad_norm"]) > 1e-4


@functools.cache
def mixing():
    """Two maps, the function of them, and what it makes."""
    module = projected_gan.Mixing(4)
    maps = tuple(
        jnp.asarray(np.random.default_rng(i).normal(size=(2, 8 >> i, 12 >> i, 3 + i)), "float32") for i in (0, 1)
    )
    variables = jax.jit(module.init)(KEY, maps)
    apply = jax.jit(lambda maps: module.apply(variables, maps)[0])
    return variables["params"], maps, apply, apply(maps)


def test_mixing_is_linear_and_goes_from_the_deepest_map_up():
    _, maps, apply, both = mixing()
    assert [x.shape for x in both] == [(2, 8, 12, 4), (2, 4, 6, 8)]
    only = [apply(tuple(x if i == k else jnp.zeros_like(x) for i, x in enumerate(maps))) for k in (0, 1)]
    for a, b, whole in zip(*only, both, strict=True):
        np.testing.assert_allclose(a + b, whole, atol=1e-5)
    assert not np.any(only[0][1])  # the large map is not in the small one
    assert np.any(only[1][0])  # the small map is in the large one


def test_channels_are_mixed_by_a_matrix():
    """And the deepest map by nothing else."""
    params, maps, _, out = mixing()
    kernel = np.asarray(params["channels_1"]["kernel"])[0, 0]
    np.testing.assert_allclose(out[1], np.asarray(maps[1]) @ kernel, rtol=1e-4, atol=1e-5)


def test_scores_are_a_tree_and_count_alike():
    """One map of places for each scale; an example's value is the mean over scales of the mean over places."""
    run = ga.configure("projected_gan", preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS)
    module, inputs, *_ = projected_gan.networks(run.model)["critic"]
    scores = jax.eval_shape(lambda: module.init_with_output(KEY, *inputs())[0][0])
    assert {name: x.shape for name, x in scores.items()} == {"scale_0": (2, 4, 4), "scale_1": (2, 4, 4)}
    tree = {"scale_0": jnp.ones((2, 4, 4)), "scale_1": jnp.full((2, 2, 2), 3.0)}
    np.testing.assert_allclose(value_of(lambda x: x, tree), [2.0, 2.0])


def test_published_weights_fit_the_feature_network():
    """Its parameters are some of the classifier's, by the same paths; as they are, four maps of 64 px have 16 to 2."""
    config = ga.configure("projected_gan", image_shape=(32, 32, 3), conditions=()).model
    roles = projected_gan.networks(config)
    assert (roles["features"].frozen, roles["mixing"].frozen) == ("asset:efficientnet_lite0", "random")
    module, inputs, *_ = roles["features"]
    (maps, _), wanted = jax.eval_shape(lambda: module.init_with_output(KEY, *inputs()))
    assert [x.shape[1:] for x in maps] == [(16, 16, 24), (8, 8, 40), (4, 4, 112), (2, 2, 320)]
    whole = efficientnet_lite0.Config(image_shape=(32, 32, 3), conditions=(("class", 10),))
    module, inputs, *_ = efficientnet_lite0.networks(whole)["classifier"]
    found = flatten_dict(jax.eval_shape(lambda: module.init(KEY, *inputs())), sep="/")
    for path, leaf in flatten_dict(wanted, sep="/").items():
        assert found[path].shape == leaf.shape, path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_shape": (16, 16, 4)}, "image_shape .* of 1 or 3"),
        ({"image_shape": (30, 30, 3)}, "halve evenly"),
        ({"layers": ("block_1", "block_0")}, "in their order"),
        ({"layers": ("block_7",)}, "wanted some of stem to block_1"),
        ({"depths": (1,)}, "one entry a stage"),
        ({"enlarge": 0}, "enlarge must be at least 1"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(ga.UserError, match=words):
        zoo.tiny("projected_gan", **options)
