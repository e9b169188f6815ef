"""VGG19 and EfficientNet-lite0 against a forward pass of their own in NumPy, on photographs.

With the published weights where they are in the user's cache (`genart assets fetch NAME`), else with random ones.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import genart_jax as ga
from genart_jax import assets
from genart_jax.models import efficientnet_lite0, vgg
from genart_jax.nn import resample
from genart_jax.nn.vgg import DEPTHS, VGG, names
from tests import zoo


def photograph(name, size):
    """A photograph of scikit-image, (1, size, size, 3) in [-1, 1]: the largest centred square."""
    data = pytest.importorskip("skimage.data")
    from PIL import Image, ImageOps

    picture = ImageOps.fit(Image.fromarray(getattr(data, name)()), (size, size), Image.Resampling.BICUBIC)
    return ga.to_float(np.asarray(picture)[None])


def conv(x, kernel, stride=1, groups=1):
    """SAME convolution in float64, by windows: (N, H, W, C) with (K, K, C / groups, O)."""
    k = kernel.shape[0]
    pads = []
    for size in x.shape[1:3]:
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        pads.append((total // 2, total - total // 2))
    windows = sliding_window_view(np.pad(x, [(0, 0), *pads, (0, 0)]), (k, k), (1, 2))[:, ::stride, ::stride]
    if groups == 1:
        return np.tensordot(windows, kernel, [(4, 5, 3), (0, 1, 2)])
    return np.einsum("nhwcij,ijc->nhwc", windows, kernel[:, :, 0], optimize=True)


def weights_of(name, module, shape):
    """The published variables, or random ones with BatchNorm statistics that are not those of the start."""
    if assets.available(name):
        return assets.load(name)
    variables = jax.jit(functools.partial(module.init, jax.random.key(0)))(jnp.zeros(shape))
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda x: np.asarray(x if x.ndim > 1 else rng.uniform(0.5, 1.5, x.shape), np.float32), variables
    )


def assert_close(got, wanted, name):
    """Within 1e-4 of the layer's largest value: what float32 sums of thousands of products can give."""
    scale = max(1.0, np.abs(wanted).max())
    assert got.shape == wanted.shape, name
    assert np.abs(got - wanted).max() <= 1e-4 * scale, f"{name}: {np.abs(got - wanted).max()} of {scale}"


def test_vgg19_equals_a_forward_pass_of_its_own():
    x = photograph("chelsea", 64)
    module = VGG()
    variables = weights_of("vgg19", module, x.shape)
    wanted = {k: variables[k] for k in ("params", "constants")}
    _, aux = jax.jit(module.apply)(wanted, x)
    assert set(aux) == set(names())
    assert sum(name.startswith("conv") for name in aux) == 16
    y = np.asarray(x, np.float64) - variables["constants"]["mean"]
    for i, depth in enumerate(DEPTHS, 1):
        for j in range(1, depth + 1):
            layer = variables["params"][f"conv{i}_{j}"]
            y = conv(y, layer["kernel"].astype(np.float64)) + layer["bias"]
            assert_close(np.asarray(aux[f"conv{i}_{j}"]), y, f"conv{i}_{j}")
            y = np.maximum(y, 0)
            assert_close(np.asarray(aux[f"relu{i}_{j}"]), y, f"relu{i}_{j}")
        n, h, w, c = y.shape
        y = y.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
        assert_close(np.asarray(aux[f"pool{i}"]), y, f"pool{i}")


def test_vgg_stops_where_it_is_told_and_pools_by_means():
    x = jnp.ones((1, 16, 16, 3))
    full = VGG((4, 8), (1, 2), "avg")
    variables = full.init(jax.random.key(0), x)
    _, aux = full.apply(variables, x)
    np.testing.assert_allclose(aux["pool1"], aux["relu1_1"].reshape(1, 8, 2, 8, 2, 4).mean((2, 4)), rtol=1e-6)
    last, some = VGG((4, 8), (1, 2), "avg", until="relu2_1").apply(variables, x)
    assert list(some) == ["conv1_1", "relu1_1", "pool1", "conv2_1", "relu2_1"]
    np.testing.assert_array_equal(last, aux["relu2_1"])


