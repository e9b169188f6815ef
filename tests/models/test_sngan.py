"""The networks of SNGAN against the published layout, and its spectral normalisation in training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import genart_jax as ga
from genart_jax.models import sngan
from genart_jax.nn import residual
from genart_jax.nn.conv import conv
from tests import zoo

KEY = jax.random.key(4)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes(preset, **options):
    """The parameters' shapes, by role."""
    config = ga.configure("sngan", preset=preset, **options).model
    networks = sngan.networks(config)
    none = {name: jnp.full(2, -1) for name, _ in config.conditions}
    inputs = {"generator": jnp.zeros((2, config.latent_dim)), "critic": jnp.zeros((2, *config.image_shape))}
    made = {role: functools.partial(networks[role].module.init, KEY, condition=none) for role in inputs}
    return {role: jax.eval_shape(init, inputs[role])["params"] for role, init in made.items()}


def test_the_paper_preset_has_the_published_layout():
    """Table 3 of Miyato et al. 2018, counted from its rows: kernels, biases, and BatchNorm's scale and shift."""
    got = shapes("paper", image_shape=(32, 32, 3), conditions=())
    kernel = lambda a, b, side=3: side * side * a * b
    norm, block = 2 * 256, 2 * kernel(256, 256) + kernel(256, 256, 1)
    generator = (128 + 1) * 4 * 4 * 256 + 3 * (block + 2 * norm) + norm + kernel(256, 3) + 3
    assert count(got["generator"]) == generator == 4_274_435
    # With the biases in front of BatchNorm (two 3x3 and one 1x1 convolution a block): 4,276,739.
    assert generator + 3 * 3 * 256 == 4_276_739
    first = kernel(3, 128) + kernel(128, 128) + kernel(3, 128, 1) + 3 * 128
    down = 2 * kernel(128, 128) + kernel(128, 128, 1) + 3 * 128
    flat = 2 * kernel(128, 128) + 2 * 128
    assert count(got["critic"]) == first + down + 2 * flat + 128 + 1 == 1_053_825


def test_larger_pictures_get_the_pyramid():
    """Table 4 of the paper at 128x128 with width 64: 1024 to 64 channels, and back."""
    config = sngan.Config((128, 128, 3), (), width=64, critic_width=64)
    assert sngan.channels(config) == ([1024, 1024, 512, 256, 128, 64], [64, 128, 256, 512, 1024, 1024], 5)


def published_pair(kind, x, kernel):
    convolve = lambda x: lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
    )
    if kind == "up":
        return convolve(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2))
    y = convolve(x)
    return y.reshape(len(y), y.shape[1] // 2, 2, y.shape[2] // 2, 2, -1).mean((2, 4))


@pytest.mark.parametrize("kind", ["up", "down"])
def test_merged_convolutions_equal_the_published_pairs(kind):
    """Values and both gradients; the kernel of the normalised one is divided by what its u sees."""
    x = jax.random.normal(KEY, (2, 8, 6, 5))
    layer = residual.UpConv(7) if kind == "up" else residual.SpectralDownConv(features=7)
    variables = layer.init(KEY, x)
    kernel = variables["params"]["kernel"]
    if kind == "down":
        u = variables["spectral"]["kernel_u"]
        kernel = kernel / jnp.linalg.norm(kernel.reshape(-1, 7) @ u)
    got, pull = jax.vjp(lambda x: layer.apply(variables, x), x)
    want, pull_want = jax.vjp(lambda x: published_pair(kind, x, kernel), x)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    cotangent = jax.random.normal(jax.random.key(1), got.shape)
    np.testing.assert_allclose(pull(cotangent)[0], pull_want(cotangent)[0], rtol=1e-4, atol=1e-5)
    both = [
        jax.grad(lambda k, f=f: jnp.sum(f(k) * cotangent))(kernel)
        for f in (
            lambda k: (
                residual.UpConv(7).apply({"params": {"kernel": k}}, x)
                if kind == "up"
                else conv(x, 0.25 * residual.widened(k), strides=2, padding=1)
            ),
            lambda k: published_pair(kind, x, k),
        )
    ]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-4)


