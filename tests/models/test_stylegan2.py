"""StyleGAN2's own: published sizes, truncation, the mean style, the path length by finite differences."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.losses.penalties import path_lengths
from genart_jax.models import stylegan2
from genart_jax.nn import random
from tests import zoo

KEY = jax.random.key(4)
SHAPE = zoo.SHAPES["stylegan2"]


def counts(config):
    """Parameters of (generator, critic), without allocating them."""
    generator, critic = (network.module for network in stylegan2.networks(config).values())
    z, images = jnp.zeros((2, config.latent_dim)), jnp.zeros((2, *config.image_shape))
    shapes = (jax.eval_shape(module.init, KEY, x)["params"] for module, x in ((generator, z), (critic, images)))
    return tuple(sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) for tree in shapes)


@pytest.mark.parametrize(
    ("side", "channel_base", "published"),
    [
        # Totals that the authors' programs print when training begins: for their 256x256 configuration of 2020b, half
        # the channels of config F; and for config F of 2020a at 256 and 1024 pixels. The layers' own counts of the
        # last two can be read in public run logs, as in github.com/lucidrains/stylegan2-pytorch/issues/124.
        (256, 16_384, (24_767_458, 24_001_089)),
        (256, 32_768, (30_034_338, 28_864_129)),
        (1024, 32_768, (30_370_060, 29_012_513)),
    ],
)
def test_parameter_counts_are_the_published_networks(side, channel_base, published):
    assert counts(stylegan2.Config((side, side, 3), (), channel_base=channel_base)) == published


def test_the_preset_for_256_pixels_is_the_published_network():
    config = ga.get_config("stylegan2", "stylegan2-256").model
    assert counts(config) == (24_767_458, 24_001_089)


def test_single_layers_have_the_published_counts():
    """Of config F at 1024 pixels, as its authors' program lists them."""
    config = stylegan2.Config((1024, 1024, 3), (), channel_base=32_768)
    generator, critic = (network.module for network in stylegan2.networks(config).values())
    count = lambda tree: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
    shapes = jax.eval_shape(lambda: generator.init(KEY, jnp.zeros((2, 512)))["params"])
    pictures = shapes["pictures"]
    assert count(shapes["styles"]["dense_0"]) == 262_656
    assert count(pictures["const"]) == 8192
    assert [count(pictures[name]) for name in ("conv_0", "up_1", "up_5", "conv_5", "up_6", "conv_6")] == [
        2_622_465, 2_622_465, 1_442_561, 721_409, 426_369, 213_249,
    ]  # fmt: skip
    assert [count(pictures[name]) for name in ("image_0", "image_5", "image_6")] == [264_195, 132_099, 66_051]
    shapes = jax.eval_shape(lambda: critic.init(KEY, jnp.zeros((2, 1024, 1024, 3)))["params"])
    assert [count(shapes[name]) for name in ("in", "conv_8", "down_8", "skip_8")] == [128, 9248, 18_496, 2048]


@pytest.fixture(scope="module")
def trained():
    """The algorithm, a batch, and the states before and after one step."""
    algorithm = zoo.tiny("stylegan2", step={"style_mixing": 0.0, "path_weight": 0.0})
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    return algorithm, batch, state, jax.jit(algorithm.step, static_argnames="due")(state, batch, KEY, due=())[0]


def test_truncation_0_gives_the_mean_picture(trained):
    algorithm, _, _, state = trained
    # As if it had been trained for long: styles that matter, and a mean of them.
    mean = jax.random.normal(KEY, (8,))
    average = state.ema["generator"] | {"moving": {"styles": {"style_mean": mean}}}
    state = state.replace(ema={"generator": average})
    z = jax.random.normal(KEY, (4, 8))
    told = {"style": 1, "shape": 2}
    decode = jax.jit(lambda truncation: algorithm.decode(state, z, told, truncation=truncation))
    pictures = np.asarray(decode(0.0))
    generator = stylegan2.networks(stylegan2.Config(SHAPE, zoo.CONDITIONS, 8, 8, 2, 0.1, 64, 8))["generator"].module
    styles = jnp.broadcast_to(mean, (1, 4, 8))
    synthesis = jax.jit(lambda p, s: generator.apply({"params": p}, s, method="synthesis")[0])
    expected = synthesis(state.ema["generator"]["params"], styles)
    for picture in pictures:
        np.testing.assert_allclose(picture, np.clip(expected[0], -1, 1), atol=1e-5)
    whole, half = (np.asarray(decode(psi)) for psi in (1.0, 0.5))
    np.testing.assert_allclose(whole, jax.jit(lambda: algorithm.decode(state, z, told))(), atol=1e-6)
    away = lambda x: float(np.mean(np.abs(x - pictures[:1])))
    assert 0.01 < away(half) < away(whole)
    # The noise is each picture's own.
    drawn = jax.jit(lambda: algorithm.sample(state, KEY, 3, truncation=0.0))()
    np.testing.assert_allclose(drawn[0], drawn[1], atol=0.2)