def lite0(classes=1000):
    config = efficientnet_lite0.Config(image_shape=(224, 224, 3), conditions=(("imagenet", classes),))
    return efficientnet_lite0.networks(config)["classifier"].module


def reference_lite0(variables, x):
    """Every intermediate in float64."""
    params, stats = (jax.tree.map(np.float64, variables[k]) for k in ("params", "batch_stats"))
    aux = {}

    def layer(x, p, s, name, stride=1, groups=1):
        n, t = p[f"{name}_norm"], s[f"{name}_norm"]
        return (conv(x, p[name]["kernel"], stride, groups) - t["mean"]) / np.sqrt(t["var"] + 1e-3) * n["scale"] + n[
            "bias"
        ]

    relu6 = lambda x: np.minimum(np.maximum(x, 0), 6)
    aux["stem"] = x = relu6(layer(x, params, stats, "stem", 2))
    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    for i in range(16):
        p, s, inputs = params[f"block_{i}"], stats[f"block_{i}"], x
        if "expand" in p:
            x = relu6(layer(x, p, s, "expand"))
        x = layer(relu6(layer(x, p, s, "depthwise", strides.get(i, 1), x.shape[-1])), p, s, "project")
        aux[f"block_{i}"] = x = x + inputs if x.shape == inputs.shape else x
    aux["head"] = x = relu6(layer(x, params, stats, "head"))
    aux["pooled"] = x = x.mean((1, 2))
    aux["logits"] = x @ params["out"]["kernel"] + params["out"]["bias"]
    return aux


def test_lite0_equals_a_forward_pass_of_its_own():
    x = jnp.concatenate([photograph("coffee", 96), photograph("astronaut", 96)])
    module = lite0()
    variables = weights_of("efficientnet_lite0", module, x.shape)
    logits, aux = jax.jit(module.apply)(variables, x)
    pixels = np.rint((np.asarray(x, np.float64) + 1) * 127.5)
    wanted = reference_lite0(variables, (pixels - 127) / 128)
    assert set(aux) == set(wanted) - {"logits"}
    for name, value in (aux | {"logits": logits}).items():
        assert_close(np.asarray(value), wanted[name], name)


def test_sizes_are_those_that_were_published():
    """4.65 million parameters (4.7 in the table of its authors); VGG19: 144 million (table 2 of the paper)."""
    count = lambda m: sum(
        x.size
        for x in jax.tree.leaves(jax.eval_shape(m.init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))["params"])
    )
    assert count(lite0()) == 4_652_008
    config = vgg.Config(image_shape=(224, 224, 3), conditions=(("imagenet", 1000),))
    assert count(vgg.networks(config)["classifier"].module) == 143_667_240


def test_the_published_variables_are_those_of_the_models():
    for name, module in (("efficientnet_lite0", lite0()), ("vgg19", VGG())):
        if not assets.available(name):
            continue
        wanted = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
        shapes = lambda tree: jax.tree.map(jnp.shape, tree)
        assert shapes(assets.load(name)) == shapes(dict(wanted))


def test_lite0_enlarges_what_it_sees():
    small = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3), minval=-0.5, maxval=0.5)
    as_it_is, enlarging = (
        ga.build(
            "efficientnet_lite0", preset="tiny", image_shape=(side, side, 3), conditions=(("a", 3),), enlarge=times
        )
        for side, times in ((16, 1), (8, 2))
    )
    state = zoo.start(as_it_is, jax.random.key(1), zoo.full_batch(as_it_is, 2))
    larger = resample.bicubic(small, 2)
    np.testing.assert_allclose(enlarging.predict(state, small), as_it_is.predict(state, larger), rtol=1e-5, atol=1e-6)