def test_conditional_norm_scales_and_shifts_by_the_sum_over_conditions():
    conditions = (("style", 2), ("shape", 3))
    layer = residual.ConditionalNorm(conditions)
    x = 3 + 2 * jax.random.normal(KEY, (6, 4, 4, 5))
    condition = {"style": jnp.array([0, 1, -1, 0, 1, 1]), "shape": jnp.array([2, -1, -1, 0, 1, 2])}
    variables = layer.init(KEY, x, condition, True)
    params = jax.tree.map(lambda p: p + jax.random.normal(jax.random.key(p.size), p.shape), variables["params"])
    got, changed = layer.apply({**variables, "params": params}, x, condition, True, mutable=["batch_stats"])
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    for i in range(6):
        rows = [params["offsets"][name][int(condition[name][i])] for name, _ in conditions]  # row -1 is the last
        offset = sum(rows)
        want = (x[i] - mean) / jnp.sqrt(variance + 1e-5) * (params["scale"] + offset[:5]) + params["bias"] + offset[5:]
        np.testing.assert_allclose(got[i], want, rtol=1e-3, atol=1e-4)
    statistics = changed["batch_stats"]["statistics"]
    np.testing.assert_allclose(statistics["mean"], 0.1 * mean, rtol=1e-4)


def test_the_critic_projects_on_each_condition():
    """The score is linear in the embedding of each condition, and a hidden one has a vector of its own."""
    algorithm = zoo.tiny("sngan")
    run = ga.configure("sngan", preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS)
    critic = sngan.networks(run.model)["critic"].module
    image = zoo.batch(algorithm.batch_spec, 1)["image"]
    variables = jax.jit(critic.init)(KEY, image, {})
    apply = jax.jit(lambda condition: critic.apply(variables, image, condition)[0][0])
    score = lambda a, b: float(apply({"style": jnp.array([a]), "shape": jnp.array([b])}))
    np.testing.assert_allclose(score(1, 2) - score(3, 2), score(1, -1) - score(3, -1), rtol=1e-3, atol=1e-5)
    assert len({round(score(a, b), 7) for a in (-1, 0, 4) for b in (-1, 0, 8)}) == 9
    hidden = apply(None)
    np.testing.assert_allclose(hidden, score(-1, -1), rtol=1e-6)


def test_sigma_after_fifty_critic_updates_is_that_of_the_svd():
    """Within 2 %, for every normalised parameter, while Adam moves them at the published rate."""
    algorithm = zoo.tiny("sngan", step={"d_steps": 5}, optimizer={"learning_rate": 2e-4, "schedule": "constant"})
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    step = jax.jit(algorithm.step)
    for _ in range(10):
        state, _ = step(state, batch, KEY)
    checked = 0
    collection = state.mutable["critic"]["spectral"]
    for path, u in jax.tree.leaves_with_path(collection):
        parameter = state.params["critic"]
        for key in path[:-1]:
            parameter = parameter[key.key]
        parameter = parameter[path[-1].key.removesuffix("_u")]
        matrix = np.asarray(parameter, np.float64).reshape(-1, parameter.shape[-1])
        # An update follows the last iteration, as in training.
        estimate = np.linalg.norm(matrix @ np.asarray(u, np.float64))
        np.testing.assert_allclose(estimate, np.linalg.svd(matrix)[1][0], rtol=0.02, err_msg=str(path))
        checked += 1
    several = sum(leaf.ndim > 1 for leaf in jax.tree.leaves(state.params["critic"]))
    assert checked == several > 10


def test_evaluation_and_sampling_leave_u_alone():
    """They return no state; and they see the u that there is: the same scores, however often they run."""
    algorithm = zoo.tiny("sngan")
    batch = zoo.full_batch(algorithm, 8)
    state = zoo.start(algorithm, KEY, batch)
    one = zoo.batch(algorithm.batch_spec, 8)
    evaluate = jax.jit(algorithm.evaluate)
    first = evaluate(state, one, KEY)["real_score"]
    assert first == evaluate(state, one, KEY)["real_score"]
    turned = jax.tree.map(lambda u: jnp.roll(u, 1), state.mutable["critic"]["spectral"])
    other = state.replace(mutable=state.mutable | {"critic": {"spectral": turned}})
    assert abs(float(evaluate(other, one, KEY)["real_score"][0] - first[0])) > 1e-3
    assert "critic_lipschitz" in evaluate(state, one, KEY)


SIZES = {(32, 32, 3): True, (28, 28, 1): True, (64, 64, 3): True, (48, 96, 3): True, (30, 30, 3): False,
         (256, 256, 3): False}  # fmt: skip


@pytest.mark.parametrize(("shape", "good"), SIZES.items())
def test_sizes(shape, good):
    options = {"width": 2, "critic_width": 2, "layout": "auto", "image_shape": shape}
    if not good:
        with pytest.raises(ga.UserError, match="image_shape"):
            zoo.tiny("sngan", **options)
        return
    algorithm = zoo.tiny("sngan", **options)
    state = jax.eval_shape(algorithm.init, KEY, zoo.batch(algorithm.batch_spec, 2))
    assert jax.eval_shape(lambda s: algorithm.sample(s, KEY, 2), state).shape == (2, *shape)


def test_wrong_widths():
    with pytest.raises(ga.UserError, match="at least 1"):
        zoo.tiny("sngan", critic_width=0)