def test_the_mean_style_is_the_running_mean_of_w(trained):
    _, batch, state, new = trained
    key = random.stream(random.stream(KEY, "step", 0), "round", 0)
    z = jax.jit(lambda: random.normal(random.example_keys(random.stream(key, "latent"), 8), (8,)))()
    generator = stylegan2.networks(stylegan2.Config(SHAPE, zoo.CONDITIONS, 8, 8, 2, 0.1, 64, 8))["generator"].module
    variables = {"params": state.params["generator"], **state.mutable["generator"]}
    styles = jax.jit(lambda v, c: generator.apply(v, z, c, method="mapping"))(variables, batch["condition"])
    expected = 0.005 * np.mean(styles[:, 0], axis=0)
    np.testing.assert_allclose(
        new.mutable["generator"]["moving"]["styles"]["style_mean"], expected, rtol=1e-4, atol=1e-7
    )


def test_path_length_penalty_and_its_gradient_against_finite_differences():
    """Lengths by the Jacobian's columns, one difference each; the penalty's gradient along random directions."""
    with jax.enable_x64(True):
        config = stylegan2.Config((8, 8, 1), (), 4, 4, 1, 1.0, 32, 4)
        generator = stylegan2.networks(config, jnp.float64)["generator"].module
        rng = np.random.default_rng(0)
        z, pixels = jnp.asarray(rng.normal(size=(2, 4))), jnp.asarray(rng.normal(size=(2, 8, 8, 1)))
        params = generator.init(KEY, z)["params"]
        params = jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape), params)
        variables = lambda p: {"params": p, "moving": {"styles": {"style_mean": jnp.zeros(4)}}}
        synthesis = jax.jit(lambda p, s: generator.apply(variables(p), s, method="synthesis")[0])
        mapping = lambda p: generator.apply(variables(p), z, method="mapping")
        lengths = jax.jit(lambda p: path_lengths(lambda s: synthesis(p, s), mapping(p), pixels))
        styles, h = mapping(params), 1e-6
        assert styles.dtype == jnp.float64
        squares = np.zeros(2)
        for index in np.ndindex(*styles.shape[1:]):
            step = h * jnp.zeros(styles.shape).at[:, *index].set(1.0)
            change = (synthesis(params, styles + step) - synthesis(params, styles - step)) / (2 * h)
            squares += np.asarray(jnp.sum(change * pixels, axis=(1, 2, 3)) ** 2)
        np.testing.assert_allclose(lengths(params), np.sqrt(squares / (64 * styles.shape[1])), rtol=1e-6)

        penalty = jax.jit(lambda p: jnp.mean((lengths(p) - 0.3) ** 2))
        gradient = jax.jit(jax.grad(penalty))(params)
        leaves, structure = jax.tree.flatten(params)
        for _ in range(3):
            way = [rng.normal(size=leaf.shape) for leaf in leaves]
            moved = [
                jax.tree.unflatten(structure, [p + t * d for p, d in zip(leaves, way, strict=True)]) for t in (h, -h)
            ]
            slope = sum(jnp.sum(g * d) for g, d in zip(jax.tree.leaves(gradient), way, strict=True))
            np.testing.assert_allclose((penalty(moved[0]) - penalty(moved[1])) / (2 * h), slope, rtol=1e-5)


def test_modulation_is_a_choice_of_speed_only():
    outputs = []
    for form in ("scale", "grouped"):
        algorithm = zoo.tiny("stylegan2", modulation=form)
        batch = zoo.full_batch(algorithm, 4)
        state = zoo.start(algorithm, KEY, batch)
        outputs.append(jax.jit(algorithm.sample, static_argnums=2)(state, KEY, 4))
    np.testing.assert_allclose(*outputs, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "good"),
    [((28, 28, 1), True), ((8, 8, 3), True), ((48, 96, 3), True), ((512, 512, 3), True), ((30, 30, 3), False),
     ((4, 4, 3), False), ((2048, 2048, 3), False), ((32, 100, 3), False)],
)  # fmt: skip
def test_sizes(shape, good):
    if not good:
        with pytest.raises(ga.UserError, match="image_shape"):
            zoo.tiny("stylegan2", image_shape=shape)
        return
    algorithm = zoo.tiny("stylegan2", image_shape=shape)
    state = jax.eval_shape(algorithm.init, KEY, zoo.batch(algorithm.batch_spec, 2))
    images = jax.eval_shape(lambda s: algorithm.sample(s, KEY, 2), state)
    assert images.shape == (2, *shape)
